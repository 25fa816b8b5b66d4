"""The status page: what it answers, what it refuses, and how it looks in a browser."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import config
from firmware.config import ConfigError, parse
from firmware.control.start import start_page
from firmware.page import HTML, MAX_CONNECTIONS, StatusPage
from hal import ports as hal
from tests.firmware.control_bench import Bench, charges
from tests.firmware.test_firmware_config import GOOD

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,900")
"""No sandbox: the tests' user is root, and the page is ours."""


@asynccontextmanager
async def page() -> AsyncIterator[tuple[Bench, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="page-") as directory:
        made = Bench(Path(directory))
        settings = replace(made.config, page=config.Page("127.0.0.1", port))
        async with AsyncExitStack() as stack:
            await start_page(replace(made.station, config=settings), stack)
            yield made, port


async def ask(port: int, request: str) -> tuple[str, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    try:
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        answer = b""
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


def get(path: str, host: str = "127.0.0.1", method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"


async def test_the_page_and_what_it_shows() -> None:
    async with page() as (made, port):
        charges(made)
        status, headers, body = await ask(port, get("/"))
        assert (status, body) == ("HTTP/1.1 200 OK", HTML)
        assert "script-src 'sha256-" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        _, headers, body = await ask(port, get("/status.json?x=1"))
        told = json.loads(body)
        assert headers["content-type"].startswith("application/json")
        assert told["evses"][0]["limits"]["offer_a"] == 16.0
        assert told["evses"][0]["session"] == 1
        _, headers, body = await ask(port, get("/session/1.svg"))
        assert headers["content-type"].startswith("image/svg+xml")
        assert body.startswith(b"<svg ")


async def test_nobody_can_be_recognised() -> None:
    async with page() as (made, port):
        charges(made)
        made.hears(hal.TokenPresented("04A2B3C4", "ISO14443", 0.0))
        everything = (await ask(port, get("/status.json")))[2] + (await ask(port, get("/session/1.svg")))[2]
        for secret in (b"DEABCC12345678", b"04A2B3C4", b"02:00:00:00:00:01"):
            assert secret not in everything


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/nothing"), "404"),
        (get("/../etc/passwd"), "404"),
        (get("/session/99.svg"), "404"),
        (get("/session/1.svg/x"), "404"),
        (get("/", method="POST"), "405"),
        (get("/status.json", method="PUT"), "405"),
        (get("/", host="evil.example"), "421"),
        (get("/", host="127.0.0.1.evil.example"), "421"),
        ("GET / HTTP/1.1\r\n\r\n", "421"),
        ("\x00\xff nonsense\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nX: " + "y" * 10_000 + "\r\n\r\n", "431"),
    ],
)
async def test_what_is_refused(request_: str, status: str) -> None:
    async with page() as (_, port):
        assert (await ask(port, request_))[0].split()[1] == status


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost:8080", "[::1]:8080", "[fe80::1]", "LOCALHOST"]
)
async def test_by_an_address_it_is_served_and_head_has_no_body(host: str) -> None:
    async with page() as (_, port):
        status, headers, body = await ask(port, get("/", host, "HEAD"))
        assert (status, body) == ("HTTP/1.1 200 OK", b"")
        assert int(headers["content-length"]) == len(HTML)


async def test_the_silent_are_not_waited_for_and_the_many_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.page.REQUEST_S", 0.5)
    async with page() as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        await asyncio.sleep(0.05)
        assert (await ask(port, get("/")))[0] == "", "no room"
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert (await ask(port, get("/")))[0] == "HTTP/1.1 200 OK"


async def test_off_by_default_and_a_port_in_use_is_no_reason_not_to_charge(caplog: pytest.LogCaptureFixture) -> None:
    async with page() as (made, port):
        async with AsyncExitStack() as stack:
            await start_page(made.station, stack)
            settings = replace(made.config, page=config.Page("127.0.0.1", port))
            await start_page(replace(made.station, config=settings), stack)
        assert "no status page" in caplog.text
    unstarted = StatusPage("127.0.0.1", 0, lambda: asyncio.sleep(0), lambda _: None)
    await unstarted.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "eth0"])
def test_it_listens_at_one_address_alone(host: str) -> None:
    with pytest.raises(ConfigError, match=r"page\.host"):
        parse(f'{GOOD}\n[page]\nhost = "{host}"\n', Path("x.toml"))
    assert parse(f'{GOOD}\n[page]\nhost = "192.168.7.1"\n', Path("x.toml")).page.port == 8080


async def test_in_a_browser(tmp_path: Path) -> None:
    """The page's own script shows the station; nothing in the console, nothing refused by the policy."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "deploy/develop installs it"
    async with page() as (made, port):
        charges(made)
        made.hears(hal.BoardFault(hal.Fault.HIGH_TEMPERATURE, True, hal.Severity.WARNING, "<b>hot</b>", 0.0))
        dom, said = await browse(chromium, tmp_path, f"http://127.0.0.1:{port}/", "--dump-dom")
        assert '<h1 id="name">CS-1</h1>' in dom
        assert '<article id="evse1">' in dom
        assert "16 A by site" in dom
        assert "HighTemperature: &lt;b&gt;hot&lt;/b&gt;" in dom, "words, not markup"
        assert 'src="/session/1.svg' in dom
        assert 'role="alert" hidden=""' in dom
        assert "Content Security Policy" not in said
        assert "Uncaught" not in said
        await browse(chromium, tmp_path, f"http://127.0.0.1:{port}/", f"--screenshot={tmp_path}/page.png")
        assert (tmp_path / "page.png").stat().st_size > 20_000


async def browse(chromium: str, home: Path, url: str, what: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        chromium,
        *CHROMIUM,
        *("--enable-logging=stderr", "--virtual-time-budget=3000", f"--user-data-dir={home}/profile", what, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(home)},
    )
    written, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    return written.decode(), said.decode()
