"""What the package we build on gets wrong, and what other stacks fall over, where no other test looks."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import secc
from secc.connection import Passing
from secc.ports import Contract, ContractFault, EndReason, MessageAnswered, SessionSetUp, V2GEnded
from secc.sdp import Security
from secc.v2g.protocols import ALL
from secc.v2g.session import CHALLENGE_BYTES, SESSION_ID_BYTES, State
from secc.v2g.tracing import readable
from sim.ev.link import Ending, drive
from sim.ev.wishes import Service, Speaks, Wishes
from tests.conformance.v2g.ways import ISO_20_AC, ISO_20_DC
from tests.secc.driven_station import DrivenStation
from tests.secc.private_net import EVCC, SECC, run_in_private_net
from tests.secc.support import EVCC_ID, WALL_TIME, StubCertificates, Talk
from tests.secc.test_secc_server import EV_MAC, Vehicle, discover, station
from tests.secc.v2g.talk20 import Talk20

CAR = Wishes(Speaks.ISO_2, Service.AC)
LISTENING = "0A"


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


def listening_ports() -> set[int]:
    """Of this thread's network namespace."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == LISTENING:
                found.add(int(local.rpartition(":")[2], 16))
    return found


def test_no_process_and_no_port_beside_the_secc_s_own(cable: Callable) -> None:
    """The package's codec is a Java process behind an open port, where anybody may run what he likes."""

    async def session() -> None:
        async with station(kind=DrivenStation) as here:
            assert (await drive(CAR, EVCC)).ending is Ending.FINISHED
            assert listening_ports() == set(here.server.ports) - {0}

    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    cable(session)
    assert children.read_text() == before


def test_no_password_is_written_down() -> None:
    """The package falls back to "12345" for private keys."""
    sources = Path(secc.__file__).parent.rglob("*.py")
    assert not [path for path in sources if "12345" in path.read_text().replace("123456789", "")]


def test_an_address_that_goes_and_comes_back(cable: Callable) -> None:
    """One SDP request without an address on the interface ends the package's SECC without a word."""

    async def session() -> None:
        async with station(kind=DrivenStation) as here:
            address = (await discover(Security.NONE)).address
            _ip("addr", "del", f"{address}/64", "dev", SECC)
            assert await discover(Security.NONE) is None
            _ip("addr", "add", f"{address}/64", "dev", SECC, "nodad")
            here.server.link_ready(EV_MAC)
            assert (await drive(CAR, EVCC)).ending is Ending.FINISHED

    cable(session)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def test_the_station_ends_a_session_from_its_side(cable: Callable) -> None:
    """The package's way to do so looks its session up under a key of another type, and never finds it."""

    async def session() -> None:
        async with station(kind=DrivenStation) as here:
            vehicle = await Vehicle.connect(await discover(Security.NONE))
            await vehicle.negotiate()
            await vehicle.ask("SessionSetupReq", {"EVCCID": EVCC_ID})
            here.server.link_down()
            assert (await here.ended()).reason is EndReason.LINK_DOWN
            assert await vehicle.reader.read() == b""
            await vehicle.close()
            here.server.link_ready(EV_MAC)
            assert (await drive(CAR, EVCC)).ending is Ending.FINISHED

    cable(session)


def test_the_next_vehicle_finds_nothing_of_the_one_before(cable: Callable) -> None:
    """The package keeps what a vehicle said by its address, and never forgets it."""

    async def session() -> None:
        async with station(kind=DrivenStation) as here:
            first = await drive(CAR, EVCC)
            second = await drive(CAR, EVCC)
            assert first.told.session_id != second.told.session_id
            assert not second.told.joined
            ids = [fact.session_id for fact in here.facts_of(SessionSetUp)]
            assert ids == [first.told.session_id.hex().upper(), second.told.session_id.hex().upper()]

    cable(session)


def test_ids_and_challenges_cannot_be_guessed(cable: Callable) -> None:
    """EVerest's have 32 bits of chance in them."""
    assert (SESSION_ID_BYTES, CHALLENGE_BYTES) == (8, 16)

    async def session() -> None:
        async with station(kind=DrivenStation):
            ids = [(await drive(CAR, EVCC)).told.session_id for _ in range(8)]
            assert len(set(ids)) == 8
            # A constant octet or a counter would show.
            assert all(len({each[place] for each in ids}) > 2 for place in range(SESSION_ID_BYTES))

    cable(session)


def test_contracts_are_judged_by_the_clock_the_station_is_given() -> None:
    """The package asks the system, whose clock may never have been set, and without a time zone."""
    judged: list[datetime] = []

    class Watching(StubCertificates):
        def check_contract(self, chain_der: Sequence[bytes], emaid: str, at: datetime) -> Contract | ContractFault:
            judged.append(at)
            return super().check_contract(chain_der, emaid, at)

    Talk(certificates=Watching()).present()
    assert judged == [WALL_TIME]
    assert WALL_TIME.tzinfo is UTC


def test_iso_15118_20_ac_after_dc_in_the_same_process() -> None:
    """The package's models keep something of the DC session, and the AC session fails."""
    for way in (ISO_20_DC, ISO_20_AC, ISO_20_DC):
        talk = way.reached(State.SESSION_STOP)
        assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"
        assert talk.facts_of(V2GEnded)[0].reason is EndReason.TERMINATED


def test_why_content_was_refused_is_told() -> None:
    """The package raises its validation error without its text."""
    talk = Talk()
    talk.negotiate()
    assert talk.ask("SessionSetupReq", {"EVCCID": b""}).code == "FAILED"
    assert "EVCCID" in talk.end.detail
    assert talk.facts_of(MessageAnswered)[-1].response_code == "FAILED"


def test_a_vehicle_that_always_takes_the_first_parameter_set_and_one_that_knows_dynamic_control_alone() -> None:
    for dynamic in (False, True):
        talk = Talk20(dynamic=dynamic).discovered()
        listed = talk.ask("ServiceDetailReq", {"ServiceID": 1}).elements["ServiceParameterList"]["ParameterSet"]
        modes = {
            one["ParameterSetID"]: next(p["intValue"] for p in one["Parameter"] if p["Name"] == "ControlMode")
            for one in listed
        }
        assert modes[1] == 1
        assert 2 in modes.values()
        assert Talk20(dynamic=dynamic).scheduled().conversation.session.offer is not None


def test_in_a_laboratory_iso_15118_20_goes_over_plain_tcp_and_is_watched(cable: Callable) -> None:
    """Not so with a contract, whatever the switch: that is for whoever has TLS."""
    seen: list[Passing] = []

    async def session() -> None:
        lab = [replace(protocol, only_mutual_tls_13=False) for protocol in ALL]
        async with station(kind=DrivenStation, protocols=lab, watch=seen.append):
            outcome = await drive(Wishes(Speaks.ISO_20, Service.AC), EVCC)
            assert outcome.ending is Ending.FINISHED, outcome.detail

    cable(session)
    told = [next(iter(readable(passing.frame, passing.protocol)["message"])) for passing in seen]
    assert told[:4] == ["supportedAppProtocolReq", "supportedAppProtocolRes", "SessionSetupReq", "SessionSetupRes"]
    assert [passing.from_vehicle for passing in seen] == [True, False] * (len(seen) // 2)
    setup = next(p for p, name in zip(seen, told, strict=True) if name == "AuthorizationSetupRes")
    ways = readable(setup.frame, setup.protocol)["message"]["AuthorizationSetupRes"]["AuthorizationServices"]
    assert ways == ["EIM"]
