"""A whole charging site: the daemon in its own network namespace, and around it every other end as a process.

    station    evsed, and the CSMS on its loopback
    plc        the virtual Green PHY modems
    vehicle1   the vehicle

The demo shows one session on it; end-to-end tests break it. Everything lives below one directory: configuration, state,
PKI, sockets, and the logs that each process writes as JSON lines.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec

from certs.csr import Subject
from certs.keystore import Curve, Purpose
from certs.provision import ensure_identity, take_over
from certs.store import CertificateStore, RootKind
from certs.tpm import KeyAttributes, Tpm, TpmKeyStore
from sim import pki as test_pki
from sim.dc.cabinet import METER_MODEL, METER_UNIT, MONITOR_UNIT
from sim.namespaces import World, charging_site
from sim.pki.bad import BAD_CONTRACTS
from sim.pki.evcc import export_evcc

IDENTITY = "CS-EVSED-1"
EVSE_ID = "DE*EVS*E0001"
CARD = "04A2B3C4"

Event = dict[str, Any]


class SiteError(Exception):
    """A part of the site did not start, or did not do what was waited for; the message says which."""


@dataclass(slots=True)
class Options:
    """What differs from site to site. Times are short, so that a session of half a minute shows everything."""

    sampled_interval_s: float = 4.0
    lower_after_updates: int = 0
    """The CSMS lowers the current by a TxProfile after so many periodic readings; 0: never."""
    lower_to_a: float = 10.0
    max_current_a: float = 16.0
    iso20: bool = False
    """ISO 15118-20 too: a PKI on P-521, a key of its own, where the chip has that curve, and the roots of vehicles."""
    provides_contracts: bool = False
    """The CSMS has a certificate desk, and behind it a certificate provisioning service."""
    csms: dict[str, str | float | int] = field(default_factory=dict)
    """More keys of the configuration's [csms]."""
    evse: dict[str, str | float | int | bool] = field(default_factory=dict)
    """More keys of the configuration's [[evse]]."""
    dc: bool = False
    """A DC EVSE with its cabinet, for vehicles of 60 kW at 1000 V."""
    control: dict[str, str] = field(default_factory=dict)
    """More keys of the configuration's [control]."""
    daemon: tuple[str, ...] = ()
    """The daemon's command, to which the configuration is appended; by default this checkout's."""
    more: tuple[str, ...] = ()
    """EVSEs beside the first, by what they are: "ac" or "dc"."""
    meter: dict[str, str | int] = field(default_factory=dict)
    """The configuration's [evse.meter], if it has one; `start_meter` serves it."""


class Site:
    """A context manager; leaving it stops everything that was started."""

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        self.directory = directory
        self.options = options or Options()
        self.world = World(charging_site(1 + len(self.options.more)))
        self.keys: dict[Purpose, KeyAttributes] = {}
        self._stack = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._csms_port = 0

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(self.world)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- Preparation ---

    def prepare(self) -> None:
        """A TPM with the station's keys in it, their certificates, the trusted roots, the configuration."""
        tcti = self.start_tpm()
        curve = ec.SECP521R1() if self.options.iso20 else None
        self.pki = test_pki.pki.build(self.directory / "pki", curve)
        export_evcc(self.pki, self.directory / "vehicle" / "good")
        for name in ("unknown_root", "expired"):
            make, _ = BAD_CONTRACTS[name]
            export_evcc(self.pki, self.directory / "vehicle" / name, make(self.pki).leaf)
        self._provision(tcti)
        self._configure(tcti)

    def start_tpm(self) -> str:
        """Returns the TCTI to reach it by."""
        arguments = ["--dir", self._path("tpm"), "--log", self._path("tpm.jsonl")]
        process = self._start("tpm", "station", ["sim.tpm", *arguments])
        assert process.stdout is not None
        line = process.stdout.readline().decode().strip()
        if not line:
            raise SiteError(f"the TPM did not start: see {self._path('tpm.out')}")
        return line

    def _provision(self, tcti: str) -> None:
        """What a factory does: keys made in the TPM, certificates for them, the roots the station trusts."""
        tpm, store = Tpm(tcti), CertificateStore(self.directory / "state" / "certs")
        try:
            take_over(tpm, store)
            for kind, root in (
                (RootKind.V2G, self.pki.v2g_root),
                (RootKind.MO, self.pki.mo_root),
                (RootKind.CSMS, self.pki.csms_root),
                *([(RootKind.OEM, self.pki.oem_root)] if self.options.iso20 else []),
            ):
                store.install_root(kind, root.pem.decode())
            keys, now = TpmKeyStore(tpm), datetime.now(UTC)
            for purpose, name, issue in (
                (Purpose.SECC, EVSE_ID.replace("*", ""), self.pki.issue_secc),
                (Purpose.CSMS, IDENTITY, self.pki.issue_station),
            ):
                identity = ensure_identity(store, keys, purpose, Subject(name, "evsed", "DE"), issue, now)
                self.keys[purpose] = keys.open(identity.key.key_id).describe()
            if self.options.iso20:
                curve = Curve.P521 if Curve.P521 in tpm.chip().curves else Curve.P256
                secc = Subject(EVSE_ID.replace("*", ""), "evsed", "DE")
                identity = ensure_identity(store, keys, Purpose.SECC_20, secc, self.pki.issue_secc, now, curve)
                self.keys[Purpose.SECC_20] = keys.open(identity.key.key_id).describe()
        finally:
            tpm.close()

    def _configure(self, tcti: str) -> None:
        self._csms_port = 9000
        csms = {
            "url": f"wss://localhost:{self._csms_port}/ocpp",
            "security_profile": 3,
            "sampled_interval_s": self.options.sampled_interval_s,
            "retry_back_off_s": 1,
            "message_timeout_s": 5,
            "web_socket_ping_s": 2,
            "meter_note_s": 1,
            **self.options.csms,
        }
        evse = {
            "id": 1,
            "evse_id": EVSE_ID,
            "device": str(self.directory / "board1"),
            "plc_interface": "plc0",
            "max_current_a": self.options.max_current_a,
            **({"protocols": ["iso15118-2", "iso15118-20"]} if self.options.iso20 else {}),
            **self.options.evse,
        }
        if self.options.dc:
            evse |= self._dc(1)
        station = {
            "identity": IDENTITY,
            "vendor": "evsed",
            "model": "simulated",
            "serial": "0001",
            "state_dir": str(self.directory / "state"),
        }
        log = {"level": "DEBUG", "events": self._path("events.jsonl")}
        tables: dict[str, dict[str, Any]] = {
            "[station]": station,
            "[csms]": csms,
            "[tpm]": {"tcti": tcti},
            "[log]": log,
            "[control]": {"socket": self._path("control.sock"), **self.options.control},
            "[[evse]]": evse,
        }
        if self.options.meter:
            tables["[evse.meter]"] = self.options.meter
        for number, kind in enumerate(self.options.more, 2):
            # A blank more makes it another of the same name.
            tables[f"[[{' ' * number}evse]]"] = self._another(number, kind)
        text = "\n".join(
            f"{head}\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
            for head, table in tables.items()
        )
        (self.directory / "evsed.toml").write_text(text)

    def _another(self, number: int, kind: str) -> Event:
        evse: Event = {
            "id": number,
            "evse_id": f"{EVSE_ID[:-1]}{number}",
            "device": self._path(f"board{number}"),
            "plc_interface": f"plc{number - 1}",
            "max_current_a": self.options.max_current_a,
        }
        return evse | self._dc(number) if kind == "dc" else evse

    def _dc(self, number: int) -> Event:
        line = {"device": self._path(f"dcline{number}"), "baudrate": 115200}
        return {
            "meter": {"model": METER_MODEL, "unit": METER_UNIT, **line},
            "protocols": ["din-70121", "iso15118-2", *(["iso15118-20"] if self.options.iso20 else [])],
            # DIN SPEC 70121 has no TLS.
            "allow_plain_tcp": True,
            "dc": {
                "max_voltage_v": 1000,
                "max_current_a": 150,
                "max_power_w": 60_000,
                "supply": {"can": f"unix:{self._path(f'can{number}')}", "modules": [0, 1]},
                "isolation_monitor": {"model": "bender-isocha425", "unit": MONITOR_UNIT, **line},
            },
        }

    # --- Processes ---

    def start_csms(self) -> None:
        ready = self.directory / "csms.ready"
        ready.unlink(missing_ok=True)
        arguments = ["--port", str(self._csms_port), "--ready-file", str(ready), "--log", self._path("csms.jsonl")]
        arguments += ["--cert", str(self.pki.path("csms.chain.pem")), "--key", str(self.pki.path("csms.key"))]
        arguments += ["--client-ca", str(self.pki.path("station_root.pem")), "--control", self._path("csms.sock")]
        arguments += ["--emaid", test_pki.pki.EMAID, "--rfid", CARD]
        if self.options.provides_contracts:
            arguments += ["--pki", self._path("pki")]
        if self.options.lower_after_updates:
            arguments += ["--lower-after-updates", str(self.options.lower_after_updates)]
            arguments += ["--lower-to", str(self.options.lower_to_a)]
        self._start("csms", "station", ["sim.csms", *arguments])
        self.wait_for(ready.exists, "the CSMS to listen", 20)

    def start_modems(self, evse: int = 1) -> None:
        """Those of one EVSE and its vehicle: on a line of their own, as behind good filters."""
        modems = ["--modem", f"evse{evse}:m-evse{evse}:evse", "--modem", f"ev{evse}:m-ev{evse}:ev"]
        self._start(_numbered("plc", evse), "plc", ["sim.plc", *modems])

    def start_board(self, *more: str, evse: int = 1) -> None:
        device, name = self.directory / f"board{evse}", _numbered("board", evse)
        arguments = ["--pty-link", str(device), "--cable", self._path(f"cable{evse}.sock")]
        arguments += ["--trace", self._path(f"{name}.jsonl"), "--max-current-a", "32", *more]
        self._start(name, "station", ["sim.mcu", *arguments])
        self.wait_for(device.exists, "the board's serial line", 10)

    def start_meter(self) -> None:
        """The signing meter of `Options.meter`, which measures what flows through the board."""
        arguments = ["--dcbm-port", str(self.options.meter["port"]), "--cable", self._path("cable1.sock")]
        self._start("meter", "station", ["sim.meter", *arguments])

    def start_cabinet(self, *more: str, evse: int = 1) -> None:
        """Of a DC EVSE; after its board."""
        plug, name = self.directory / f"plug{evse}.sock", _numbered("cabinet", evse)
        arguments = ["--can", f"unix:{self._path(f'can{evse}')}", "--pty-link", self._path(f"dcline{evse}")]
        arguments += ["--cable", self._path(f"cable{evse}.sock"), "--plug", str(plug)]
        self._start(name, "station", ["sim.dc", *arguments, "--trace", self._path(f"{name}.jsonl"), *more])
        self.wait_for(plug.exists, "the cabinet", 10)

    def break_dc(self, name: str, active: bool = True) -> None:
        """A fault of the cabinet by its name, as in `leak`, `supply_dead`; see `sim.dc.cabinet`."""
        self._say("plug1.sock", {"fault": name, "active": active})

    def break_board(self, name: str, active: bool = True) -> None:
        """A fault by its `hal.ports.Fault` value, or one of the plant; see `sim.mcu.cable`."""
        self._say("cable1.sock", {"fault": name, "active": active})

    def _say(self, name: str, words: Event) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(self._path(name))
            line.recv(4096)  # What it says to whoever comes; then it has heard.
            line.sendall(json.dumps(words).encode() + b"\n")
            line.shutdown(socket.SHUT_WR)
            while line.recv(4096):
                pass

    def start_daemon(self) -> None:
        """Returns once the station is ready, whether or not the CSMS answers."""
        before = len(self.log_of("evsed"))
        self._start("evsed", "station", ["firmware.app", self._path("evsed.toml")])
        self.wait_for(lambda: "is ready" in self.log_of("evsed")[before:], "evsed to be ready", 20)

    def start_all(self) -> None:
        self.prepare()
        self.start_csms()
        self.start_modems()
        self.start_board()
        if self.options.meter:
            self.start_meter()
        if self.options.dc:
            self.start_cabinet()
        for number, kind in enumerate(self.options.more, 2):
            self.start_modems(number)
            self.start_board(evse=number)
            if kind == "dc":
                self.start_cabinet(evse=number)
        self.start_daemon()

    def start_vehicle(self, kind: str, *more: str, contract: str = "good", evse: int = 1) -> "subprocess.Popen[bytes]":
        name, plug = _numbered("vehicle", evse), self.directory / f"plug{evse}.sock"
        arguments = [kind, "--interface", "plc0", "--cable", self._path(f"cable{evse}.sock")]
        arguments += ["--pki", str(self.directory / "vehicle" / contract), "--log", self._path(f"{name}.jsonl"), *more]
        if plug.exists():
            arguments += ["--dc-plug", str(plug)]
        return self._start(name, f"vehicle{evse}", ["sim.vehicle", *arguments])

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL, timeout_s: float = 30.0) -> int:
        """Signal one process and wait for its end; returns its exit code."""
        process = self._processes.pop(name)
        if process.poll() is None:
            os.kill(process.pid, how)
        return process.wait(timeout_s)

    def _start(self, name: str, netns: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
        """Start a module of ours; its words go to `NAME.out`, but for the TPM, whose first line is read here."""
        instead = self.options.daemon if name == "evsed" else ()
        out = (self.directory / f"{name}.out").open("ab")
        self._stack.callback(out.close)
        process = self.world.spawn(
            netns,
            [*instead, *arguments[1:]] if instead else [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "tpm" else out,
            stderr=out,
        )
        self._processes[name] = process
        return process

    def command_csms(self, command: Event) -> Event:
        """Drive the CSMS, as in {"stop": True} or {"limit": 10}; its answer. See `sim.csms`."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(self._path("csms.sock"))
            with line.makefile("rw") as stream:
                stream.write(json.dumps(command) + "\n")
                stream.flush()
                answer: Event = json.loads(stream.readline())
                return answer

    # --- What happened ---

    def _path(self, name: str) -> str:
        return str(self.directory / name)

    def log_of(self, name: str) -> str:
        path = self.directory / f"{name}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def read(self, name: str) -> list[Event]:
        """The whole lines of `NAME.jsonl`: events (of the daemon), csms, vehicle, board, tpm."""
        path = self.directory / f"{name}.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def follow(self, name: str, until: Callable[[], bool], poll_s: float = 0.05) -> Iterator[Event]:
        """The lines of `NAME.jsonl` as they come, until `until()` holds and all have been read."""
        seen = 0
        over = False
        while not over:
            over = until()
            lines = self.read(name)
            yield from lines[seen:]
            seen = len(lines)
            if not over:
                time.sleep(poll_s)

    def transaction_events(self) -> list[Event]:
        """The payloads of TransactionEvent as the CSMS received them, in their order."""
        return [line["payload"] for line in self.read("csms") if line["action"] == "TransactionEvent"]

    def wait_for(self, holds: Callable[[], object], what: str, timeout_s: float) -> None:
        """Raises SiteError when `holds` is not true in time, or when a process ended meanwhile."""
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            for name, process in self._processes.items():
                if not name.startswith("vehicle") and process.poll() is not None:
                    raise SiteError(f"{name} ended with {process.returncode}: {self.log_of(name)[-2000:]}")
            if time.monotonic() > deadline_s:
                raise SiteError(f"waited {timeout_s:.0f} s for {what}")
            time.sleep(0.02)


def _toml(value: object) -> str:
    """A value of the configuration; a table within is an inline table."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def _numbered(name: str, evse: int) -> str:
    """The first EVSE's parts have plain names."""
    return name if evse == 1 else f"{name}{evse}"
