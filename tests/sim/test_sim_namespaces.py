"""A private world: made as root and as an ordinary user, gone with its maker, invisible from the machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.namespaces import REPOSITORY, End, Topology, World, WorldError, charging_site, missing_right

pytestmark = pytest.mark.skipif(missing_right() is not None, reason=str(missing_right()))

ENTER = """
import subprocess, sys
from sim.namespaces import charging_site, command_in, create, enter_private_world
enter_private_world()
create(charging_site())
sleeper = subprocess.Popen(command_in("vehicle1", ["sleep", "300"]))
print(sleeper.pid, flush=True)
{then}
"""


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def until(condition, timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def sleepers(seconds: str) -> list[int]:
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if cmdline.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                found.append(int(cmdline.parent.name))
        except OSError:
            continue
    return found


def enter(then: str, *, sleep: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    script = ENTER.format(then=then).replace('"300"', f'"{sleep}"')
    return subprocess.Popen([*prefix, sys.executable, "-B", "-c", script], cwd=REPOSITORY, stdout=-1, text=True)


def test_interfaces_have_usable_addresses_at_once():
    with World(charging_site(evses=2, vehicles=1)) as world:
        links = world.run("station", ["ip", "-brief", "address"]).stdout
        assert {line.split()[0].split("@")[0] for line in links.splitlines()} == {"lo", "plc0", "plc1", "csms0"}
        assert "fe80::ff:fe00:101/64" in links
        assert "tentative" not in world.run("vehicle1", ["ip", "address", "show", "plc0"]).stdout
        assert "inet6" not in world.run("plc", ["ip", "address", "show", "m-ev1"]).stdout


def test_frames_carry_their_own_checksums():
    script = (
        "import socket,threading\n"
        "s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,socket.htons(0x86dd));s.bind(('m-ev1',0));s.settimeout(5)\n"
        "print('bound',flush=True)\n"
        "while True:\n"
        "    f=s.recv(2048)\n"
        "    if f[20]==17: break\n"
        "h=f[22:54]+len(f[54:]).to_bytes(4,'big')+b'\\0\\0\\0\\x11'+f[54:]\n"
        "n=sum(int.from_bytes((h+b'\\0')[i:i+2],'big') for i in range(0,len(h),2))\n"
        "print((n&0xffff)+(n>>16)&0xffff)\n"
    )
    with World(charging_site()) as world:
        watcher = world.spawn("plc", [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert watcher.stdout.readline() == "bound\n"
        send = (
            "import socket;s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);s.sendto(b'abc',('ff02::1%plc0',15118))"
        )
        assert world.run("vehicle1", [sys.executable, "-c", send]).returncode == 0
        assert watcher.stdout.readline() == "65535\n"


def test_a_world_is_not_seen_by_the_machine():
    before = Path("/proc/net/dev").read_text().split()[0::17]
    with World(charging_site()):
        assert not (Path("/run/netns") / "station").exists()
        assert Path("/proc/net/dev").read_text().split()[0::17] == before


def test_the_pid_is_the_programs_own_and_leaving_kills_it():
    with World(charging_site()) as world:
        program = world.spawn("station", ["sleep", "301"])
        assert until(lambda: Path(f"/proc/{program.pid}/comm").read_text() == "sleep\n")
        shell = world.spawn("station", ["sh", "-c", "sleep 302 & wait"])
        assert until(lambda: sleepers("302"))
    assert program.returncode == -signal.SIGKILL
    assert shell.returncode == -signal.SIGKILL
    assert until(lambda: not sleepers("302"))


def test_what_was_spawned_dies_with_a_killed_maker():
    script = (
        "import time\n"
        "from sim.namespaces import World, charging_site\n"
        "world = World(charging_site()).__enter__()\n"
        "p = world.spawn('station', ['sleep', '303'])\n"
        "print(world._holder.pid, p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    maker = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=-1, text=True)
    holder, program = (int(pid) for pid in maker.stdout.readline().split())
    assert until(lambda: sleepers("303"))
    maker.kill()
    maker.communicate()
    assert until(lambda: not is_alive(holder))
    assert until(lambda: not is_alive(program))


def test_a_link_can_be_flapped():
    with World(charging_site()) as world:
        world.set_link("station", "plc0", up=False)
        assert "state DOWN" in world.run("station", ["ip", "link", "show", "plc0"]).stdout
        world.set_link("station", "plc0", up=True)
        assert "state DOWN" not in world.run("station", ["ip", "link", "show", "plc0"]).stdout
        with pytest.raises(WorldError, match=r"station: .*plc9"):
            world.set_link("station", "plc9", up=True)


def test_a_topology_that_cannot_be_made_says_why():
    twice = (End("a", "x0"), End("a", "x0"))
    with pytest.raises(WorldError, match="ip link add x0"), World(Topology((twice,))):
        pass
    with pytest.raises(WorldError, match="closed"):
        World(charging_site()).command("station", ["true"])


def test_a_program_moves_into_a_world_and_its_exit_code_comes_out():
    program = enter("sys.exit(7)", sleep="304")
    program.communicate()
    assert program.returncode == 7
    assert until(lambda: not sleepers("304"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_what_a_moved_program_started_dies_with_it(number: int, code: int):
    program = enter("import time; time.sleep(60)", sleep=f"31{number}")
    program.stdout.readline()
    assert until(lambda: sleepers(f"31{number}"))
    program.send_signal(number)
    program.communicate()
    assert program.returncode == code
    assert until(lambda: not sleepers(f"31{number}"))


@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user")
def test_an_ordinary_user_can_too():
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    program = enter(
        "sys.exit(subprocess.call(command_in('plc', ['ip', 'link', 'show', 'm-ev1'])))", sleep="305", prefix=nobody
    )
    out, _ = program.communicate()
    assert "m-ev1" in out
    assert program.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give rights away")
@pytest.mark.parametrize(("mapped", "names"), [("--map-root-user", "CAP_SYS_ADMIN"), ("--map-user=1000", "as root")])
def test_without_the_right_a_sentence_says_which(mapped: str, names: str):
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set -sys_admin --inh-caps -all "$@"'
    limited = ["unshare", "--user", mapped, "--keep-caps", "sh", "-c", forbid, "-"]
    probe = [sys.executable, "-m", "sim.namespaces", "probe"]
    done = subprocess.run([*limited, *probe], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert names in done.stdout
