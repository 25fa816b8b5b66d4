"""A proxy before swtpm: many clients at once, every command logged, delays and error codes injected by command.

swtpm speaks plain TPM commands on its socket: a header of tag (2 bytes), size (4) and code (4), big-endian, then the
body; the response has the same header with the response code in place of the command's. Its control channel is passed
through unread. Clients share the TPM's objects and sessions; there is no resource manager between them.
"""

import contextlib
import json
import logging
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sim.tpm.codes import name_of

log = logging.getLogger(__name__)

HEADER = struct.Struct(">HII")
ST_NO_SESSIONS = 0x8001
HANG_UP = -1
NEVER = float("inf")
"""A delay: no answer until `heal`."""
MAX_MESSAGE = 4096

Serve = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it went through: `rc` is the response code, `injected` whether the TPM never saw it."""

    name: str
    rc: int
    took_s: float
    injected: bool


class Proxy:
    """Listens at `directory/tpm.sock` and `.ctrl`, and forwards to the TPM's own pair of sockets."""

    def __init__(self, upstream: Path, directory: Path, log_file: Path | None = None) -> None:
        self.socket = directory / "tpm.sock"
        self.control = directory / "tpm.sock.ctrl"
        self.commands: list[Command] = []
        self._upstream = upstream
        self._log_file = log_file
        self._log: TextIO | None = None
        self._tpm: socket.socket | None = None
        self._turn = threading.Lock()
        self._control_turn = threading.Lock()
        self._delays: dict[str, float] = {}
        self._healed = threading.Event()
        self._errors: dict[str, tuple[int, int]] = {}
        self._listeners: list[socket.socket] = []
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.socket}"

    # --- what a test asks for ---

    def delay(self, command: str, seconds: float) -> None:
        """Every such command takes this much longer, or NEVER ends; "*" stands for all that have none of their own."""
        self._delays[command] = seconds

    def fail(self, command: str, rc: int, times: int = 1) -> None:
        """Answer the next `times` such commands with `rc` (negative: for ever) without asking the TPM."""
        self._errors[command] = (rc, times)

    def heal(self) -> None:
        """No more injected delays or errors; a command that was never to end goes on to the TPM."""
        self._delays.clear()
        self._healed.set()
        self._healed = threading.Event()
        self._errors.clear()

    def count(self) -> Counter[str]:
        """How often each command came."""
        return Counter(command.name for command in self.commands)

    def hang_up(self, command: str, times: int = 1) -> None:
        """Close the connection of the next `times` such commands, as a resource manager that restarts does."""
        self.fail(command, HANG_UP, times)

    # --- life ---

    def start(self) -> None:
        self._stopping = False
        if self._log_file is not None:
            self._log = self._log_file.open("a", encoding="utf-8")
        for path, serve in ((self.socket, self._serve), (self.control, self._serve_control)):
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen(32)
            self._listeners.append(listener)
            self._spawn(self._accept, listener, serve)

    def stop(self) -> None:
        self._stopping = True
        self.heal()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._listeners.clear()
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)
        self._threads.clear()
        self._hang_up()
        for path in (self.socket, self.control):
            path.unlink(missing_ok=True)
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> "Proxy":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=arguments, name="tpm-proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, serve: Serve) -> None:
        while not self._stopping:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._clients.add(client)
            self._spawn(self._session, client, serve)

    def _session(self, client: socket.socket, serve: Serve) -> None:
        try:
            serve(client)
        except OSError as error:
            log.debug("client lost: %s", error)
        finally:
            self._clients.discard(client)
            client.close()

    # --- the two channels ---

    def _serve(self, client: socket.socket) -> None:
        while command := _read_message(client):
            client.sendall(self._transact(command))

    def _serve_control(self, client: socket.socket) -> None:
        with self._control_turn, socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(f"{self._upstream}.ctrl")
            upstream.settimeout(2.0)
            while request := client.recv(MAX_MESSAGE):
                upstream.sendall(request)
                client.sendall(upstream.recv(MAX_MESSAGE))

    def _transact(self, command: bytes) -> bytes:
        name, started = name_of(HEADER.unpack_from(command)[2]), time.monotonic()
        with self._turn:
            rc = self._injected(name)
            if rc == HANG_UP:
                raise ConnectionError("hanging up, as told")
            wait_s = self._delays.get(name, self._delays.get("*", 0.0))
            if wait_s == NEVER:
                self._healed.wait()
            elif wait_s:
                time.sleep(wait_s)
            response = self._ask(command) if rc is None else HEADER.pack(ST_NO_SESSIONS, HEADER.size, rc)
            took_s = time.monotonic() - started
            self._note(Command(name, HEADER.unpack_from(response)[2], took_s, rc is not None))
        return response

    def _injected(self, name: str) -> int | None:
        rc, times = self._errors.get(name, (0, 0))
        if times == 0:
            return None
        self._errors[name] = (rc, times - 1)
        return rc

    def _ask(self, command: bytes) -> bytes:
        try:
            if self._tpm is None:
                self._tpm = socket.socket(socket.AF_UNIX)
                self._tpm.connect(str(self._upstream))
            self._tpm.sendall(command)
            response = _read_message(self._tpm)
        except OSError as error:
            self._hang_up()
            raise ConnectionError(f"the TPM behind the proxy is gone: {error}") from error
        if not response:
            self._hang_up()
            raise ConnectionError("the TPM behind the proxy hung up")
        return response

    def _hang_up(self) -> None:
        if self._tpm is not None:
            self._tpm.close()
            self._tpm = None

    def _note(self, command: Command) -> None:
        self.commands.append(command)
        if self._log is not None:
            line = {"command": command.name, "rc": f"0x{command.rc:x}", "ms": round(command.took_s * 1000, 2)}
            if command.injected:
                line["injected"] = True
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()


def _read_message(stream: socket.socket) -> bytes:
    """One command or response, or nothing at the end of the stream."""
    message = b""
    size = HEADER.size
    while len(message) < size:
        part = stream.recv(size - len(message))
        if not part:
            return b""
        message += part
        if len(message) == HEADER.size:
            size = HEADER.unpack(message)[1]
            if not HEADER.size <= size <= MAX_MESSAGE:
                raise ConnectionError(f"a TPM message of {size} bytes")
    return message
