"""One V2G connection as a pure machine: payloads and time in, payloads and facts out.

It knows nothing of sockets and asks for nothing: each call is given the `Surroundings` as they are. A request whose
answer must wait is held, and asked again at every `tick`; what the vehicle sends meanwhile waits in line.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from iso15118.shared.messages.iso15118_2.body import BodyBase

from secc.exi import ExiError, Namespace, decode, encode
from secc.ports import DcTarget, EndReason, MessageAnswered, PausedSession, PowerWanted, SeccFact, V2GEnded
from secc.v2g import app_protocol
from secc.v2g.app_protocol import ISO_15118_2, OfferedProtocol
from secc.v2g.iso2.protocol import respond
from secc.v2g.iso2.reading import NotARequest, read
from secc.v2g.session import Answer, Passed, Request, Session, State, Surroundings
from secc.v2g.timing import CLOSE_TIMEOUT_S, RECHECK_S, SEQUENCE_TIMEOUT_S

log = logging.getLogger(__name__)

NO_SESSION_ID = "00" * 8

# A vehicle waits for each response, so even one message ahead is unusual.
MAX_WAITING = 4


@dataclass(slots=True)
class Output:
    """What a call brought forth, in order. `close` asks the driver to close the connection now."""

    payloads: list[bytes] = field(default_factory=list)
    facts: list[SeccFact] = field(default_factory=list)
    close: bool = False


class Conversation:
    """`feed` payloads, `tick` at `deadline` and whenever the station changes, `lose` when the connection is gone."""

    def __init__(
        self,
        *,
        tls: bool,
        now: float,
        paused: PausedSession | None = None,
        offered: Sequence[OfferedProtocol] = (ISO_15118_2,),
    ) -> None:
        self.session = Session(tls=tls, paused=paused)
        self._offered = offered
        self._negotiated = False
        self._held: Request | None = None
        self._retry_s = 0.0
        self._waiting: deque[bytes] = deque()
        self._expires_s = now + SEQUENCE_TIMEOUT_S
        self._ended = False

    @property
    def ended(self) -> bool:
        """The session is over; what remains is to close the connection at `deadline`, if the vehicle does not."""
        return self._ended

    @property
    def holding(self) -> bool:
        """A request waits for the station."""
        return self._held is not None

    @property
    def deadline(self) -> float:
        """When `tick` must be called at the latest."""
        return self._retry_s if self._held else self._expires_s

    def feed(self, payload: bytes, around: Surroundings, now: float) -> Output:
        """One V2GTP payload. After the end it is ignored."""
        out = Output()
        if self._ended:
            return out
        self._waiting.append(payload)
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

    def _take(self, payload: bytes, around: Surroundings, now: float, out: Output) -> None:
        try:
            if not self._negotiated:
                self._negotiate(payload, now, out)
                return
            request = read(decode(Namespace.ISO_2, payload), payload, now)
        except (ExiError, NotARequest) as error:
            self._end(EndReason.PROTOCOL_ERROR, str(error), now, out)
            return
        self._ask(request, around, now, out)

    def _negotiate(self, payload: bytes, now: float, out: Output) -> None:
        result = app_protocol.negotiate(decode(Namespace.SAP, payload), self._offered)
        elements = result.response.dict(by_alias=True, exclude_none=True)
        out.payloads.append(encode(Namespace.SAP, {app_protocol.RESPONSE: elements}))
        code = result.response.response_code.value
        out.facts.append(MessageAnswered("", app_protocol.REQUEST, code, 0.0))
        self._expires_s = now + SEQUENCE_TIMEOUT_S
        self._negotiated = True
        if result.protocol is None:
            self._end(EndReason.REFUSED, code, now, out)

    def _ask(self, request: Request, around: Surroundings, now: float, out: Output) -> None:
        answer = respond(request, self.session, around, now)
        self.session = answer.session
        out.facts += answer.facts
        if answer.response is None:
            self._held = request
            self._retry_s = min(answer.retry_s, now + RECHECK_S)
            return
        self._held = None
        self._send(request, answer, now, out)

    def _send(self, request: Request, answer: Answer, now: float, out: Output) -> None:
        octets, code = self._octets(request, answer.response)
        out.payloads.append(octets)
        out.facts.append(MessageAnswered(self.session.session_id, request.name, code, now - request.arrived_s))
        self._expires_s = now + SEQUENCE_TIMEOUT_S
        if self.session.state is State.ENDED:
            detail = f"{request.name}: {code}" + (f" ({answer.detail})" if answer.detail else "")
            self._end(self.session.end or EndReason.REFUSED, detail, now, out)

    def _octets(self, request: Request, response: BodyBase | Passed | None) -> tuple[bytes, str]:
        """The message on the wire and its response code."""
        assert response is not None
        if isinstance(response, Passed):
            return response.octets, response.code.value
        elements = response.dict(by_alias=True, exclude_none=True)
        session_id = self.session.session_id or NO_SESSION_ID
        name = request.name.removesuffix("Req") + "Res"
        message = {"Header": {"SessionID": bytes.fromhex(session_id)}, "Body": {name: elements}}
        return encode(Namespace.ISO_2, {"V2G_Message": message}), str(elements["ResponseCode"].value)

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
