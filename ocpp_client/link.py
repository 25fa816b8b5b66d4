"""The WebSocket to the CSMS: it connects, reconnects for ever, and carries text. The one door to websockets.

Retries wait as OCPP-J 2.0.1 section 5.3 says: RetryBackOffWaitMinimum plus a random part, doubled
RetryBackOffRepeatTimes times at most. A dead peer is found by pings: WebSocketPingInterval, the same again for the
pong, and one second for closing.
"""

import asyncio
import base64
import contextlib
import logging
import random
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from ocpp_client.ports import SecurityEvent
from ocpp_client.wire import SUBPROTOCOL

log = logging.getLogger(__name__)

MAX_UNSENT = 256
"""Frames waiting for a peer that does not read: beyond, frames are dropped and counted."""
_OPEN_TIMEOUT_S = 20.0
_CLOSE_TIMEOUT_S = 1.0
_MAX_FRAME_BYTES = 1 << 20


class LinkUser(Protocol):
    """Called on the link's loop; must not block."""

    def link_up(self) -> None: ...

    def link_down(self, reason: str) -> None: ...

    def frame_received(self, frame: str | bytes) -> None: ...

    def connect_failed(self, reason: str, attempts: int, event: SecurityEvent | None) -> None:
        """`event` is what the failure means for security, None for a plain one."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to connect. `tls` for wss; `password` for security profiles 1 and 2."""

    url: str
    identity: str
    password: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def full_url(self) -> str:
        return f"{self.url.rstrip('/')}/{quote(self.identity, safe='')}"

    def headers(self) -> dict[str, str]:
        if not self.password:
            return {}
        credentials = base64.b64encode(f"{self.identity}:{self.password}".encode()).decode("ascii")
        return {"Authorization": f"Basic {credentials}"}


@dataclass(frozen=True, slots=True)
class BackOff:
    """RetryBackOffWaitMinimum, RetryBackOffRandomRange, RetryBackOffRepeatTimes."""

    minimum_s: float
    random_s: float
    repeats: int

    def wait_s(self, failures: int) -> float:
        """After `failures` failures in a row, from 1."""
        doubled = self.minimum_s * float(1 << min(failures - 1, self.repeats))
        return doubled + random.uniform(0, self.random_s)  # spreads stations, keeps no secret


class Moved(Enum):
    """What came of opening the next connection beside the one there is."""

    DONE = "the next connection serves"
    REFUSED = "the CSMS refused it"
    UNREACHABLE = "the CSMS was not reached"


class _Connection(ClientConnection):
    """Keeps why TLS ended: by TLS 1.3 a CSMS refuses our certificate only once we have begun to speak."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        failure = self.protocol.handshake_exc
        if failure is not None and isinstance(exc, ssl.SSLError):
            failure.__cause__ = exc


class Link:
    """`endpoint`, `back_off` and `ping_s` are asked at each attempt: a CSMS may change them in between."""

    def __init__(
        self,
        user: LinkUser,
        endpoint: Callable[[], Endpoint],
        back_off: Callable[[], BackOff],
        ping_s: Callable[[], float],
    ) -> None:
        self._user = user
        self._endpoint = endpoint
        self._back_off = back_off
        self._ping_s = ping_s
        self._unsent: deque[str] = deque()
        self._wake = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._next: ClientConnection | None = None
        self._next_ready = asyncio.Event()
        self._cut = False
        self.watcher: Callable[[str, str], None] = lambda _way, _frame: None
        """Hears each frame that comes, or goes to a link that is up."""
        self.counts: Counter[str] = Counter()

    @property
    def up(self) -> bool:
        return self._socket is not None

    def send(self, frame: str) -> None:
        """Queue a frame; on a link that is down it is dropped."""
        if self._socket is None or len(self._unsent) >= MAX_UNSENT:
            self.counts["frame dropped"] += 1
            return
        self.watcher("sent", frame)
        self._unsent.append(frame)
        self._wake.set()

    def set_ping_interval(self, interval_s: float) -> None:
        """Of the connection there is. A connection opened without pings stays without until it is opened again."""
        socket = self._socket
        if socket is not None and socket.ping_interval is not None and interval_s > 0:
            socket.ping_interval = socket.ping_timeout = interval_s

    async def drop(self, reason: str) -> None:
        """Close this connection once what waits is sent; `run` opens the next one."""
        socket = self._socket
        while self._unsent and self._socket is socket:
            await asyncio.sleep(0.01)
        if socket is not None:
            await socket.close(1000, reason)

    def cut(self, cut: bool) -> None:
        """As if the network were gone, without a word to the CSMS, until it is there again: for simulations."""
        self._cut = cut
        if cut and self._socket is not None:
            self._socket.transport.abort()

    async def move(self, endpoint: Endpoint) -> Moved:
        """Open the next connection while this one serves, and go over to it if the CSMS takes it."""
        try:
            socket = await self._connect(endpoint)
        except _CONNECT_ERRORS as error:
            moved = Moved.REFUSED if _is_refusal(error) else Moved.UNREACHABLE
            log.warning("the next connection could not be opened: %s: %s", moved.value, _reason(error))
            return moved
        if socket.subprotocol != SUBPROTOCOL:
            await socket.close(1002, "subprotocol")
            return Moved.REFUSED
        self._next = socket
        self._next_ready.set()
        await self.drop("the next connection serves")
        return Moved.DONE

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._run()
        finally:
            if self._next is not None:
                await self._next.close()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                socket = self._take_next() or await self._connect(self._endpoint())
            except _CONNECT_ERRORS as error:
                failures += 1
                self.counts["connect failed"] += 1
                self._user.connect_failed(_reason(error), failures, security_event_of(error))
            else:
                failures = await self._serve(socket, failures)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._next_ready.wait(), self._back_off().wait_s(max(failures, 1)))

    def _take_next(self) -> ClientConnection | None:
        socket, self._next = self._next, None
        self._next_ready.clear()
        return socket

    async def _connect(self, endpoint: Endpoint) -> ClientConnection:
        if self._cut:
            raise OSError("the network is down (simulated)")
        if endpoint.tls is None and endpoint.url.startswith("wss:"):
            raise ValueError("no TLS: roots or the station's key are missing")
        ping_s = self._ping_s() or None
        return await connect(
            endpoint.full_url,
            create_connection=_Connection,
            ssl=endpoint.tls,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=endpoint.headers(),
            user_agent_header=None,
            compression=None,
            proxy=None,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=ping_s,
            ping_timeout=ping_s,
            max_size=_MAX_FRAME_BYTES,
        )

    async def _serve(self, socket: ClientConnection, failures: int) -> int:
        """Carries one connection to its end; returns the failures in a row after it."""
        if socket.subprotocol != SUBPROTOCOL:
            await socket.close(1002, "subprotocol")
            self.counts["subprotocol"] += 1
            self._user.connect_failed("the CSMS does not speak ocpp2.0.1", failures + 1, None)
            return failures + 1
        self._socket = socket
        self._unsent.clear()
        writer = asyncio.create_task(self._write(socket))
        self._user.link_up()
        reason = "link closed"
        try:
            await self._read(socket)
        except ConnectionClosed as closed:
            reason = _reason(closed)
        finally:
            self._socket = None
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await socket.close()
            self._user.link_down(reason)
        return 0

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            frame = await socket.recv()
            if isinstance(frame, str):
                self.watcher("received", frame)
            self._user.frame_received(frame)
            # A peer that never pauses must not keep the timers and the other tasks waiting.
            await asyncio.sleep(0)

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsent:
                    await socket.send(self._unsent.popleft())
        except ConnectionClosed:
            return


_CONNECT_ERRORS = (OSError, TimeoutError, InvalidHandshake, InvalidURI, ValueError, EOFError)


_EVENT_OF_TLS = {
    **dict.fromkeys(
        ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"),
        SecurityEvent.INVALID_TLS_VERSION,
    ),
    **dict.fromkeys(
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY", "WRONG_CIPHER_RETURNED"),
        SecurityEvent.INVALID_TLS_CIPHER_SUITE,
    ),
    **dict.fromkeys(
        (
            "SSLV3_ALERT_BAD_CERTIFICATE",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
            "SSLV3_ALERT_CERTIFICATE_REVOKED",
            "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
            "TLSV1_ALERT_ACCESS_DENIED",
            "TLSV1_ALERT_UNKNOWN_CA",
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        ),
        SecurityEvent.FAILED_TO_AUTHENTICATE_AT_CSMS,
    ),
}
"""By OpenSSL's name of the alert that came, or of what the CSMS chose."""


def security_event_of(error: BaseException) -> SecurityEvent | None:
    """What a failed attempt says about the CSMS's security or ours (A00); the TLS error may lie below another."""
    if isinstance(error, InvalidStatus):
        refused = error.response.status_code in (401, 403)
        return SecurityEvent.FAILED_TO_AUTHENTICATE_AT_CSMS if refused else None
    if isinstance(error, ssl.SSLCertVerificationError):
        return SecurityEvent.INVALID_CSMS_CERTIFICATE
    if isinstance(error, ssl.SSLError):
        return _EVENT_OF_TLS.get(error.reason or "")
    return None if error.__cause__ is None else security_event_of(error.__cause__)


def _is_refusal(error: Exception) -> bool:
    """Whether the CSMS was there and would not have us; a certificate of its own that we refuse is not that."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code < 500
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    return isinstance(error, ssl.SSLError | InvalidHandshake | EOFError | ConnectionResetError | BrokenPipeError)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
