"""Files to where a CSMS wants them: HTTP, HTTPS (PUT) and FTP, by the standard library in a thread (N01).

The clients are loaded when they are first needed, which is seldom: they would cost every start a tenth of its time.
"""

import asyncio
import io
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from ocpp_client.ports import OcppError

TIMEOUT_S = 60.0
SCHEMES = ("http", "https", "ftp")


class UploadFailed(OcppError):
    """The file is not there; the message says why, without the address's password."""


def check_location(location: str) -> SplitResult:
    """Raises ValueError for an address we cannot upload to."""
    parts = urlsplit(location)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError(f"not one of {', '.join(SCHEMES)}")
    _ = parts.port  # raises ValueError out of range
    return parts


async def upload(location: str, name: str, content: bytes, tls: ssl.SSLContext | None = None) -> None:
    """Store `content` as `name` in the folder `location`, or at `location` itself when it names no folder.

    Raises UploadFailed.
    """
    try:
        parts = check_location(location)
        send = _send_ftp if parts.scheme == "ftp" else _send_http
        await asyncio.to_thread(send, parts, name, content, tls)
    except (OSError, EOFError, ValueError) as error:
        raise UploadFailed(_reason(error)) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _send_http(parts: SplitResult, name: str, content: bytes, tls: ssl.SSLContext | None) -> None:
    import http.client

    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = tls or ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    path = parts.path + name if parts.path.endswith("/") else parts.path or f"/{name}"
    target = f"{path}?{parts.query}" if parts.query else path
    try:
        connection.request("PUT", target, content, {"Content-Type": "text/plain; charset=utf-8"})
        response = connection.getresponse()
        response.read(4096)
        if not 200 <= response.status < 300:
            raise UploadFailed(f"the server answered {response.status}")
    except http.client.HTTPException as error:
        raise UploadFailed(_reason(error)) from error
    finally:
        connection.close()


def _send_ftp(parts: SplitResult, name: str, content: bytes, _tls: ssl.SSLContext | None) -> None:
    import ftplib

    path = unquote(parts.path.removeprefix("/"))
    target = path + name if path.endswith("/") or not path else path
    if any(character in target for character in "\r\n"):
        raise ValueError("line break in the path")
    try:
        with ftplib.FTP(timeout=TIMEOUT_S) as connection:
            connection.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
            connection.login(unquote(parts.username or ""), unquote(parts.password or ""))
            connection.storbinary(f"STOR {target}", io.BytesIO(content))
    except ftplib.Error as error:
        raise UploadFailed(_reason(error)) from error
