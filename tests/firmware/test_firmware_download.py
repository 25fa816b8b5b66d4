"""Fetching an image: continued, bounded, stopped; over HTTP, HTTPS and FTP, from servers good and bad."""

import base64
import contextlib
import ipaddress
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509

from firmware.update import download
from firmware.update.download import DownloadFailed, Downloads, Limits
from sim.pki.authority import Blank, root

IMAGE = bytes(range(256)) * 2000


class Files(ThreadingHTTPServer):
    """IMAGE at /image; `cut` bytes of an answer at most; `asked` holds the headers of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Files)
        self.content = IMAGE
        self.version = '"1"'
        self.cut: int | None = None
        self.length: str | None = ""
        self.asked: list[Any] = []
        self.target = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/image"


class _Files(BaseHTTPRequestHandler):
    server: Files

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base's name

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers)
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", server.target)
            self.end_headers()
            return
        if self.path != "/image":
            self.send_error(404)
            return
        start = 0
        if self.headers["If-Range"] == server.version:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.length is not None:
            self.send_header("Content-Length", server.length or str(len(body)))
        self.send_header("ETag", server.version)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[: server.cut])


@contextlib.contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def files() -> Iterator[Files]:
    with serving(Files()) as server:
        yield server


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return make(tmp_path)


def make(tmp_path: Path, limits: Limits | None = None, tls: Callable[[], ssl.SSLContext] | None = None) -> Downloads:
    return Downloads(tmp_path / "update", limits or Limits(1 << 24, 0), tls or ssl.create_default_context)


def fetch(downloads: Downloads, location: str, stopped: threading.Event | None = None) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    downloads.fetch(location, stopped or threading.Event(), lambda got, total: told.append((got, total)))
    return told


def fails(downloads: Downloads, location: str) -> str:
    with pytest.raises(DownloadFailed) as failed:
        fetch(downloads, location)
    assert not downloads.image.exists()
    return str(failed.value)


def test_an_image_comes_whole(downloads: Downloads, files: Files) -> None:
    told = fetch(downloads, files.url)
    assert downloads.image.read_bytes() == IMAGE
    assert told[-1] == (len(IMAGE), len(IMAGE))
    assert [file.name for file in downloads.image.parent.iterdir()] == ["image"]
    downloads.discard()
    assert list(downloads.image.parent.iterdir()) == []


def test_a_broken_one_is_continued(downloads: Downloads, files: Files) -> None:
    files.cut = 100_000
    assert "100000" in fails(downloads, files.url)
    files.cut = None
    fetch(downloads, files.url)
    assert downloads.image.read_bytes() == IMAGE
    assert files.asked[-1]["Range"] == "bytes=100000-"


def test_another_version_is_fetched_from_its_beginning(downloads: Downloads, files: Files) -> None:
    files.cut = 100_000
    fails(downloads, files.url)
    files.cut, files.version, files.content = None, '"2"', IMAGE[::-1]
    fetch(downloads, files.url)
    assert downloads.image.read_bytes() == IMAGE[::-1]


def test_another_address_is_fetched_from_its_beginning(downloads: Downloads, files: Files) -> None:
    files.cut = 100_000
    fails(downloads, files.url)
    files.cut, files.target = None, files.url
    fetch(downloads, files.url.replace("image", "moved"))
    assert files.asked[-1]["Range"] is None
    assert downloads.image.read_bytes() == IMAGE


def test_a_weak_etag_is_not_trusted(downloads: Downloads, files: Files) -> None:
    files.cut, files.version = 100_000, 'W/"1"'
    fails(downloads, files.url)
    files.cut = None
    fetch(downloads, files.url)
    assert files.asked[-1]["Range"] is None


@pytest.mark.parametrize("left", ["", "[]", "{", '{"location": 1, "version": 2}'])
def test_what_was_noted_wrongly_is_forgotten(downloads: Downloads, files: Files, left: str) -> None:
    files.cut = 1000
    fails(downloads, files.url)
    (downloads.image.parent / "image.json").write_text(left)
    files.cut = None
    fetch(downloads, files.url)
    assert downloads.image.read_bytes() == IMAGE


def test_what_does_not_end_is_cut_off(tmp_path: Path, files: Files) -> None:
    downloads = make(tmp_path, Limits(100_000, 0))
    assert "at most 100000" in fails(downloads, files.url)
    files.length = None
    assert "more than 100000" in fails(downloads, files.url)


def test_a_full_disk_keeps_its_reserve(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=len(IMAGE) + 999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    downloads = make(tmp_path, Limits(1 << 24, 1000))
    assert "no room" in fails(downloads, files.url)
    assert list(downloads.image.parent.iterdir()) == []
    free.free += 1
    fetch(downloads, files.url)


def test_a_directory_that_cannot_be_is_told(tmp_path: Path, files: Files) -> None:
    (tmp_path / "update").write_text("")
    with pytest.raises(DownloadFailed, match="FileExistsError"):
        fetch(make(tmp_path), files.url)


@pytest.mark.parametrize("length", ["x", "-1"])
def test_a_length_that_is_none_is_refused_or_ignored(downloads: Downloads, files: Files, length: str) -> None:
    files.length = length
    with contextlib.suppress(DownloadFailed):
        fetch(downloads, files.url)
        assert downloads.image.read_bytes() == IMAGE


def test_an_empty_file_is_no_image(downloads: Downloads, files: Files) -> None:
    files.content = b""
    assert "empty" in fails(downloads, files.url)


def test_what_is_not_there_is_told(downloads: Downloads, files: Files) -> None:
    assert "404" in fails(downloads, files.url + "s")
    assert "refused" in fails(downloads, "http://127.0.0.1:1/image")


def test_stopping_ends_it(downloads: Downloads, files: Files) -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(DownloadFailed, match="stopped"):
        fetch(downloads, files.url, stopped)
    assert not downloads.image.exists()


def test_a_trickle_is_given_up(downloads: Downloads, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LONGEST_S", -1.0)
    assert "too slow" in fails(downloads, files.url)


def test_redirections_are_followed_but_not_for_ever(downloads: Downloads, files: Files) -> None:
    files.target = "/image"
    fetch(downloads, files.url.replace("image", "moved"))
    assert downloads.image.read_bytes() == IMAGE
    files.target = "/moved"
    assert "too many" in fails(downloads, files.url.replace("image", "moved"))
    files.target = "file:///etc/passwd"
    assert "where we do not go" in fails(downloads, files.url.replace("image", "moved"))


def test_a_name_and_password_are_sent(downloads: Downloads, files: Files) -> None:
    fetch(downloads, files.url.replace("127", "user:p%40ss@127"))
    assert files.asked[0]["Authorization"] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"


def test_https_by_a_root_of_ours(tmp_path: Path, files: Files) -> None:
    authority = root(Blank("File server root"))
    names = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),)
    own = authority.child(Blank("files", alternative_names=names)).saved(tmp_path, "files")
    assert own.key is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "files.chain.pem", tmp_path / "files.key")
    files.socket = context.wrap_socket(files.socket, server_side=True, do_handshake_on_connect=False)
    ours = ssl.create_default_context(cadata=authority.pem.decode())
    downloads = make(tmp_path, tls=lambda: ours)
    location = files.url.replace("http:", "https:")
    fetch(downloads, location)
    assert downloads.image.read_bytes() == IMAGE
    files.target = files.url
    assert "where we do not go" in fails(downloads, location.replace("image", "moved"))
    assert "CERTIFICATE_VERIFY_FAILED" in fails(make(tmp_path), location)


# --- FTP ---


class _Ftp(StreamRequestHandler):
    """As much of an FTP server as giving a file takes, from any place in it."""

    server: Any

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self) -> None:
        self.say("220 ready")
        start, listener = 0, None
        for line in self.rfile:
            verb, _, argument = line.decode().strip().partition(" ")
            self.server.asked.append((verb, argument))
            match verb:
                case "USER":
                    self.say("331 password")
                case "PASS":
                    self.say("230 in" if argument == "secret" else "530 no")
                case "TYPE":
                    self.say("200 ok")
                case "MDTM":
                    self.say("213 20260501120000" if self.server.dated else "500 what")
                case "SIZE":
                    self.say(f"213 {len(IMAGE)}")
                case "REST":
                    start = int(argument)
                    self.say("350 ok")
                case "EPSV":
                    listener = socket.create_server(("127.0.0.1", 0))
                    self.say(f"229 here (|||{listener.getsockname()[1]}|)")
                case "PASV":
                    listener = socket.create_server(("127.0.0.1", 0))
                    high, low = divmod(listener.getsockname()[1], 256)
                    self.say(f"227 here (127,0,0,1,{high},{low})")
                case "RETR" if listener is not None and argument == "folder/image":
                    self.say("150 coming")
                    data, _ = listener.accept()
                    data.sendall(IMAGE[start:][: self.server.cut])
                    data.close()
                    listener.close()
                    self.say("226 done")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("550 no")
                    if listener is not None:
                        listener.close()


class Ftp(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Ftp)
        self.asked: list[tuple[str, str]] = []
        self.cut: int | None = None
        self.dated = True

    def location(self, path: str = "folder/image", password: str = "secret") -> str:
        return f"ftp://user:{password}@127.0.0.1:{self.server_address[1]}/{path}"


@pytest.fixture
def ftp() -> Iterator[Ftp]:
    with serving(Ftp()) as server:
        yield server


def test_ftp(downloads: Downloads, ftp: Ftp) -> None:
    fetch(downloads, ftp.location())
    assert downloads.image.read_bytes() == IMAGE


def test_ftp_is_continued(downloads: Downloads, ftp: Ftp) -> None:
    ftp.cut = 200_000
    assert "200000 of 512000" in fails(downloads, ftp.location())
    ftp.cut = None
    fetch(downloads, ftp.location())
    assert ("REST", "200000") in ftp.asked
    assert downloads.image.read_bytes() == IMAGE


def test_ftp_without_a_date_begins_anew(downloads: Downloads, ftp: Ftp) -> None:
    ftp.cut, ftp.dated = 200_000, False
    fails(downloads, ftp.location())
    ftp.cut = None
    fetch(downloads, ftp.location())
    assert "REST" not in [verb for verb, _ in ftp.asked]


def test_ftp_says_no(downloads: Downloads, ftp: Ftp) -> None:
    assert "530" in fails(downloads, ftp.location(password="wrong"))
    assert "550" in fails(downloads, ftp.location("elsewhere"))
    assert "line break" in fails(downloads, ftp.location("a%0d%0aDELE b"))
