"""On the real wire, in network namespaces: our station against our vehicle and against Debian's pev."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.namespaces import REPOSITORY, World, charging_site, missing_right
from tests.hal.plc.plc_world import PEV_INI, plc_world

pytestmark = pytest.mark.skipif(missing_right() is not None, reason=str(missing_right()))
needs_pev = pytest.mark.skipif(shutil.which("pev") is None, reason="pev is missing: apt-get install plc-utils-extra")
needs_plctool = pytest.mark.skipif(shutil.which("plctool") is None, reason="apt-get install plc-utils")
needs_readable = pytest.mark.skipif(
    not all(parent.stat().st_mode & 0o1 for parent in (REPOSITORY, *REPOSITORY.parents)),
    reason="this checkout is in a directory that other users cannot enter",
)

PING = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("plc0"))
s.settimeout(1)
s.sendto(b"hello", ("ff02::1", 15200, 0, socket.if_nametoindex("plc0")))
try:
    print(s.recvfrom(100)[0].decode())
except TimeoutError:
    print("silence")
"""
ECHO = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 15200))
print("bound", flush=True)
while True:
    data, peer = s.recvfrom(100)
    s.sendto(data, peer)
"""
FLOOD = """
import random, socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("m-evse1", 0x88E1))
mac = bytes.fromhex("020000000200")
r = random.Random(1)
known = [b"\\x64\\x60", b"\\x74\\x60", b"\\x76\\x60", b"\\x86\\x60", b"\\x6a\\x60"]
begun, sent = time.monotonic(), 0
while time.monotonic() < begun + 3:
    for _ in range(50):
        head = b"\\xff" * 6 + mac[:5] + r.randbytes(1) + b"\\x88\\xe1\\x01" + r.choice([r.randbytes(2), *known])
        try:
            s.send(head + bytes(2) + r.randbytes(r.randrange(100)))
        except OSError:
            pass
        sent += 1
    time.sleep(max(0, begun + sent / 5000 - time.monotonic()))
print(sent)
"""


def test_no_traffic_before_the_match_and_traffic_after():
    with plc_world() as plc:
        plc.expect("ModemReady")
        echo = plc.world.spawn("station", [sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
        assert echo.stdout.readline() == "bound\n"
        ping = [sys.executable, "-c", PING]
        assert plc.world.run("vehicle1", ping).stdout == "silence\n"
        plc.tell_station("plug 1")
        done = plc.match()
        assert done.returncode == 0, done.stderr
        assert "8.0 dB" in done.stdout
        assert plc.expect("SlacMatched")["sounds"] == 10
        plc.expect("LinkReady", ev_mac="020000000201")
        assert plc.world.run("vehicle1", ping).stdout == "hello\n"
        plc.tell_station("unplug 1")
        plc.expect("LinkLost")
        plc.expect("ModemReady")
        assert plc.world.run("vehicle1", ping).stdout == "silence\n"


def test_a_lumissil_modem_in_the_strict_profile():
    with plc_world(vendor="lumissil", profile="strict") as plc:
        plc.expect("ModemReady")
        plc.tell_station("plug 1")
        assert plc.match().returncode == 0
        plc.expect("LinkReady")


def test_a_vehicle_alone_gives_up_and_says_so():
    with World(charging_site()) as world:
        done = world.run("vehicle1", [sys.executable, "-m", "sim.plc.ev", "nosuch0"])
        assert done.returncode == 1
        assert "nosuch0" in done.stderr


@needs_pev
def test_debians_pev_matches_in_each_of_twenty_plug_cycles(tmp_path: Path):
    ini = tmp_path / "pev.ini"
    ini.write_text(PEV_INI.replace("charge time = 1", "charge time = 0"))
    tmp_path.chmod(0o755)
    with plc_world() as plc:
        plc.tell_modem("join-delay 0.05")
        for _ in range(20):
            plc.expect("ModemReady")
            plc.tell_station("plug 1")
            pev = plc.world.spawn("vehicle1", ["pev", "-i", "plc0", "-p", str(ini), "-q"], stdout=subprocess.DEVNULL)
            assert plc.expect("SlacMatched")["sounds"] == 10
            plc.tell_station("unplug 1")
            pev.kill()
            pev.wait()


@needs_pev
def test_debians_pev_reaches_the_link(tmp_path: Path):
    ini = tmp_path / "pev.ini"
    ini.write_text(PEV_INI)
    with plc_world() as plc:
        plc.expect("ModemReady")
        plc.tell_station("plug 1")
        plc.world.spawn("vehicle1", ["pev", "-i", "plc0", "-p", str(ini), "-q"], stdout=subprocess.DEVNULL)
        plc.expect("SlacMatched")
        plc.expect("LinkReady")
        plc.expect("LinkLost", reason="vehicle's modem left the network")


@needs_plctool
def test_plctool_understands_the_virtual_modem():
    with plc_world() as plc:
        plc.expect("ModemReady")

        def ask(option: str) -> str:
            return plc.world.run("station", ["plctool", "-i", "plc0", option]).stdout

        assert "QCA7005 MAC-QCA7005-1.2.5" in ask("-r")
        assert "QCA7005-MAC-QCA7005-1.2.5.0-3207" in ask("-a")
        assert ask("-L").split()[-1] == "0"
        assert "ROLE = 0x02 (CCO)" in ask("-m")
        plc.tell_station("plug 1")
        assert plc.match().returncode == 0
        assert ask("-L").split()[-1] == "1"
        assert "STATIONS = 1" in ask("-m")


def test_three_vehicles_at_one_daemon():
    with plc_world(evses=3) as plc:
        for _ in range(3):
            plc.expect("ModemReady")
        for n in (1, 2, 3):
            plc.tell_station(f"plug {n}")
        vehicles = [plc.start_vehicle(n) for n in (1, 2, 3)]
        for _ in range(3):
            plc.expect("LinkReady")
        ready = {fact["evse"]: fact["ev_mac"] for fact in plc.seen if fact["fact"] == "LinkReady"}
        assert ready == {1: "020000000201", 2: "020000000202", 3: "020000000203"}
        assert [vehicle.wait(5) for vehicle in vehicles] == [0, 0, 0]


def test_a_flood_of_random_frames_changes_nothing_but_the_counters():
    with plc_world() as plc:
        plc.expect("ModemReady")
        plc.tell_station("plug 1")
        flood = plc.world.spawn("plc", [sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        done = plc.match()
        assert done.returncode == 0, done.stderr
        # A busy machine may lose frames in front of the program; what the program makes of a flood is tested apart.
        assert plc.expect("SlacMatched")["sounds"] >= 5
        assert int(flood.stdout.readline()) >= 13000
        drops = plc.drops()
        assert sum(count for reason, count in drops.items() if reason not in ("evse", "fact")) > 9000
        assert drops["MMTYPE unknown"] > 1000


def test_the_interface_is_flapped_in_mid_match():
    with plc_world() as plc:
        plc.expect("ModemReady")
        plc.tell_station("plug 1")
        vehicle = plc.start_vehicle(1, "--profile", "ioniq")
        time.sleep(0.3)
        plc.world.set_link("station", "plc0", up=False)
        plc.expect("ModemFault", active=True, reason="interface down")
        plc.world.set_link("station", "plc0", up=True)
        plc.expect("ModemFault", active=False)
        plc.expect("LinkReady")
        assert vehicle.wait(5) == 0


def test_an_interface_that_comes_late_is_found():
    with World(charging_site()) as world:
        script = [sys.executable, "-m", "tests.hal.plc.plc_station", "field", "50", "late0"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        station = world.spawn("station", script, stdin=-1, stdout=-1, text=True, env=environment)
        assert '"reason": "late0: No such device", "active": true' in station.stdout.readline()
        for argv in (
            ["ip", "link", "set", "plc0", "down"],
            ["ip", "link", "set", "plc0", "name", "late0"],
            ["ip", "link", "set", "late0", "up"],
        ):
            assert world.run("station", argv).returncode == 0
        assert '"active": false' in station.stdout.readline()
        assert '"modem does not answer", "active": true' in station.stdout.readline()
        world.run("station", ["ip", "link", "delete", "late0"])
        assert '"active": false' in station.stdout.readline()
        assert '"interface down", "active": true' in station.stdout.readline()
        assert '"late0: No such device", "active": true' in station.stdout.readline()


def test_the_modem_restarts_and_is_deaf_for_a_while():
    with plc_world() as plc:
        plc.expect("ModemReady")
        plc.tell_station("plug 1")
        assert plc.match().returncode == 0
        plc.expect("LinkReady")
        plc.tell_modem("restart evse1 10")
        plc.expect("LinkLost")
        plc.expect("ModemFault", active=True)
        plc.expect("ModemFault", 40, active=False)
        plc.expect("ModemReady")
        assert plc.match().returncode == 0
        plc.expect("LinkReady")


def test_a_set_key_never_answered_recovers():
    with plc_world() as plc:
        plc.expect("ModemReady")
        plc.tell_modem("set-key evse1 never")
        plc.tell_station("plug 1")
        assert plc.match().returncode == 0
        plc.tell_station("unplug 1")
        plc.expect("ModemFault", active=True, reason="modem does not take a key")
        plc.tell_modem("set-key evse1 normal")
        plc.expect("ModemFault", active=False)
        plc.tell_station("plug 1")
        plc.expect("ModemReady")
        assert plc.match().returncode == 0


def test_a_drivers_counters_are_read():
    script = (
        "from hal.plc.counters import driver_counters as c; print(c('plc0').get('peer_ifindex'), c('lo'), c('no0'))"
    )
    with World(charging_site()) as world:
        assert world.run("station", [sys.executable, "-c", script]).stdout == "12 {} {}\n"


def test_a_session_terminated_by_the_station():
    with plc_world() as plc:
        plc.expect("ModemReady")
        plc.tell_station("plug 1")
        assert plc.match().returncode == 0
        plc.expect("LinkReady")
        plc.tell_station("terminate 1")
        assert plc.expect("LinkLost")["reason"] == "terminated"
        plc.expect("ModemReady")
        plc.tell_station("quit")
        assert plc.station.wait(5) == 0


@needs_readable
def test_without_the_right_the_port_says_so():
    script = "from hal.plc.port import PacketPort\nPacketPort('lo')"
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, sys.executable, "-B", "-c", script], capture_output=True, text=True, cwd=REPOSITORY)
    assert "PortError: a packet socket needs CAP_NET_RAW" in done.stderr


@needs_readable
@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user")
def test_an_ordinary_user_can_run_all_this(tmp_path: Path):
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", f"HOME={tmp_path}"]
    tests = "test_no_traffic_before or pev_reaches"
    argv = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", tests]
    done = subprocess.run([*nobody, *argv], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
