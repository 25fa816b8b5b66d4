"""A private world of network namespaces: station, PLC cable, vehicles and operator, each with its own interfaces.

It needs root, or an ordinary user who may create user namespaces. Nothing of it is visible to the machine and nothing
outlives it: the namespaces are named on a private /run and go with the last process that lives in them.

Two ways in:

- `enter_private_world()` moves the calling program (single-threaded, at its start) into a world with a process
  namespace of its own. Whatever it starts dies with it, even by SIGKILL. `create()` and `command_in()` work inside.
- `World` keeps the caller outside and lets it start programs inside; meant for tests. The pid of a process so started
  is the program's own, so that it can be killed the hard way.
"""

import ctypes
import itertools
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from sim.interfaces import configure_interface, inside, wait_until_running

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

REPOSITORY = Path(__file__).resolve().parent.parent
_START_TIMEOUT_S = 20.0
_KILL_TIMEOUT_S = 5.0


class WorldError(Exception):
    """The namespaces could not be made or used; the message says what was missing."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a virtual cable. `addresses` in prefix notation; without `ipv6` the kernel keeps off the interface."""

    netns: str
    interface: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class Topology:
    """The cables; the namespaces are those that the ends name."""

    cables: tuple[tuple[End, End], ...]

    @property
    def namespaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(end.netns for cable in self.cables for end in cable))


def charging_site(evses: int = 1, vehicles: int | None = None) -> Topology:
    """`station` with plc0..n, `vehicle1`..n with plc0 each, their modems' ends in `plc`, and `operator` over IPv4.

    The modem ends are m-evse1..n and m-ev1..n. The station is 10.15.118.1 on csms0, the operator 10.15.118.2.
    """
    cables = [
        (End("station", f"plc{n}", f"02:00:00:00:01:{n + 1:02x}"), End("plc", f"m-evse{n + 1}", ipv6=False))
        for n in range(evses)
    ]
    cables += [
        (End(f"vehicle{n}", "plc0", f"02:00:00:00:02:{n:02x}"), End("plc", f"m-ev{n}", ipv6=False))
        for n in range(1, (evses if vehicles is None else vehicles) + 1)
    ]
    cables.append(
        (
            End("station", "csms0", addresses=("10.15.118.1/24",), ipv6=False),
            End("operator", "station0", addresses=("10.15.118.2/24",), ipv6=False),
        )
    )
    return Topology(tuple(cables))


@cache
def missing_right() -> str | None:
    """Why this process cannot make a private world, and what would let it; None if it can."""
    try:
        probe = subprocess.run(
            [sys.executable, "-m", "sim.namespaces", "probe"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"making a network namespace took longer than {_START_TIMEOUT_S:.0f} s"
    if probe.returncode == 0:
        return None
    return (probe.stdout.strip() or probe.stderr.strip()).splitlines()[-1]


def enter_private_world() -> None:
    """Go on as the first process of a new world; the process that called waits outside and returns the exit code.

    Raises WorldError with the missing right. The child gets the terminal's signals; SIGTERM is passed on to it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    _unshare(CLONE_NEWPID)
    child = os.fork()
    if child:
        os._exit(_wait_outside(child))
    _libc_call("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # The first process of a process namespace ignores every signal it has no handler for.
    signal.signal(signal.SIGTERM, _exit_on_signal)
    _libc_call("mount", b"proc", b"/proc", b"proc", 0, None)
    _prepare_run()


def create(topology: Topology) -> None:
    """Make the namespaces and cables, all interfaces up with usable addresses at once. Call inside a world."""
    for netns in topology.namespaces:
        _ip("netns", "add", netns)
        _ip("-n", netns, "link", "set", "lo", "up")
    # Distinct indices at both ends: the kernel delays the carrier of a cable whose ends have equal ones by a second.
    index = itertools.count(11)
    for a, b in topology.cables:
        ends = [*_link_end(a, next(index)), "type", "veth", "peer", "name", b.interface, *_link_end(b, next(index))]
        _ip("link", "add", a.interface, *ends)
    for end in (end for cable in topology.cables for end in cable):
        with inside(end.netns):
            configure_interface(end.interface, ipv6=end.ipv6)
        for address in end.addresses:
            _ip("-n", end.netns, "address", "add", address, "dev", end.interface)
        _ip("-n", end.netns, "link", "set", end.interface, "up")
    for end in (end for cable in topology.cables for end in cable):
        with inside(end.netns):
            wait_until_running(end.interface)


def command_in(netns: str, argv: Sequence[str]) -> list[str]:
    """`argv`, to be run in `netns` of the world the caller lives in. The pid stays the program's own."""
    return ["ip", "netns", "exec", netns, *argv]


class World:
    """A world seen from outside. A context manager: on leaving, all that was started in it is killed."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._holder: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(
            [sys.executable, "-m", "sim.namespaces", "hold"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self._command_holder(json.dumps(asdict(self.topology)))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def command(self, netns: str, argv: Sequence[str], *, cwd: str | os.PathLike[str] = REPOSITORY) -> list[str]:
        """`argv` wrapped to run in `netns`, in the directory `cwd`, and to die with the process that starts it."""
        if self._holder is None:
            raise WorldError("the world is closed")
        user = [] if _is_admin() else ["--user", "--preserve-credentials"]
        enter = ["nsenter", "--target", str(self._holder.pid), *user, "--mount", "--net", "--"]
        # Entering the user namespace clears the death signal, so it is set after.
        die = ["setpriv", "--pdeathsig", "KILL", "env", "-C", os.fspath(cwd)]
        return [*enter, *command_in(netns, [*die, *argv])]

    def spawn(
        self, netns: str, argv: Sequence[str], *, cwd: str | os.PathLike[str] = REPOSITORY, **options: Any
    ) -> subprocess.Popen[Any]:
        """Start a program in `netns`; `options` are Popen's. Its pid is the program's own, in a session of its own."""
        process = subprocess.Popen(self.command(netns, argv, cwd=cwd), start_new_session=True, **options)
        self._started.append(process)
        return process

    def run(self, netns: str, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program in `netns` to its end; text output is captured."""
        options = {"capture_output": True, "text": True, "check": False, "timeout": 30, **options}
        return subprocess.run(self.command(netns, argv), **options)

    def set_link(self, netns: str, interface: str, *, up: bool) -> None:
        """Take an interface up or down, as a modem's reset or a pulled cable does."""
        done = self.run(netns, ["ip", "link", "set", interface, "up" if up else "down"])
        if done.returncode:
            raise WorldError(f"{netns}: {done.stderr.strip()}")

    def close(self) -> None:
        for process in self._started:
            _kill_session(process)
        self._started.clear()
        if self._holder is not None:
            holder, self._holder = self._holder, None
            holder.communicate()

    def _command_holder(self, line: str) -> None:
        assert self._holder is not None
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        # A holder that has ended leaves its last words on its output.
        with suppress(BrokenPipeError):
            self._holder.stdin.write(line + "\n")
            self._holder.stdin.flush()
        ready, _, _ = select.select([self._holder.stdout], [], [], _START_TIMEOUT_S)
        answer = self._holder.stdout.readline().strip() if ready else "no answer from the process that holds the world"
        if answer != "ready":
            raise WorldError(answer or "the process that holds the world ended")


def _link_end(end: End, index: int) -> list[str]:
    return ["netns", end.netns, "index", str(index), *(["address", end.mac] if end.mac else [])]


def _ip(*arguments: str) -> None:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=_START_TIMEOUT_S)
    except FileNotFoundError:
        raise WorldError("the command ip is missing: apt-get install iproute2") from None
    if done.returncode:
        raise WorldError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _kill_session(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_KILL_TIMEOUT_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _libc_call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _is_admin() -> bool:
    """Whether this process may unshare without a user namespace (CAP_SYS_ADMIN is bit 21)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return os.geteuid() == 0 and bool(int(effective, 16) >> 21 & 1)


def _unshare(more: int = 0) -> None:
    flags = CLONE_NEWNS | CLONE_NEWNET | more
    uid, gid, admin = os.geteuid(), os.getegid(), _is_admin()
    try:
        _libc_call("unshare", flags if admin else flags | CLONE_NEWUSER)
    except OSError as error:
        raise WorldError(_sentence(error)) from error
    if not admin:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")


def _prepare_run() -> None:
    """A private /run, where `ip netns` keeps the names."""
    try:
        _libc_call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        _libc_call("mount", b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755")
    except OSError as error:
        raise WorldError(_sentence(error)) from error


def _sentence(error: OSError) -> str:
    if os.geteuid() == 0 and not _is_admin():
        return "root lacks CAP_SYS_ADMIN here (a container?): start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN"
    return (
        f"this user may not create network namespaces ({error.strerror}): run as root, or allow user namespaces with "
        "sysctl user.max_user_namespaces=10000 and, where the kernel has them, kernel.unprivileged_userns_clone=1 "
        "and kernel.apparmor_restrict_unprivileged_userns=0"
    )


def _wait_outside(child: int) -> int:
    """Outside of the world: pass SIGTERM on, leave the terminal's own signals to the child."""

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGHUP, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _topology_from_json(line: str) -> Topology:
    cables = json.loads(line)["cables"]
    ends = [[End(**{**end, "addresses": tuple(end["addresses"])}) for end in cable] for cable in cables]
    return Topology(tuple((a, b) for a, b in ends))


def _hold() -> None:
    """Make a world for a `World` outside, and keep it until the pipe from there closes."""
    _unshare()
    _prepare_run()
    create(_topology_from_json(sys.stdin.readline()))
    print("ready", flush=True)
    sys.stdin.read()


def _probe() -> None:
    """Do once all that a world needs."""
    _unshare()
    _prepare_run()
    create(charging_site())


def main(arguments: Sequence[str]) -> int:
    try:
        _hold() if list(arguments) == ["hold"] else _probe()
    except WorldError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
