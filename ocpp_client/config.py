"""What the operator side is told at start. What a CSMS may change lives in the device model, which begins here."""

from dataclasses import dataclass

from ocpp_client.metering import Measurand
from ocpp_client.ports import TxPoint


@dataclass(frozen=True, slots=True)
class Override:
    """A variable of the station, as somebody starts the daemon with it; a restart without it undoes it."""

    component: str
    name: str
    value: str
    instance: str = ""

    def __str__(self) -> str:
        return f"{self.component}.{self.name}{f'[{self.instance}]' if self.instance else ''}"


@dataclass(frozen=True, slots=True)
class OcppConfig:
    identity: str
    url: str
    """The CSMS's endpoint without the identity: it is appended (OCPP-J 3.1.1)."""
    vendor: str
    model: str
    serial: str = ""
    firmware: str = ""
    evse_count: int = 1
    phases: int = 3
    nominal_voltage_v: float = 230.0
    """Phase to neutral."""
    max_current_a: float = 32.0
    security_profile: int = 3
    password: str = ""
    """BasicAuth password of security profiles 1 and 2."""
    boot_reason: str = "PowerUp"
    """OCPP BootReasonEnumType."""
    has_display: bool = True
    """Whether drivers can be shown messages, tariff and cost."""
    iso15118_vendor: str = ""
    """vendorId under which the CSMS wants a vehicle's certificate requests in DataTransfer; empty for OCPP's own."""
    problems: tuple[tuple[str, str], ...] = ()
    """Component and variable of an EVSE's faults, as `notify_event` names them: each has a hard-wired monitor."""
    heartbeat_s: float = 300.0
    sampled_interval_s: float = 60.0
    """SampledDataTxUpdatedInterval."""
    measurands: tuple[Measurand, ...] = tuple(Measurand)
    signs: bool = False
    """Whether a meter signs its readings."""
    retry_back_off_min_s: float = 10.0
    retry_back_off_random_s: float = 10.0
    retry_back_off_repeats: int = 5
    message_timeout_s: float = 30.0
    message_attempts: int = 3
    message_attempt_interval_s: float = 10.0
    web_socket_ping_s: float = 30.0
    offline_threshold_s: float = 60.0
    ev_connection_timeout_s: float = 60.0
    dc: bool = False
    discharges: bool = False
    """Whether a limit below 0 is a set-point for a vehicle that can feed back."""
    schedule_wait_s: float = 30.0
    """How long a vehicle that plans is kept waiting for the CSMS's charging profile, once that said it will come."""
    tx_start_points: tuple[TxPoint, ...] = (TxPoint.POWER_PATH_CLOSED,)
    tx_stop_points: tuple[TxPoint, ...] = (TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED)
    meter_note_s: float = 10.0
    """How often, at most, a meter reading is written down for the case of a power cut: flash wears."""
    allow_unsigned_firmware: bool = False
    """Whether UpdateFirmware without a signature is taken (L02)."""
    update_stops_transactions: bool = False
    """Whether a firmware update ends open transactions rather than wait for them."""
    boot_retry_s: float = 30.0
    """Between BootNotifications when the CSMS names no interval or does not answer (B02.FR.05)."""
    overrides: tuple[Override, ...] = ()
    """Set over what the CSMS had set."""
