"""The CSMS is a judge, so it is judged first: by a bare WebSocket that sends right and wrong things."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sim.csms.answers import Policy
from sim.csms.hooks import LowerAfterUpdates
from sim.csms.schemas import fault
from sim.csms.server import CallRefused, Csms, CsmsError

TIME = "2026-01-02T03:04:05.678Z"
BOOT = {"chargingStation": {"model": "M", "vendorName": "V"}, "reason": "PowerUp"}


def event(kind: str = "Started", seq_no: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": TIME,
        "triggerReason": "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "tx-1"},
        "evse": {"id": 2, "connectorId": 1},
        **more,
    }


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms(hooks=[LowerAfterUpdates(2, 10.0)]) as csms:
        yield csms


@pytest.fixture
async def socket(csms: Csms) -> AsyncIterator[ClientConnection]:
    async with connect(f"{csms.url}/CS-1", subprotocols=["ocpp2.0.1"], proxy=None) as socket:  # type: ignore[list-item]
        yield socket


async def ask(socket: ClientConnection, action: str, payload: Any, message_id: str = "1") -> list[Any]:
    await socket.send(json.dumps([2, message_id, action, payload]))
    answer: list[Any] = json.loads(await socket.recv())
    return answer


async def test_it_registers_and_answers(csms: Csms, socket: ClientConnection) -> None:
    kind, message_id, answer = await ask(socket, "BootNotification", BOOT)
    assert (kind, message_id, answer["status"], answer["interval"]) == (3, "1", "Accepted", 300)
    assert fault("BootNotification", "Response", answer) is None
    assert (await ask(socket, "Heartbeat", {}))[2].keys() == {"currentTime"}
    assert (await ask(socket, "SignCertificate", {"csr": "x"}))[2] == {"status": "Accepted"}
    assert csms.stations == ["CS-1"]
    assert csms.faults() == []


@pytest.mark.parametrize(
    ("action", "payload", "where"),
    [
        ("BootNotification", {}, "payload"),
        ("BootNotification", BOOT | {"reason": "Because"}, "reason"),
        ("BootNotification", BOOT | {"extra": 1}, "payload"),
        ("Heartbeat", [], "payload"),
        ("Explode", {}, "Explode"),
        ("TransactionEvent", event(timestamp="2026-01-02T03:04:05.678901Z"), "timestamp"),
        ("TransactionEvent", event(timestamp="2026-01-02T03:04:05.678+00:00"), "timestamp"),
        ("TransactionEvent", event(timestamp="1970-01-02T03:04:05.678Z"), "timestamp"),
        ("TransactionEvent", event(seqNo="0"), "seqNo"),
    ],
)
async def test_what_breaks_the_standard_is_refused_and_recorded(
    csms: Csms, socket: ClientConnection, action: str, payload: Any, where: str
) -> None:
    answer = await ask(socket, action, payload)
    assert answer[:3] == [4, "1", "FormatViolation"]
    (faulty,) = csms.faults()
    assert faulty.fault is not None
    assert faulty.fault.startswith(where)
    assert csms.received(action) == []


async def test_a_long_message_id_and_a_malformed_frame_are_faults(csms: Csms, socket: ClientConnection) -> None:
    assert (await ask(socket, "Heartbeat", {}, "x" * 37))[0] == 4
    for frame in ("{", "[]", "5", '[3,"nobody",{}]'):
        await socket.send(frame)
    await csms.until(lambda: len(csms.faults()) == 5)


async def authorized(csms: Csms, socket: ClientConnection, token: str, kind: str, **more: Any) -> dict[str, Any]:
    answer = await ask(socket, "Authorize", {"idToken": {"idToken": token, "type": kind}, **more})
    response: dict[str, Any] = answer[2]
    return response


async def test_tokens_by_allow_list(csms: Csms, socket: ClientConnection) -> None:
    csms.answers.policy = Policy(
        emaids=frozenset({"DE8EVSC12345678"}), rfids=frozenset({"04aabb"}), group_of={"04AABB": "fleet"}
    )
    hashes = {
        "iso15118CertificateHashData": [
            {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": "a",
                "issuerKeyHash": "b",
                "serialNumber": "c",
                "responderURL": "d",
            }
        ]
    }
    good = await authorized(csms, socket, "DE8EVSC12345678", "eMAID", **hashes)
    assert good == {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}
    without = await authorized(csms, socket, "DE8EVSC12345678", "eMAID")
    assert (without["idTokenInfo"]["status"], without["certificateStatus"]) == ("Invalid", "NoCertificateAvailable")
    unknown = await authorized(csms, socket, "DE8EVSC99999999", "eMAID", **hashes)
    assert unknown["idTokenInfo"]["status"] == "Unknown"
    swipe = await authorized(csms, socket, "04AABB", "ISO14443")
    assert swipe["idTokenInfo"] == {"status": "Accepted", "groupIdToken": {"idToken": "fleet", "type": "Central"}}
    assert (await authorized(csms, socket, "FF", "ISO14443"))["idTokenInfo"]["status"] == "Invalid"
    assert (await authorized(csms, socket, "any", "Central"))["idTokenInfo"]["status"] == "Accepted"


async def test_it_calls_and_checks_the_answer(csms: Csms, socket: ClientConnection) -> None:
    async def station(answer: str) -> None:
        message_id = json.loads(await socket.recv())[1]
        await socket.send(answer.replace("ID", message_id))

    await ask(socket, "Heartbeat", {})
    for answer, error in (
        ('[3,"ID",{"status":"Accepted"}]', None),
        ('[3,"ID",{"status":"Sure"}]', CsmsError),
        ('[4,"ID","NotSupported","no",{}]', CallRefused),
    ):
        replying = asyncio.create_task(station(answer))
        if error is None:
            assert await csms.call("ClearCache", {}) == {"status": "Accepted"}
        else:
            with pytest.raises(error):
                await csms.call("ClearCache", {})
        await replying
    with pytest.raises(CsmsError, match="not valid"):
        await csms.call("Reset", {})
    with pytest.raises(CsmsError, match="not connected"):
        await csms.call("ClearCache", {}, "CS-9")


async def test_a_station_that_goes_away_leaves_no_call_waiting(csms: Csms, socket: ClientConnection) -> None:
    await ask(socket, "Heartbeat", {})
    asking = asyncio.create_task(csms.call("ClearCache", {}))
    await socket.recv()
    await socket.close()
    with pytest.raises(CsmsError, match="went away"):
        await asyncio.wait_for(asking, 2)


async def test_it_lowers_the_current_after_some_updates(csms: Csms, socket: ClientConnection) -> None:
    await ask(socket, "TransactionEvent", event())
    for number in (1, 2):
        await ask(socket, "TransactionEvent", event("Updated", number))
    message = json.loads(await socket.recv())
    assert message[2] == "SetChargingProfile"
    assert message[3]["evseId"] == 2
    assert message[3]["chargingProfile"]["transactionId"] == "tx-1"
    await socket.send(json.dumps([3, message[1], {"status": "Accepted"}]))
    await csms.until(lambda: any(entry.action == "#SetChargingProfile" for entry in csms.events))


async def test_how_it_misbehaves(csms: Csms, socket: ClientConnection) -> None:
    csms.behaviour.answers["Heartbeat"] = {"nonsense": 1}
    assert (await ask(socket, "Heartbeat", {}))[2] == {"nonsense": 1}
    csms.behaviour.call_errors["BootNotification"] = "SecurityError"
    assert (await ask(socket, "BootNotification", BOOT))[2] == "SecurityError"
    csms.behaviour.silent.add("*")
    await socket.send(json.dumps([2, "9", "Heartbeat", {}]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), 0.05)
    csms.behaviour.silent.clear()
    csms.behaviour.drop_on.add("Heartbeat")
    with pytest.raises(ConnectionClosed):
        await ask(socket, "Heartbeat", {})
    await csms.until(lambda: csms.events[-1].action == "#disconnected")


async def test_it_comes_back_on_the_same_port(csms: Csms, socket: ClientConnection) -> None:
    port = csms.port
    await csms.stop()
    await csms.stop()
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    await csms.start()
    assert csms.port == port


async def test_basic_auth() -> None:
    async with Csms(password="0123456789abcdef") as csms:
        with pytest.raises(InvalidStatus, match="401"):
            await connect(f"{csms.url}/CS-1", proxy=None)
        url = f"ws://CS-1:0123456789abcdef@127.0.0.1:{csms.port}/CS-1"
        async with connect(url, subprotocols=["ocpp2.0.1"], proxy=None) as socket:  # type: ignore[list-item]
            assert (await ask(socket, "BootNotification", BOOT))[2]["status"] == "Accepted"


def start_process(arguments: list[object]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "sim.csms", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
    )


async def test_as_a_process(tmp_path: Path) -> None:
    ready, log, control = tmp_path / "ready", tmp_path / "log", tmp_path / "control"
    script = tmp_path / "script"
    script.write_text('# nobody is there yet\n{"drop": true}\n', encoding="utf-8")
    arguments = ["--ready-file", ready, "--log", log, "--control", control, "--rfid", "04AA", "--script", script]
    process = start_process(arguments)
    try:
        async with asyncio.timeout(20):
            while not ready.exists():
                await asyncio.sleep(0.02)
        url = ready.read_text(encoding="utf-8").strip()
        async with connect(f"{url}/CS-1", subprotocols=["ocpp2.0.1"], proxy=None) as socket:  # type: ignore[list-item]
            assert (await ask(socket, "BootNotification", BOOT))[2]["status"] == "Accepted"
            await ask(socket, "TransactionEvent", event())
            reader, writer = await asyncio.open_unix_connection(str(control))

            async def command(**words: Any) -> dict[str, Any]:
                writer.write(json.dumps(words).encode() + b"\n")
                answer: dict[str, Any] = json.loads(await reader.readline())
                return answer

            for words, action in (({"limit": 10}, "SetChargingProfile"), ({"stop": True}, "RequestStopTransaction")):
                answer = asyncio.create_task(command(**words))
                message = json.loads(await socket.recv())
                assert message[2] == action
                await socket.send(json.dumps([3, message[1], {"status": "Accepted"}]))
                assert await answer == {"ok": {"status": "Accepted"}}
            assert "error" in await command(unknown=1)
            assert "error" in await command(behaviour={"colour": 1})
            assert await command(behaviour={"silent": ["Heartbeat"]}) == {"ok": None}
            await command(drop=True)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert await command(quit=True) == {"ok": None}
            writer.close()
        assert await asyncio.to_thread(process.wait, 10) == 0
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [entry["action"] for entry in entries if entry["valid"]][:3] == [
        "#connected",
        "BootNotification",
        "TransactionEvent",
    ]
