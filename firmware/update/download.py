"""Fetching an image over HTTP, HTTPS or FTP into a file, going on where an earlier attempt stopped.

Beside `image.part` lies `image.json` with the address and the server's word for this version of the file (ETag or
Last-Modified): only what is still the same file is continued (RFC 9110, If-Range). A server that cannot continue is
asked for the whole. Everything runs in a thread; nothing is held in memory but one block. The clients are loaded when
they are first needed: they would cost every start.
"""

import base64
import contextlib
import errno
import hashlib
import json
import os
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from ocpp_client.ports import FirmwareError

if TYPE_CHECKING:
    import ftplib
    import http.client

TIMEOUT_S = 30.0
"""Without a byte for so long the attempt has failed; the next one goes on."""
LONGEST_S = 6 * 3600.0
"""Of one attempt: a server that trickles is no server."""
BLOCK = 64 * 1024
MAX_REDIRECTS = 5
RESERVE = 16 * 1024 * 1024
"""Bytes that stay free on the disk: the journal lives there too."""

Progress = Callable[[int, int | None], None]
"""Bytes there, and in all where the server said so."""


class DownloadFailed(FirmwareError):
    """The attempt is over; what came is kept for the next one where that makes sense."""


@dataclass(frozen=True, slots=True)
class Limits:
    max_bytes: int
    reserve_bytes: int = RESERVE


class Downloads:
    """The image in `directory`, at most one. Methods block."""

    def __init__(self, directory: Path, limits: Limits, tls: Callable[[], ssl.SSLContext]) -> None:
        self._limits = limits
        self._tls = tls
        self._directory = directory
        self.image = directory / "image"
        self._part = directory / "image.part"
        self._source = directory / "image.json"
        self._one = threading.Lock()

    def discard(self) -> None:
        """Raises OSError."""
        for file in (self.image, self._part, self._source):
            file.unlink(missing_ok=True)

    def sha256(self) -> bytes:
        """Of the whole image. Raises OSError."""
        with self.image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def fetch(self, location: str, stopped: threading.Event, progress: Progress) -> None:
        """One attempt; `image` is there afterwards. Raises DownloadFailed.

        One that was stopped may still wait for its server: the next begins when it is gone.
        """
        with self._one:
            self._fetch(location, stopped, progress)

    def _fetch(self, location: str, stopped: threading.Event, progress: Progress) -> None:
        import ftplib
        import http.client

        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self.image.unlink(missing_ok=True)
            known = self._known(location)
            parts = urlsplit(location)
            open_body = _open_ftp if parts.scheme == "ftp" else _open_http
            with open_body(location, known, self._tls) as body:
                self._take(location, body, stopped, progress)
            self._part.rename(self.image)
            self._source.unlink(missing_ok=True)
            _sync(self._directory)
        except (OSError, EOFError, ValueError, http.client.HTTPException, ftplib.Error) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.discard()
            raise DownloadFailed(f"{type(error).__name__}: {error}"[:200]) from error

    def _known(self, location: str) -> "_Known":
        """What an earlier attempt at the same address left."""
        try:
            told = json.loads(self._source.read_text())
            if told["location"] == location and isinstance(told["version"], str):
                return _Known(self._part.stat().st_size, told["version"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return _Known(0, "")

    def _take(self, location: str, body: "_Body", stopped: threading.Event, progress: Progress) -> None:
        self._check_room(body)
        self._source.write_text(json.dumps({"location": location, "version": body.version}))
        got, until = body.start, time.monotonic() + LONGEST_S
        with self._part.open("r+b" if body.start else "wb") as file:
            file.truncate(body.start)
            file.seek(body.start)
            while (block := body.read(BLOCK)) and not stopped.is_set():
                got += len(block)
                if got > self._limits.max_bytes:
                    raise DownloadFailed(f"more than {self._limits.max_bytes} bytes")
                if time.monotonic() > until:
                    raise DownloadFailed("too slow")
                file.write(block)
                progress(got, body.total)
            file.flush()
            os.fsync(file.fileno())
        if stopped.is_set():
            raise DownloadFailed("stopped")
        if body.total is not None and got != body.total:
            raise DownloadFailed(f"{got} of {body.total} bytes came")
        if got == 0:
            raise DownloadFailed("the file is empty")

    def _check_room(self, body: "_Body") -> None:
        if body.total is not None and body.total > self._limits.max_bytes:
            raise DownloadFailed(f"{body.total} bytes, at most {self._limits.max_bytes} are taken")
        missing = (body.total or 0) - body.start
        if shutil.disk_usage(self._directory).free < missing + self._limits.reserve_bytes:
            raise OSError(errno.ENOSPC, "no room for the image")


@dataclass(frozen=True, slots=True)
class _Known:
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class _Body:
    """`start` is where in the file the first byte read belongs."""

    start: int
    total: int | None
    version: str
    read: Callable[[int], bytes]


# --- HTTP ---


@contextlib.contextmanager
def _open_http(location: str, known: _Known, tls: Callable[[], ssl.SSLContext]) -> Iterator[_Body]:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_REDIRECTS + 1):
            parts = urlsplit(location)
            connection = _connection(parts, tls)
            stack.callback(connection.close)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers=_headers(parts, known))
            response = connection.getresponse()
            stack.callback(response.close)
            if response.status not in (301, 302, 303, 307, 308):
                yield _body(response, known)
                return
            location = _redirected(location, response.getheader("Location") or "")
        raise DownloadFailed("too many redirects")


def _redirected(location: str, target: str) -> str:
    """Never from a secured connection to an open one."""
    there = urljoin(location, target)
    secured = ("https",) if location.startswith("https://") else ("http", "https")
    if urlsplit(there).scheme not in secured or not urlsplit(there).hostname:
        raise DownloadFailed("redirected to where we do not go")
    return there


def _connection(parts: SplitResult, tls: Callable[[], ssl.SSLContext]) -> "http.client.HTTPConnection":
    import http.client

    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=tls())
    return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)


def _headers(parts: SplitResult, known: _Known) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if parts.username is not None:
        told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(told.encode()).decode()}"
    if known.size and known.version:
        headers |= {"Range": f"bytes={known.size}-", "If-Range": known.version}
    return headers


def _body(response: "http.client.HTTPResponse", known: _Known) -> _Body:
    etag = response.getheader("ETag") or ""
    # A weak ETag says the same meaning, not the same bytes.
    version = (response.getheader("Last-Modified") or "") if etag.startswith("W/") or not etag else etag
    if response.status == 206 and version == known.version:
        start, total = _content_range(response.getheader("Content-Range") or "")
        if start == known.size:
            return _Body(start, total, version, response.read)
    if response.status != 200:
        raise DownloadFailed(f"the server answered {response.status}")
    length = response.getheader("Content-Length")
    return _Body(0, int(length) if length is not None else None, version, response.read)


def _content_range(text: str) -> tuple[int, int | None]:
    """`bytes 100-199/200`. Raises ValueError."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    return int(span.partition("-")[0]), None if total == "*" else int(total)


# --- FTP ---


@contextlib.contextmanager
def _open_ftp(location: str, known: _Known, _tls: Callable[[], ssl.SSLContext]) -> Iterator[_Body]:
    import ftplib

    parts = urlsplit(location)
    path = unquote(parts.path.removeprefix("/"))
    if any(character in path for character in "\r\n"):
        raise ValueError("line break in the path")
    with ftplib.FTP(timeout=TIMEOUT_S) as connection:
        connection.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
        connection.login(unquote(parts.username or ""), unquote(parts.password or ""))
        connection.voidcmd("TYPE I")
        version = _modified(connection, path)
        start = known.size if version and version == known.version else 0
        total = connection.size(path)
        with connection.transfercmd(f"RETR {path}", rest=start or None) as data:
            yield _Body(start, total, version, data.recv)


def _modified(connection: "ftplib.FTP", path: str) -> str:
    import ftplib

    try:
        return connection.voidcmd(f"MDTM {path}")
    except ftplib.error_perm:
        return ""


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
