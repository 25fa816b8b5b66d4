"""The SECC of one EVSE: SDP, the listeners, and one session at a time. Runs on the asyncio loop it is started on.

Nothing of it is on the network before `link_ready` and after `link_down`. An interface without an address yet is tried
again; a vehicle that fails, whatever way, leaves the listeners as they were.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from ipaddress import IPv6Address

from hal.quantities import EvseId
from secc.connection import Connection, Watch
from secc.eui64 import mac_of
from secc.listener import Listener
from secc.ports import (
    Certificates,
    EndReason,
    PausedSession,
    Report,
    SeccFact,
    SessionSetUp,
    TlsUnavailable,
    V2GEnded,
    View,
)
from secc.sdp import Endpoints, SdpPolicy
from secc.sockets import InterfaceError, LinkSockets
from secc.v2g.protocol import Protocol
from secc.v2g.protocols import DEFAULT
from secc.v2g.session import ENTROPY_BYTES, Surroundings
from secc.v2g.timing import COMMUNICATION_SETUP_TIMEOUT_S

log = logging.getLogger(__name__)

# A TPM takes up to 0.6 s a signature; a vehicle gives up sooner than this.
TLS_HANDSHAKE_TIMEOUT_S = 10.0

_RETRY_OPEN_S = 0.1


class SeccServer:
    """Call everything here on the loop that `start` ran on; `view`, `report` and `tls` must be quick.

    Args:
        evse: for log lines.
        interface: the PLC modem's.
        tls: gives the server's TLS context, made once per certificate. None: this EVSE has no TLS.
            Raises TlsUnavailable; TLS is then not offered, and nothing instead of it.
        allow_plain_tcp: whether vehicles without TLS are served.
        view, certificates, report: see `secc.ports`.
        wall_clock: timezone-aware UTC.
        paused: the session a vehicle may join again, from the last `PausedSession` fact.
        protocols: what is offered in SupportedAppProtocol, of `secc.v2g.protocols`; the vehicle's priorities decide.
        sockets: where the sockets come from.
        watch: is shown every frame of every session, as it passes.
    """

    def __init__(
        self,
        evse: EvseId,
        interface: str,
        *,
        tls: Callable[[], ssl.SSLContext] | None,
        allow_plain_tcp: bool,
        view: View,
        certificates: Certificates,
        report: Report,
        wall_clock: Callable[[], datetime],
        paused: PausedSession | None = None,
        protocols: Sequence[Protocol] = DEFAULT,
        sockets: LinkSockets | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._evse = evse
        self._tls = tls
        self._allow_plain_tcp = allow_plain_tcp
        self._view = view
        self._certificates = certificates
        self._report_outside = report
        self._wall_clock = wall_clock
        self._paused = paused
        self._protocols = protocols
        self._sockets = sockets or LinkSockets(interface)
        self._watch = watch
        self._policy = SdpPolicy()
        self._ports = {"tls": 0, "plain": 0}
        self._ev_mac = ""
        self._link: _Link | None = None
        self._connection: Connection | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._setup_timer: asyncio.TimerHandle | None = None
        self._open_timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def sdp_refused(self) -> dict[str, int]:
        """SDP requests met with silence, by reason."""
        return {fault.value: count for fault, count in self._policy.refused.items()}

    @property
    def ports(self) -> tuple[int, int]:
        """The TLS and the plain port, 0 where there was none yet. They stay the same from link to link."""
        return self._ports["tls"], self._ports["plain"]

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        self.link_down()
        handshakes = list(self._handshakes)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    def link_ready(self, ev_mac: str) -> None:
        """D-LINK_READY: the modems share a key. From now on SDP is answered, and a session is due in time."""
        self.link_down()
        loop = self._running_loop()
        log.info("evse %d: link ready with %s", self._evse, ev_mac)
        self._ev_mac = ev_mac
        self._setup_timer = loop.call_later(COMMUNICATION_SETUP_TIMEOUT_S, self._setup_overdue)
        self._open()

    def link_down(self) -> None:
        """Take everything off the network; a session under way ends."""
        for timer in (self._setup_timer, self._open_timer):
            if timer is not None:
                timer.cancel()
        self._setup_timer = self._open_timer = None
        if self._connection is not None:
            self._connection.drop(EndReason.LINK_DOWN, "data link terminated")
            self._connection = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def view_changed(self) -> None:
        """The station's view changed: a vehicle may be waiting for just that."""
        if self._connection is not None:
            self._connection.station_changed()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "start first"
        return self._loop

    # --- the link ---

    def _open(self) -> None:
        try:
            self._link = self._open_link()
        except InterfaceError as error:
            if self._open_timer is None:
                log.warning("evse %d: %s; trying again", self._evse, error)
            self._open_timer = self._running_loop().call_later(_RETRY_OPEN_S, self._open)

    def _open_link(self) -> "_Link":
        address = self._sockets.address()
        link = _Link(address)
        try:
            if self._context() is not None:
                link.tls = Listener(self._sockets.listener(self._ports["tls"]), self._accepted_tls)
                self._ports["tls"] = link.tls.port
            if self._allow_plain_tcp:
                link.plain = Listener(self._sockets.listener(self._ports["plain"]), self._accepted_plain)
                self._ports["plain"] = link.plain.port
            link.sdp = _SdpSocket(self._sockets.sdp(), self._answer_sdp)
        except InterfaceError:
            link.close()
            raise
        return link

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        try:
            return self._tls()
        except (TlsUnavailable, ssl.SSLError, OSError) as error:
            log.error("evse %d: no TLS: %s", self._evse, error)
            return None

    def _answer_sdp(self, data: bytes, source: IPv6Address) -> bytes | None:
        assert self._link is not None
        endpoints = self._link.endpoints(tls_wanted=self._tls is not None)
        return self._policy.answer(data, source, endpoints, self._running_loop().time())

    # --- connections ---

    def _accepted_plain(self, sock: socket.socket) -> None:
        self._accepted(sock, None)

    def _accepted_tls(self, sock: socket.socket) -> None:
        context = self._context()
        if context is None:
            sock.close()
            self._report(V2GEnded("", EndReason.TLS_FAILED, "no TLS context"))
            return
        self._accepted(sock, context)

    def _accepted(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        current = self._connection
        if current is not None and current.active:
            log.warning("evse %d: second connection refused", self._evse)
            sock.close()
            return
        if current is not None:
            current.drop(EndReason.CONNECTION_LOST, "replaced")
        self._compare(sock)
        loop = self._running_loop()
        connection = Connection(
            surroundings=self._surroundings,
            report=self._report,
            paused=self._paused,
            offered=self._protocols,
            accepted_s=loop.time(),
            on_end=self._ended,
            watch=self._watch,
        )
        self._connection = connection
        task = loop.create_task(self._serve(connection, sock, context))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    def _compare(self, sock: socket.socket) -> None:
        """A peer that is not the matched vehicle is told of, not refused: its host may be another than its modem."""
        with suppress(OSError):
            peer_mac = mac_of(IPv6Address(sock.getpeername()[0].partition("%")[0]))
            if peer_mac is not None and peer_mac != self._ev_mac:
                log.warning("evse %d: SLAC matched %s, but %s connects", self._evse, self._ev_mac, peer_mac)

    async def _serve(self, connection: Connection, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        timeout = TLS_HANDSHAKE_TIMEOUT_S if context else None
        try:
            await self._running_loop().connect_accepted_socket(
                lambda: connection, sock, ssl=context, ssl_handshake_timeout=timeout
            )
        except (ssl.SSLError, OSError) as error:
            if self._connection is connection:
                self._connection = None
            log.warning("evse %d: TLS handshake failed: %s", self._evse, error)
            self._report(V2GEnded("", EndReason.TLS_FAILED, str(error)))
        finally:
            if connection.conversation is None:
                sock.close()

    def _surroundings(self) -> Surroundings:
        return Surroundings(self._view(), self._certificates, self._wall_clock(), os.urandom(ENTROPY_BYTES))

    def _ended(self, connection: Connection) -> None:
        assert connection.conversation is not None
        self._paused = connection.conversation.session.paused

    def _report(self, fact: SeccFact) -> None:
        if isinstance(fact, SessionSetUp) and self._setup_timer is not None:
            self._setup_timer.cancel()
        self._report_outside(fact)

    def _setup_overdue(self) -> None:
        """V2G_SECC_CommunicationSetup_Timeout: without a session the data link is of no use [V2G2-723]."""
        detail = "communication setup timeout"
        if self._connection is not None and self._connection.conversation is not None and self._connection.active:
            self._connection.drop(EndReason.SETUP_TIMEOUT, detail)
        else:
            self._report(V2GEnded("", EndReason.SETUP_TIMEOUT, detail))


class _Link:
    """What is open between `link_ready` and `link_down`."""

    def __init__(self, address: IPv6Address) -> None:
        self.address = address
        self.tls: Listener | None = None
        self.plain: Listener | None = None
        self.sdp: _SdpSocket | None = None

    def endpoints(self, *, tls_wanted: bool) -> Endpoints:
        return Endpoints(
            self.address,
            self.tls.port if self.tls else None,
            self.plain.port if self.plain else None,
            tls_wanted,
        )

    def close(self) -> None:
        for part in (self.sdp, self.tls, self.plain):
            if part is not None:
                part.close()


class _SdpSocket:
    """Reads datagrams and sends the answers back where they came from."""

    MAX_DATAGRAM = 64

    def __init__(self, sock: socket.socket, answer: Callable[[bytes, IPv6Address], bytes | None]) -> None:
        self._sock = sock
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _read(self) -> None:
        try:
            data, source = self._sock.recvfrom(self.MAX_DATAGRAM)
            response = self._answer(data, IPv6Address(source[0].partition("%")[0]))
            if response is not None:
                self._sock.sendto(response, source)
        except OSError as error:
            # The interface may go down between a request and its answer.
            log.warning("SDP: %s", error)
