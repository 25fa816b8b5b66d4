"""The PN532: its frames, its dialogue in virtual time, and the driver at a simulated chip on a pseudo-terminal."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.pn532 import frames
from hal.pn532.dialogue import ANSWER_S, AWAY_S, POLL_S, RETRY_S, SILENT_AFTER_TRIES, Card, Dialogue, Reader
from hal.pn532.frames import ACK, MAX_FRAME, Answer, FrameReader, Said
from hal.pn532.reader import Pn532Reader
from hal.ports import BoardFault, Fault, HalFact, TokenPresented
from hal.quantities import EvseId
from sim.mcu.line import Quality
from sim.reader.pn532 import Pn532, frame

UID = "04A2B3C4D5E6F7"


def listed(uid: str) -> bytes:
    raw = bytes.fromhex(uid)
    return frame(0xD5, 0x4B, 1, 1, 0x00, 0x44, 0x00, len(raw), *raw)


# --- frames ---


def test_a_frame_by_the_manual() -> None:
    """GetFirmwareVersion, as the user manual prints it."""
    assert frames.command(0x02) == bytes.fromhex("0000ff02fed4022a00")


def test_what_comes_is_told_apart() -> None:
    data = ACK + frame(0xD5, 0x03, 0x32, 1, 6, 7) + bytes.fromhex("0000ffff0000") + frame(0x7F)
    assert FrameReader().feed(data) == [Said.ACK, Answer(0x02, bytes((0x32, 1, 6, 7))), Said.NACK, Said.ERROR]


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 9))
def test_a_frame_is_found_in_noise(before: bytes, data: bytes, step: int) -> None:
    reader, told = FrameReader(), []
    # A start in the noise may claim what follows for its own frame; the second of two is found all the same.
    stream = before + bytes(MAX_FRAME) + 2 * frame(0xD5, 0x4B, *data)
    for at in range(0, len(stream), step):
        told += reader.feed(stream[at : at + step])
    assert Answer(0x4A, data) in told


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_the_reader_keeps_no_more_than_a_frame(parts: list[bytes]) -> None:
    reader = FrameReader()
    for part in parts:
        reader.feed(part)
        assert len(reader._buffer) <= MAX_FRAME


def test_what_is_dropped_is_counted() -> None:
    reader = FrameReader()
    assert reader.feed(bytes.fromhex("0000ff0300") + frames.command(0x02) + bytes.fromhex("0000ff02fed503ff00")) == []
    assert reader.drops == {"length": 1, "not for us": 1, "checksum": 1}


# --- the dialogue ---


class Talk:
    def __init__(self) -> None:
        self.dialogue = Dialogue()
        self.now = 0.0
        self.dialogue.connected(self.now)

    def asked(self) -> list[int]:
        """Command codes sent since the last time."""
        return [part[3] for part in self.dialogue.data_to_send().split(b"\x00\x00\xff")[1:]]

    def answer(self, data: bytes) -> list[Card | Reader]:
        return self.dialogue.feed(ACK + data, self.now)

    def wait(self, delay_s: float) -> list[Card | Reader]:
        end_s, told = self.now + delay_s, []
        while (due_s := self.dialogue.deadline()) is not None and due_s <= end_s:
            self.now = due_s
            told += self.dialogue.tick(self.now)
        self.now = end_s
        return told

    def poll(self, uid: str = "") -> list[Card | Reader]:
        """One poll answered; then until the next begins."""
        told = self.answer(listed(uid) if uid else frame(0xD5, 0x4B, 0))
        self.wait(POLL_S)
        assert self.asked() == [0x4A]
        return told

    def configure(self) -> None:
        assert self.asked() == [0x14]
        assert self.answer(frame(0xD5, 0x15)) == []
        assert self.asked() == [0x32]
        assert self.answer(frame(0xD5, 0x33)) == []
        assert self.asked() == [0x4A]


def test_a_card_is_told_once_and_again_after_it_was_away() -> None:
    talk = Talk()
    talk.configure()
    assert talk.poll() == [Reader(True, "answers")]
    assert talk.poll(UID) == [Card(UID)]
    assert talk.poll(UID) == []
    assert talk.poll() == [], "at the edge of the field"
    assert talk.poll(UID) == []
    assert talk.poll("04010203") == [Card("04010203")]
    for _ in range(int(AWAY_S / POLL_S) + 2):
        assert talk.poll() == []
    assert talk.poll("04010203") == [Card("04010203")]


def test_a_silent_reader_is_told_once_and_asked_for_ever() -> None:
    talk = Talk()
    assert talk.wait(ANSWER_S * SILENT_AFTER_TRIES) == [Reader(False, "no answer")]
    assert talk.wait(60.0) == []
    talk.asked()
    waited_s = 0.0
    while 0x14 not in talk.asked():
        talk.wait(0.1)
        waited_s += 0.1
    assert waited_s <= RETRY_S + ANSWER_S + 0.1
    talk.answer(frame(0xD5, 0x15))
    talk.answer(frame(0xD5, 0x33))
    assert talk.answer(frame(0xD5, 0x4B, 0)) == [Reader(True, "answers")]


def test_a_reader_that_lost_its_power_is_configured_again() -> None:
    talk = Talk()
    talk.configure()
    talk.poll()
    assert talk.wait(ANSWER_S) == []
    talk.configure()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(0xD5, 0x4B, 1, 1, 0, 4, 8, 7, 1, 2), "no UID"),
        (frame(0xD5, 0x4B, 1), "no UID"),
        (frame(0xD5, 0x4B, 1, 1, 0, 4, 8, 11, *range(11)), "no UID"),
        (frame(0xD5, 0x03, 1), "not asked for"),
        (frame(0x7F), "application error"),
    ],
)
def test_answers_that_make_no_sense(data: bytes, reason: str) -> None:
    talk = Talk()
    talk.configure()
    assert [event for event in talk.answer(data) if isinstance(event, Card)] == []
    assert talk.dialogue.counts[reason] == 1


def test_an_answer_without_an_acknowledgement_is_an_old_one() -> None:
    talk = Talk()
    talk.configure()
    assert talk.dialogue.feed(listed(UID), talk.now) == []
    assert talk.dialogue.counts["not asked for"] == 1


@given(st.lists(st.tuples(st.binary(max_size=60), st.floats(0, 3)), max_size=30))
def test_no_bytes_end_the_dialogue(parts: list[tuple[bytes, float]]) -> None:
    talk = Talk()
    for data, delay_s in parts:
        talk.dialogue.feed(data, talk.now)
        talk.wait(delay_s)
        assert talk.dialogue.deadline() is not None


# --- the driver ---


class Stand:
    def __init__(self, directory: Path, quality: Quality | None = None) -> None:
        self.chip = Pn532(directory / "tty", quality)
        self.facts: list[HalFact] = []
        self.reader = Pn532Reader(str(directory / "tty"), EvseId(1), self.facts.append)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)

    def tokens(self) -> list[str]:
        return [fact.id_token for fact in self.facts if isinstance(fact, TokenPresented)]

    def faults(self) -> list[tuple[Fault, bool]]:
        return [(fact.fault, fact.active) for fact in self.facts if isinstance(fact, BoardFault)]


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    yield made
    await made.reader.close()
    made.chip.close()


async def test_a_card_is_read_from_a_chip(stand: Stand) -> None:
    await stand.reader.open()
    stand.chip.card = bytes.fromhex(UID)
    await stand.until(stand.tokens)
    stand.chip.card = bytes.fromhex("04A2B3C4")
    await stand.until(lambda: len(stand.tokens()) > 1)
    assert stand.tokens() == [UID, "04A2B3C4"]
    assert stand.chip.heard[:3] == [0x14, 0x32, 0x4A]


async def test_a_chip_that_falls_silent_and_comes_back_asleep(stand: Stand) -> None:
    await stand.reader.open()
    await stand.until(lambda: 0x4A in stand.chip.heard)
    stand.chip.silent = True
    await stand.until(lambda: (Fault.VENDOR_WARNING, True) in stand.faults())
    stand.chip.silent = False
    stand.chip.reset()
    await stand.until(lambda: (Fault.VENDOR_WARNING, False) in stand.faults())
    stand.chip.card = bytes.fromhex(UID)
    await stand.until(stand.tokens)


async def test_a_noisy_line_reads_the_card_all_the_same(tmp_path: Path) -> None:
    stand = Stand(tmp_path, Quality(corrupt=0.005, seed=3))
    try:
        await stand.reader.open()
        for uid in ("04A2B3C4", "04010203", "04040506"):
            stand.chip.card = bytes.fromhex(uid)
            await stand.until(lambda uid=uid: uid in stand.tokens())
    finally:
        await stand.reader.close()
        stand.chip.close()


async def test_a_reader_that_is_plugged_in_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.pn532.reader.REOPEN_S", 0.05)
    facts: list[HalFact] = []
    reader = Pn532Reader(str(tmp_path / "tty"), EvseId(1), facts.append)
    await reader.open()
    assert [fact.fault for fact in facts if isinstance(fact, BoardFault)] == [Fault.VENDOR_WARNING]
    chip = Pn532(tmp_path / "tty")
    chip.card = bytes.fromhex(UID)
    async with asyncio.timeout(10):
        while not any(isinstance(fact, TokenPresented) for fact in facts):
            await asyncio.sleep(0.01)
    await reader.close()
    chip.close()
