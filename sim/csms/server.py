"""The CSMS itself: `async with Csms() as csms`, and a station may come to `csms.url`.

Whatever a station sends is checked, recorded in `events` (and as JSON lines in `log`) and answered. `call` sends a
request of the CSMS and waits for its answer; `drop`, `stop` and `restart` are the accidents of a CSMS's life.
"""

import asyncio
import base64
import contextlib
import http
import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from sim.csms.answers import Answers, Payload, Policy, now_text
from sim.csms.schemas import fault

CALL_TIMEOUT_S = 10.0


class CsmsError(Exception):
    """The CSMS could not do what it was asked."""


class CallRefused(CsmsError):
    """The station answered by a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class Event:
    """One message of the station's, or one of the link's: `action` is then `#connected` or `#disconnected`."""

    at: str
    at_s: float
    station: str
    action: str
    payload: Any
    fault: str | None = None
    """Why it breaks the standard; None when it does not."""


@dataclass
class Tls:
    """wss; with `client_ca` a station needs a certificate of that CA (security profile 3)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass
class Behaviour:
    """How the CSMS misbehaves; may be changed at any time."""

    silent: set[str] = field(default_factory=set)
    """Actions that get no answer; "*" for all."""
    call_errors: dict[str, str] = field(default_factory=dict)
    """Actions answered by a CALLERROR of this code."""
    answers: dict[str, Payload] = field(default_factory=dict)
    """Actions answered by this payload, valid or not."""
    delay_s: float = 0.0
    drop_on: set[str] = field(default_factory=set)
    """Actions on which the link is cut instead of an answer."""


Hook = Callable[["Csms", Event], None]


class Csms:
    def __init__(
        self,
        policy: Policy | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: Tls | None = None,
        password: str | None = None,
        log: TextIO | None = None,
        hooks: Iterable[Hook] = (),
        subprotocols: Iterable[str] = ("ocpp2.0.1",),
    ) -> None:
        self.answers = Answers(policy or Policy())
        self.behaviour = Behaviour()
        self.events: list[Event] = []
        self._host = host
        self._port = port
        self._tls = tls
        self._password = password
        self._log = log
        self._hooks = list(hooks)
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._server: Server | None = None
        self._sockets: dict[str, ServerConnection] = {}
        self._waiting: dict[str, tuple[ServerConnection, asyncio.Future[Payload]]] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- Life ---

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; the port stays the same over `stop` and `start`."""
        self._server = await serve(
            self._serve_station,
            self._host,
            self._port,
            ssl=self._tls.context() if self._tls else None,
            subprotocols=self._subprotocols,
            process_request=self._admit,
            compression=None,
            close_timeout=1,
            max_size=1 << 22,
            ping_interval=None,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """As a CSMS that is killed: links are cut without a word."""
        if self._server is None:
            return
        self._cut_all()
        self._server.close()
        await self._server.wait_closed()
        self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://{self._host}:{self._port}"

    @property
    def stations(self) -> list[str]:
        return sorted(self._sockets)

    def drop(self) -> None:
        """Cut every link, as a network does."""
        self._cut_all()

    def _cut_all(self) -> None:
        for socket in self._sockets.values():
            socket.transport.abort()

    # --- A station comes ---

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._password is None:
            return None
        station = _station_of(request.path)
        wanted = base64.b64encode(f"{station}:{self._password}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return None

    async def _serve_station(self, socket: ServerConnection) -> None:
        station = _station_of(socket.request.path if socket.request else "")
        self._sockets[station] = socket
        await self._record(station, "#connected", {"subprotocol": socket.subprotocol})
        try:
            async for frame in socket:
                await self._received(station, socket, frame)
        except ConnectionClosed:
            pass
        finally:
            if self._sockets.get(station) is socket:
                del self._sockets[station]
            self._fail_calls(socket)
            await self._record(station, "#disconnected", {})

    def _fail_calls(self, socket: ServerConnection) -> None:
        for asked, waiting in self._waiting.values():
            if asked is socket and not waiting.done():
                waiting.set_exception(CsmsError("the station went away before it answered"))

    async def _received(self, station: str, socket: ServerConnection, frame: str | bytes) -> None:
        try:
            message = json.loads(frame)
            kind, message_id = message[0], message[1]
        except (ValueError, TypeError, IndexError, KeyError):
            await self._record(station, "#malformed", repr(frame[:200]), "not an OCPP-J frame")
            return
        if kind == 2:
            await self._on_call(station, socket, message)
        elif kind in (3, 4) and message_id in self._waiting:
            self._settle(self._waiting[message_id][1], message)
        else:
            await self._record(station, "#stray", message, "an answer nobody waits for")

    async def _on_call(self, station: str, socket: ServerConnection, message: list[Any]) -> None:
        message_id, action, payload = message[1:4]
        reason = fault(action, "Request", payload)
        if not isinstance(message_id, str) or len(message_id) > 36:
            reason = f"message id {message_id!r}"
        event = await self._record(station, action, payload, reason)
        if self.behaviour.delay_s:
            await asyncio.sleep(self.behaviour.delay_s)
        if action in self.behaviour.drop_on:
            socket.transport.abort()
            return
        if (answer := self._answer_frame(message_id, action, payload, reason)) is not None:
            with contextlib.suppress(ConnectionClosed):
                await socket.send(answer)
        if reason is None:
            for hook in self._hooks:
                hook(self, event)

    def _answer_frame(self, message_id: str, action: str, payload: Payload, reason: str | None) -> str | None:
        if self.behaviour.silent & {action, "*"}:
            return None
        if reason is not None:
            return json.dumps([4, message_id, "FormatViolation", reason[:255], {}])
        if action in self.behaviour.call_errors:
            return json.dumps([4, message_id, self.behaviour.call_errors[action], "as told", {}])
        answer = self.behaviour.answers.get(action)
        return json.dumps([3, message_id, self.answers.answer(action, payload) if answer is None else answer])

    async def _record(self, station: str, action: str, payload: Any, reason: str | None = None) -> Event:
        event = Event(now_text(), time.monotonic(), station, action, payload, reason)
        self.events.append(event)
        if self._log is not None:
            entry = {"at": event.at, "at_s": event.at_s, "station": station, "action": action, "payload": payload}
            self._log.write(json.dumps(entry | {"valid": reason is None, "fault": reason}) + "\n")
            self._log.flush()
        async with self._changed:
            self._changed.notify_all()
        return event

    # --- The CSMS asks ---

    async def call(self, action: str, payload: Payload, station: str | None = None, *, check: bool = True) -> Payload:
        """Send a request and return its response. Raises CallRefused, or CsmsError without a valid answer."""
        if check and (reason := fault(action, "Request", payload)) is not None:
            raise CsmsError(f"our own {action} is not valid: {reason}")
        socket = self._socket(station)
        message_id = str(uuid.uuid4())
        waiting: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = socket, waiting
        try:
            await socket.send(json.dumps([2, message_id, action, payload]))
            response = await asyncio.wait_for(waiting, CALL_TIMEOUT_S)
        except (TimeoutError, ConnectionClosed) as error:
            raise CsmsError(f"no answer to {action}: {type(error).__name__}") from error
        finally:
            del self._waiting[message_id]
        if (reason := fault(action, "Response", response)) is not None:
            raise CsmsError(f"the answer to {action} is not valid: {reason}")
        return response

    def call_later(self, action: str, payload: Payload) -> None:
        """From a hook: send without waiting; the answer, or why there is none, is recorded."""

        async def run() -> None:
            try:
                answer: Any = await self.call(action, payload)
                reason = None
            except CsmsError as error:
                answer, reason = {}, str(error)
            await self._record("csms", f"#{action}", {"request": payload, "response": answer}, reason)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send_raw(self, frame: str | bytes, station: str | None = None) -> None:
        await self._socket(station).send(frame)

    def _socket(self, station: str | None) -> ServerConnection:
        try:
            return self._sockets[station] if station is not None else next(iter(self._sockets.values()))
        except (KeyError, StopIteration):
            raise CsmsError(f"station {station or ''} is not connected") from None

    def _settle(self, waiting: "asyncio.Future[Payload]", message: list[Any]) -> None:
        if waiting.done():
            return
        if message[0] == 3:
            waiting.set_result(message[2])
        else:
            waiting.set_exception(CallRefused(*(str(part) for part in message[2:4])))

    # --- Looking on ---

    def received(self, action: str) -> list[Payload]:
        """The payloads of every valid request of that action so far."""
        return [event.payload for event in self.events if event.action == action and event.fault is None]

    def faults(self) -> list[Event]:
        return [event for event in self.events if event.fault is not None]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait until what was received fulfils the condition. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def until_security_event(self, kind: str, timeout_s: float = 5.0) -> Payload:
        """The first SecurityEventNotification of that kind."""

        def found() -> Payload | None:
            told = self.received("SecurityEventNotification")
            return next((payload for payload in told if payload["type"] == kind), None)

        await self.until(lambda: found() is not None, timeout_s)
        payload = found()
        assert payload is not None
        return payload

    async def until_received(self, action: str, count: int = 1, timeout_s: float = 5.0) -> Payload:
        """The `count`-th payload of that action."""
        await self.until(lambda: len(self.received(action)) >= count, timeout_s)
        return self.received(action)[count - 1]


def _station_of(path: str) -> str:
    return path.rsplit("/", 1)[-1]
