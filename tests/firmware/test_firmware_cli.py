"""`evse` without a site: exit codes, imports, words that would steer a terminal, tables, the screen of `top`."""

import argparse
import asyncio
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from certs.errors import KeyFault
from certs.tpm import Health
from firmware.cli import COMMANDS, main, out
from firmware.cli.completion import script
from firmware.cli.events import moment
from firmware.cli.progress import Progress
from firmware.cli.screen import ASCII_BARS, BARS, SAMPLES, Histories, bars, render
from firmware.cli.spans import seconds
from firmware.credentials import TpmStatus
from hal import ports as hal
from hal.plc.link import GreenPhyLink
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from tests.firmware.control_bench import bench, certificate, charges, connected, levels, reading

STATUS_MODULES = 140
"""More modules than these, and somebody imports for `status` what `status` does not need."""


async def evse(path: Path, *words: str) -> tuple[int, str, str]:
    """The command in a thread beside the daemon's loop: exit code, output, errors."""
    into = io.BytesIO()
    written, errors = io.TextIOWrapper(into, encoding="utf-8", newline="\n", write_through=True), io.StringIO()

    def run() -> int:
        with redirect_stdout(written), redirect_stderr(errors):
            try:
                return main([*words, "--socket", str(path)])
            except SystemExit as end:
                return int(end.code or 0)

    return await asyncio.to_thread(run), into.getvalue().decode(), errors.getvalue()


async def test_exit_codes() -> None:
    async with bench() as made:
        assert (await evse(made.path, "status"))[0] == 0
        assert (await evse(made.path, "why"))[0] == 1
        assert (await evse(made.path, "faults"))[:2] == (0, "no fault stands\n")
        assert (await evse(made.path, "session", "show", "7"))[0] == 1
        code, _, said = await evse(made.path, "logs", "level", "hal")
        assert (code, "which level for hal" in said) == (2, True)
        assert (await evse(made.path, "no-such-command"))[0] == 2
        code, _, said = await evse(made.path.parent / "nowhere", "status")
        assert (code, said) == (3, f"evse: no daemon at {made.path.parent}/nowhere: No such file or directory\n")
    async with bench(service=frozenset()) as made:
        code, _, said = await evse(made.path, "status")
        assert (code, said) == (4, "evse: Station.Status needs role observer, you have nobody\n")


async def test_json_and_plain_text() -> None:
    async with bench() as made:
        made.hears(hal.BoardFault(hal.Fault.OVER_VOLTAGE, True, hal.Severity.EMERGENCY, "L1\x1b[2J\n264 V", 0.0))
        code, written, _ = await evse(made.path, "faults", "--json")
        assert (code, json.loads(written)["faults"][0]["fault"]) == (1, "OverVoltage")
        code, written, _ = await evse(made.path, "faults")
        head, row = written.splitlines()
        assert head.split("\t") == ["EVSE", "FAULT", "MREC", "SEVERITY", "SINCE", "UNTIL", "DETAIL"]
        assert row.split("\t")[1:4] == ["OverVoltage", "5", "emergency"]
        assert row.endswith("L1?[2J?264 V"), "a fault's words do not steer the terminal"


async def test_a_silent_board_in_status_and_top() -> None:
    async with bench() as made:
        made.board.levels = made.board.reading = None
        _, written, _ = await evse(made.path, "status")
        assert "the board does not answer" in written
        code, written, _ = await evse(made.path, "top", "--count", "1")
        assert code == 0
        assert "the board does not answer" in written
        assert "\x1b" not in written
        assert (await evse(made.path, "top", "2", "--count", "1"))[0] == 1


def test_status_imports_little() -> None:
    words = "import sys; from firmware.cli import parser_for; parser_for(['status']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.split()
    for heavy in ("asyncio", "ssl", "secc", "hal", "certs", "ocpp_client", "logging", "subprocess"):
        assert heavy not in loaded
    assert len(loaded) < STATUS_MODULES


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"usage: evse {command}" in capsys.readouterr().out


# --- A daemon that misbehaves ---


@contextmanager
def daemon_that(answers: Callable[[socket.socket], None], path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                answers(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(5)


def test_a_daemon_that_hangs_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon_that(lambda _: None, tmp_path / "s"):
        assert main(["status", "--socket", str(tmp_path / "s")]) == 3
    assert "closed the connection" in capsys.readouterr().err


def test_a_daemon_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.cli.client.TIMEOUT_S", 0.05)
    over = threading.Event()
    with daemon_that(lambda _: (over.wait(5), None)[1], tmp_path / "s"):
        assert main(["status", "--socket", str(tmp_path / "s")]) == 3
        over.set()
    assert "does not answer" in capsys.readouterr().err


def test_config_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evsed.toml"
    file.write_text("[station]\nidentiy = 'x'\n")
    assert main(["config", "validate", str(file)]) == 1
    assert "evsed.toml:2: station.identiy: unknown key" in capsys.readouterr().out
    assert main(["config", "validate", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["good"] is False


# --- Words and tables ---


def test_moments_and_spans() -> None:
    assert moment("2026-01-31T08:00:00+00:00").startswith("2026-01-31T")
    assert moment("10m") < moment("1s")
    for wrong in ("10", "10x", "yesterday", "9999999d"):
        with pytest.raises((SystemExit, Exception), match="neither a span"):
            moment(wrong)
    assert [out.span(seconds) for seconds in (0, 61, 3600, 90061)] == ["00:00:00", "00:01:01", "01:00:00", "1 d 01:01"]


def test_the_last_column_is_wrapped_and_nothing_is_lost() -> None:
    words = "alpha beta gamma " + "x" * 50
    for wide in range(30, 80):
        for left in ("", "12  ", "a long left side  "):
            lines = out.wrapped(left, words, wide)
            assert all(len(line) <= wide for line in lines)
            assert "".join("".join(lines).split()) == "".join((left + words).split())
    assert out.wrapped("1  ", "fits", 80) == ["1  fits"]
    assert out.wrapped("left" * 5 + "  ", "too narrow for it here", 40) == ["left" * 5, "    too narrow for it here"]


def test_bars_are_drawn_from_low_to_high() -> None:
    assert bars([0, 5, 10, 20, -5, None], 0, 10, ASCII_BARS) == ".+%%. "
    assert bars([0, 10], 0, 10, BARS) == "▁█"


def test_the_completion_script_knows_every_command() -> None:
    words = script()
    for command in COMMANDS:
        assert f'"{command}"' in words
    done = subprocess.run(["bash", "-n"], input=words, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ask = f"{words}\nCOMP_WORDS=(evse slac l) COMP_CWORD=2; _evse; echo ${{COMPREPLY[*]}}"
    assert subprocess.run(["bash", "-c", ask], text=True, capture_output=True, check=True).stdout == "last\n"


# --- top ---


async def _told(faults: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    async with bench() as made:
        made.board.levels = levels(hal.CpState.B)
        made.hears(hal.ModemReady(0.0), hal.PluggedIn(0.0))
        for fault in list(hal.Fault)[:faults]:
            made.hears(hal.BoardFault(fault, True, hal.Severity.STOP, "words " * 30, 0.0))
        async with connected(made.path) as line:
            return await line.result("Station.Status"), await line.result("Evse.Why", evse=1)


@pytest.mark.parametrize("faults", [0, 1, 12])
@pytest.mark.parametrize("utf8", [True, False])
async def test_the_screen_fits_80_by_24(faults: int, utf8: bool) -> None:
    status, why = await _told(faults)
    histories = Histories()
    for _ in range(2 * SAMPLES):
        histories.take(status["evses"][0]["meter"])
    histories.take(None)
    lines = render(status, why, 0, histories, wide=80, high=24, utf8=utf8)
    assert len(lines) <= 24
    assert all(len(line.text) <= 80 for line in lines)
    words = "\n".join(line.text for line in lines)
    assert "state B" in words
    assert ("fault  " in words) == bool(faults)
    assert words.isascii() or utf8
    assert lines[-1].text == "  1-9 EVSE   q quit"


# --- Every command's words, in this process ---

ALL = {
    "status": "contactor closed, power permitted, plug locked",
    "why": "EVSE 1 charges; up to 16 A are offered.",
    "top --count 1": "state C, X2 26.67 %",
    "top --count 2 --every 0.2 --ascii": "tx-1234",
    "events": "SlacMatched",
    "events --source plc --since 1h": "attenuation_db=9.04",
    "faults": "no fault stands",
    "faults --history": "no fault since the daemon started",
    "session list": "tx-1234",
    "session show ab12": "AuthorizationAnswered",
    "plc info": "not found",
    "plc link": "the modem tells none",
    "slac last": "VEHICLE",
    "ocpp status": "late answer: 2",
    "ocpp queue": "1 messages wait",
    "certs list": "tpm:81010010",
    "certs expiry": "secc leaf",
    "logs level": "ocpp_client",
    "logs level hal INFO --for 60": "hal",
    "logs audit": "the chain is whole",
    "logs security": "TamperDetectionActivated",
}


@pytest.mark.parametrize("terminal", [True, False])
async def test_every_command_says_what_it_should(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "is_terminal", lambda: terminal)
    async with bench() as made:
        charges(made)
        made.evse.plc = GreenPhyLink("no-such-if", EvseId(1), lambda _: None)
        made.csms.messages = [ocpp.QueuedMessage(1, "NotifyEvent", "{}", None, 0)]
        for line, words in ALL.items():
            for more in ([], ["--json"]):
                arguments = [*line.split(), *more, "--socket", str(made.path)]
                assert await asyncio.to_thread(main, arguments) == 0, line
                written = capsys.readouterr().out
                if more:
                    texts = [written] if terminal and not line.startswith("top") else written.splitlines()
                    assert all(json.loads(text) for text in texts)
                else:
                    assert words in written, line


async def test_what_is_wrong_is_shown_and_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "is_terminal", lambda: True)
    async with bench() as made:
        made.certificates.infos = [certificate("secc", "leaf", 3)]
        made.hears(hal.BoardFault(hal.Fault.EMERGENCY_STOP, True, hal.Severity.EMERGENCY, "pressed", 0.0))
        for line, words in {
            "why": "1. the emergency stop is pressed",
            "faults": "EmergencyStop",
            "faults --snapshots": "EmergencyStop: pressed",
            "certs expiry": "1 end within 30 days",
        }.items():
            assert await asyncio.to_thread(main, [*line.split(), "--socket", str(made.path)]) == 1, line
            assert words in capsys.readouterr().out
        await asyncio.to_thread(main, ["logs", "level", "hal", "INFO", "--socket", str(made.path)])
        made.audit_path.write_text(made.audit_path.read_text().replace("INFO", "DEBUG"))
        assert await asyncio.to_thread(main, ["logs", "audit", "--socket", str(made.path)]) == 1
        assert "the chain is broken at audit.jsonl:1" in capsys.readouterr().out


async def test_a_tpm_that_is_away_is_not_said_to_be_good(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "is_terminal", lambda: True)
    async with bench() as made:
        made.tpm = TpmStatus(made.tpm.chip, "the TPM has not answered in time", Health(operations=7))
        made.tpm.health.count(KeyFault.SILENT)
        for line in ("status", "top --count 1"):
            await asyncio.to_thread(main, [*line.split(), "--socket", str(made.path)])
            shown = capsys.readouterr().out
            assert "good" not in shown.partition("EVSE")[0]
            assert "the TPM has not answered in time" in shown or "TPM away" in shown
        await asyncio.to_thread(main, ["status", "--json", "--socket", str(made.path)])
        told = json.loads(capsys.readouterr().out)["tpm"]
        assert (told["trouble"], told["operations"]) == ("the TPM has not answered in time", 7)
        assert told["fault_counts"] == {"the TPM has not answered in time": 1}


async def test_followed_until_the_daemon_goes(capsys: pytest.CaptureFixture[str]) -> None:
    async with bench() as made:
        for line in ("events -f --all --since 1h", "slac watch --json"):
            following = asyncio.create_task(asyncio.to_thread(main, [*line.split(), "--socket", str(made.path)]))
            while not any(connection._subscriptions for connection in made.server._connections):
                await asyncio.sleep(0.01)
            made.hears(hal.ModemReady(0.0), hal.MeterSampled(reading()))
            await asyncio.sleep(0.1)
            await made.server.stop()
            assert await following == 3
            await made.server.start()
        captured = capsys.readouterr()
        assert "MeterSampled" in captured.out
        assert json.loads(captured.out.splitlines()[-1])["event"] == "ModemReady"
        assert "closed the connection" in captured.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, quiet, shown in ((Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(2, quiet=quiet) as progress:
            progress.begins("first")
            progress.begins("second")
            progress.at(5, "more than all")
        assert ("[##########..........]  50%  second" in stream.getvalue()) is shown
        assert stream.getvalue().endswith("\r\x1b[K") is shown
        assert ("100%" in stream.getvalue()) is shown


@pytest.mark.parametrize(("text", "wanted"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_spans_of_time(text: str, wanted: int) -> None:
    assert seconds(text) == wanted
    for wrong in ("", "m", "1w", "-1", "1.5h", "9999999"):
        with pytest.raises(argparse.ArgumentTypeError, match="span of time"):
            seconds(wrong)
