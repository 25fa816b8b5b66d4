"""The station's configuration: one TOML file into frozen dataclasses.

A key nobody reads is a mistake somebody made: an unknown key, a wrong type or a value out of range is a `ConfigError`
that names the file's line. Paths may be relative to the configuration file.
"""

import dataclasses
import ipaddress
import re
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from firmware.start_rules import LONGEST_DELAY_S, PeakHours


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, line and key."""


@dataclass(frozen=True, slots=True)
class Station:
    identity: str
    """The charging station's name towards the CSMS, and the CN of its client certificate."""
    vendor: str
    model: str
    serial: str
    state_dir: Path
    """Holds the journal and the certificate store; must survive a power cut."""
    site_limit_a: float = 1000.0
    """What all EVSEs together may draw per phase."""
    organization: str = ""
    """The O of the station's certificates; empty for the vendor."""


@dataclass(frozen=True, slots=True)
class Csms:
    url: str
    security_profile: Literal[1, 2, 3] = 3
    password: str = ""
    """BasicAuth password of security profiles 1 and 2. One that the TPM has sealed, because it came by `evse provision`
    or from the CSMS, goes before this one."""
    password_sealed: bool = False
    """Whether that is so, and `password` may be left out."""
    heartbeat_s: float = 300.0
    sampled_interval_s: float = 60.0
    """SampledDataTxUpdatedInterval."""
    retry_back_off_s: float = 10.0
    """RetryBackOffWaitMinimum."""
    message_timeout_s: float = 30.0
    web_socket_ping_s: float = 30.0
    meter_note_s: float = 10.0
    """How often a running transaction's meter value is written down for the case of a power cut."""
    ev_connection_timeout_s: float = 60.0
    """EVConnectionTimeOut: how long a token waits for its vehicle."""
    iso15118_data_transfer: str = ""
    """The vendorId (ISO15118-2, as a rule) of a CSMS that wants certificate requests of ISO 15118-2 vehicles in the
    envelope of DataTransfer; empty for Get15118EVCertificate."""


@dataclass(frozen=True, slots=True)
class Tpm:
    tcti: str = "device:/dev/tpmrm0"
    absent: Literal["refuse", "without-tls"] = "refuse"
    """What to do when the TPM does not answer at start: end, or charge without the keys in it. Then there is no TLS for
    vehicles and so no contract, and no CSMS by security profile 3; the operator is told."""
    owner_auth_file: Path | None = None
    """Holds the owner hierarchy's password, where the manufacturer has set one."""


@dataclass(frozen=True, slots=True)
class Certificates:
    renew_before_days: float = 30.0
    """How long before its end the operator is asked for a new one."""
    check_interval_s: float = 3600.0
    """How often ends are looked at, and OCSP responses that are half through their time are asked for anew."""


@dataclass(frozen=True, slots=True)
class Log:
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    file: Path | None = None
    """Where the log is kept for the CSMS to fetch (GetLog), 20 MB at most; none by default."""
    form: Literal["auto", "text", "json"] = "auto"
    """What goes to standard output: JSON lines, text, or (auto) fields to the journal under systemd and else text."""
    events: Path | None = None
    """Where every event of every session goes as a JSON line; none by default."""
    v2g: Path | None = None
    """Where every V2G message goes as a JSON line, certificates and identities redacted; none by default."""


@dataclass(frozen=True, slots=True)
class Start:
    """When vehicles may begin to draw, by default at once. In Great Britain (SI 2021/1467) 600, and hours as below."""

    random_delay_s: float = 0.0
    """Each start waits a random time of up to this; at most 1800."""
    peak_hours: tuple[str, ...] = ()
    """Local hours of working days in which nothing begins, as in ["08:00-11:00", "16:00-22:00"]."""


@dataclass(frozen=True, slots=True)
class Page:
    """A read-only status page over HTTP, for a screen or for a laptop at the service port; off without host."""

    host: str = ""
    """The address to listen at: 127.0.0.1, or the service port's own. Not all addresses at once."""
    port: int = 8080


@dataclass(frozen=True, slots=True)
class Control:
    """The technicians' socket. A user's role is the highest that one of the user's groups gives; root has service."""

    socket: Path = Path("/run/evse/control.sock")
    observer_group: str = "evse"
    technician_group: str = "evse-tech"
    service_group: str = "evse-service"


@dataclass(frozen=True, slots=True)
class Display:
    """Where drivers are shown the operator's messages, tariff and cost; without it the CSMS is told there is none."""

    device: Path | None = None
    """A character console, as in /dev/tty1; without it only `evse status` shows the messages."""
    columns: int = 40
    rows: int = 4


@dataclass(frozen=True, slots=True)
class Update:
    """Firmware updates by RAUC into the slot that does not run; without this table there are none."""

    command: str = "rauc"
    allow_unsigned: bool = False
    """Whether the CSMS may send firmware without OCPP's signature (L02). RAUC verifies its own in any case."""
    when_busy: Literal["wait", "stop"] = "wait"
    """Whether an update waits for transactions to end, or ends them."""
    max_image_mb: int = 1024
    prove_s: float = 900.0
    """How long new firmware may take to come healthy; after it the boards' links are enough, and needed."""
    reboot_request: Path = Path("/run/evse/reboot")
    """The file whose coming has the service manager restart the board."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Limits of others than the CSMS: an energy manager, the grid operator, and what holds when they are silent."""

    dimming_limit_w: float = 4200.0
    """What remains to the station when the grid operator dims it (section 14a EnWG)."""
    silence_s: float = 0.0
    """An energy manager that has said nothing for so long is taken for dead, and `failsafe_a` holds; 0: none is
    expected."""
    failsafe_a: float = 6.0
    """Per phase, for the whole station."""
    offline_s: float = 300.0
    offline_limit_a: float | None = None
    """What holds per phase, for the whole station, while the CSMS has been out of reach for `offline_s`; without it
    charging profiles hold alone."""
    modbus_host: str = "127.0.0.1"
    modbus_port: int = 0
    """Where an energy manager finds the Modbus TCP registers; 0: nowhere. They know no passwords: a network of their
    own, or none."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter in place of the board's own: Modbus by `host` over TCP, else on the serial line `device`; or lem-dcbm,
    which signs what it measures, by `host`."""

    model: str
    unit: int = 1
    host: str = ""
    port: int = 0
    """0 for the protocol's own: 502 for Modbus, 80 for lem-dcbm."""
    device: str = ""
    baudrate: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Reader:
    """A card reader in place of, or beside, the board's own."""

    device: str
    model: Literal["pn532"] = "pn532"


@dataclass(frozen=True, slots=True)
class Lights:
    """LEDs of the kernel's LED class, by their names; an empty name is a colour there is not."""

    red: str = ""
    green: str = ""
    blue: str = ""
    directory: Path = Path("/sys/class/leds")


@dataclass(frozen=True, slots=True)
class DcSupply:
    """Charging modules in parallel, by their addresses, on a CAN bus that is up with its bit rate."""

    model: Literal["infy"] = "infy"
    can: str = "can0"
    """An interface, or `unix:DIRECTORY` for a bus of Unix sockets."""
    modules: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class IsolationMonitor:
    """On Modbus, as a meter is; may share the meter's line."""

    model: Literal["bender-isocha425", "dold-rn5893"]
    unit: int = 3
    host: str = ""
    port: int = 502
    device: str = ""
    baudrate: int = 19200
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Dc:
    """A DC output beside the board, and what cable, connector and wiring bear of it."""

    supply: DcSupply
    isolation_monitor: IsolationMonitor
    max_voltage_v: float
    max_current_a: float
    max_power_w: float
    min_voltage_v: float = 150.0
    min_current_a: float = 0.0
    peak_ripple_a: float = 5.0


@dataclass(frozen=True, slots=True)
class OtherService:
    """A service the vehicle can select and the operator gives, category OtherCustom."""

    id: int
    """60001 to 65535."""
    name: str
    """32 characters at most."""
    scope: str = ""
    """64 characters at most."""
    free: bool = True


@dataclass(frozen=True, slots=True)
class Evse:
    id: int
    evse_id: str
    """By ISO 15118-2 Annex H, as in DE*EVS*E0001."""
    device: str
    """The serial line to the safety MCU."""
    driver: str = "evse_mcu"
    """The board's driver: evse_mcu, chargebyte, or a manufacturer's (docs/porting.md)."""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    """The driver's own."""
    meter: Meter | None = None
    dc: Dc | None = None
    """What makes it a DC EVSE; it needs a DC meter."""
    reader: Reader | None = None
    lights: Lights | None = None
    plc_interface: str = ""
    """The Green PHY modem's network interface; empty for an EVSE without high-level communication."""
    max_current_a: float = 32.0
    cable_current_a: float = 0.0
    """The fixed cable's rating; 0 where the proximity pilot tells."""
    phases: Literal[1, 3] = 3
    phase_rotation: Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR"] = "RST"
    """Which phases of the site's supply the EVSE's L1, L2 and L3 are wired to."""
    nominal_voltage_v: float = 230.0
    discharge_limit_a: float = 0.0
    """What a vehicle may feed back per phase (ISO 15118-20, AC); 0: nothing. Needs a meter that counts both ways."""
    discharge_reserve_percent: float = 20.0
    """The state of charge below which no battery is drawn from, where the vehicle tells it."""
    slac_profile: Literal["strict", "field"] = "field"
    slac_init_timeout_s: float = 10.0
    """TT_EVSE_SLAC_init: how long a vehicle may take to begin SLAC before the pilot alone carries the session. The
    standard has 50 s; a vehicle must begin within 10 s (TP_EV_SLAC_init), and drivers of plain cars wait."""
    attenuation_offset_db: int = 0
    """Added to what the modem measures of a vehicle's sounds: calibrates this EVSE's cable and coupling."""
    slac_retries: int = 1
    """C_sequ_retry: how often a vehicle is given another try over state F. The standard has 2."""
    hlc_pilot: Literal["nominal", "five-percent"] = "nominal"
    """The duty while a vehicle charges under ISO 15118: nominal tells the limit twice."""
    rcd_self_test: Literal["before-session", "off"] = "before-session"
    """Whether an AC board that can test its residual current device does so for each vehicle, before it gives power."""
    accepts_contract: bool = True
    accepts_external_payment: bool = True
    allow_plain_tcp: bool = False
    """Whether a vehicle that asks for no TLS is served (never with a contract)."""
    request_metering_receipt: bool = True
    protocols: tuple[Literal["din-70121", "iso15118-2", "iso15118-20"], ...] = ("iso15118-2",)
    """What is offered to a vehicle; its own priorities decide. iso15118-20 needs a secc-20 certificate chain."""
    value_added_services: tuple[Literal["internet", "parking-status"], ...] = ()
    """Offered to vehicles beside charging, free of charge."""
    other_services: tuple[OtherService, ...] = ()
    """Of the operator's own, as [[evse.other_services]]; told to vehicles of ISO 15118-2."""
    lab_iso15118_20_without_mutual_tls: bool = False
    """For a laboratory only: ISO 15118-20 over TLS 1.2, without the vehicle's certificate, or over plain TCP. Every
    status says so."""


@dataclass(frozen=True, slots=True)
class Config:
    station: Station
    csms: Csms
    evse: tuple[Evse, ...]
    tpm: Tpm = field(default_factory=Tpm)
    log: Log = field(default_factory=Log)
    control: Control = field(default_factory=Control)
    page: Page = field(default_factory=Page)
    start: Start = field(default_factory=Start)
    display: Display | None = None
    certificates: Certificates = field(default_factory=Certificates)
    grid: Grid = field(default_factory=Grid)
    update: Update | None = None


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Check the text of a configuration; `path` names it in errors and anchors relative paths."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    config: Config = _Reader(path, _lines_of_keys(text)).table(Config, raw, "")
    check(config, path)
    return config


def check(config: Config, path: Path) -> None:
    """What no single key shows. Raises ConfigError."""
    numbers = [evse.id for evse in config.evse]
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise ConfigError(f"{path}: evse.id must count from 1 without gaps, not {numbers}")
    if not config.csms.url.startswith(("ws://", "wss://")):
        raise ConfigError(f"{path}: csms.url must begin with ws:// or wss://")
    if config.csms.security_profile > 1 and not config.csms.url.startswith("wss://"):
        raise ConfigError(f"{path}: security profile {config.csms.security_profile} needs a wss:// url")
    if config.csms.security_profile < 3 and not (config.csms.password or config.csms.password_sealed):
        raise ConfigError(f"{path}: security profile {config.csms.security_profile} needs csms.password")
    if config.display is not None and not (8 <= config.display.columns <= 512 and 1 <= config.display.rows <= 128):
        raise ConfigError(f"{path}: display: columns must be 8 to 512 and rows 1 to 128")
    _check_page(config.page, path)
    _check_start(config.start, path)
    if len(config.csms.iso15118_data_transfer) > 255:
        raise ConfigError(f"{path}: csms.iso15118_data_transfer: a vendorId has at most 255 characters")
    for evse in config.evse:
        if not 6 <= evse.max_current_a <= 80:
            raise ConfigError(f"{path}: evse {evse.id}: max_current_a must be 6 to 80 (IEC 61851-1 table A.8)")
        if not -40 <= evse.attenuation_offset_db <= 40:
            raise ConfigError(f"{path}: evse {evse.id}: attenuation_offset_db must be -40 to 40")
        for service in evse.other_services:
            if not (60_001 <= service.id <= 65_535 and len(service.name) <= 32 and len(service.scope) <= 64):
                words = "an id of 60001 to 65535, a name of 32 and a scope of 64 characters at most"
                raise ConfigError(f"{path}: evse {evse.id}: other_services need {words}")
        if evse.dc is not None:
            _check_dc(evse, evse.dc, path)


def _check_dc(evse: Evse, dc: Dc, path: Path) -> None:
    where = f"{path}: evse {evse.id}"
    if evse.meter is None:
        raise ConfigError(f"{where}: a DC EVSE needs a meter: the board's own is on the AC side")
    if not evse.plc_interface:
        raise ConfigError(f"{where}: a DC EVSE needs a plc_interface: without talk there is no DC charging")
    if not 60 < dc.min_voltage_v < dc.max_voltage_v <= 1500:
        raise ConfigError(f"{where}: dc.min_voltage_v and max_voltage_v must be between 60 and 1500, and in this order")
    if not (0 <= dc.min_current_a < dc.max_current_a and dc.max_power_w > 0):
        raise ConfigError(f"{where}: dc.min_current_a, max_current_a and max_power_w must be positive, and in order")


def _check_start(start: Start, path: Path) -> None:
    if not 0 <= start.random_delay_s <= LONGEST_DELAY_S:
        raise ConfigError(f"{path}: start.random_delay_s must be 0 to {LONGEST_DELAY_S:g}")
    for hours in start.peak_hours:
        try:
            PeakHours.parse(hours)
        except ValueError as error:
            raise ConfigError(f"{path}: start.peak_hours: {error}") from error


def _check_page(page: Page, path: Path) -> None:
    if not page.host:
        return
    try:
        address = ipaddress.ip_address(page.host)
    except ValueError as error:
        raise ConfigError(f"{path}: page.host must be an address, not {page.host!r}") from error
    if address.is_unspecified or not 0 <= page.port <= 65535:
        raise ConfigError(f"{path}: page.host must be one address of this station, and page.port a port")


_TABLE = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*=")


def _lines_of_keys(text: str) -> dict[str, int]:
    """Line numbers by path, as in `csms.url` or `evse[1].device`: tomllib keeps none."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        if table := _TABLE.match(line):
            name = table[2]
            if table[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            prefix = f"{name}."
            lines.setdefault(name, number)
        elif key := _KEY.match(line):
            lines.setdefault(prefix + key[1], number)
    return lines


class _Reader:
    """Turns parsed TOML into dataclasses by their annotations."""

    def __init__(self, path: Path, lines: dict[str, int]) -> None:
        self._path = path
        self._lines = lines

    def table(self, cls: type, raw: object, where: str) -> typing.Any:  # a dataclass of `cls`
        if not isinstance(raw, dict):
            raise self._error(where, "must be a table")
        prefix = f"{where}." if where else ""
        hints = typing.get_type_hints(cls)
        for key in raw:
            if key not in hints:
                raise self._error(prefix + key, f"unknown key; known are {', '.join(hints)}")
        values: dict[str, object] = {}
        for item in dataclasses.fields(cls):
            if item.name in raw:
                values[item.name] = self._value(hints[item.name], raw[item.name], prefix + item.name)
            elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
                raise self._error(prefix + item.name, "missing")
        return cls(**values)

    def _value(self, hint: typing.Any, raw: object, where: str) -> object:
        origin = typing.get_origin(hint)
        if dataclasses.is_dataclass(hint):
            return self.table(typing.cast(type, hint), raw, where)
        if origin is dict:
            return self._options(raw, where)
        if origin is tuple:
            return self._array(typing.get_args(hint)[0], raw, where)
        if origin is Literal:
            return self._choice(typing.get_args(hint), raw, where)
        if origin in (typing.Union, types.UnionType):
            hint = next(arg for arg in typing.get_args(hint) if arg is not types.NoneType)
            return self._value(hint, raw, where)
        return self._scalar(hint, raw, where)

    def _options(self, raw: object, where: str) -> dict[str, object]:
        """A table whose keys another part knows: here only plain values are asked for."""
        if not isinstance(raw, dict) or not all(isinstance(value, str | int | float | bool) for value in raw.values()):
            raise self._error(where, "must be a table of plain values")
        return raw

    def _array(self, item: type, raw: object, where: str) -> tuple[object, ...]:
        if not isinstance(raw, list) or not raw:
            raise self._error(where, f"needs at least one: a [[{where}]] table, or an entry of a list")
        return tuple(self._value(item, entry, f"{where}[{index}]") for index, entry in enumerate(raw))

    def _choice(self, choices: tuple[object, ...], raw: object, where: str) -> object:
        if raw not in choices or isinstance(raw, bool):
            raise self._error(where, f"must be one of {', '.join(map(str, choices))}, not {raw!r}")
        return raw

    def _scalar(self, hint: type, raw: object, where: str) -> object:
        if hint is Path and isinstance(raw, str):
            return self._path.parent / raw
        if hint is float and type(raw) in (int, float):
            return float(typing.cast(float, raw))
        if type(raw) is not hint:
            wanted = {float: "a number", int: "a whole number", bool: "true or false"}.get(hint, "a string")
            raise self._error(where, f"must be {wanted}, not {raw!r}")
        return raw

    def _error(self, where: str, what: str) -> ConfigError:
        line = self._lines.get(where) or self._lines.get(where.rpartition(".")[0])
        place = f"{self._path}:{line}" if line else str(self._path)
        return ConfigError(f"{place}: {where}: {what}")
