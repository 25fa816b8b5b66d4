"""Who may call what: every method by nobody, observer, technician and service, as processes with real uids."""

import asyncio
import grp
import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import config
from firmware.control.audit import check, latest
from firmware.control.methods import METHODS
from firmware.control.roles import Peer, Role, groups_by_name, peer_of, role_of
from firmware.control.simulate import SIMULATE
from firmware.control.start import start_control
from tests.firmware.control_bench import GROUPS, Bench, bench, connected

UID = 61001
PYTHON = Path(sys.executable).resolve()
"""Outside any virtual environment, whose directory may be closed to other users."""
FREE = {"Control.WhoAmI"}
PLC = {"Slac.SelfTest", "Slac.StartCapture", "Slac.ReadCapture", "Slac.StopCapture"}
HANDS = {
    "Maintenance.Begin",
    "Maintenance.End",
    "Pilot.Set",
    "Connector.Lock",
    "Selftest.Run",
    "Board.ClearFaults",
    "Limit.Set",
    "Start.Now",
}
SETTINGS = {"Config.Set", "Ocpp.Send", "Bundle.Config", "Log.Read"}
GRID = {"Grid.Limit", "Grid.Dim"}
V2G = {"V2g.StartTrace", "V2g.ReadTrace", "V2g.StopTrace"}
TECHNICIAN = {
    "Log.SetLevel",
    "Log.Security",
    *V2G,
    "V2g.KeyLog",
    "Firmware.Install",
    *SIMULATE,
    *PLC,
    *HANDS,
    *SETTINGS,
    *GRID,
}
SERVICE = {"Audit.Show", "Firmware.MarkGood", "Firmware.RollBack"}

CALL_ALL = """
import json, socket, sys
path, methods = sys.argv[1], json.loads(sys.argv[2])
answers = {}
for method in methods:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        line.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}).encode() + b"\\n")
        answers[method] = json.loads(line.makefile().readline())
print(json.dumps(answers))
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="to become other users a process must be root")


async def call_all(path: Path, uid: int, groups: list[int]) -> dict[str, dict[str, object]]:
    """Every method's answer, as a process of that user in these groups hears it."""
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        *("-I", "-S", "-c", CALL_ALL, str(path), json.dumps(list(METHODS))),
        stdout=asyncio.subprocess.PIPE,
        cwd="/",
        user=uid,
        group=65534 if uid else 0,
        extra_groups=groups,
    )
    written, _ = await process.communicate()
    assert process.returncode == 0
    answers: dict[str, dict[str, object]] = json.loads(written)
    return answers


def refused(answers: dict[str, dict[str, object]]) -> set[str]:
    """Methods answered with the code for a missing role; the others may lack parameters, but not the right."""
    return {name for name, answer in answers.items() if answer.get("error", {}).get("code") == -32001}  # type: ignore[attr-defined]


@needs_root
@pytest.mark.parametrize(
    ("uid", "groups", "role", "denied"),
    [
        (UID, [], Role.NOBODY, set(METHODS) - FREE),
        (UID, [61999], Role.NOBODY, set(METHODS) - FREE),
        (UID, [GROUPS[Role.OBSERVER]], Role.OBSERVER, TECHNICIAN | SERVICE),
        (UID, [GROUPS[Role.TECHNICIAN]], Role.TECHNICIAN, SERVICE),
        (UID, [GROUPS[Role.OBSERVER], GROUPS[Role.TECHNICIAN]], Role.TECHNICIAN, SERVICE),
        (UID, [61999, GROUPS[Role.SERVICE]], Role.SERVICE, set()),
        (0, [], Role.SERVICE, set()),
    ],
)
async def test_the_matrix(uid: int, groups: list[int], role: Role, denied: set[str]) -> None:
    async with bench() as made:
        answers = await call_all(made.path, uid, groups)
        assert answers["Control.WhoAmI"]["result"]["role"] == str(role)  # type: ignore[index]
        assert answers["Control.WhoAmI"]["result"]["uid"] == uid  # type: ignore[index]
        assert refused(answers) == denied
        if role >= Role.OBSERVER:
            assert "result" in answers["Station.Status"]
        entries = latest(made.audit_path, 100) if made.audit_path.exists() else []
        assert [entry["outcome"] for entry in entries].count("refused") == bool(denied), "a flood is one entry"
        assert all(entry["uid"] == uid and entry["role"] == str(role) for entry in entries)


@needs_root
async def test_a_primary_group_counts_too() -> None:
    async with bench() as made:
        process = await asyncio.create_subprocess_exec(
            PYTHON,
            *("-I", "-S", "-c", CALL_ALL, str(made.path), '["Control.WhoAmI"]'),
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
            user=UID,
            group=GROUPS[Role.TECHNICIAN],
            extra_groups=[],
        )
        written, _ = await process.communicate()
        assert json.loads(written)["Control.WhoAmI"]["result"]["role"] == "technician"


async def test_the_daemons_own_user_is_service_and_others_are_not() -> None:
    async with bench() as made, connected(made.path) as line:
        assert (await line.result("Control.WhoAmI"))["role"] == "service"
    async with bench(service=frozenset()) as made, connected(made.path) as line:
        answer = await line.ask("Station.Status")
        assert answer["error"] == {
            "code": -32001,
            "message": "Station.Status needs role observer, you have nobody",
            "data": {"needed": "observer", "role": "nobody"},
        }


def test_the_highest_group_gives_the_role() -> None:
    groups = {Role.OBSERVER: 1, Role.TECHNICIAN: 2, Role.SERVICE: 3}

    def role(*gids: int, uid: int = 9) -> Role:
        return role_of(Peer(1, uid, frozenset(gids)), groups, {0})

    assert [role(), role(7), role(1), role(1, 2), role(3, 1), role(uid=0)] == [
        Role.NOBODY,
        Role.NOBODY,
        Role.OBSERVER,
        Role.TECHNICIAN,
        Role.SERVICE,
        Role.SERVICE,
    ]
    assert role_of(Peer(1, 9, frozenset({1})), {}, ()) is Role.NOBODY


def test_groups_are_found_by_name_and_missing_ones_are_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    known = grp.getgrgid(0)
    found = groups_by_name({Role.OBSERVER: known.gr_name, Role.SERVICE: "no-such-group-here"})
    assert found == {Role.OBSERVER: 0}
    assert "no-such-group-here" in caplog.text


class Socket:
    """Credentials of pid 5, uid 6, gid 7, and what the kernel says of the groups."""

    def __init__(self, groups: bytes | OSError) -> None:
        self.groups = groups

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        if option == 59:
            if isinstance(self.groups, OSError):
                raise self.groups
            return self.groups
        return b"".join(number.to_bytes(4, "little") for number in (5, 6, 7))


def test_more_groups_than_can_be_read_leave_the_primary_one() -> None:
    assert peer_of(Socket(bytes([8, 0, 0, 0, 9, 0, 0, 0]))) == Peer(5, 6, frozenset({7, 8, 9}))
    assert peer_of(Socket(OSError(34, "ERANGE"))) == Peer(5, 6, frozenset({7}))
    with pytest.raises(OSError, match="EIO"):
        peer_of(Socket(OSError(5, "EIO")))


async def test_a_daemon_that_cannot_open_its_socket_charges_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Bench(tmp_path)
    made.path.mkdir()
    station = _with_socket(made, made.path)
    async with AsyncExitStack() as stack:
        await start_control(station, stack)
    assert "no technician can reach this station" in caplog.text


async def test_started_by_its_configuration_and_taken_down_again(tmp_path: Path) -> None:
    made = Bench(tmp_path)
    async with AsyncExitStack() as stack:
        await start_control(_with_socket(made, made.path), stack)
        async with connected(made.path) as line:
            await line.result("Log.SetLevel", logger="hal", level="ERROR")
            assert (await line.result("Audit.Show"))["entries"] == 1
    assert not made.path.exists()
    assert check(made.audit_path).entries == 2


def _with_socket(made: Bench, path: Path):  # type: ignore[no-untyped-def]
    settings = replace(made.config, control=config.Control(path, "root", "no-such-group", "no-such-group"))
    return replace(made.station, config=settings)
