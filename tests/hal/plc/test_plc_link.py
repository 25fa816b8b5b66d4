"""The asyncio driver and its packet port, with a socket pair in place of the interface."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hal.plc import capture
from hal.plc.frame import parse_header
from hal.plc.link import GreenPhyLink, LinkBusy, SelfTestFailed
from hal.plc.port import FRAMES_A_WAKE, InterfaceDown, InterfaceGone, PacketPort, PortError
from hal.plc.vendor_mme import Vendor
from hal.ports import LinkReady, ModemFault, ModemReady, PlcFact, PlcLink, SlacBegun, SlacMatched
from hal.quantities import EvseId
from sim.plc.powerline import Role, SetKey
from tests.hal.plc.plc_cable import PEER, Cable, Interface, fake_interface
from tests.hal.plc.plc_talk import EV, EVSE, MODEM


@pytest.fixture
def interface(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interface]:
    with fake_interface(monkeypatch) as interface:
        yield interface


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


class TestGreenPhyLink:
    @pytest.fixture
    async def cable(self, interface: Interface):
        cable = Cable(interface)
        task = asyncio.create_task(cable.run())
        yield cable
        task.cancel()

    @pytest.fixture
    async def facts(self) -> list[PlcFact]:
        return []

    @pytest.fixture
    async def link(self, interface: Interface, facts: list[PlcFact]):
        link = GreenPhyLink("plc0", EvseId(1), facts.append, clock=asyncio.get_running_loop().time)
        yield link
        await link.close()

    async def test_is_a_plc_link_and_matches(self, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]):
        port: PlcLink = link
        await port.open()
        await until(lambda: len(facts) == 1)
        port.vehicle_connected(True)
        cable.vehicle.start(asyncio.get_running_loop().time())
        await until(lambda: len(facts) == 4)
        assert [type(fact) for fact in facts] == [ModemReady, SlacBegun, SlacMatched, LinkReady]
        link.pilot_toggled()
        link.pause()
        link.resume()
        await until(lambda: len(facts) == 6)
        port.terminate()
        await until(lambda: len(facts) == 8)
        assert [type(fact).__name__ for fact in facts[4:]] == ["LinkLost", "LinkReady", "LinkLost", "ModemReady"]
        port.vehicle_connected(False)

    async def test_is_ready_at_once_when_the_modem_answers(
        self, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        begun = asyncio.get_running_loop().time()
        await link.open()
        await until(lambda: len(facts) == 1)
        assert asyncio.get_running_loop().time() - begun < 0.1

    async def test_a_missing_interface_is_a_fault_until_it_comes(
        self, interface: Interface, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        interface.exists = False
        await link.open()
        link.vehicle_connected(True)
        await asyncio.sleep(0.05)
        assert [(fact.reason, fact.active) for fact in facts] == [("plc0: No such device", True)]
        interface.exists = True
        await until(lambda: len(facts) == 3)
        assert facts[1].active is False
        assert isinstance(facts[2], ModemReady)
        assert link.machine.matching.state == "waiting"

    async def test_a_port_survives_its_interface(
        self, interface: Interface, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        await link.open()
        await until(lambda: len(facts) == 1)
        interface.running = False
        interface.theirs.send(bytes(60))
        await until(lambda: len(facts) == 2)
        await asyncio.sleep(0.05)
        interface.running = True
        await until(lambda: len(facts) == 4)
        assert [type(fact) for fact in facts] == [ModemReady, ModemFault, ModemFault, ModemReady]
        assert interface.opened == 1

    async def test_an_interface_that_is_down_at_first(
        self, interface: Interface, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        interface.running = False
        await link.open()
        assert [(fact.reason, fact.active) for fact in facts] == [("interface down", True)]
        interface.running = True
        await until(lambda: len(facts) == 3)

    async def test_a_removed_interface_is_opened_anew(
        self, interface: Interface, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        await link.open()
        await until(lambda: len(facts) == 1)
        interface.exists = False
        await until(lambda: len(facts) == 3)
        interface.exists = True
        await until(lambda: isinstance(facts[-1], ModemReady) and len(facts) > 3)
        assert interface.opened >= 2

    async def test_sending_into_a_dead_interface_is_no_error(
        self, interface: Interface, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        await link.open()
        await until(lambda: len(facts) == 1)
        link.vehicle_connected(True)
        interface.running = False
        link.machine.matching.set_key(bytes(16), 0.0)
        link.machine.matching.key_given_away = True
        link.terminate()
        assert isinstance(facts[-1], ModemFault)

    async def test_the_technician_sees_how_it_stands(
        self, cable: Cable, link: GreenPhyLink, facts: list[PlcFact], tmp_path: Path
    ):
        await link.open()
        await until(lambda: len(facts) == 1)
        with (tmp_path / "slac.pcap").open("wb") as file:
            link.watch_frames(lambda frame: file.write(capture.record(frame, 1_700_000_000_000_000_123)))
            tested = await link.selftest()
            assert (tested.modem.mac, tested.modem.is_evse, tested.verified_by) == (MODEM, True, "VS_NW_INFO")
            assert 0 <= tested.answered_s <= tested.took_s < 5
            link.vehicle_connected(True)
            cable.vehicle.start(asyncio.get_running_loop().time())
            await until(lambda: isinstance(facts[-1], LinkReady))
            link.watch_frames(None)
        status = link.status()
        assert (status.interface, status.modem_state, status.slac_state) == ("plc0", "ready", "linked")
        assert (status.modem.vendor, status.modem.mac, status.link_up, status.ev_mac) == ("Qualcomm", MODEM, True, EV)
        assert [run.verdict for run in status.runs] == ["matched"]
        await until(lambda: bool(link.status().networks[0].stations))
        assert [(member.mac, member.bridged) for member in link.status().networks[0].stations] == [(PEER, EV)]
        cable.ev_modem.host_mac = PEER
        assert [member.bridged for member in (await link.networks())[0].stations] == [PEER], "asked anew"
        assert status.modem_drops == status.driver_counters == {}
        with pytest.raises(LinkBusy, match="a vehicle is plugged in"):
            await link.selftest()
        written = (tmp_path / "slac.pcap").read_bytes()
        assert cable.modem.nmk not in written
        assert written.count(b"\x88\xe1\x01\x64\x60") == 1

    async def test_the_selftest_of_a_silent_modem_fails(self, interface: Interface, link: GreenPhyLink):
        await link.open()
        with pytest.raises(SelfTestFailed, match="the modem does not answer"):
            await link.selftest(timeout_s=0.05)
        interface.running = False
        await until(lambda: link.status().modem_state == "interface down")
        with pytest.raises(SelfTestFailed, match="plc0: interface down"):
            await link.selftest()

    async def test_the_selftest_of_a_modem_that_takes_no_key_fails(self, cable: Cable, link: GreenPhyLink):
        cable.modem.set_key = SetKey.NEVER
        await link.open()
        with pytest.raises(SelfTestFailed, match="answers but does not take a key"):
            await link.selftest(timeout_s=0.2)

    async def test_the_selftest_of_a_missing_interface_names_it(self, interface: Interface, link: GreenPhyLink):
        interface.exists = False
        await link.open()
        with pytest.raises(SelfTestFailed, match="plc0: No such device"):
            await link.selftest()

    async def test_the_selftest_finds_another_modem_in_the_same_place(
        self, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]
    ):
        await link.open()
        await until(lambda: len(facts) == 1)
        cable.modem.vendor, cable.modem.mac, cable.modem.role = Vendor.LUMISSIL, PEER[:5] + b"\x09", Role.EV
        tested = await link.selftest()
        assert (tested.modem.vendor, tested.modem.mac) == (Vendor.LUMISSIL, cable.modem.mac)
        assert (tested.verified_by, tested.modem.is_evse) == ("CM_GET_KEY", None)
        assert await link.networks() == (), "it tells none"

    async def test_one_selftest_at_a_time(self, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]):
        await link.open()
        await until(lambda: len(facts) == 1)
        first = asyncio.create_task(link.selftest())
        await asyncio.sleep(0)
        with pytest.raises(LinkBusy, match="under way"):
            await link.selftest()
        await first
        await link.selftest()

    async def test_after_close_nothing_happens(self, cable: Cable, link: GreenPhyLink, facts: list[PlcFact]):
        await link.open()
        await until(lambda: len(facts) == 1)
        await link.close()
        link.vehicle_connected(True)
        await asyncio.sleep(0.05)
        assert len(facts) == 1
        await link.close()


class TestPacketPort:
    def test_takes_no_more_than_its_share_a_wake(self, interface: Interface):
        port = PacketPort("plc0")
        assert port.mac == EVSE
        for _ in range(FRAMES_A_WAKE + 5):
            interface.theirs.send(bytes(60))
        assert len(list(port.frames())) == FRAMES_A_WAKE
        assert len(list(port.frames())) == 5
        port.close()

    @pytest.mark.parametrize("full", [errno.EAGAIN, errno.ENOBUFS])
    def test_a_full_queue_loses_a_frame(self, interface: Interface, full: int):
        port = PacketPort("plc0")
        assert port.send(bytes(60))
        interface.refuse = full
        assert not port.send(bytes(60))

    def test_a_dead_interface_is_told_apart_from_a_removed_one(self, interface: Interface):
        port = PacketPort("plc0")
        assert port.is_running()
        interface.running = False
        assert not port.is_running()
        with pytest.raises(InterfaceDown, match="Network is down"):
            port.send(bytes(60))
        with pytest.raises(InterfaceDown):
            list(port.frames())
        interface.exists = False
        with pytest.raises(InterfaceGone, match="No such device"):
            port.is_running()

    def test_the_missing_right_is_named(self, interface: Interface):
        interface.refuse = errno.EPERM
        with pytest.raises(PortError, match="CAP_NET_RAW"):
            PacketPort("plc0")

    def test_frames_are_whole(self, interface: Interface):
        port = PacketPort("plc0")
        frame = EVSE + EV + b"\x88\xe1\x01\x64\x60" + bytes(43)
        interface.theirs.send(frame)
        (received,) = port.frames()
        assert parse_header(received).mmtype == 0x6064
