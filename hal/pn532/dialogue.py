"""What is said to a PN532, in its order, so that each card is told once. Pure.

asleep -> SAMConfiguration -> RFConfiguration -> InListPassiveTarget, again and again

A command that is not acknowledged or answered in time begins anew with the wake-up, endlessly: a reader may be plugged
in later. A card is the same card until it was away for AWAY_S: one held at the edge of the field comes and goes.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from hal.pn532 import frames
from hal.pn532.frames import Answer, FrameReader, Said

ANSWER_S = 0.5
POLL_S = 0.2
AWAY_S = 1.0
SILENT_AFTER_TRIES = 3
RETRY_S = 1.0
_SAM_CONFIGURATION, _RF_CONFIGURATION, _IN_LIST_PASSIVE_TARGET = 0x14, 0x32, 0x4A
_NORMAL_MODE, _NO_TIMEOUT, _NO_IRQ = 1, 0, 0
_MAX_RETRIES, _ENDLESS_ATR, _ENDLESS_PSL, _TRIES = 5, 0xFF, 0x01, 0x02
_ONE_TARGET, _ISO14443A_106K = 1, 0
MAX_UID = 10
"""A triple-size UID of ISO/IEC 14443-3."""


@dataclass(frozen=True, slots=True)
class Card:
    """Its UID in upper-case hex."""

    uid: str


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader answers, or does not."""

    answers: bool
    detail: str


class Step(Enum):
    CLOSED = "closed"
    CONFIGURING = "configuring"
    TUNING = "tuning"
    POLLING = "polling"
    RESTING = "resting"
    """Between two polls."""
    LOST = "lost"


_COMMANDS = {
    Step.CONFIGURING: (_SAM_CONFIGURATION, _NORMAL_MODE, _NO_TIMEOUT, _NO_IRQ),
    # Two tries for a card instead of for ever: a poll then ends by itself and the next command can be said.
    Step.TUNING: (_RF_CONFIGURATION, _MAX_RETRIES, _ENDLESS_ATR, _ENDLESS_PSL, _TRIES),
    Step.POLLING: (_IN_LIST_PASSIVE_TARGET, _ONE_TARGET, _ISO14443A_106K),
}
_NEXT = {Step.CONFIGURING: Step.TUNING, Step.TUNING: Step.POLLING}
_NEVER = float("inf")


class Dialogue:
    """Bytes and time in, `Card` and `Reader` out; `data_to_send()` after every call."""

    def __init__(self) -> None:
        self.frames = FrameReader()
        self.counts: Counter[str] = Counter()
        self._step = Step.CLOSED
        self._due_s = _NEVER
        self._acknowledged = False
        self._tries = 0
        self._answers: bool | None = None
        self._card = ""
        self._seen_s = -_NEVER
        self._out = bytearray()

    def connected(self, now: float) -> None:
        self.frames.reset()
        self._out.clear()
        self._tries = 0
        self._begin(now)

    def disconnected(self, reason: str) -> list[Card | Reader]:
        self._step, self._due_s = Step.CLOSED, _NEVER
        return self._tell(False, reason)

    def feed(self, data: bytes, now: float) -> list[Card | Reader]:
        told: list[Card | Reader] = []
        for said in self.frames.feed(data):
            told += self._heard(said, now)
        return told

    def tick(self, now: float) -> list[Card | Reader]:
        if now < self._due_s:
            return []
        if self._step is Step.RESTING:
            self._say(Step.POLLING, now)
            return []
        if self._step is Step.LOST:
            self._begin(now)
            return []
        self.counts["not answered"] += 1
        return self._failed("no answer", now)

    def deadline(self) -> float | None:
        return None if self._due_s == _NEVER else self._due_s

    def data_to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    # --- inside ---

    def _heard(self, said: Answer | Said, now: float) -> list[Card | Reader]:
        if said is Said.ACK:
            self._acknowledged = True
            return []
        if isinstance(said, Said):
            self.counts[said.value] += 1
            return self._failed(said.value, now)
        expected = _COMMANDS.get(self._step)
        if expected is None or said.command != expected[0] or not self._acknowledged:
            self.counts["not asked for"] += 1
            return []
        self._tries = 0
        if self._step is not Step.POLLING:
            self._say(_NEXT[self._step], now)
            return []
        self._step, self._due_s = Step.RESTING, now + POLL_S
        return self._tell(True, "answers") + self._listed(said.data, now)

    def _listed(self, data: bytes, now: float) -> list[Card | Reader]:
        """NbTg, then of the one target: its number, SENS_RES (2), SEL_RES, the UID's length, the UID."""
        if not data or not data[0]:
            return []
        uid = data[6 : 6 + data[5]] if len(data) > 5 else b""
        if not 4 <= len(uid) <= MAX_UID or len(uid) != data[5]:
            self.counts["no UID"] += 1
            return []
        shown, away_s = uid.hex().upper(), now - self._seen_s
        is_new = shown != self._card or away_s > AWAY_S
        self._card, self._seen_s = shown, now
        return [Card(shown)] if is_new else []

    def _failed(self, reason: str, now: float) -> list[Card | Reader]:
        self._tries += 1
        if self._tries < SILENT_AFTER_TRIES:
            self._begin(now)
            return []
        self._step, self._due_s = Step.LOST, now + RETRY_S
        return self._tell(False, reason)

    def _begin(self, now: float) -> None:
        self._out += frames.WAKE_UP
        self._say(Step.CONFIGURING, now)

    def _say(self, step: Step, now: float) -> None:
        self._step, self._due_s, self._acknowledged = step, now + ANSWER_S, False
        self._out += frames.command(*_COMMANDS[step])

    def _tell(self, answers: bool, detail: str) -> list[Card | Reader]:
        if answers is self._answers:
            return []
        self._answers = answers
        return [Reader(answers, detail)]
