"""A control socket on a station of one EVSE: real session, history and server; board, CSMS and TPM are noted values."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certs.errors import CertsError
from certs.tpm import Chip, Health
from firmware import config
from firmware.control.audit import Audit
from firmware.control.dispatch import Dispatcher
from firmware.control.log_levels import LogLevels
from firmware.control.method import Station
from firmware.control.methods import METHODS
from firmware.control.roles import Role, service_uids
from firmware.control.server import ControlServer
from firmware.control.sources import CertificateInfo
from firmware.control.status import evse_status
from firmware.credentials import TpmStatus
from firmware.evse import Evse
from firmware.facts import AuthorizationAnswered, Fact, LimitSource, LocalLimit, TransactionOpened
from firmware.history import History
from firmware.limits import Limits
from firmware.session import Session
from firmware.visits import Visits
from hal import ports as hal
from hal.ports import BoardUnavailable, Contactor, CpMode, CpState, EvseSnapshot
from hal.quantities import EvseId, MeterReading
from hal.simulation import Simulator
from hal.wall_clock import utc_now
from ocpp_client import ports as ocpp
from ocpp_client.device_model import DataType, DeviceModel, Key, Mutability, Variable
from ocpp_client.ports import JournalError, QueuedMessage
from ocpp_client.security_log import FIRST_HASH, entry_line
from secc import ports as secc

GROUPS = {Role.OBSERVER: 61101, Role.TECHNICIAN: 61102, Role.SERVICE: 61103}

Told = dict[str, Any]

EV_MAC = bytes.fromhex("020000000001")
EMAID = ocpp.IdToken("DEABCC12345678", "eMAID")
CONTRACT = secc.Contract("DEABCC12345678", "PEM", ())
YES = ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED)


@dataclass
class Board:
    """Its levels and meter; None: silent. Set-points are taken and forgotten."""

    levels: EvseSnapshot | None = None
    reading: MeterReading | None = None

    def snapshot(self) -> EvseSnapshot:
        if self.levels is None:
            raise BoardUnavailable("silent")
        return self.levels

    def meter(self) -> MeterReading:
        if self.reading is None:
            raise BoardUnavailable("stale")
        return self.reading

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in vars(Simulator):
            raise AttributeError(name)
        return lambda *_: None


VARIABLES = [
    Variable(
        "OCPPCommCtrlr",
        "HeartbeatInterval",
        DataType.INTEGER,
        "300",
        mutability=Mutability.READ_WRITE,
        unit="s",
        lowest=1,
        highest=86400,
    ),
    Variable("OCPPCommCtrlr", "MessageTimeout", DataType.INTEGER, "30", "Default", unit="s"),
    Variable("OCPPCommCtrlr", "NetworkProfile", DataType.STRING, "1", mutability=Mutability.READ_WRITE, reboot=True),
    Variable("SecurityCtrlr", "BasicAuthPassword", DataType.STRING, "", mutability=Mutability.WRITE_ONLY, highest=40),
    Variable("SecurityCtrlr", "OrganizationName", DataType.STRING, "evsed", mutability=Mutability.READ_WRITE),
    Variable("Connector", "Available", DataType.BOOLEAN, "true", evse_id=1, connector_id=1),
]


@dataclass
class CsmsValues:
    """Stands for `firmware.control.sources.Csms`."""

    messages: list[QueuedMessage] = field(default_factory=list)
    is_broken: bool = False

    model: DeviceModel = field(default_factory=lambda: DeviceModel(VARIABLES))
    sent: list[tuple[str, int | None]] = field(default_factory=list)
    security_events: list[tuple[str, str]] = field(default_factory=list)

    def security_event(self, kind: str, tech_info: str) -> None:
        self.security_events.append((kind, tech_info))

    def trace(self, watcher: Callable[[str, str], None]) -> None:
        self.watcher = watcher

    async def variables(self) -> list[tuple[Variable, str | None, bool]]:
        return [(variable, *self.model.value_of(key)) for key, variable in self.model.table().items()]

    async def set_variables(self, wanted: Mapping[Key, str]) -> dict[Key, tuple[str, str]]:
        return self.model.set_all(wanted)

    async def send(self, message: str, evse: int | None) -> str:
        self.sent.append((message, evse))
        return "Rejected" if message == "TransactionEvent" else "Accepted"

    async def online(self) -> bool:
        return True

    async def counts(self) -> dict[str, int]:
        return {"late answer": 2}

    async def security_log(self) -> list[str]:
        first = entry_line(1, datetime(2026, 1, 1, tzinfo=UTC), "StartupOfTheDevice", "PowerUp", FIRST_HASH)
        at = datetime(2026, 1, 2, tzinfo=UTC)
        second = entry_line(2, at, "TamperDetectionActivated", "EVSE 1", json.loads(first)["hash"])
        return [first, second.replace("EVSE 1", "EVSE 2") if self.is_broken else second]

    async def queue_length(self) -> int:
        if self.is_broken:
            raise JournalError("disk full")
        return len(self.messages)

    async def queue(self, limit: int) -> list[QueuedMessage]:
        await self.queue_length()
        return self.messages[:limit]


@dataclass
class CertificateValues:
    """Stands for `firmware.control.sources.Certificates`."""

    infos: list[CertificateInfo] = field(default_factory=list)
    is_broken: bool = False

    async def all(self) -> list[CertificateInfo]:
        if self.is_broken:
            raise CertsError("the file cannot be read")
        return self.infos

    async def chains(self) -> list[CertificateInfo]:
        return [info for info in self.infos if info.role == "leaf"]

    async def secc_not_after(self) -> datetime | None:
        return next((info.not_after for info in self.infos if info.use == "secc"), None)


def certificate(use: str, role: str, days: float) -> CertificateInfo:
    now = datetime.now(UTC)
    end = now + timedelta(days=days)
    return CertificateInfo(use, role, f"O=evsed,CN={use} {role}", "CN=issuer", "1f", now, end, "tpm:81010010")


def levels(cp: CpState = CpState.A, **changes: Any) -> EvseSnapshot:
    values: dict[str, Any] = {
        "cp": cp,
        "cp_mode": CpMode.X1,
        "duty_percent": 100.0,
        "contactor": Contactor.OPEN,
        "locked": False,
        "pp_ampacity_a": None,
        "faults": frozenset(),
        "power_permitted": False,
        "taken_at_s": time.monotonic(),
    }
    return EvseSnapshot(**{**values, **changes})


def reading(energy_wh: float = 1000.0, current_a: float = 0.0) -> MeterReading:
    now = time.monotonic()
    return MeterReading(energy_wh, 690 * current_a, (current_a,) * 3, (230.0,) * 3, now, datetime.now(UTC))


class Bench:
    """`directory` must be short and open to all: other users connect, and a socket's path has room for 107 bytes."""

    def __init__(self, directory: Path, service: frozenset[int] | None = None, *, rcd_self_test: bool = False) -> None:
        self.path = directory / "control.sock"
        settings = config.Evse(id=1, evse_id="DE*EVS*E0001", device="/dev/null")
        self.config = config.Config(
            config.Station("CS-1", "evsed", "bench", "0001", directory), config.Csms("wss://csms"), (settings,)
        )
        self.board = Board(levels(), reading())
        self.csms = CsmsValues()
        self.certificates = CertificateValues([certificate("secc", "leaf", 365), certificate("mo", "root", 3650)])
        self.history = History(lambda _: evse_status(self.evse, self.history, time.monotonic(), tokens=False))
        self.visits = Visits()
        self.history.followers.append(self.visits)
        self.evse = Evse(
            settings,
            lambda: Session(Limits(32.0), has_plc=True, rcd_self_test=rcd_self_test),
            self.board,
            [self.history],
            time.monotonic,  # type: ignore[arg-type]
        )
        self.evse.board = self.board  # type: ignore[assignment]
        self.audit_path = directory / "audit.jsonl"
        self.log_levels = LogLevels()
        self.tpm = TpmStatus(Chip("IBM", "1.2", (), 3, 0, False), "", Health())
        self.station = Station(
            config=self.config,
            version="1.2.3",
            started=utc_now(),
            evses={EvseId(1): self.evse},
            history=self.history,
            visits=self.visits,
            csms=self.csms,  # type: ignore[arg-type]
            certificates=self.certificates,  # type: ignore[arg-type]
            tpm=lambda: self.tpm,
            log_levels=self.log_levels,
            audit_path=self.audit_path,
        )
        audit = Audit(self.audit_path, time.monotonic, utc_now)
        self.dispatcher = Dispatcher(self.station, METHODS, audit)
        uids = service_uids() if service is None else service
        self.server = ControlServer(self.path, self.dispatcher, self.history, GROUPS, uids)

    def hears(self, *facts: Fact) -> None:
        """Facts come in and are carried out, as the EVSE's own loop would."""
        for fact in facts:
            now = time.monotonic()
            self.evse.perform(self.evse._take(fact, now))


def charges(made: Bench) -> None:
    """A vehicle comes, is authorised by its contract, and charges."""
    made.board.levels = levels(
        CpState.C,
        cp_mode=CpMode.X2,
        duty_percent=26.6667,
        contactor=Contactor.CLOSED,
        locked=True,
        power_permitted=True,
        pp_ampacity_a=32.0,
    )
    made.board.reading = reading(1000.0, 16.0)
    made.hears(
        ocpp.CsmsOnline(True, "registered"),
        hal.ModemReady(0.0),
        hal.MeterSampled(reading(1000.0)),
        hal.PluggedIn(0.0),
        hal.SlacMatched(EV_MAC, bytes(8), 9.04, 10, 0.3, 0.0),
        hal.LinkReady(EV_MAC, 0.0),
        secc.TlsEstablished("TLSv1.2", "ECDHE", 0.4),
        secc.SessionSetUp("AB12", "02", "ISO 15118-2"),
        secc.PaymentSelected(secc.PaymentOption.CONTRACT),
        secc.ContractPresented(CONTRACT),
        AuthorizationAnswered(EMAID, YES),
        TransactionOpened("tx-1234"),
        secc.PowerWanted(True),
        hal.ContactorChanged(Contactor.CLOSED, 0.0),
        LocalLimit(LimitSource.SITE, 16.0),
        hal.MeterSampled(reading(1500.0)),
    )


@asynccontextmanager
async def bench(service: frozenset[int] | None = None) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="ctl-") as directory:
        os.chmod(directory, 0o755)  # noqa: PTH101 - a call that does not block
        made = Bench(Path(directory), service)
        await made.server.start()
        try:
            yield made
        finally:
            await made.server.stop()
            made.log_levels.close()


class Line:
    """A client on the test's own loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._count = 0

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self) -> Told:
        told: Told = json.loads(await asyncio.wait_for(self.reader.readuntil(b"\n"), 10))
        return told

    async def ask(self, method: str, params: Mapping[str, object] | None = None) -> Told:
        """The whole answer: result or error."""
        self._count += 1
        request = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params or {}}
        self.write(json.dumps(request).encode() + b"\n")
        while (answer := await self.read()).get("id") != self._count:
            pass
        return answer

    async def result(self, method: str, **params: object) -> Told:
        answer = await self.ask(method, params)
        assert "result" in answer, answer
        result: Told = answer["result"]
        return result

    async def error(self, method: str, **params: object) -> int:
        answer = await self.ask(method, params)
        assert "error" in answer, answer
        return int(answer["error"]["code"])


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 22)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
