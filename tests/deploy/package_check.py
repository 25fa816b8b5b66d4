"""Builds the Debian package and tries it as a station would: `make package-check`. Needs root and Debian's mirror.

    a fresh minimal Debian -> dpkg -i -> the unit's own ExecStart, as user evse, with CAP_NET_RAW alone and the unit's
    file system rights -> a simulated vehicle charges, a technician asks -> stop -> dpkg -r -> dpkg -P

After -r nothing may be left but the station's data and configuration, after -P nothing but its users. systemd itself
cannot be process 1 in a chroot: what of the sandbox is the service manager's (system call filter, device list) is
judged by `systemd-analyze security` (tests/deploy/test_deploy_units.py), the rest is set here as the unit says.
"""

import argparse
import json
import os
import re
import shutil
import signal
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
TCTI = ("libtss2-tcti-swtpm0",)
"""The simulated TPM's, in place of a device."""
IN_USE = ("proc", "sys", "dev", "run", "tmp")
USERS = re.compile(r"etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)-?$")
BY_DPKG = re.compile(r"var/(lib/dpkg|log|cache)/|var/lib/systemd/|etc/ld\.so\.cache|etc/machine-id|etc/\.pwd\.lock")


def run(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def dpkg(tree: Path, *words: str) -> None:
    run("unshare", "-m", "sh", "-c", f'mount -t proc proc {tree}/proc && exec chroot {tree} dpkg "$@"', "sh", *words)


def depends_of(deb: Path) -> list[str]:
    told = run("dpkg-deb", "-f", deb, "Depends").stdout
    return sorted({part.split()[0] for part in told.split(",")})


def fresh_debian(tree: Path, packages: list[str], mirror: str) -> None:
    run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", tree, mirror)


def files_of(tree: Path) -> set[str]:
    """Every file below, but for what Debian's own tools write whenever they run."""
    found = set()
    for place, folders, files in os.walk(tree):
        here = Path(place).relative_to(tree)
        if here == Path():
            folders[:] = [folder for folder in folders if folder not in IN_USE]
        names = {str(here / name) for name in files}
        found |= {name for name in names if not BY_DPKG.search(name) and not USERS.search(name)}
        found |= {f"{here / name}/" for name in folders if not any((Path(place) / name).iterdir())}
    return found


def exec_start(tree: Path) -> list[str]:
    """The unit's, without the configuration: the site appends its own."""
    unit = (tree / "lib/systemd/system/evsed.service").read_text()
    line = re.search(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    assert line is not None
    words = line[1].split()
    assert words[1:] == ["/etc/evsed/evsed.toml"]
    return words[:1]


def inside(tree: Path, site: Path) -> tuple[str, ...]:
    """The command that runs a program in the tree as the unit has it: its user, its capability, its file system.

    The site, which is below /tmp, is seen at its own place.
    """
    uid, gid = daemon_ids(tree)
    script = f"""set -e
mount --make-rprivate /
mount --bind {tree} {tree}
mount -t tmpfs -o mode=1777 tmpfs {tree}/tmp
mount -t tmpfs tmpfs {tree}/run
mount -t proc proc {tree}/proc
mount --rbind /dev {tree}/dev
mkdir -p {tree}{site}
mount --rbind {site} {tree}{site}
mount -o remount,bind,ro {tree}
exec chroot {tree} /usr/bin/setpriv --reuid {uid} --regid {gid} --clear-groups --no-new-privs \\
    --inh-caps=-all,+net_raw --ambient-caps=-all,+net_raw --bounding-set=-all,+net_raw "$@"
"""
    return ("unshare", "-m", "sh", "-c", script, "sh")


def daemon_ids(tree: Path) -> tuple[int, int]:
    found = re.search(r"^evse:x:(\d+):(\d+):", (tree / "etc/passwd").read_text(), re.MULTILINE)
    assert found is not None, "the package makes its user"
    return int(found[1]), int(found[2])


def give_to_daemon(site: Site, tree: Path) -> None:
    """What the unit's StateDirectory= and RuntimeDirectory=, and udev's rules, give it."""
    for file in [site.directory, *site.directory.rglob("*")]:
        os.chown(file, *daemon_ids(tree))


def privileges(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    wanted = ("Uid", "CapEff", "CapBnd", "NoNewPrivs")
    return {line.partition(":")[0]: line.partition(":")[2].split()[0] for line in lines if line.startswith(wanted)}


def charge(tree: Path) -> None:
    """A vehicle charges at the packaged daemon, and a technician looks."""
    directory = Path(tempfile.mkdtemp(prefix="evsed-site-"))
    options = Options(daemon=(*inside(tree, directory), *exec_start(tree)))
    started = time.monotonic()
    with Site(directory, options) as site:
        site.prepare()
        site.start_csms()
        site.start_modems()
        site.start_board()
        give_to_daemon(site, tree)
        site.start_daemon()
        daemon = site._processes["evsed"].pid
        told = privileges(daemon)
        assert told["NoNewPrivs"] == "1", told
        assert told["CapEff"] == told["CapBnd"] == f"{1 << 13:016x}", told
        assert told["Uid"] == str(daemon_ids(tree)[0]), told
        booted = lambda: any(line["action"] == "BootNotification" for line in site.read("csms"))  # noqa: E731
        site.wait_for(booted, "the station at the CSMS", 20)
        vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "8")
        for _ in site.follow("events", lambda: vehicle.poll() is not None):
            pass
        text, complete = summary(site, time.monotonic() - started)
        print(text)
        assert vehicle.returncode == 0, site.log_of("vehicle")
        assert complete, site.log_of("evsed")[-2000:]
        place = tree / "usr/lib/evsed/bin"
        asked = (place / "python3", "-I", place / "evse", "status", "--json", "--socket", directory / "control.sock")
        assert json.loads(run(*asked).stdout)["csms"]["online"]
        os.kill(daemon, signal.SIGTERM)
        assert site._processes.pop("evsed").wait(30) == 0, site.log_of("evsed")[-2000:]
    shutil.rmtree(directory)


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


def check(work: Path, deb: Path, mirror: str) -> None:
    print(f"{deb.name}: {deb.stat().st_size / 1e6:.1f} MB")
    tree = work / "debian"
    if not tree.exists():
        fresh_debian(tree, [*depends_of(deb), *TCTI], mirror)
    # As an installer leaves it; debootstrap does not.
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    before = files_of(tree)
    shutil.copy(deb, tree / "evsed.deb")
    dpkg(tree, "-i", "/evsed.deb")
    (tree / "evsed.deb").unlink()
    installed = files_of(tree) - before
    size = sum((tree / name).lstat().st_size for name in installed if not name.endswith("/"))
    print(f"installed: {len(installed)} files, {size / 1e6:.1f} MB")
    data = tree / "var/lib/evsed"
    data.mkdir(parents=True, exist_ok=True)
    (data / "journal.sqlite").write_text("the station's data")
    (tree / "etc/evsed/evsed.toml").write_text("# the station's configuration\n")
    charge(tree)
    dpkg(tree, "-r", "evsed")
    left = files_of(tree) - before
    expected = {file.lstrip("/") for file in package.CONFFILES}
    expected |= {"etc/evsed/evsed.toml", "var/lib/evsed/journal.sqlite"}
    assert left == expected, f"dpkg -r left {sorted(left ^ expected)}"
    dpkg(tree, "-P", "evsed")
    left = files_of(tree) - before
    assert left == set(), f"dpkg -P left {sorted(left)}"
    print("removed: data and configuration were left; purged: nothing but the users was left")


if __name__ == "__main__":
    sys.exit(main())
