"""The control socket: connections, roles by the kernel's word, subscriptions. No request can hold up the daemon.

Anybody may connect, and hears what he lacks; what counts is the role. A user other than service may hold MAX_A_USER
connections, all such users together MAX_ALL; a connection may ask BURST times at once, then RATE_HZ times a second.
"""

import asyncio
import errno
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from firmware.control import rpc
from firmware.control.dispatch import Dispatcher
from firmware.control.roles import Peer, Role, peer_of, role_of
from firmware.control.rpc import Code, Lines, RpcError
from firmware.control.subscriptions import Subscription
from firmware.facts import Fact
from firmware.history import Event, History

log = logging.getLogger(__name__)

SOCKET_MODE = 0o666
MAX_ALL = 32
MAX_A_USER = 8
MAX_SUBSCRIPTIONS = 4
BURST = 20
RATE_HZ = 50.0
_CHUNK = 16 * 1024


class ControlError(Exception):
    """The control socket cannot be opened; the message says why."""


class Connection:
    """One connected process. Implements `firmware.control.methods.Caller`."""

    def __init__(self, peer: Peer, role: Role, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.role = role
        self._writer = writer
        self._writing = asyncio.Lock()
        self._subscriptions: dict[int, tuple[Subscription, asyncio.Task[None]]] = {}
        self._count = 0
        self._leave_behind: list[Callable[[], None]] = []

    def on_close(self, gone: Callable[[], None]) -> None:
        self._leave_behind.append(gone)

    def subscribe(self, wanted: Callable[[Event], bool]) -> int:
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise RpcError(Code.UNAVAILABLE, f"a connection may hold {MAX_SUBSCRIPTIONS} subscriptions")
        self._count += 1
        subscription = Subscription(wanted)
        task = asyncio.create_task(self._pump(self._count, subscription))
        self._subscriptions[self._count] = subscription, task
        return self._count

    def unsubscribe(self, number: int) -> bool:
        known = self._subscriptions.pop(number, None)
        if known is None:
            return False
        known[1].cancel()
        return True

    @property
    def follows(self) -> bool:
        return bool(self._subscriptions)

    def put(self, event: Event) -> None:
        for subscription, _ in self._subscriptions.values():
            subscription.put(event)

    async def send(self, line: bytes) -> None:
        """Raises OSError when the peer has gone."""
        async with self._writing:
            self._writer.write(line)
            await self._writer.drain()

    async def close(self) -> None:
        for gone in self._leave_behind:
            gone()
        tasks = [task for _, task in self._subscriptions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _pump(self, number: int, subscription: Subscription) -> None:
        tokens = self.role >= Role.TECHNICIAN
        while True:
            event, dropped = await subscription.next()
            told = {"subscription": number, "dropped": dropped, "event": event.shown(tokens=tokens)}
            try:
                await self.send(rpc.notification("Events.Event", told))
            except OSError:
                return  # The reading side of the connection sees the same and closes it.


class ControlServer:
    """`groups` gives each role's group; `service_uids` are service by their user alone."""

    def __init__(
        self,
        path: Path,
        dispatcher: Dispatcher,
        history: History,
        groups: Mapping[Role, int],
        service_uids: Collection[int],
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._path = path
        self._dispatcher = dispatcher
        self._history = history
        self._groups = groups
        self._service_uids = service_uids
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Raises ControlError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await self._remove_stale()
            self._server = await asyncio.start_unix_server(self._connected, self._path)
            self._path.chmod(SOCKET_MODE)
        except (OSError, ValueError) as error:
            raise ControlError(f"{self._path}: {error}") from error
        self._history.followers.append(self._follow)
        log.info("control socket %s", self._path)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._history.followers.remove(self._follow)
        self._server.close()
        tasks = [task for task in self._connections.values() if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        self._path.unlink(missing_ok=True)

    async def _remove_stale(self) -> None:
        """A socket nobody listens on is left over from a daemon that was killed. Raises ControlError."""
        if not self._path.is_symlink() and not self._path.exists():
            return
        if self._path.is_symlink() or not self._path.is_socket():
            raise ControlError(f"{self._path} is there and is no socket")
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            self._path.unlink()
            return
        writer.close()
        raise ControlError(f"{self._path}: another daemon listens there")

    def followed(self) -> bool:
        return any(connection.follows for connection in self._connections)

    def publish(self, event: Event) -> None:
        """To those who subscribed to the like of it."""
        for connection in self._connections:
            connection.put(event)

    def _follow(self, event: Event, _: Fact) -> None:
        self.publish(event)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self._admit(writer)
        if connection is None:
            writer.close()
            return
        self._connections[connection] = asyncio.current_task()
        try:
            await self._serve(connection, reader)
        except (ConnectionError, asyncio.CancelledError):
            pass  # It has gone, or the daemon goes.
        finally:
            del self._connections[connection]
            await connection.close()

    def _admit(self, writer: asyncio.StreamWriter) -> Connection | None:
        try:
            peer = peer_of(writer.get_extra_info("socket"))
        except OSError as error:
            log.warning("a connection without credentials: %s", error)
            self.refused["no credentials"] += 1
            return None
        role = role_of(peer, self._groups, self._service_uids)
        users = [connection.peer.uid for connection in self._connections if connection.role < Role.SERVICE]
        if role < Role.SERVICE and (len(users) >= MAX_ALL or users.count(peer.uid) >= MAX_A_USER):
            self.refused["too many connections"] += 1
            return None
        return Connection(peer, role, writer)

    async def _serve(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        lines, pace = Lines(), _Pace(asyncio.get_running_loop().time)
        while data := await reader.read(_CHUNK):
            for line in lines.feed(data):
                await asyncio.sleep(pace.wait_s())
                answer = await self._dispatcher.answer(line, connection)
                if answer is not None:
                    await connection.send(answer)


class _Pace:
    """A bucket of BURST requests that fills at RATE_HZ."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at_s = clock()

    def wait_s(self) -> float:
        """How long the next request must wait."""
        now = self._clock()
        self._full_at_s = max(self._full_at_s, now) + 1 / RATE_HZ
        return max(0.0, self._full_at_s - now - BURST / RATE_HZ)
