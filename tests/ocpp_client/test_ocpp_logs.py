"""GetLog, the security log and its chain, and customer information."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ocpp_client.ports import IdToken
from ocpp_client.security_log import CAPACITY, SecurityLog, chain_breaks
from ocpp_client.upload import UploadFailed, upload

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class WebServer:
    """Takes PUTs; `refusals` first answers get 503."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.refusals = 0
        self.asked = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length"))
        body = await reader.readexactly(length)
        self.asked += 1
        await self.hold.wait()
        refused = self.asked <= self.refusals
        if not refused:
            self.files[lines[0].split()[1]] = body
        writer.write(b"HTTP/1.1 503 No\r\n" if refused else b"HTTP/1.1 201 Created\r\n")
        writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[tuple[WebServer, str]]:
    files = WebServer()
    server = await asyncio.start_server(files, "127.0.0.1", 0)
    async with server:
        yield files, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ftp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, files: dict[str, bytes]) -> None:
    """As much of an FTP server as storing a file takes."""
    received = asyncio.Event()
    content = bytearray()

    async def data(data_reader: asyncio.StreamReader, data_writer: asyncio.StreamWriter) -> None:
        content.extend(await data_reader.read())
        data_writer.close()
        received.set()

    passive = await asyncio.start_server(data, "127.0.0.1", 0)
    port = passive.sockets[0].getsockname()[1]
    writer.write(b"220 hello\r\n")
    async with passive:
        while line := (await reader.readline()).decode().strip():
            match line.split()[0]:
                case "USER":
                    writer.write(b"331 password\r\n")
                case "EPSV" | "PASV" if line == "EPSV":
                    writer.write(f"229 passive (|||{port}|)\r\n".encode())
                case "PASV":
                    writer.write(f"227 passive (127,0,0,1,{port // 256},{port % 256})\r\n".encode())
                case "STOR":
                    writer.write(b"150 go\r\n")
                    await writer.drain()
                    await received.wait()
                    files[line.split(maxsplit=1)[1]] = bytes(content)
                    writer.write(b"226 done\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"230 fine\r\n")
    await writer.drain()
    writer.close()


async def test_a_file_goes_by_http_to_a_folder_or_to_a_name(web: tuple[WebServer, str]) -> None:
    files, url = web
    await upload(f"{url}/logs/", "a.log", b"one")
    await upload(f"{url}/put/here?key=1", "a.log", b"two")
    await upload(url, "a.log", b"three")
    assert files.files == {"/logs/a.log": b"one", "/put/here?key=1": b"two", "/a.log": b"three"}


async def test_a_file_goes_by_ftp() -> None:
    files: dict[str, bytes] = {}
    server = await asyncio.start_server(lambda reader, writer: ftp(reader, writer, files), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await upload(f"ftp://user:pass@127.0.0.1:{port}/logs/", "a.log", b"one")
        with pytest.raises(UploadFailed, match="line break"):
            await upload(f"ftp://127.0.0.1:{port}/x%0d%0aDELE y", "a.log", b"one")
    assert files == {"logs/a.log": b"one"}


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://", "http://host:99999/", "http://127.0.0.1:1/", "gopher://x"]
)
async def test_an_address_that_leads_nowhere_is_an_upload_failure(location: str) -> None:
    with pytest.raises(UploadFailed):
        await upload(location, "a.log", b"one")


@pytest.mark.parametrize(
    ("scheme", "greeting"), [("http", b"nonsense\r\n\r\n"), ("http", b""), ("ftp", b"500 go away\r\n"), ("ftp", b"")]
)
async def test_a_server_that_talks_nonsense_is_an_upload_failure(scheme: str, greeting: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if scheme == "http":
            await reader.readuntil(b"\r\n\r\n")
        writer.write(greeting)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        with pytest.raises(UploadFailed):
            await upload(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "a.log", b"one")


class Diagnostics:
    def __init__(self) -> None:
        self.asked: list[tuple[datetime | None, datetime | None]] = []

    async def collect(self, oldest: datetime | None, latest: datetime | None) -> bytes:
        self.asked.append((oldest, latest))
        return b"what happened"


def statuses(bench: Any) -> list[tuple[str, int]]:
    return [(told["status"], told.get("requestId", -1)) for told in bench.csms.received("LogStatusNotification")]


def get_log(url: str, request_id: int = 1, kind: str = "DiagnosticsLog", **more: Any) -> dict[str, Any]:
    log = {"remoteLocation": f"{url}/", "oldestTimestamp": "2026-05-01T12:00:00Z"}
    return {"log": log, "logType": kind, "requestId": request_id, **more}


async def test_get_log(bench: Any, web: tuple[WebServer, str]) -> None:
    files, url = web
    diagnostics = Diagnostics()
    await bench.station(logs=diagnostics)
    answer = await bench.csms.call("GetLog", get_log(url))
    assert answer["status"] == "Accepted"
    await bench.csms.until_received("LogStatusNotification", 2)
    assert statuses(bench) == [("Uploading", 1), ("Uploaded", 1)]
    assert files.files == {f"/{answer['filename']}": b"what happened"}
    assert diagnostics.asked == [(NOON, None)]


async def test_get_log_tries_again_as_told_and_gives_up(bench: Any, web: tuple[WebServer, str]) -> None:
    files, url = web
    files.refusals = 3
    await bench.station(logs=Diagnostics())
    await bench.csms.call("GetLog", get_log(url, 1, retries=1, retryInterval=0))
    await bench.csms.until_received("LogStatusNotification", 2)
    await bench.csms.call("GetLog", get_log(url, 2, retries=1, retryInterval=0))
    await bench.csms.until_received("LogStatusNotification", 4)
    assert statuses(bench) == [("Uploading", 1), ("UploadFailure", 1), ("Uploading", 2), ("Uploaded", 2)]


async def test_a_new_get_log_takes_the_place_of_the_old(bench: Any, web: tuple[WebServer, str]) -> None:
    files, url = web
    files.hold.clear()
    await bench.station(logs=Diagnostics())
    await bench.csms.call("GetLog", get_log(url, 1))
    await bench.csms.until_received("LogStatusNotification")
    await bench.csms.call("TriggerMessage", {"requestedMessage": "LogStatusNotification"})
    await bench.csms.until_received("LogStatusNotification", 2)
    assert (await bench.csms.call("GetLog", get_log(url, 2)))["status"] == "AcceptedCanceled"
    files.hold.set()
    await bench.csms.until(lambda: ("Uploaded", 2) in statuses(bench))
    assert statuses(bench)[:3] == [("Uploading", 1), ("Uploading", 1), ("AcceptedCanceled", 1)]


async def test_what_get_log_cannot_do_is_rejected(bench: Any) -> None:
    await bench.station()
    assert (await bench.csms.call("GetLog", get_log("file://x")))["statusInfo"]["reasonCode"] == "InvalidURL"
    answer = await bench.csms.call("GetLog", get_log("http://x"))
    assert answer["statusInfo"]["reasonCode"] == "UnsupportedRequest"


async def test_a_log_that_cannot_be_read_is_an_upload_failure(bench: Any, web: tuple[WebServer, str]) -> None:
    station = await bench.station()
    station.security_event("StartupOfTheDevice")
    await bench.csms.until_received("SecurityEventNotification")
    bench.journal.failing = True
    await bench.csms.call("GetLog", get_log(web[1], kind="SecurityLog"))
    await bench.csms.until_received("LogStatusNotification", 2)
    assert statuses(bench)[1] == ("UploadFailure", 1)


async def test_the_security_log_is_kept_over_a_restart_and_uploaded(
    bench: Any, web: tuple[WebServer, str], wait_until: Callable[..., Any]
) -> None:
    files, url = web
    station = await bench.station()
    station.security_event("TamperDetectionActivated", "lid")
    await bench.csms.until_received("SecurityEventNotification", 2)
    await station.stop()
    station = await bench.station()
    station.security_event("MemoryExhaustion")
    await bench.csms.until_received("SecurityEventNotification", 4)
    await bench.csms.call("GetLog", get_log(url, kind="SecurityLog"))
    await bench.csms.until(lambda: ("Uploaded", 1) in statuses(bench))
    (content,) = files.files.values()
    lines = content.decode().splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "StartupOfTheDevice",
        "TamperDetectionActivated",
        "StartupOfTheDevice",
        "MemoryExhaustion",
    ]
    assert chain_breaks(lines) == []


async def test_a_changed_or_missing_entry_breaks_the_chain(memory_journal: Any) -> None:
    log = SecurityLog(memory_journal)
    await log.open()
    for number in range(4):
        await log.append(NOON, f"Event{number}", "")
    lines = (await log.read(None, None)).decode().splitlines()
    assert chain_breaks(lines) == []
    assert chain_breaks([lines[0], lines[1].replace("Event1", "EventX"), *lines[2:]]) == [2]
    assert chain_breaks([lines[0], *lines[2:]]) == [3]


async def test_the_security_log_is_a_ring_and_survives_a_cut_between_entry_and_head(memory_journal: Any) -> None:
    log = SecurityLog(memory_journal)
    await log.open()
    for number in range(CAPACITY + 5):
        await log.append(NOON, str(number), "")
    memory_journal.values["security_log.head"] = str(CAPACITY + 4)
    again = SecurityLog(memory_journal)
    await again.open()
    await again.append(NOON, "last", "")
    lines = (await again.read(NOON, NOON)).decode().splitlines()
    assert len(lines) == CAPACITY
    assert json.loads(lines[-1])["n"] == CAPACITY + 6
    assert chain_breaks(lines) == []
    assert await again.read(None, datetime(2000, 1, 1, tzinfo=UTC)) == b""


async def test_customer_information(bench: Any) -> None:
    station = await bench.station()
    call = bench.csms.call
    await station.authorize(IdToken("04AABB", "ISO14443"))
    token = {"idToken": {"idToken": "04AABB", "type": "ISO14443"}}
    both = {"requestId": 5, "report": True, "clear": True}
    assert (await call("CustomerInformation", both))["status"] == "Invalid"
    neither = {"requestId": 5, "report": False, "clear": False}
    assert (await call("CustomerInformation", neither | token))["status"] == "Rejected"
    assert (await call("CustomerInformation", both | token))["status"] == "Accepted"
    told = await bench.csms.until_received("NotifyCustomerInformation")
    assert "04AABB" in told["data"]
    assert (told["requestId"], told["seqNo"], told["tbc"]) == (5, 0, False)
    assert (await call("CustomerInformation", both | token))["status"] == "Accepted"
    assert (await bench.csms.until_received("NotifyCustomerInformation", 2))["data"] == "", "it was cleared"
    assert (await call("CustomerInformation", both | {"customerIdentifier": "x"}))["status"] == "Accepted"
