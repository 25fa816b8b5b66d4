"""Modem, link, self-test and capture over the control socket, on a link with a virtual modem and a vehicle."""

import asyncio
import base64
import json
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware.cli import client, main
from firmware.control import plc_capture
from firmware.control.audit import latest
from hal import ports as hal
from hal.plc import mme
from hal.plc.link import GreenPhyLink
from hal.quantities import EvseId
from sim.plc.powerline import Role, SetKey, TakesMap
from tests.firmware.control_bench import Bench, Line, bench, connected
from tests.hal.plc.plc_cable import PEER, Cable, Interface, fake_interface
from tests.hal.plc.plc_talk import EV, EVSE, MODEM, RUN

FRAME = mme.encode(EVSE, EV, mme.SlacParmReq(run_id=RUN))


@dataclass
class Bay:
    """One EVSE of a station, its modem, and a vehicle."""

    made: Bench
    line: Line
    cable: Cable
    link: GreenPhyLink
    interface: Interface
    facts: list[hal.PlcFact]

    async def matches(self) -> None:
        self.link.vehicle_connected(True)
        self.cable.vehicle.start(asyncio.get_running_loop().time())
        await until(lambda: bool(self.facts) and isinstance(self.facts[-1], hal.LinkReady))

    def hears(self, *frames: bytes) -> None:
        for frame in frames:
            self.interface.theirs.send(frame)

    async def command(self, words: str) -> int:
        return await asyncio.to_thread(main, [*words.split(), "--socket", str(self.made.path)])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def bay(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bay]:
    facts: list[hal.PlcFact] = []
    async with bench() as made, connected(made.path) as line:
        with fake_interface(monkeypatch) as interface:
            cable = Cable(interface)
            task = asyncio.create_task(cable.run())
            link = GreenPhyLink("plc0", EvseId(1), facts.append, clock=asyncio.get_running_loop().time)
            made.evse.plc = link
            await link.open()
            await until(lambda: bool(facts))
            try:
                yield Bay(made, line, cable, link, interface, facts)
            finally:
                await link.close()
                task.cancel()


# --- plc info, plc link ---


async def test_the_modem_its_role_and_its_counters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bay(monkeypatch) as at:
        await until(lambda: at.link.status().modem.slac_mode is not None)
        (told,) = (await at.line.result("Plc.Info"))["modems"]
        assert (told["vendor"], told["mac"], told["role"], told["slac_mode"]) == ("Qualcomm", MODEM.hex(":"), "EVSE", 2)
        assert (told["driver_counters"], told["attenuation_offset_db"]) == ({}, 0)
        assert await at.command("plc info") == 0
        assert "driver\ttells no counters" in _tabbed(capsys.readouterr().out)
        counters = {"Triggered resets": 0, "Device resets": 3, "SPI errors": 12}
        monkeypatch.setattr("hal.plc.link.driver_counters", lambda _: counters)
        at.cable.modem.role = Role.EV
        await at.link.selftest()
        assert (await at.line.result("Plc.Info"))["modems"][0]["driver_counters"] == counters
        await at.command("plc info")
        shown = _tabbed(capsys.readouterr().out)
        assert "driver\tDevice resets: 3, SPI errors: 12" in shown
        assert "role\tnot EVSE: SLAC mode 1 in its PIB" in shown
        counters.update(dict.fromkeys(counters, 0))
        await at.command("plc info")
        assert "all counters are 0" in capsys.readouterr().out


async def test_who_is_in_the_network_now(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async with bay(monkeypatch) as at:
        (alone,) = (await at.line.result("Plc.Link"))["links"]
        assert (alone["link_up"], alone["ev_mac"], alone["networks"][0]["stations"]) == (False, None, [])
        await at.matches()
        (told,) = (await at.line.result("Plc.Link", evse=1))["links"]
        assert (told["link_up"], told["matching"], told["ev_mac"]) == (True, "linked", EV.hex(":"))
        (network,) = told["networks"]
        assert network["nid"] == mme.network_id(at.cable.modem.nmk).hex()
        assert (network["role"], network["tei"], network["coordinator"]) == ("CCO", 1, MODEM.hex(":"))
        member = {"mac": PEER.hex(":"), "tei": 2, "host_mac": EV.hex(":"), "tx_mbps": 9, "rx_mbps": 9}
        assert network["stations"] == [member]
        assert told["amplitude_map"] is None
        at.cable.modem.takes_map = TakesMap.REFUSE
        at.hears(mme.encode(EVSE, EV, mme.AmpMap(4, b"\x11\x11")))
        await until(lambda: at.link.status().map_outcome is not None)
        assert await at.command("plc link") == 0
        shown = _tabbed(capsys.readouterr().out)
        assert f"member\t{PEER.hex(':')}, TEI 2, host {EV.hex(':')}, to it 9, from it 9 Mbit/s" in shown
        assert "amplitude map\t4 carriers, refused by the modem" in shown


async def test_a_modem_that_falls_silent_leaves_what_it_last_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bay(monkeypatch) as at:
        at.cable.modem.deaf_until = float("inf")
        (told,) = (await at.line.result("Plc.Link"))["links"]
        assert told["networks"][0]["nid"] == mme.network_id(at.cable.modem.nmk).hex()
        at.interface.running = False
        await until(lambda: at.link.status().modem_state == "interface down")
        assert await at.command("plc link") == 0
        assert "network\tthe modem tells none" in _tabbed(capsys.readouterr().out)


# --- slac selftest ---


async def test_the_selftest_tells_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bay(monkeypatch) as at:
        before = at.cable.modem.nmk
        told = await at.line.result("Slac.SelfTest", evse=1)
        assert at.cable.modem.nmk != before, "a key was really set"
        assert (told["passed"], told["role"], told["verified_by"]) == (True, "EVSE", "VS_NW_INFO")
        assert (told["vendor"], told["mac"], told["firmware"]) == ("Qualcomm", MODEM.hex(":"), "1.2.5.3207")
        assert 0 <= told["answered_s"] <= told["took_s"] < 5
        assert await at.command("slac selftest 1") == 0
        shown = _tabbed(capsys.readouterr().out)
        assert "EVSE 1  passed" in shown
        assert "key set\tverified by VS_NW_INFO after" in shown
        at.cable.modem.role = Role.EV
        assert await at.command("slac selftest 1") == 1
        assert "FAILED" in (shown := capsys.readouterr().out)
        assert "not EVSE, SLAC mode 1" in shown
        assert await at.command("slac selftest 1 --json") == 1
        assert json.loads(capsys.readouterr().out)["passed"] is False


async def test_the_selftest_is_refused_while_a_vehicle_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bay(monkeypatch) as at:
        before = at.cable.modem.nmk
        at.made.hears(hal.PluggedIn(0.0))
        assert await at.line.error("Slac.SelfTest", evse=1) == -32004
        at.made.hears(hal.Unplugged(0.0))
        at.link.vehicle_connected(True)
        assert await at.line.error("Slac.SelfTest", evse=1) == -32004
        assert at.cable.modem.nmk == before, "nothing was changed"


async def test_a_selftest_that_fails_says_how_far_it_got(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bay(monkeypatch) as at:
        selftest = at.link.selftest
        monkeypatch.setattr(at.link, "selftest", lambda: selftest(timeout_s=0.3))
        at.cable.modem.set_key = SetKey.NEVER
        assert await at.command("slac selftest 1") == 1
        assert "the modem answers but does not take a key" in capsys.readouterr().err
        at.cable.modem.deaf_until = float("inf")
        answer = await at.line.ask("Slac.SelfTest", {"evse": 1})
        assert answer["error"] == {"code": -32003, "message": "the modem does not answer"}
        at.cable.modem.deaf_until, at.cable.modem.set_key = 0.0, SetKey.NORMAL
        assert (await at.line.result("Slac.SelfTest", evse=1))["passed"]
        assert await at.line.error("Slac.SelfTest", evse=2) == -32002


# --- slac capture ---


def frames_of(pcap: bytes) -> list[bytes]:
    """As any reader of the format takes it apart."""
    magic, major, minor, _, _, snap, linktype = struct.unpack_from("<IHHiIII", pcap)
    assert (magic, major, minor, snap, linktype) == (0xA1B23C4D, 2, 4, 2048, 1)
    at, frames = 24, []
    while at < len(pcap):
        _, nanoseconds, kept, long = struct.unpack_from("<IIII", pcap, at)
        assert kept == long
        assert nanoseconds < 1_000_000_000
        frames.append(pcap[at + 16 : at + 16 + kept])
        at += 16 + kept
    assert at == len(pcap)
    return frames


async def read_all(line: Line, capture: int) -> tuple[list[bytes], dict[str, object]]:
    pcap = b""
    while True:
        page = await line.result("Slac.ReadCapture", capture=capture)
        pcap += base64.b64decode(page.pop("pcap"))
        if page["ended"]:
            return frames_of(pcap), page


async def test_a_match_as_it_was_heard_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bay(monkeypatch) as at:
        number = (await at.line.result("Slac.StartCapture", evse=1))["capture"]
        await at.matches()
        key = at.cable.modem.nmk
        at.link.vehicle_connected(False)
        await until(lambda: at.cable.modem.nmk != key)
        await at.line.result("Slac.StopCapture", capture=number)
        frames, told = await read_all(at.line, number)
        assert (told["frames"], told["lost"], told["ended"]) == (len(frames), 0, "stopped")
        types = [frame[15] | frame[16] << 8 for frame in frames if frame[12:14] == b"\x88\xe1"]
        for mmtype in (0x6064, 0x6065, 0x6076, 0x6086, 0x606E, 0x606F, 0x607C, 0x607D, 0x6008, 0x6009):
            assert mmtype in types, hex(mmtype)
        whole = b"".join(frames)
        assert key not in whole
        assert at.cable.modem.nmk not in whole, "nor the one after it, on its way to the modem"
        audited = [entry["method"] for entry in latest(at.made.audit_path, 10)]
        assert sorted(audited) == ["Slac.StartCapture", "Slac.StopCapture"], "its pages are not told again"


async def test_one_capture_an_evse_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bay(monkeypatch) as at:
        first = (await at.line.result("Slac.StartCapture", evse=1))["capture"]
        assert await at.line.error("Slac.StartCapture", evse=1) == -32004
        await at.line.result("Slac.StopCapture", capture=first)
        assert await at.line.error("Slac.StartCapture", evse=1) == -32004, "what came can still be read"
        await read_all(at.line, first)
        second = (await at.line.result("Slac.StartCapture", evse=1))["capture"]
        assert await at.line.error("Slac.ReadCapture", capture=first) == -32002
        assert await at.line.error("Slac.StopCapture", capture=99) == -32002
        assert second != first


async def test_a_page_is_bounded_and_a_slow_reader_loses_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_capture, "MAX_WAITING_BYTES", 2000)
    monkeypatch.setattr(plc_capture, "PAGE_BYTES", 500)
    async with bay(monkeypatch) as at:
        number = (await at.line.result("Slac.StartCapture", evse=1))["capture"]
        at.hears(*[FRAME] * 30)
        await asyncio.sleep(0.1)
        page = await at.line.result("Slac.ReadCapture", capture=number)
        assert len(base64.b64decode(page["pcap"])) == 500
        assert page["frames"] == (2000 - 24) // (16 + 60)
        assert page["lost"] >= 30 - page["frames"]
        await at.line.result("Slac.StopCapture", capture=number)
        assert (await at.line.result("Slac.ReadCapture", capture=number))["ended"] is None, "there is more to read"


async def test_a_capture_ends_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_capture, "MAX_FILE_BYTES", 500)
    async with bay(monkeypatch) as at:
        number = (await at.line.result("Slac.StartCapture", evse=1))["capture"]
        at.hears(*[FRAME] * 30)
        frames, told = await read_all(at.line, number)
        assert (told["ended"], len(frames)) == ("size", (500 - 24) // (16 + 60))


async def test_a_capture_ends_by_its_time_and_an_empty_page_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plc_capture, "PAGE_WAIT_S", 0.05)
    async with bay(monkeypatch) as at:
        number = (await at.line.result("Slac.StartCapture", evse=1, for_s=1))["capture"]
        await at.line.result("Slac.ReadCapture", capture=number)
        page = await at.line.result("Slac.ReadCapture", capture=number)
        assert (page["pcap"], page["ended"]) == ("", None)
        assert (await read_all_rest(at.line, number))["ended"] == "time"
        for wrong in (0, 601):
            assert await at.line.error("Slac.StartCapture", evse=1, for_s=wrong) == -32602


async def read_all_rest(line: Line, capture: int) -> dict[str, object]:
    while not (page := await line.result("Slac.ReadCapture", capture=capture))["ended"]:
        pass
    return page


async def test_a_capture_nobody_reads_ends_and_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_capture, "ABANDONED_S", 0.05)
    async with bay(monkeypatch) as at:
        await at.line.result("Slac.StartCapture", evse=1)
        assert at.link._watcher is not None
        await until(lambda: at.link._watcher is None)
        await at.line.result("Slac.StartCapture", evse=1)


def test_the_client_waits_longer_than_a_page_or_a_selftest_may_take() -> None:
    assert client.TIMEOUT_S > 2 * plc_capture.PAGE_WAIT_S
    assert plc_capture.PAGE_BYTES * 4 / 3 < 64 * 1024


async def test_the_command_writes_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "slac.pcap"
    async with bay(monkeypatch) as at:
        command = asyncio.create_task(at.command(f"slac capture {file} --seconds 1"))
        await until(lambda: at.link._watcher is not None)
        await at.matches()
        key = at.cable.modem.nmk
        assert await command == 0
        frames = frames_of(file.read_bytes())
        assert capsys.readouterr().err == f"{len(frames)} frames in {file}; ended by time\n"
        assert len(frames) > 30
        read = await asyncio.to_thread(_tcpdump, file)
        assert "link-type EN10MB" in read.stderr
        assert len([line for line in read.stdout.splitlines() if line[0] != "\t"]) == len(frames)
        assert key not in file.read_bytes()
        assert await at.command(f"slac capture {file} --seconds 1 --json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["file"], told["ended"], told["lost"]) == (str(file), "time", 0)


def _tcpdump(file: Path) -> subprocess.CompletedProcess[str]:
    with file.open("rb") as opened:
        return subprocess.run(["tcpdump", "-tnr", "-"], stdin=opened, capture_output=True, text=True, check=True)


async def test_a_file_that_cannot_be_written_ends_the_capture_and_one_refused_keeps_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async with bay(monkeypatch) as at:
        assert await at.command(f"slac capture {tmp_path}/no/where.pcap") == 1
        assert "No such file or directory" in capsys.readouterr().err
        assert at.link._watcher is None
        kept = tmp_path / "kept.pcap"
        kept.write_bytes(b"older")
        assert await at.command(f"slac capture {kept} --evse 2") == 1
        assert kept.read_bytes() == b"older"
        assert await at.command("slac capture - --json") == 2


async def test_interrupted_it_keeps_what_has_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "slac.pcap"
    async with bay(monkeypatch) as at:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firmware.cli", "slac", "capture", str(file), "--socket", str(at.made.path)),
            stderr=asyncio.subprocess.PIPE,
        )
        await until(lambda: at.link._watcher is not None)
        at.hears(FRAME, FRAME)
        await until(lambda: file.exists() and file.stat().st_size > 24)
        process.send_signal(2)
        _, said = await process.communicate()
        assert process.returncode == 0
        assert said.decode().endswith("ended by stopped\n")
        assert frames_of(file.read_bytes()).count(FRAME) == 2
        assert at.link._watcher is None


async def test_into_a_pipe_whose_reader_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bay(monkeypatch) as at:
        command = f"{sys.executable} -m firmware.cli slac capture - --socket {at.made.path} | head -c 24"
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
        await until(lambda: at.link._watcher is not None)
        at.hears(*[FRAME] * 30)
        written, _ = await asyncio.gather(process.communicate(), _talks_on(at))
        assert frames_of(written[0]) == []
        assert at.link._watcher is None


async def _talks_on(at: Bay) -> None:
    """Until nobody listens."""
    while at.link._watcher is not None:
        at.hears(FRAME)
        await asyncio.sleep(0.05)


def _tabbed(shown: str) -> str:
    """Names and values as printed below a heading, with one tab between."""
    return "\n".join(f"{line[2:16].strip()}\t{line[17:]}" if line[:2] == "  " else line for line in shown.splitlines())
