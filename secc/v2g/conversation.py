"""One V2G connection as a pure machine: frames and time in, frames and facts out.

It knows nothing of sockets and asks for nothing: each call is given the `Surroundings` as they are. A request whose
answer must wait is held, and asked again at every `tick`; what the vehicle sends meanwhile waits in line.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from secc.exi import ExiError, Namespace, decode, encode
from secc.ports import (
    DcTarget,
    EndReason,
    MessageAnswered,
    PausedSession,
    PowerWanted,
    SeccFact,
    StationView,
    V2GEnded,
)
from secc.v2g import app_protocol, protocols
from secc.v2g.codes import NotARequest
from secc.v2g.protocol import Protocol
from secc.v2g.session import Answer, Request, Session, State, Surroundings
from secc.v2g.timing import CLOSE_TIMEOUT_S, RECHECK_S, SEQUENCE_TIMEOUT_S
from secc.v2gtp import Frame, PayloadType

log = logging.getLogger(__name__)

# A vehicle waits for each response, so even one message ahead is unusual.
MAX_WAITING = 4


@dataclass(slots=True)
class Output:
    """What a call brought forth, in order. `close` asks the driver to close the connection now."""

    frames: list[Frame] = field(default_factory=list)
    facts: list[SeccFact] = field(default_factory=list)
    close: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """What the conversation runs over."""

    tls: bool
    mutual_tls_13: bool = False
    """TLS 1.3, and the vehicle has shown a certificate that leads to a root we hold."""
    vehicle: str = ""
    """That certificate's SHA-256, hex."""


class Conversation:
    """`feed` frames, `tick` at `deadline` and whenever the station changes, `lose` when the connection is gone."""

    def __init__(
        self,
        channel: Channel,
        *,
        now: float,
        paused: PausedSession | None = None,
        offered: Sequence[Protocol] = protocols.DEFAULT,
    ) -> None:
        self.session = Session(tls=channel.tls, paused=paused)
        self.stepped_over = 0
        """Frames of a payload type that the protocol does not know."""
        self._channel = channel
        self._offered = offered
        self._protocol: Protocol | None = None
        self._held: Request | None = None
        self._retry_s = 0.0
        self._waiting: deque[Frame] = deque()
        self._expires_s = now + SEQUENCE_TIMEOUT_S
        self._ended = False
        self._begun = False

    @property
    def ended(self) -> bool:
        """The session is over; what remains is to close the connection at `deadline`, if the vehicle does not."""
        return self._ended

    @property
    def protocol(self) -> Protocol | None:
        """What is spoken; None until it is agreed on."""
        return self._protocol

    @property
    def negotiating(self) -> bool:
        """Whether no message of the protocol itself has come yet."""
        return not self._begun

    @property
    def holding(self) -> bool:
        """A request waits for the station."""
        return self._held is not None

    @property
    def deadline(self) -> float:
        """When `tick` must be called at the latest."""
        return self._retry_s if self._held else self._expires_s

    def feed(self, frame: Frame, around: Surroundings, now: float) -> Output:
        """One V2GTP frame. After the end it is ignored."""
        out = Output()
        if self._ended:
            return out
        if self._held is not None and frame.payload_type in self._spoken.side_streams:
            self._take_aside(self._held, frame, around, now, out)
            return out
        self._waiting.append(frame)
        if len(self._waiting) > MAX_WAITING:
            self._end(EndReason.PROTOCOL_ERROR, "vehicle does not wait for responses", now, out)
        self._work(around, now, out)
        return out

    def tick(self, around: Surroundings, now: float) -> Output:
        out = Output()
        if self._held is not None:
            self._ask(self._held, around, now, out)
            self._work(around, now, out)
        elif now >= self._expires_s:
            if self._ended:
                out.close = True
            else:
                self._end(EndReason.SEQUENCE_TIMEOUT, f"in state {self.session.state.value}", now, out)
                out.close = True
        return out

    def lose(self, reason: EndReason, detail: str, now: float) -> Output:
        """The connection is gone, or the driver takes it down. After the end this says nothing more."""
        out = Output(close=True)
        if not self._ended:
            self._end(reason, detail, now, out)
        return out

    def _work(self, around: Surroundings, now: float, out: Output) -> None:
        while self._waiting and self._held is None and not self._ended:
            self._take(self._waiting.popleft(), around, now, out)

    def _take(self, frame: Frame, around: Surroundings, now: float, out: Output) -> None:
        try:
            if self._protocol is None:
                self._negotiate(frame, around.view, now, out)
                return
            self._begun = True
            request = self._protocol.read(frame, now)
        except (ExiError, NotARequest) as error:
            self._end(EndReason.PROTOCOL_ERROR, str(error), now, out)
            return
        if request is None:
            self.stepped_over += 1
            return
        self._ask(request, around, now, out)

    def _take_aside(self, held: Request, frame: Frame, around: Surroundings, now: float, out: Output) -> None:
        """A request of a side stream, while one of the main stream is held. One that must wait too comes after it."""
        retry_s, self._held = self._retry_s, None
        self._take(frame, around, now, out)
        if self._ended:
            return
        if self._held is not None:
            self._waiting.append(frame)
        self._held, self._retry_s = held, retry_s

    def _negotiate(self, frame: Frame, view: StationView, now: float, out: Output) -> None:
        if frame.payload_type is not PayloadType.EXI:
            self.stepped_over += 1
            return
        possible = [protocol for protocol in self._offered if self._may_speak(protocol, view)]
        result = app_protocol.negotiate(decode(Namespace.SAP, frame.payload), possible)
        elements = result.response.dict(by_alias=True, exclude_none=True)
        out.frames.append(Frame(PayloadType.EXI, encode(Namespace.SAP, {app_protocol.RESPONSE: elements})))
        code = result.response.response_code.value
        out.facts.append(MessageAnswered("", app_protocol.REQUEST, code, 0.0))
        self._expires_s = now + SEQUENCE_TIMEOUT_S
        if result.protocol is None:
            self._end(EndReason.REFUSED, code, now, out)
            return
        self._protocol = result.protocol
        begun = result.protocol.begin(self._channel.tls, self.session.paused)
        self.session = replace(begun, vehicle=self._channel.vehicle)

    def _may_speak(self, protocol: Protocol, view: StationView) -> bool:
        return protocol.serves(view) and (self._channel.mutual_tls_13 or not protocol.only_mutual_tls_13)

    @property
    def _spoken(self) -> Protocol:
        assert self._protocol is not None
        return self._protocol

    def _ask(self, request: Request, around: Surroundings, now: float, out: Output) -> None:
        answer = self._spoken.respond(request, self.session, around, now)
        self.session = answer.session
        out.facts += answer.facts
        if answer.response is None:
            self._held = request
            self._retry_s = min(answer.retry_s, now + RECHECK_S)
            return
        self._held = None
        self._send(request, answer, around, now, out)

    def _send(self, request: Request, answer: Answer, around: Surroundings, now: float, out: Output) -> None:
        assert answer.response is not None
        frame, code = self._spoken.write(request, answer.response, self.session, around)
        out.frames.append(frame)
        out.facts.append(MessageAnswered(self.session.session_id, request.name, code, now - request.arrived_s))
        self._expires_s = now + self._spoken.sequence_timeout_s(self.session)
        if self.session.state is State.ENDED:
            detail = f"{request.name}: {code}" + (f" ({answer.detail})" if answer.detail else "")
            self._end(self.session.end or EndReason.REFUSED, detail, now, out)

    def _end(self, reason: EndReason, detail: str, now: float, out: Output) -> None:
        """Whatever ends a session takes the power back first."""
        if self.session.output_wanted:
            out.facts.append(DcTarget(0.0, 0.0))
        if self.session.power_wanted:
            out.facts.append(PowerWanted(False))
        out.facts.append(V2GEnded(self.session.session_id, reason, detail))
        log.info("V2G session %s ended: %s, %s", self.session.session_id or "-", reason.value, detail)
        self._ended = True
        self._held = None
        self._waiting.clear()
        self._expires_s = now + CLOSE_TIMEOUT_S
        # Nothing was said that the vehicle would have to read first.
        out.close = out.close or reason is EndReason.PROTOCOL_ERROR
