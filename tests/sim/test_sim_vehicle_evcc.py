"""How a session of the package's EVCC ends where no station plays along, and what is read along the way."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from iso15118.evcc import evcc_settings
from iso15118.shared.iexi_codec import IEXICodec
from iso15118.shared.messages.enums import AuthEnum
from iso15118.shared.notifications import ReceiveTimeoutNotification

from sim.vehicle import evcc
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import Demand
from sim.vehicle.evcc import Ending, EvccOptions, SessionEnd
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from tests.sim.vehicle_fakes import FakeCable


class JsonCodec(IEXICodec):
    def encode(self, message: str, namespace: str) -> bytes:
        return message.encode()

    def decode(self, stream: bytes, namespace: str) -> str:
        return stream.decode()

    def get_version(self) -> str:
        return "json"


class Udp:
    """Stands in for the package's UDP client: each request of SDP times out at once."""

    def __init__(self, inbox: "asyncio.Queue[object]", _interface: str) -> None:
        self._inbox = inbox
        self.started = True
        self.requests = 0

    async def start(self) -> None:
        pass

    async def send_and_receive(self, _message: object) -> None:
        self.requests += 1
        self._inbox.put_nowait(ReceiveTimeoutNotification())


class SilentUdp(Udp):
    async def send_and_receive(self, _message: object) -> None:
        await asyncio.sleep(60)


class Bench:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "vehicle.jsonl"
        self.log = EventLog(self.path)
        self.cable = FakeCable()
        self.charger = OnboardCharger(self.cable, self.log, Demand(16.0))
        self.options = EvccOptions(
            interface="lo",
            pki=directory,
            tls=False,
            contract=False,
            goal=ChargeGoal(charge_s=1.0),
            loop_delay_s=0.1,
        )

    async def charge(self) -> SessionEnd:
        return await asyncio.wait_for(evcc.charge(self.options, JsonCodec(), self.charger, self.log), 5)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    with bench.log:
        yield bench
    evcc_settings.RESUME_SELECTED_AUTH_OPTION = None


async def test_fifty_unanswered_requests_are_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iso15118.evcc.comm_session_handler.UDPClient", Udp)
    end = await bench.charge()
    assert end.ending is Ending.NOT_DISCOVERED
    assert "SDPRequest was not successful" in end.detail


async def test_without_an_interface_it_gives_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoInterface(SilentUdp):
        async def start(self) -> None:
            raise OSError("no such device")

    monkeypatch.setattr("iso15118.evcc.comm_session_handler.UDPClient", NoInterface)
    assert await bench.charge() == SessionEnd(Ending.LOST, "the EVCC gave up")


async def test_cancelled_it_stops(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iso15118.evcc.comm_session_handler.UDPClient", SilentUdp)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bench.charge(), 0.05)
    assert len(asyncio.all_tasks()) <= 4, "nothing but the package's own two and the test's"


@pytest.mark.parametrize(("contract", "remembered"), [(True, None), (False, AuthEnum.EIM_V2)])
async def test_the_way_to_pay_is_chosen_by_what_the_package_remembers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, contract: bool, remembered: AuthEnum | None
) -> None:
    monkeypatch.setattr("iso15118.evcc.comm_session_handler.UDPClient", Udp)
    bench.options = EvccOptions(
        interface="lo",
        pki=bench.path.parent,
        tls=False,
        contract=contract,
        goal=ChargeGoal(1.0),
        loop_delay_s=0.1,
    )
    await bench.charge()
    assert remembered == evcc_settings.RESUME_SELECTED_AUTH_OPTION
