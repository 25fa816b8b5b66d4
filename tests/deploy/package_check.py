"""Builds the Debian package and tries it as a station would: `make package-check`. Needs root and Debian's mirror.

    a fresh minimal Debian, booted by systemd-nspawn in the simulated site's network -> dpkg -i -> evsed.service, by
    systemd, in its whole sandbox -> a simulated vehicle charges by Plug & Charge, a technician asks -> systemctl stop
    -> dpkg -r -> dpkg -P

After -r nothing may be left but the station's data and configuration, after -P nothing but its users. The one thing the
unit is given besides is the right to the pseudo-terminal that stands for the board's serial line.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).parents[2]
sys.path[:0] = [str(TOP), str(TOP / "deploy")]

import package  # noqa: E402

from sim.report import summary  # noqa: E402
from sim.site import Options, Site  # noqa: E402

MIRROR = "http://deb.debian.org/debian"
BESIDES = ("systemd-sysv", "dbus", "udev", "iproute2", "libtss2-tcti-swtpm0")
"""What a board has anyway, and the way to the simulated TPM."""
LINE = "/dev/ttyEVSE"
STATE, CONFIG = "var/lib/evsed", "etc/evsed/evsed.toml"
IN_USE = ("proc", "sys", "dev", "run", "tmp", "srv")
BY_DEBIAN = re.compile(
    r"^(var/(lib/dpkg|log|cache|tmp|lib/systemd|lib/dbus)/|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|"
    r"etc/(\.pwd\.lock|ld\.so\.cache|machine-id|\.updated|mtab|locale\.conf|hostname|resolv\.conf)$|var/\.updated$)"
)
"""What Debian's own tools write whenever they run or start."""


def run(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def fresh_debian(tree: Path, deb: Path, mirror: str) -> None:
    told = run("dpkg-deb", "-f", deb, "Depends").stdout
    packages = sorted({part.split()[0] for part in told.split(",")} | set(BESIDES))
    run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", tree, mirror)
    # As an installer leaves it; debootstrap does not.
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")


def files_of(tree: Path) -> set[str]:
    """Every file below, and every empty folder, but for what Debian itself writes."""
    found = set()
    for place, folders, files in os.walk(tree):
        here = Path(place).relative_to(tree)
        if here == Path():
            folders[:] = [folder for folder in folders if folder not in IN_USE]
        found |= {str(here / name) for name in files}
        found |= {f"{here / name}/" for name in folders if not any((Path(place) / name).iterdir())}
    return {name for name in found if not BY_DEBIAN.search(name)}


class Machine:
    """A booted Debian in the station's network namespace; `run` runs a program in it."""

    def __init__(self, tree: Path, site: Site) -> None:
        pty = (site.directory / "board1").resolve()
        self._pty = pty
        nspawn = (
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--console=read-only",
            "--boot",
            "--capability=CAP_NET_ADMIN",
        )
        binds = (f"--bind={site.directory}", f"--bind={pty}:{LINE}")
        self._log = site.directory / "machine.out"
        network = f"--network-namespace-path=/proc/{site._processes['csms'].pid}/ns/net"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*nspawn, network, *binds, "-D", str(tree)],
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._leader = 0

    def wait(self, timeout_s: float = 25.0) -> None:
        """Until systemd has started everything."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if children:
                self._leader = int(children[0])
                if self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(0.2)
        jobs = self.run("systemctl", "list-jobs", check=False) if self._leader else None
        told = f"{jobs.stdout}{jobs.stderr}" if jobs else ""
        raise SystemExit(f"the machine did not start\n{self._log.read_text(errors='replace')[-3000:]}\n{told}")

    def run(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        inside = ("nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-p", "-r", "-w")
        return run(*inside, *words, check=check)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        told = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names)).stdout
        return dict(line.split("=", 1) for line in told.splitlines())

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "-u", unit, "-n", "40", "--no-pager").stdout

    def give_line(self, uid: int, gid: int) -> None:
        """As the board's udev rules do."""
        os.chown(self._pty, uid, gid)

    def stop(self) -> None:
        self.run("systemctl", "--no-block", "poweroff", check=False)
        self._process.wait(60)


def prepare(site: Site) -> None:
    site.prepare()
    site.start_csms()
    site.start_modems()
    site.start_board()


def configure(site: Site, tree: Path, machine: Machine) -> None:
    """The site's configuration with the package's places, and the keys' certificates where the daemon keeps them."""
    text = (site.directory / "evsed.toml").read_text()
    for ours, theirs in {
        str(site.directory / "state"): f"/{STATE}",
        str(site.directory / "events.jsonl"): f"/{STATE}/events.jsonl",
        str(site.directory / "control.sock"): "/run/evse/control.sock",
        str(site.directory / "board1"): LINE,
    }.items():
        assert ours in text, ours
        text = text.replace(ours, theirs)
    found = re.search(r"^evse:x:(\d+):(\d+):", (tree / "etc/passwd").read_text(), re.MULTILINE)
    assert found is not None, "the package makes its user"
    uid, gid = int(found[1]), int(found[2])
    (tree / CONFIG).write_text(text)
    os.chown(tree / CONFIG, 0, gid)
    (tree / CONFIG).chmod(0o640)
    shutil.copytree(site.directory / "state", tree / STATE)
    for folder in (tree / STATE, site.directory):
        for file in [folder, *folder.rglob("*")]:
            os.chown(file, uid, gid, follow_symlinks=False)
    (site.directory / "events.jsonl").symlink_to(tree / STATE / "events.jsonl")
    machine.give_line(uid, gid)
    drop_in = site.directory / "line.conf"
    drop_in.write_text("[Service]\nDeviceAllow=char-pts rw\n")
    machine.run("mkdir", "-p", "/run/systemd/system/evsed.service.d")
    machine.run("cp", drop_in, "/run/systemd/system/evsed.service.d/line.conf")
    machine.run("systemctl", "daemon-reload")


def check_sandbox(machine: Machine) -> None:
    """What the kernel says of the running daemon."""
    told = machine.show("evsed.service", "MainPID", "ActiveState", "StatusText", "NRestarts", "User", "WatchdogUSec")
    print(f"   evsed.service        {told['ActiveState']}, {told['StatusText']!r}, watchdog {told['WatchdogUSec']}")
    assert (told["ActiveState"], told["NRestarts"], told["User"]) == ("active", "0", "evse"), told
    lines = machine.run("cat", f"/proc/{told['MainPID']}/status").stdout.splitlines()
    status = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
    assert status["NoNewPrivs"] == ["1"], status
    assert status["Seccomp"] == ["2"], "a system call filter"
    assert status["CapEff"] == status["CapBnd"] == [f"{1 << 13:016x}"], "CAP_NET_RAW alone"
    assert status["Uid"][0] != "0"
    mounts = machine.run("cat", f"/proc/{told['MainPID']}/mounts").stdout
    root = next(line.split() for line in mounts.splitlines() if line.split()[1] == "/")
    assert "ro" in root[3].split(","), "a read-only root"


def check_watchdog(site: Site, machine: Machine) -> None:
    """A daemon that hangs is started anew, and is back at its CSMS."""
    boots = count_boots(site)
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "evsed.service")
    site.wait_for(lambda: count_boots(site) > boots, "the daemon after its watchdog", 60)
    assert machine.show("evsed.service", "NRestarts")["NRestarts"] == "1"
    print("   watchdog             a daemon that hung was started anew")


def count_boots(site: Site) -> int:
    return sum(line["action"] == "BootNotification" for line in site.read("csms"))


def charge(site: Site, machine: Machine) -> None:
    """A vehicle charges at the packaged daemon, and a technician looks."""
    started = time.monotonic()
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "8")
    for _ in site.follow("events", lambda: vehicle.poll() is not None):
        pass
    text, complete = summary(site, time.monotonic() - started)
    print(text)
    assert vehicle.returncode == 0, f"{site.log_of('vehicle')}\n{machine.journal('evsed')}"
    assert complete, machine.journal("evsed")
    assert json.loads(machine.run("evse", "status", "--json").stdout)["csms"]["online"]


def check(work: Path, deb: Path, mirror: str) -> None:
    print(f"{deb.name}: {deb.stat().st_size / 1e6:.1f} MB")
    tree = work / "debian"
    if not tree.exists():
        fresh_debian(tree, deb, mirror)
    # Not below /tmp: the unit has one of its own.
    with tempfile.TemporaryDirectory(prefix="evsed-check-", dir="/srv") as place, Site(Path(place), Options()) as site:
        prepare(site)
        machine = Machine(tree, site)
        try:
            machine.wait()
            try_package(site, tree, machine, deb)
        finally:
            machine.stop()


def try_package(site: Site, tree: Path, machine: Machine, deb: Path) -> None:
    before = files_of(tree)
    shutil.copy(deb, site.directory / "evsed.deb")
    machine.run("dpkg", "-i", site.directory / "evsed.deb")
    installed = files_of(tree) - before
    size = sum((tree / name).lstat().st_size for name in installed if not name.endswith("/"))
    print(f"installed: {len(installed)} files, {size / 1e6:.1f} MB")
    assert machine.show("evsed.service", "ActiveState")["ActiveState"] == "inactive", "not before it is configured"
    for unit in ("evsed-reboot.path", "evsed-trial.timer", "evsed-firewall.service"):
        assert machine.show(unit, "ActiveState")["ActiveState"] == "active", machine.journal(unit)
    configure(site, tree, machine)
    started = machine.run("systemctl", "start", "evsed.service", check=False)
    assert started.returncode == 0, machine.journal("evsed.service")
    site.wait_for(lambda: count_boots(site), "the station", 30)
    check_sandbox(machine)
    charge(site, machine)
    check_watchdog(site, machine)
    machine.run("systemctl", "stop", "evsed.service")
    assert machine.show("evsed.service", "Result")["Result"] == "success"
    machine.run("systemctl", "start", "evsed.service")
    machine.run("dpkg", "-r", "evsed")
    left = {name for name in files_of(tree) - before if not name.startswith(f"{STATE}/")}
    expected = {CONFIG, *(file.lstrip("/") for file in package.CONFFILES)}
    assert left == expected, f"dpkg -r left {sorted(left ^ expected)}"
    assert (tree / STATE / "journal.sqlite").exists(), "the station's data"
    machine.run("dpkg", "-P", "evsed")
    left = files_of(tree) - before
    assert left == set(), f"dpkg -P left {sorted(left)}"
    print("removed: data and configuration were left; purged: nothing but the users was left")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the package, and try it on a fresh Debian.")
    parser.add_argument("--mirror", default=MIRROR)
    parser.add_argument("--deb", type=Path, help="a package that was built already")
    parser.add_argument("--keep", type=Path, help="a directory to work in and to leave")
    options = parser.parse_args()
    work = options.keep or Path(tempfile.mkdtemp(prefix="evsed-package-check-"))
    try:
        check(work, options.deb or package.build(work / "out"), options.mirror)
    finally:
        if options.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
