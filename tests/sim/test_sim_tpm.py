"""The TPM test double is a real TPM: swtpm, and the proxy that many clients share."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.errors import KeyFault, KeyUnavailable
from certs.tpm import Tpm
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm, SwtpmMissing, _alive

pytestmark = pytest.mark.skipif(not Swtpm.available(), reason="swtpm is not installed")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: a UNIX socket's has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name:
        yield Path(name)


def test_many_clients_share_one_tpm(directory: Path) -> None:
    with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
        clients = [Tpm(proxy.tcti) for _ in range(4)]
        assert len({client.random(16) for client in clients * 2}) == 8
        for client in clients:
            client.close()
        assert proxy.count()["GetRandom"] == 8


def test_command_log_is_json_lines(directory: Path) -> None:
    log = directory / "commands.jsonl"
    with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory, log) as proxy:
        tpm = Tpm(proxy.tcti)
        tpm.random(8)
        proxy.fail("GetRandom", 0x101)
        with pytest.raises(KeyUnavailable):
            tpm.random(8)
        tpm.close()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["command"], line["rc"]) for line in lines] == [("GetRandom", "0x0"), ("GetRandom", "0x101")]
    assert lines[1]["injected"] is True


def test_delay(directory: Path) -> None:
    with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
        tpm = Tpm(proxy.tcti)
        proxy.delay("*", 0.05)
        tpm.random(8)
        proxy.heal()
        tpm.random(8)
        tpm.close()
        slow, fast = proxy.commands
        assert slow.took_s >= 0.05 > fast.took_s


def test_errors_run_out(directory: Path) -> None:
    with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
        tpm = Tpm(proxy.tcti)
        proxy.fail("GetRandom", 0x101, times=2)
        for _ in range(2):
            with pytest.raises(KeyUnavailable) as refused:
                tpm.random(8)
            assert refused.value.reason is KeyFault.FAILURE_MODE
        assert tpm.random(8)
        tpm.close()


def test_state_survives_a_power_cut_but_no_wipe(directory: Path) -> None:
    with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
        tpm = Tpm(proxy.tcti)
        name = tpm.ensure_srk()
        swtpm.power_cut()
        assert tpm.ensure_srk() == name
        assert proxy.count()["CreatePrimary"] == 1
        swtpm.wipe()
        swtpm.start()
        tpm.ensure_srk()
        assert proxy.count()["CreatePrimary"] == 2
        tpm.close()


def test_stop_ends_the_process(directory: Path) -> None:
    swtpm = Swtpm(directory)
    swtpm.start()
    pid = swtpm.pid
    assert pid is not None
    swtpm.stop()
    assert swtpm.pid is None
    swtpm.stop()


def test_swtpm_that_cannot_start(directory: Path) -> None:
    directory.joinpath("state").write_text("a file where the state directory belongs")
    with pytest.raises((SwtpmMissing, FileExistsError)):
        Swtpm(directory).start()


def test_swtpm_ends_when_its_starter_is_killed(directory: Path) -> None:
    """A test run or a demo that dies leaves no TPM behind."""
    command = [sys.executable, "-m", "sim.tpm", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pid = int((directory / "swtpm.pid").read_text())
        process.kill()
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(pid)


def test_what_swtpm_says_when_it_cannot_start(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.tpm.swtpm.START_TIMEOUT_S", 0.5)
    swtpm = Swtpm(directory)
    swtpm.socket = directory / ("x" * 200)
    with pytest.raises(SwtpmMissing, match=r"swtpm in .*: \w+"):
        swtpm.start()
    assert swtpm.pid is None or not _alive(swtpm.pid)


def test_as_a_process_of_its_own(directory: Path) -> None:
    log = directory / "commands.jsonl"
    command = [sys.executable, "-m", "sim.tpm", "--dir", str(directory), "--log", str(log)]
    command += ["--delay", "GetRandom=0.01", "--error", "GetRandom=0x922:2"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        tpm = Tpm(process.stdout.readline().strip())
        assert len(tpm.random(8)) == 8
        tpm.close()
        pid = int((directory / "swtpm.pid").read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert [json.loads(line)["rc"] for line in log.read_text().splitlines()] == ["0x922", "0x922", "0x0"]
    assert not (directory / "swtpm.pid").exists()
    assert not Path(f"/proc/{pid}/exe").exists()
