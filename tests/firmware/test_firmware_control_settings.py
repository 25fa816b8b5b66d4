"""OCPP variables by name, all or none, by role; the trace of the CSMS link; nothing of it tells a secret."""

import asyncio
import json
import os
import random
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import config
from firmware.cli import main
from firmware.control.audit import latest
from firmware.control.ocpp_trace import MAX_CALLS, OcppTrace, redacted
from firmware.control.roles import Role
from firmware.control.start import start_control
from firmware.control.variable_names import key_of_name, name_of
from firmware.history import Event
from ocpp_client.config import OcppConfig
from ocpp_client.device_model import DeviceModel
from ocpp_client.variables import station_variables
from tests.firmware.control_bench import GROUPS, Bench, bench, connected
from tests.firmware.test_firmware_cli import evse


def test_every_variable_has_a_name_that_leads_back_to_it() -> None:
    config = OcppConfig("CS", "wss://csms", "v", "m", "s", "1", evse_count=2)
    model = DeviceModel(station_variables(config, lambda: "now", lambda: "1", lambda _: None))
    names = {name_of(variable): key for key, variable in model.table().items()}
    assert len(names) == len(model.table())
    assert "Connector@2/1.Available" in names
    assert all(key_of_name(name) == key for name, key in names.items())
    assert all(key_of_name(name.upper()) == key for name, key in names.items())
    assert key_of_name("A[b]@1/2.C[d]") == ("a#b", 1, 2, "c", "d")


@pytest.mark.parametrize(
    "name", ["", ".", "A", "A.", ".B", "A@.B", "A@x.B", "A[.B", "A.B.C", "A.B[", "A@1/.B", "A B.C"]
)
def test_what_is_no_name(name: str) -> None:
    assert key_of_name(name) is None


def test_names_from_noise_never_raise() -> None:
    rng = random.Random(201)
    for _ in range(5000):
        key_of_name("".join(rng.choice("aB9.[]@/#= -\x00ü") for _ in range(rng.randrange(20))))


async def test_listed_and_found() -> None:
    async with bench() as made, connected(made.path) as line:
        every = (await line.result("Config.List"))["variables"]
        by_name = {row["name"]: row for row in every}
        assert by_name["OCPPCommCtrlr.HeartbeatInterval"]["value"] == "300"
        assert by_name["SecurityCtrlr.BasicAuthPassword"]["value"] is None
        assert by_name["SecurityCtrlr.BasicAuthPassword"]["default"] is None
        for wanted, count in (("ocppcommctrlr", 3), ("HeartbeatInterval", 1), ("Connector@1/1.Available", 1)):
            assert len((await line.result("Config.List", names=[wanted]))["variables"]) == count
        assert await line.error("Config.List", names=["Nothing"]) == -32002


async def test_set_all_or_none() -> None:
    async with bench() as made, connected(made.path) as line:
        told = await line.result(
            "Config.Set", settings=["OCPPCommCtrlr.HeartbeatInterval=60", "OCPPCommCtrlr.NetworkProfile=2"]
        )
        assert told["changed"] is True
        assert [row["status"] for row in told["results"]] == ["Accepted", "RebootRequired"]
        pending = {row["name"]: row["reboot_required"] for row in (await line.result("Config.List"))["variables"]}
        assert pending["OCPPCommCtrlr.NetworkProfile"] is True
        for bad, status in (
            ("OCPPCommCtrlr.HeartbeatInterval=0", "Rejected"),
            ("OCPPCommCtrlr.MessageTimeout[Default]=5", "Rejected"),
            ("OCPPCommCtrlr.Nothing=5", "UnknownVariable"),
            ("Nothing.At=all", "UnknownComponent"),
        ):
            told = await line.result("Config.Set", settings=["OCPPCommCtrlr.NetworkProfile=9", bad])
            assert (told["changed"], told["results"][1]["status"]) == (False, status)
        (row,) = (await line.result("Config.List", names=["NetworkProfile"]))["variables"]
        assert row["value"] == "2", "one refused, none changed"
        for malformed in (["nonsense"], [], ["A.B=1", "a.b=2"], ["A.B=1"] * 501):
            assert await line.error("Config.Set", settings=malformed) == -32602


async def test_a_password_is_set_and_never_told() -> None:
    async with bench() as made, connected(made.path) as line:
        await line.result("Config.Set", settings=["SecurityCtrlr.BasicAuthPassword=hunter2hunter2hunter2"])
        assert "hunter2" not in json.dumps(await line.result("Config.List"))
        assert "hunter2" not in made.audit_path.read_text()
        assert "BasicAuthPassword=***" in made.audit_path.read_text()
        await line.error("Config.Set", settings="SecurityCtrlr.BasicAuthPassword")
        assert latest(made.audit_path, 1)[0]["method"] == "Config.Set"


async def test_who_is_trusted_is_for_service() -> None:
    async with bench(service=frozenset()) as made:
        made.server._groups = {**GROUPS, Role.TECHNICIAN: os.getegid()}
        async with connected(made.path) as line:
            assert (await line.result("Config.Set", settings=["OCPPCommCtrlr.HeartbeatInterval=61"]))["changed"]
            assert await line.error("Config.Set", settings=["SecurityCtrlr.OrganizationName=evil"]) == -32001


async def test_send() -> None:
    async with bench() as made, connected(made.path) as line:
        await line.result("Ocpp.Send", message="Heartbeat")
        await line.result("Ocpp.Send", message="StatusNotification", evse=1)
        assert made.csms.sent == [("Heartbeat", None), ("StatusNotification", 1)]
        assert await line.error("Ocpp.Send", message="TransactionEvent") == -32004
        assert await line.error("Ocpp.Send", message="Reset") == -32602


async def test_the_commands(tmp_path: Path) -> None:
    async with bench() as made:
        code, written, _ = await evse(made.path, "config", "get", "OCPPCommCtrlr")
        assert code == 0
        assert "OCPPCommCtrlr.HeartbeatInterval\t300 s\t-" in written
        assert (await evse(made.path, "config", "diff"))[:2] == (0, "all as by default\n")
        file = tmp_path / "exported.json"
        assert (await evse(made.path, "config", "export", "-o", str(file)))[0] == 0
        code, written, _ = await evse(made.path, "config", "set", "OCPPCommCtrlr.HeartbeatInterval=60")
        assert (code, written.splitlines()[1].split("\t")[1]) == (0, "Accepted")
        code, written, _ = await evse(made.path, "config", "diff", "--json")
        assert (code, json.loads(written)["differences"][0]["there"]) == (1, "300")
        assert (await evse(made.path, "config", "diff", str(file)))[0] == 1
        code, written, _ = await evse(made.path, "config", "import", str(file))
        assert (code, (await evse(made.path, "config", "diff", str(file)))[0]) == (0, 0)
        code, written, _ = await evse(made.path, "config", "set", "OCPPCommCtrlr.NetworkProfile=3")
        assert "after a restart" in written
        code, written, _ = await evse(made.path, "config", "set", "OCPPCommCtrlr.HeartbeatInterval=x")
        assert (code, "nothing was changed" in written) == (1, True)
        for content in ("", "[]", '{"format": 2, "variables": {}}', '{"format": 1, "variables": {"a": 1}}'):
            file.write_text(content)
            assert (await evse(made.path, "config", "import", str(file)))[0] == 2
        assert (await evse(made.path, "config", "export", "-o", "/nowhere/x"))[0] == 1
        assert "goes out" in (await evse(made.path, "ocpp", "send", "Heartbeat"))[1]


# --- The trace ---


def traced(*frames: tuple[str, str]) -> list[Event]:
    events: list[Event] = []
    trace = OcppTrace(events.append, lambda: True)
    for way, frame in frames:
        trace(way, frame)
    return events


def test_an_answer_is_told_with_what_was_asked() -> None:
    call, answer = traced(("sent", '[2,"1","Heartbeat",{}]'), ("received", '[3,"1",{"currentTime":"now"}]'))
    assert (call.data["kind"], call.data["action"], call.data["way"]) == ("Call", "Heartbeat", "sent")
    assert (answer.data["kind"], answer.data["action"]) == ("CallResult", "Heartbeat")
    assert float(str(answer.data["took_ms"])) >= 0


def test_frames_that_are_none_and_a_flood_of_calls() -> None:
    for frame in ("", "[]", "[9]", "{}", "[2]", "nonsense", "[" * 100_000, '[2,"1","X"]', "[3,[],{}]"):
        (event,) = traced(("received", frame))
        assert event.data["kind"] in ("malformed", "CallResult")
    trace = OcppTrace(lambda _: None, lambda: True)
    for number in range(1000):
        trace("sent", f'[2,"{number}","Heartbeat",{{}}]')
    assert len(trace._calls) == MAX_CALLS
    events: list[Event] = []
    OcppTrace(events.append, lambda: False)("sent", "[]")
    assert events == [], "nobody listens"


def test_secrets_are_struck_out() -> None:
    secret = {
        "setVariableData": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "hunter2"}],
        "connectionData": {"basicAuthPassword": "hunter2", "apn": {"apnPassword": "hunter2"}},
        "idToken": {"idToken": "hunter204A2"},
        "csr": "hunter2",
        "certificateChain": "hunter2",
        "kept": [1, None, "yes"],
    }
    told = json.dumps(redacted(secret))
    assert "hunter2" not in told
    assert '"***04A2"' in told
    assert '"kept": [1, null, "yes"]' in told


async def test_followed_over_the_socket_and_payloads_are_for_technicians() -> None:
    with tempfile.TemporaryDirectory(prefix="trc-") as directory:
        await _follow_and_look(Bench(Path(directory)))


async def _follow_and_look(made: Bench) -> None:
    settings = replace(made.config, control=config.Control(made.path, "root", "x", "x"))
    async with AsyncExitStack() as stack:
        await start_control(replace(made.station, config=settings), stack)
        async with connected(made.path) as line:
            await line.result("Events.Subscribe", sources=["ocpp"], frequent=True)
            made.csms.watcher("sent", '[2,"1","Heartbeat",{"a":1}]')
            told = await line.read()
            assert told["params"]["event"]["data"]["payload"] == '{"a":1}'
        process = asyncio.create_task(evse(made.path, "ocpp", "trace", "--count", "1", "--payload"))
        while not process.done():
            made.csms.watcher("sent", '[2,"1","Heartbeat",{"a":1}]')
            await asyncio.sleep(0.1)
        code, written, _ = await process
        assert (code, "-> Call       Heartbeat" in written, '{"a":1}' in written) == (0, True, True)
    (event,) = traced(("sent", '[2,"1","Heartbeat",{}]'))
    assert "payload" not in event.shown(tokens=False)["data"]  # type: ignore[operator]
    assert main(["ocpp", "trace", "--socket", "/nowhere"]) == 3
