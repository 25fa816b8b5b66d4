"""The station's variables: the one table behind GetVariables, SetVariables and every report.

Names, types and mutability after OCPP 2.0.1 part 2, appendix "Referenced components and variables". A line reads:
component, variable, type, value, and what differs from a plain read-only variable.
"""

from collections.abc import Callable, Iterator

from ocpp_client.config import OcppConfig
from ocpp_client.device_model import DataType, Mutability, Variable
from ocpp_client.metering import KeyRule, Measurand
from ocpp_client.network import SLOTS
from ocpp_client.ports import TxPoint
from ocpp_client.profile_rules import LIMITS

_RW, _WO = Mutability.READ_WRITE, Mutability.WRITE_ONLY
_STRING, _INTEGER, _DECIMAL, _BOOLEAN = DataType.STRING, DataType.INTEGER, DataType.DECIMAL, DataType.BOOLEAN
_OPTION, _MEMBERS, _SEQUENCE = DataType.OPTION_LIST, DataType.MEMBER_LIST, DataType.SEQUENCE_LIST

MEASURANDS = tuple(measurand.value for measurand in Measurand)
# What our API can tell a transaction by; ParkingBayOccupancy needs a sensor, DataSigned a signing meter.
TX_POINTS = tuple(
    point.value
    for point in (TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED, TxPoint.POWER_PATH_CLOSED, TxPoint.ENERGY_TRANSFER)
)
ITEMS_PER_MESSAGE = 50
"""Of GetVariables, SetVariables and reports: a message stays well under 64 kB."""


Refusal = Callable[[str], str | None]
"""A rule for a new value: the reason against it, or None."""


def station_variables(
    config: OcppConfig, now_utc: Callable[[], str], active_slot: Callable[[], str], priority_refusal: Refusal
) -> Iterator[Variable]:
    """Every variable of a station with `config`; `now_utc` is ClockCtrlr.DateTime, the rest is the network's."""
    yield from _station(config)
    yield from _communication(config, active_slot, priority_refusal)
    yield from _security(config)
    yield from _authorization()
    yield from _transactions(config)
    yield from _metering(config)
    yield from _smart_charging()
    yield from _limits_of_messages()
    yield Variable("ClockCtrlr", "DateTime", DataType.DATE_TIME, computed=now_utc)
    yield Variable("ClockCtrlr", "TimeSource", _SEQUENCE, "NTP,Heartbeat", mutability=_RW, choices=("Heartbeat", "NTP"))
    for evse_id in range(1, config.evse_count + 1):
        yield from _evse(config, evse_id)


def _station(config: OcppConfig) -> Iterator[Variable]:
    name = "ChargingStation"
    yield Variable(name, "Available", _BOOLEAN, "true")
    yield Variable(name, "AvailabilityState", _OPTION, "Available", choices=AVAILABILITY_STATES)
    yield Variable(name, "Model", _STRING, config.model, constant=True)
    yield Variable(name, "VendorName", _STRING, config.vendor, constant=True)
    yield Variable(name, "SerialNumber", _STRING, config.serial, constant=True)
    yield Variable(name, "FirmwareVersion", _STRING, config.firmware, constant=True)
    yield Variable(name, "SupplyPhases", _INTEGER, str(config.phases))
    yield Variable(name, "AllowNewSessionsPendingFirmwareUpdate", _BOOLEAN, "false", None, _RW)


CONNECTOR_TYPE = "cType2"
AVAILABILITY_STATES = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")


def _evse(config: OcppConfig, evse_id: int) -> Iterator[Variable]:
    power_w = config.max_current_a * config.nominal_voltage_v * config.phases
    yield Variable("EVSE", "Available", _BOOLEAN, "true", evse_id=evse_id)
    yield Variable("EVSE", "AvailabilityState", _OPTION, "Available", choices=AVAILABILITY_STATES, evse_id=evse_id)
    yield Variable("EVSE", "SupplyPhases", _INTEGER, str(config.phases), evse_id=evse_id)
    yield Variable("EVSE", "Power", _DECIMAL, "0", unit="W", highest=power_w, evse_id=evse_id)
    yield Variable("Connector", "Available", _BOOLEAN, "true", evse_id=evse_id, connector_id=1)
    yield Variable(
        "Connector",
        "AvailabilityState",
        _OPTION,
        "Available",
        choices=AVAILABILITY_STATES,
        evse_id=evse_id,
        connector_id=1,
    )
    yield Variable(
        "Connector", "ConnectorType", _STRING, CONNECTOR_TYPE, evse_id=evse_id, connector_id=1, constant=True
    )
    yield Variable("Connector", "SupplyPhases", _INTEGER, str(config.phases), evse_id=evse_id, connector_id=1)


def _communication(config: OcppConfig, active_slot: Callable[[], str], priority_refusal: Refusal) -> Iterator[Variable]:
    name = "OCPPCommCtrlr"

    def seconds(variable: str, value: float, lowest: float, highest: float, instance: str | None = None) -> Variable:
        return Variable(name, variable, _INTEGER, str(round(value)), instance, _RW, "s", lowest=lowest, highest=highest)

    yield seconds("HeartbeatInterval", config.heartbeat_s, 1, 86400)
    yield seconds("MessageTimeout", config.message_timeout_s, 1, 600, "Default")
    yield seconds("MessageAttemptInterval", config.message_attempt_interval_s, 0, 3600, "TransactionEvent")
    yield Variable(
        name,
        "MessageAttempts",
        _INTEGER,
        str(config.message_attempts),
        "TransactionEvent",
        _RW,
        lowest=1,
        highest=1000,
    )
    yield seconds("OfflineThreshold", config.offline_threshold_s, 0, 86400)
    yield seconds("RetryBackOffWaitMinimum", config.retry_back_off_min_s, 0, 3600)
    yield seconds("RetryBackOffRandomRange", config.retry_back_off_random_s, 0, 3600)
    yield Variable(
        name, "RetryBackOffRepeatTimes", _INTEGER, str(config.retry_back_off_repeats), None, _RW, lowest=0, highest=20
    )
    yield seconds("WebSocketPingInterval", config.web_socket_ping_s, 0, 86400)
    yield Variable(name, "ResetRetries", _INTEGER, "1", None, _RW, lowest=0, highest=10)
    yield Variable(name, "UnlockOnEVSideDisconnect", _BOOLEAN, "true")
    yield Variable(name, "QueueAllMessages", _BOOLEAN, "false")
    yield Variable(name, "FileTransferProtocols", _MEMBERS, "HTTP,HTTPS,FTP", choices=("HTTP", "HTTPS", "FTP"))
    yield Variable(
        name,
        "NetworkConfigurationPriority",
        _SEQUENCE,
        "1",
        None,
        _RW,
        choices=SLOTS,
        reboot=True,
        check=priority_refusal,
    )
    yield Variable(name, "NetworkProfileConnectionAttempts", _INTEGER, "3", None, _RW, lowest=1, highest=100)
    yield Variable(name, "ActiveNetworkProfile", _INTEGER, computed=active_slot)


def _security(config: OcppConfig) -> Iterator[Variable]:
    name = "SecurityCtrlr"
    yield Variable(name, "Identity", _STRING, config.identity)
    yield Variable(
        name, "BasicAuthPassword", _STRING, config.password, None, _WO, lowest=16, highest=40, check=_password_refusal
    )
    yield Variable(name, "SecurityProfile", _INTEGER, str(config.security_profile))
    yield Variable(name, "OrganizationName", _STRING, config.vendor, None, _RW, highest=64)
    yield Variable(name, "CertSigningRepeatTimes", _INTEGER, "3", None, _RW, lowest=0, highest=20)
    yield Variable(name, "CertSigningWaitMinimum", _INTEGER, "60", None, _RW, "s", lowest=1, highest=86400)
    yield Variable(name, "MaxCertificateChainSize", _INTEGER, "10000")
    yield Variable(name, "AdditionalRootCertificateCheck", _BOOLEAN, "false")


def _password_refusal(value: str) -> str | None:
    """A00.FR.205: 16 to 40 characters of OCPP's passwordString."""
    allowed = all(character.isascii() and (character.isalnum() or character in "*-_=:+|@.") for character in value)
    return None if allowed and 16 <= len(value) <= 40 else "a password has 16 to 40 characters of A-Z a-z 0-9 *-_=:+|@."


def _authorization() -> Iterator[Variable]:
    name = "AuthCtrlr"
    yield Variable(name, "Enabled", _BOOLEAN, "true")
    yield Variable(name, "AuthorizeRemoteStart", _BOOLEAN, "false", None, _RW)
    yield Variable(name, "DisableRemoteAuthorization", _BOOLEAN, "false", None, _RW)
    yield Variable(name, "LocalAuthorizeOffline", _BOOLEAN, "true", None, _RW)
    yield Variable(name, "LocalPreAuthorize", _BOOLEAN, "false", None, _RW)
    yield Variable(name, "OfflineTxForUnknownIdEnabled", _BOOLEAN, "false", None, _RW)
    yield Variable(name, "MasterPassGroupId", _STRING, "", None, _RW, highest=36)
    cache = "AuthCacheCtrlr"
    yield Variable(cache, "Available", _BOOLEAN, "true")
    yield Variable(cache, "Enabled", _BOOLEAN, "true", None, _RW)
    yield Variable(cache, "LifeTime", _INTEGER, "864000", None, _RW, "s", lowest=0, highest=31_536_000)
    yield Variable(cache, "DisablePostAuthorize", _BOOLEAN, "false", None, _RW)
    yield Variable(cache, "Storage", _INTEGER, "0", highest=500)
    plug_and_charge = "ISO15118Ctrlr"
    yield Variable(plug_and_charge, "Enabled", _BOOLEAN, "true")
    yield Variable(plug_and_charge, "PnCEnabled", _BOOLEAN, "true", None, _RW)
    yield Variable(plug_and_charge, "ContractCertificateInstallationEnabled", _BOOLEAN, "true", None, _RW)
    yield Variable(plug_and_charge, "V2GCertificateInstallationEnabled", _BOOLEAN, "true", None, _RW)
    yield Variable(plug_and_charge, "RequestMeteringReceipt", _BOOLEAN, "true", None, _RW)
    # A contract of a root that nobody has given us is refused here, until a CSMS says that it verifies such.
    yield Variable(plug_and_charge, "CentralContractValidationAllowed", _BOOLEAN, "false", None, _RW)
    yield Variable(plug_and_charge, "ContractValidationOffline", _BOOLEAN, "false", None, _RW)


def _transactions(config: OcppConfig) -> Iterator[Variable]:
    name = "TxCtrlr"
    seconds = round(config.ev_connection_timeout_s)
    yield Variable(name, "EVConnectionTimeOut", _INTEGER, str(seconds), None, _RW, "s", lowest=0, highest=86400)
    yield Variable(name, "StopTxOnEVSideDisconnect", _BOOLEAN, "true")
    yield Variable(name, "StopTxOnInvalidId", _BOOLEAN, "true", None, _RW)
    yield Variable(name, "MaxEnergyOnInvalidId", _INTEGER, "0", None, _RW, "Wh", lowest=0, highest=100_000)
    yield Variable(name, "TxBeforeAcceptedEnabled", _BOOLEAN, "true")
    if not config.signs:
        # A signing meter ends its record with the power. # unverified: OCPP 2.1 part 2, TxCtrlr.ResumptionTimeout
        yield Variable(name, "ResumptionTimeout", _INTEGER, "0", None, _RW, "s", lowest=0, highest=86400)
    start, stop = ",".join(config.tx_start_points), ",".join(config.tx_stop_points)
    # What a signing meter has not begun to measure cannot be billed: with one, energy is too late for a beginning.
    starts = tuple(point for point in TX_POINTS if point != TxPoint.ENERGY_TRANSFER.value or not config.signs)
    yield Variable(name, "TxStartPoint", _MEMBERS, start, None, _RW, choices=starts)
    yield Variable(name, "TxStopPoint", _MEMBERS, stop, None, _RW, choices=TX_POINTS)


def _metering(config: OcppConfig) -> Iterator[Variable]:
    wanted = ",".join(config.measurands)
    energy = Measurand.ENERGY.value

    def measurands(component: str, variable: str, value: str) -> Variable:
        return Variable(component, variable, _MEMBERS, value, None, _RW, choices=MEASURANDS)

    def interval(component: str, variable: str, value: float) -> Variable:
        return Variable(component, variable, _INTEGER, str(round(value)), None, _RW, "s", lowest=0, highest=86400)

    sampled, aligned = "SampledDataCtrlr", "AlignedDataCtrlr"
    yield Variable(sampled, "Enabled", _BOOLEAN, "true", None, _RW)
    yield measurands(sampled, "TxStartedMeasurands", energy)
    yield measurands(sampled, "TxUpdatedMeasurands", wanted)
    yield measurands(sampled, "TxEndedMeasurands", energy)
    yield interval(sampled, "TxUpdatedInterval", config.sampled_interval_s)
    yield interval(sampled, "TxEndedInterval", 0)
    yield Variable(aligned, "Enabled", _BOOLEAN, "true", None, _RW)
    yield Variable(aligned, "SendDuringIdle", _BOOLEAN, "false", None, _RW)
    yield measurands(aligned, "Measurands", energy)
    yield measurands(aligned, "TxEndedMeasurands", "")
    yield interval(aligned, "Interval", 0)
    yield interval(aligned, "TxEndedInterval", 0)
    if config.signs:
        yield Variable(sampled, "SignReadings", _BOOLEAN, "true", None, _RW)
        yield Variable(aligned, "SignReadings", _BOOLEAN, "false", None, _RW)
        rules = tuple(rule.value for rule in KeyRule)
        name = "PublicKeyWithSignedMeterValue"
        yield Variable("OCPPCommCtrlr", name, _OPTION, KeyRule.ONCE.value, None, _RW, choices=rules)


def _smart_charging() -> Iterator[Variable]:
    name, limits = "SmartChargingCtrlr", LIMITS
    yield Variable(name, "Enabled", _BOOLEAN, "true")
    yield Variable(name, "Available", _BOOLEAN, "true")
    yield Variable(name, "ProfileStackLevel", _INTEGER, str(limits.max_stack_level))
    yield Variable(name, "PeriodsPerSchedule", _INTEGER, str(limits.max_periods))
    yield Variable(name, "Entries", _INTEGER, "0", "ChargingProfiles", highest=limits.max_profiles)
    yield Variable(name, "RateUnit", _MEMBERS, "A,W", choices=("A", "W"))
    yield Variable(name, "Phases3to1", _BOOLEAN, "false")
    yield Variable(name, "LimitChangeSignificance", _DECIMAL, "0", None, _RW, "Percent", lowest=0, highest=100)
    yield Variable(name, "NotifyChargingLimitWithSchedules", _BOOLEAN, "false", None, _RW)


def _limits_of_messages() -> Iterator[Variable]:
    name = "DeviceDataCtrlr"
    for instance in ("GetReport", "GetVariables", "SetVariables"):
        yield Variable(name, "ItemsPerMessage", _INTEGER, str(ITEMS_PER_MESSAGE), instance)
        yield Variable(name, "BytesPerMessage", _INTEGER, "65536", instance)
    yield Variable(name, "ConfigurationValueSize", _INTEGER, "1000")
    yield Variable(name, "ReportingValueSize", _INTEGER, "2500")
    yield Variable(name, "ValueSize", _INTEGER, "2500")
