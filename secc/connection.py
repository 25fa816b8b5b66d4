"""One TCP or TLS connection: bytes between asyncio's transport and the V2G conversation. Thin on purpose."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from secc.ports import EndReason, MessageAnswered, PausedSession, Report, TlsEstablished
from secc.v2g.conversation import Channel, Conversation, Output
from secc.v2g.protocol import Protocol
from secc.v2g.session import Surroundings
from secc.v2gtp import Frame, PayloadType, V2gtpReader


@dataclass(frozen=True, slots=True)
class Passing:
    """A frame on its way, for who watches."""

    from_vehicle: bool
    frame: Frame
    protocol: Protocol | None
    session_id: str


Watch = Callable[[Passing], None]


class Connection(asyncio.Protocol):
    """Feeds a `Conversation` and wakes it at its deadline. `on_end` is called once, when the session is over."""

    def __init__(
        self,
        *,
        surroundings: Callable[[], Surroundings],
        report: Report,
        paused: PausedSession | None,
        offered: Sequence[Protocol],
        accepted_s: float,
        on_end: Callable[["Connection"], None],
        watch: Watch | None = None,
    ) -> None:
        self._surroundings = surroundings
        self._report = report
        self._paused = paused
        self._offered = offered
        self._accepted_s = accepted_s
        self._on_end = on_end
        self._watch = watch
        self._reader = V2gtpReader()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.conversation: Conversation | None = None

    @property
    def active(self) -> bool:
        """A session is under way, or its handshake: nobody else may have the EVSE."""
        return self.conversation is None or not self.conversation.ended

    @property
    def set_up(self) -> bool:
        return self.conversation is not None and bool(self.conversation.session.session_id)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        now = self._loop.time()
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            cipher = tls.cipher()
            self._report(TlsEstablished(tls.version() or "", cipher[0] if cipher else "", now - self._accepted_s))
        self.conversation = Conversation(_channel(tls), now=now, paused=self._paused, offered=self._offered)
        self._arm()

    def data_received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            now = self._loop.time()
            self._show(frame, from_vehicle=True)
            self._perform(self._conversation.feed(frame, self._surroundings(), now), now)
        if self._reader.fault is not None:
            self.drop(EndReason.PROTOCOL_ERROR, self._reader.fault.value)

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(EndReason.CONNECTION_LOST, str(exc) if exc else "closed by the vehicle")

    def station_changed(self) -> None:
        """Ask a held request again now rather than at the next recheck."""
        if self.conversation is not None and self.conversation.holding:
            self._wake()

    def drop(self, reason: EndReason, detail: str) -> None:
        """End the session, if it has not ended, and close."""
        if self.conversation is None:
            return
        now = self._loop.time()
        self._perform(self.conversation.lose(reason, detail, now), now)

    @property
    def _conversation(self) -> Conversation:
        assert self.conversation is not None
        return self.conversation

    def _wake(self) -> None:
        """Of an error in here nobody would hear, and no timer would be armed again: it must end the connection."""
        now = self._loop.time()
        sound = False
        try:
            self._perform(self._conversation.tick(self._surroundings(), now), now)
            sound = True
        finally:
            if not sound and self._transport is not None:
                self._transport.abort()

    def _perform(self, out: Output, now: float) -> None:
        """Answer first, report after: the vehicle waits for the one, nobody for the other."""
        transport = self._transport
        assert transport is not None
        for frame in out.frames:
            transport.write(frame.to_bytes())
            self._show(frame, from_vehicle=False)
        for fact in out.facts:
            if isinstance(fact, MessageAnswered):
                fact = replace(fact, took_s=fact.took_s + self._loop.time() - now)
            self._report(fact)
        if self._conversation.ended and self._on_end is not _ignore:
            on_end, self._on_end = self._on_end, _ignore
            on_end(self)
        if out.close:
            transport.close()
        self._arm()

    def _show(self, frame: Frame, *, from_vehicle: bool) -> None:
        """The response to the negotiation is still of the negotiation."""
        if self._watch is None:
            return
        spoken = self._conversation
        protocol = None if frame.payload_type is PayloadType.EXI and spoken.negotiating else spoken.protocol
        self._watch(Passing(from_vehicle, frame, protocol, spoken.session.session_id))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None and not self._transport.is_closing():
            self._timer = self._loop.call_at(self._conversation.deadline, self._wake)


def _channel(tls: ssl.SSLObject | None) -> Channel:
    """A certificate that is there has been verified: the handshake would have failed otherwise."""
    if tls is None:
        return Channel(tls=False)
    shown = tls.getpeercert(binary_form=True)
    mutual = tls.version() == "TLSv1.3" and bool(shown)
    return Channel(tls=True, mutual_tls_13=mutual, vehicle=sha256(shown).hexdigest() if shown else "")


def _ignore(_connection: Connection) -> None:
    pass
