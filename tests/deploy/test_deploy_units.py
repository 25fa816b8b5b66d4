"""What is installed beside the daemon: units, users, firewall, names; each judged by the program that reads it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.cli import main
from firmware.config import load
from firmware.update.slots import RaucSlots, Trial

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = DEPLOY / "systemd"
EXPOSURE = "23"
"""Tenths: what systemd calls OK."""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


def unit(name: str) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            settings.setdefault(key, []).append(value)
    return settings


def test_the_sandbox_is_tight() -> None:
    told = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", UNITS / "evsed.service")
    assert told.returncode == 0, told.stdout.splitlines()[-1]


def test_a_looser_one_would_be_told(tmp_path: Path) -> None:
    loose = tmp_path / "evsed.service"
    text = (UNITS / "evsed.service").read_text()
    loose.write_text(text.replace("NoNewPrivileges=yes\n", "").replace("RestrictNamespaces=yes\n", ""))
    assert run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", loose).returncode != 0


def test_the_units_are_sound(tmp_path: Path) -> None:
    """With every program they name there."""
    for file in UNITS.iterdir():
        if file.suffix in (".service", ".path", ".timer"):
            text = re.sub(r"/usr/(lib/evsed/bin/evsed|sbin/nft)\b", "/bin/true", file.read_text())
            (tmp_path / file.name).write_text(text)
    told = run("systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir()))
    mine = [line for line in told.stderr.splitlines() if "evsed" in line and "is not executable" not in line]
    assert (told.returncode, mine) == (0, [])


def test_the_daemon_runs_with_one_privilege() -> None:
    settings = unit("evsed.service")
    assert settings["User"] == ["evse"]
    assert settings["CapabilityBoundingSet"] == settings["AmbientCapabilities"] == ["CAP_NET_RAW"]
    assert settings["Type"] == ["notify"]
    assert settings["WatchdogSec"] == ["10"]
    assert not {word for line in settings.get("After", []) for word in line.split()} & {"network-online.target"}


def test_the_trial_is_read_as_it_is_written(tmp_path: Path) -> None:
    """`evsed-trial.service` looks for the words that the daemon writes."""
    condition = unit("evsed-trial.service")["ExecCondition"][0]
    words = re.search(r"-q '(.+)' (\S+)", condition)
    assert words is not None
    state_dir = f"/var/lib/{unit('evsed.service')['StateDirectory'][0]}"
    assert words[2] == f"{state_dir}/update/trial.json"
    slots = RaucSlots.__new__(RaucSlots)
    slots._file = tmp_path / "trial.json"
    slots._store(Trial("rootfs.1", "boot", "2.0.0"))
    assert words[1] in slots._file.read_text()
    slots._store(Trial("rootfs.1", "boot", "2.0.0", "good"))
    assert words[1] not in slots._file.read_text()


@pytest.mark.parametrize("example", sorted((DEPLOY / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_good(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "validate", str(example)]) == 0, capsys.readouterr().err
    config = load(example)
    assert str(config.station.state_dir) == f"/var/lib/{unit('evsed.service')['StateDirectory'][0]}"
    if config.update is not None:
        run_dir = unit("evsed.service")["RuntimeDirectory"][0]
        assert f"/run/{run_dir}" in (str(config.update.reboot_request.parent), str(config.control.socket.parent))
        assert unit("evsed-reboot.path")["PathExists"] == [str(config.update.reboot_request)]


def test_the_users_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).write_text("")
    made = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "evsed.sysusers")
    assert made.returncode == 0, made.stderr
    passwd = (tmp_path / "etc/passwd").read_text()
    assert re.search(r"^evse:[^\n]*:/var/lib/evsed:/usr/sbin/nologin$", passwd, re.MULTILINE)
    groups = (tmp_path / "etc/group").read_text()
    for group in ("evse", "evse-tech", "evse-service", "tss", "dialout"):
        assert re.search(rf"^{group}:", groups, re.MULTILINE), group


def test_the_configuration_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "etc/evsed").mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nevse:x:61001:61001::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nevse:x:61001:\n")
    (tmp_path / "etc/evsed/evsed.toml").write_text("")
    made = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", UNITS / "evsed.tmpfiles")
    assert made.returncode == 0, made.stderr
    held = (tmp_path / "etc/evsed/evsed.toml").stat()
    assert (held.st_mode & 0o777, held.st_gid) == (0o640, 61001)


def test_the_firewall_loads_and_loads_again() -> None:
    """In a network namespace of its own; a second time it takes the place of the first."""
    rules = DEPLOY / "network" / "evsed.nft"
    done = run("unshare", "-n", "sh", "-c", f"nft -f {rules} && nft -f {rules} && nft list table inet evsed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("chain ") == 3


@pytest.mark.parametrize(("rules", "open_doors"), [(True, ["sdp", "v2g"]), (False, ["sdp", "other", "v2g", "ssh"])])
def test_a_vehicle_reaches_what_it_must_and_nothing_else(rules: bool, open_doors: list[str]) -> None:
    """Over a veth pair called plc0: SDP and the V2G ports are open, everything else is dropped."""
    script = Path(__file__).with_name("vehicle_doors.py")
    done = run("unshare", "-n", sys.executable, script, *([DEPLOY / "network" / "evsed.nft"] if rules else []))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == open_doors


def test_the_names_of_devices_are_rules_that_udev_reads() -> None:
    text = (DEPLOY / "network" / "60-evsed.rules").read_text()
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    pair = re.compile(r'^[A-Z]+(\{\w+\})?(==|!=|\+=|=|:=)"[^"]*"$')
    assert rules
    for rule in rules:
        assert all(pair.match(part.strip()) for part in rule.split(",")), rule


def test_the_plc_interface_has_one_name_everywhere() -> None:
    link = (DEPLOY / "network" / "60-evse-plc.link").read_text()
    name = re.search(r"^Name=(\S+)$", link, re.MULTILINE)
    assert name is not None
    for example in (DEPLOY / "examples").glob("*.toml"):
        for evse in load(example).evse:
            assert evse.plc_interface in ("", name[1]) or evse.plc_interface.startswith("plc")
    assert "Name=plc*" in (DEPLOY / "network" / "60-evse-plc.network").read_text()
