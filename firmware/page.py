"""The local status page: one static file, and what it shows as JSON. Read only, off unless configured, bounded.

For a screen in the station or a laptop at the service port: no tokens, no identities of drivers, no writes, whatever is
asked. GET and HEAD alone; a request must name this host by its address, so that no web page elsewhere can read it
through a browser that is here (DNS rebinding).
"""

import asyncio
import hashlib
import ipaddress
import json
import logging
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 8
MAX_REQUEST = 4096
REQUEST_S = 5.0
_HOST = re.compile(rb"\r\nhost:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)
_PICTURE = re.compile(r"/session/(\d{1,9})\.svg")

HTML = (Path(__file__).parent / "page.html").read_bytes()


def _hash_of(tag: bytes) -> str:
    """What the content security policy admits of our own inline code: exactly this."""
    inside = HTML.partition(b"<" + tag + b">")[2].partition(b"</" + tag + b">")[0]
    return b64encode(hashlib.sha256(inside).digest()).decode()


POLICY = (
    "default-src 'none'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    f"frame-ancestors 'none'; script-src 'sha256-{_hash_of(b'script')}'; style-src 'sha256-{_hash_of(b'style')}'"
)
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    kind: str = "text/plain"
    body: bytes = b""
    policy: str = "default-src 'none'"

    def to_bytes(self, *, head: bool) -> bytes:
        lines = (
            f"HTTP/1.1 {self.status}",
            f"Content-Type: {self.kind}; charset=utf-8",
            f"Content-Length: {len(self.body)}",
            f"Content-Security-Policy: {self.policy}",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
            "Cache-Control: no-store",
            "Connection: close",
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else self.body)


class StatusPage:
    """`status` gives the JSON object, `picture` a session's SVG by its number, or None."""

    def __init__(
        self,
        host: str,
        port: int,
        status: Callable[[], Awaitable[object]],
        picture: Callable[[int], str | None],
    ) -> None:
        self._host, self._port = host, port
        self._status = status
        self._picture = picture
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.refused = 0

    @property
    def port(self) -> int:
        assert self._server is not None, "it has been started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Raises OSError."""
        self._server = await asyncio.start_server(self._connected, self._host, self._port, limit=MAX_REQUEST)
        log.info("status page at http://%s:%s/", self._host, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        try:
            if len(self._serving) >= MAX_CONNECTIONS:
                self.refused += 1
                return
            self._serving.add(task)
            async with asyncio.timeout(REQUEST_S):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # It has gone, or does not say what it wants.
        except asyncio.LimitOverrunError:
            writer.write(Answer("431 Request Header Fields Too Large").to_bytes(head=False))
        finally:
            self._serving.discard(task)
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    writer.close()
                    await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = request.partition(b" ")
        answer = await self._answer(method, rest.partition(b" ")[0], _HOST.search(request))
        writer.write(answer.to_bytes(head=method == b"HEAD"))
        await writer.drain()

    async def _answer(self, method: bytes, target: bytes, host: re.Match[bytes] | None) -> Answer:
        if method not in (b"GET", b"HEAD"):
            return Answer("405 Method Not Allowed")
        if host is None or not _is_address(host[1].decode("ascii", "replace")):
            return Answer("421 Misdirected Request", body=b"ask for this page by the station's address")
        path = target.partition(b"?")[0].decode("ascii", "replace")
        if path == "/":
            return Answer("200 OK", "text/html", HTML, POLICY)
        if path == "/status.json":
            return Answer("200 OK", "application/json", json.dumps(await self._status()).encode())
        found = _PICTURE.fullmatch(path)
        picture = self._picture(int(found[1])) if found else None
        if picture is None:
            return Answer("404 Not Found")
        return Answer("200 OK", "image/svg+xml", picture.encode(), PICTURE_POLICY)


def _is_address(host: str) -> bool:
    """`localhost` or an IP address, with or without a port."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
