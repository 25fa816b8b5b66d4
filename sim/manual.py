"""`docs/cli.md`, written by the commands themselves: each is run on a simulated site, in a terminal of 80 x 24.

    python -m sim.manual docs/cli.md

What the page says of exit codes, screens and JSON fields is what was seen.
"""

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from firmware.cli import COMMANDS
from firmware.control.methods import METHODS
from sim.adapter import adapter
from sim.meter.ocmf import OcmfMeter
from sim.namespaces import REPOSITORY
from sim.site import Options, Site, SiteError

COLUMNS, LINES = 80, 24
LONGEST = 40
"""Lines of an output that the page shows."""
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_INTERRUPT_AFTER_S = 0.7
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One command as it ran: what the terminal showed, and the JSON of the same command."""

    words: tuple[str, ...]
    when: str
    exit_code: int
    screen: str
    told: object
    """Decoded JSON, or a list of it where the command writes one a line; None where there is none."""

    @property
    def line(self) -> str:
        return " ".join(("evse", *self.words))


def run_in_terminal(words: Sequence[str], site: Site, *, interrupt: bool = False) -> tuple[int, str]:
    """Exit code and everything written, in a pseudo-terminal; `interrupt` sends SIGINT after a while."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware.cli", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=site.directory,
        env=_environment(site),
    )
    os.close(theirs)
    if interrupt:
        _interrupt(process, ours)
    written = _read_all(ours)
    os.close(ours)
    return process.wait(_TIMEOUT_S), written.decode(errors="replace").replace("\r\n", "\n")


def _interrupt(process: subprocess.Popen[bytes], said: int) -> None:
    """Once it has said something, and a while later."""
    select.select([said], [], [], _TIMEOUT_S)
    time.sleep(_INTERRUPT_AFTER_S)
    process.send_signal(signal.SIGINT)


def _read_all(terminal: int) -> bytes:
    """Until the last one who held the other end has gone, which reads as EIO. Raises SiteError when that takes long."""
    written, deadline_s = b"", time.monotonic() + _TIMEOUT_S
    with suppress(OSError):
        while select.select([terminal], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            written += os.read(terminal, 65536)
        raise SiteError(f"a command did not end: {written.decode(errors='replace')[-500:]}")
    return written


def run_for_json(words: Sequence[str], site: Site, *, interrupt: bool = False) -> object:
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware.cli", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=site.directory,
        env=_environment(site),
    )
    if interrupt:
        assert process.stdout is not None
        _interrupt(process, process.stdout.fileno())
    written, _ = process.communicate(timeout=_TIMEOUT_S)
    values = [json.loads(line) for line in written.splitlines()]
    return values[0] if len(values) == 1 and not interrupt else values


def _environment(site: Site) -> dict[str, str]:
    own = {"EVSE_SOCKET": str(site.directory / "control.sock"), "PYTHONPATH": str(REPOSITORY), "TERM": "vt100"}
    return {**os.environ, **own, "TZ": "UTC", "LC_ALL": "C.UTF-8"}


IDLE = (
    "status",
    "why",
    "plc info",
    "certs list",
    "certs expiry",
    "tpm",
    "grid show",
    "grid dim on",
    "grid log",
    "grid dim off",
    "meter",
    "meter verify record.ocmf --key key.hex",
    "config validate evsed.toml",
    "logs level hal.plc INFO --for 60",
    "logs level",
    "slac selftest 1",
    "v2g decode 80400040",
    "v2g keylog --evse 1 --seconds 5",
    "slac capture slac.pcap --seconds 2",
)
HANDS = (
    "measure",
    "maintenance begin --for 2m",
    "maintenance status",
    "why",
    "selftest",
    "cp set X2 16A",
    "lock",
    "unlock",
    "contactor test",
    "maintenance clear-faults",
    "maintenance end",
)
"""One after the other: two technicians would be in each other's way."""
UNDO = {"begin": "maintenance end", "end": "maintenance begin --for 2m"}
SETTINGS = (
    "config get OCPPCommCtrlr.HeartbeatInterval TxCtrlr",
    "config set OCPPCommCtrlr.HeartbeatInterval=240",
    "config diff",
    "config export -o settings.json",
    "config import settings.json",
    "ocpp send Heartbeat",
    "bundle support.tar.gz --redact",
)
RAMPED = ("ramp 6 10 --step 4 --settle 3",)
CHARGING = ("status", "why", "plc link", "top --count 2 --every 0.3", "ocpp status", "ocpp trace --count 2")
AFTER = (
    "history --all",
    "history",
    "uptime --months",
    "slac last",
    "session list",
    "session show 1",
    "session plot 1 -o session.svg",
    "events --since 1m --source plc",
    "logs audit",
    "logs security",
)
FOLLOWED = ("events -f --since 1m --source board", "slac watch --since 1m")
BROKEN = ("why", "faults", "faults --snapshots", "ocpp queue")
NO_DAEMON = ("status",)
ONE_AT_A_TIME = ("slac selftest", "slac capture")
WITHOUT_JSON = ("charge-now", "commission", "v2g", "completion", "provision", "factory-reset", "simulate", "fw")
HELP = (
    "commission --help",
    "charge-now --help",
    "completion bash",
    "provision --help",
    "factory-reset --help",
    "fw --help",
    "fw install --help",
    "simulate --help",
    "simulate plug_in --help",
)


def shots(site: Site) -> Iterator[Shot]:
    """Every command, on a site that is running: idle, while a vehicle charges, after it left, and with parts broken."""
    site.wait_for(lambda: any(event["event"] == "MeterSampled" for event in site.read("events")), "a reading", 10)
    _leave_record(site)
    yield from _take(site, "No vehicle is there.", IDLE)
    yield from _take_in_turn(site, "No vehicle is there.", HANDS)
    yield from _take_in_turn(site, "No vehicle is there.", SETTINGS)
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "16")
    site.wait_for(lambda: _charges(site), "the vehicle to charge", 30)
    yield from _take(site, "A vehicle charges.", CHARGING)
    yield from _take_in_turn(site, "A vehicle charges.", RAMPED)
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    yield from _take(site, "The vehicle has left.", AFTER)
    yield from _take(site, "The vehicle has left.", FOLLOWED, interrupt=True)
    site.kill("csms")
    # Without its name: the freed pseudo-terminal is the next one's, and the daemon must not open that as its board.
    (site.directory / "board1").unlink()
    site.kill("board")
    site.wait_for(lambda: "CommunicationFault" in _names(site), "the fault", 10)
    yield from _take(site, "The board's line is cut and the CSMS is away.", BROKEN)
    site.kill("evsed")
    yield from _take(site, "The daemon does not run.", NO_DAEMON)
    yield from _take(site, "", HELP)


def _leave_record(site: Site) -> None:
    """Two records of a signing meter, the second altered by somebody, and the meter's key."""
    meter, at = OcmfMeter(), datetime(2026, 5, 1, 12, tzinfo=UTC)
    meter.start("04A2B3C4", 1000, at)
    record = meter.stop(23500, at + timedelta(hours=2))
    (site.directory / "record.ocmf").write_text(f"{record}\n{record.replace('23.5', '33.5')}\n")
    (site.directory / "key.hex").write_text(meter.public_key)


def _charges(site: Site) -> bool:
    return any(event["event"] == "draw" and event["current_a"] > 0 for event in site.read("vehicle"))


def _names(site: Site) -> set[str]:
    return {str(event.get("fault")) for event in site.read("events")}


def _take(site: Site, when: str, commands: Sequence[str], *, interrupt: bool = False) -> Iterator[Shot]:
    """Each command twice, at the same time where it can be: in a terminal, and with --json into a pipe."""
    with ThreadPoolExecutor(1) as beside:
        for command in commands:
            words = tuple(command.split())
            has_json = words[0] not in WITHOUT_JSON and commands is not NO_DAEMON
            coming = beside.submit(run_for_json, words, site, interrupt=interrupt) if has_json else None
            if coming is not None and command.startswith(ONE_AT_A_TIME):
                coming.result()
            exit_code, screen = run_in_terminal(words, site, interrupt=interrupt)
            yield Shot(words, when, exit_code, _last_screen(screen), coming.result() if coming else None)


def _take_in_turn(site: Site, when: str, commands: Sequence[str]) -> Iterator[Shot]:
    for command in commands:
        words = tuple(command.split())
        plugged = (lambda: adapter(site.directory / "cable1.sock")) if words[0] == "contactor" else nullcontext
        with plugged():
            exit_code, screen = run_in_terminal(words, site)
        if words[0] == "maintenance" and words[1] in UNDO:
            run_for_json(UNDO[words[1]].split(), site)
        with plugged():
            told = run_for_json(words, site)
        yield Shot(words, when, exit_code, _last_screen(screen), told)


def _last_screen(written: str) -> str:
    """What stands on the screen at the end: without styles, and of redrawn screens the last."""
    lines = _STYLE.sub("", written.rpartition("\x1b[H")[2]).splitlines()
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in lines).rstrip().removesuffix("^C")


# --- The page ---

HEAD = """# `evse`

The technician's command. It asks the daemon over a Unix socket; nothing it does can hold up charging.
This page was written by `python -m sim.manual`: each command was run on a simulated site in a terminal of 80 x 24.

- In a terminal tables are aligned and cut to its width; into a pipe or a file they go whole, with tabs.
- `--json` gives one JSON object, or one a line where a command goes on (`top` gives those of `status`). The fields are
  listed with each command and keep their names and meaning; new ones may come.
- `--socket PATH`, or `EVSE_SOCKET`, names another socket than `/run/evse/control.sock`.
- Exit codes: 0 good; 1 a check failed or there is no such thing; 2 usage; 3 the daemon cannot be reached; 4 not
  allowed; 130 interrupted.
- `eval "$(evse completion bash)"` completes commands and options.

## Roles

Who connects is known from the kernel; what a user may do follows from the user's groups, whose names are in `[control]`
of the configuration. Root, and the user the daemon runs as, have the role service.

| role | group | may |
|---|---|---|
| nobody | none of them | learn that the role is missing |
| observer | `evse` | look at everything; drivers' tokens are masked but for four characters |
| technician | `evse-tech` | see tokens, change what a running daemon can, install firmware, work in maintenance |
| service | `evse-service` | read the audit log, restart into older firmware, begin maintenance with a vehicle there |

Every call that needs a technician or more, and every refusal, is a line of the audit log (`audit.jsonl` in the state
directory), and each line holds the hash of the one before: `evse logs audit` says whether the chain is whole. The end
of the file can be cut off unseen by that; the number of each entry is in the daemon's log too.

## Maintenance

What moves hardware (`selftest`, `cp`, `lock`, `unlock`, `contactor`) needs maintenance: the operator sees the connector
Unavailable, no token is taken, no vehicle is talked to. It needs an EVSE without a transaction and without a vehicle;
service may force it with a vehicle there. Each of these commands begins it and ends it with itself;
`evse maintenance begin` holds it for several. It ends when its technician says so, when his connection closes, or when
its time is up, and then pilot, lock and permission are at once what the session says.

A technician never gives power to a vehicle: the contactor is tried on a test adapter plugged in during maintenance, in
state C under PWM, for 5 s at most, and the board's own rules hold as ever.

## The socket

JSON-RPC 2.0, one object a line, at most 65536 bytes; parameters by name, no batches. `nc -U` and `jq` will do:

    echo '{"jsonrpc":"2.0","id":1,"method":"Evse.Why","params":{"evse":1}}' | nc -UN /run/evse/control.sock | jq

Error codes besides JSON-RPC's own: -32001 the role is missing, -32002 there is no such thing, -32003 the part that
would know does not answer, -32004 something stands in the way now. Events come as notifications
`Events.Event` with `subscription`, `event` and `dropped`: a reader that does not keep up loses events and is told how
many.

"""


def page(taken: Sequence[Shot]) -> str:
    parts = [HEAD, _method_table(), "\n## Commands\n"]
    for command in COMMANDS:
        mine = [shot for shot in taken if shot.words[0] == command]
        parts += [
            f"\n### evse {command}\n\n{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}.\n",
            *map(_section, mine),
        ]
        parts += _fields_of(mine)
    return "".join(parts)


def _method_table() -> str:
    lines = ["| method | role | parameters | answers |", "|---|---|---|---|"]
    for name, method in METHODS.items():
        params = ", ".join(f"`{param}`" if given.required else f"[`{param}`]" for param, given in method.params.items())
        lines.append(f"| `{name}` | {method.role} | {params} | {method.says} |")
    return "\n".join(lines) + "\n"


def _section(shot: Shot) -> str:
    lines = shot.screen.splitlines()
    shown = [*lines[:LONGEST], *(["..."] if len(lines) > LONGEST else [])]
    when = f"{shot.when} " if shot.when else ""
    return f"\n{when}Exit code {shot.exit_code}.\n\n```\n$ {shot.line}\n" + "\n".join(shown) + "\n```\n"


def _fields_of(mine: Sequence[Shot]) -> list[str]:
    by_action: dict[str, dict[str, set[str]]] = {}
    for shot in mine:
        if shot.told is not None and shot.words[0] != "top":
            seen = by_action.setdefault(action_of(shot), {})
            for path, kind in paths(shot.told):
                seen.setdefault(path, set()).add(kind)
    return [_field_list(action, seen) for action, seen in by_action.items()]


def action_of(shot: Shot) -> str:
    """The command, with its action where it has one: as in `slac last`."""
    has_action = shot.words[0] in (
        "grid",
        "session",
        "slac",
        "plc",
        "ocpp",
        "certs",
        "config",
        "logs",
        "v2g",
        "meter",
        "maintenance",
        "cp",
        "contactor",
    )
    return " ".join(shot.words[: 2 if has_action else 1])


def _field_list(action: str, seen: dict[str, set[str]]) -> str:
    fields = "\n".join(f"    {path}: {' or '.join(sorted(kinds))}" for path, kinds in seen.items() if path)
    return f"\nJSON of `evse {action} --json`:\n\n{fields}\n"


FREE_FORM = ("data", "counts", "levels", "modem_drops", "slac_drops", "driver_counters", "fault_counts")
"""Objects whose keys are not fixed: an event's own fields, reasons, names of loggers."""


def paths(value: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Every field as `evses[].board.cp` with its JSON type."""
    if isinstance(value, list):
        name = f"{at}[]"
        yield at, "array"
        for item in value:
            yield from paths(item, name)
    elif isinstance(value, dict) and at.rpartition(".")[2] not in FREE_FORM:
        yield at, "object"
        for key, item in value.items():
            yield from paths(item, f"{at}.{key}" if at and at != "[]" else key)
    else:
        yield at, _KINDS[type(value)]


_KINDS = {dict: "object", bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="evsed-manual-") as directory,
        Site(Path(directory), Options(sampled_interval_s=1.0)) as site,
    ):
        site.start_all()
        text = page(list(shots(site)))
    Path(sys.argv[1]).write_text(text.replace(directory, "/run/evse"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
