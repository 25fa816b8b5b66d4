"""Variables of the functional blocks beside the core: local list, reservation, tariff, display, monitoring.

The same table as `ocpp_client/variables.py`; what counts entries is asked of the block itself each time.
"""

from collections.abc import Callable, Iterable, Iterator

from hal.quantities import EvseId
from ocpp_client import local_list, messages
from ocpp_client.device_model import DataType, Mutability, Variable

_RW = Mutability.READ_WRITE
_INTEGER, _BOOLEAN, _STRING = DataType.INTEGER, DataType.BOOLEAN, DataType.STRING
_MEMBERS, _OPTION, _DECIMAL = DataType.MEMBER_LIST, DataType.OPTION_LIST, DataType.DECIMAL

Count = Callable[[], int]


def local_list_variables(entries: Count) -> Iterator[Variable]:
    name = "LocalAuthListCtrlr"

    def count() -> str:
        return str(entries())

    yield Variable(name, "Available", _BOOLEAN, "true")
    yield Variable(name, "Enabled", _BOOLEAN, "true", None, _RW)
    yield Variable(name, "Entries", _INTEGER, highest=local_list.MAX_ENTRIES, computed=count)
    yield Variable(name, "ItemsPerMessage", _INTEGER, str(local_list.ITEMS_PER_MESSAGE), constant=True)
    yield Variable(name, "BytesPerMessage", _INTEGER, str(local_list.BYTES_PER_MESSAGE), constant=True)
    yield Variable(name, "DisablePostAuthorize", _BOOLEAN, "false", None, _RW)


def certificate_variables(entries: Count) -> Iterator[Variable]:
    yield Variable("SecurityCtrlr", "CertificateEntries", _INTEGER, computed=lambda: str(entries()))


def reservation_variables() -> Iterator[Variable]:
    name = "ReservationCtrlr"
    yield Variable(name, "Available", _BOOLEAN, "true")
    yield Variable(name, "Enabled", _BOOLEAN, "true", None, _RW)
    yield Variable(name, "NonEvseSpecific", _BOOLEAN, "true", None, _RW)


def display_variables(held: Count, *, available: bool) -> Iterator[Variable]:
    name = "DisplayMessageCtrlr"

    def members(variable: str, values: tuple[str, ...]) -> Variable:
        return Variable(name, variable, _MEMBERS, ",".join(values), choices=values, constant=True)

    yield Variable(name, "Available", _BOOLEAN, str(available).lower())
    yield Variable(name, "Enabled", _BOOLEAN, str(available).lower())
    yield Variable(name, "DisplayMessages", _INTEGER, highest=messages.MAX_MESSAGES, computed=lambda: str(held()))
    yield members("SupportedFormats", messages.FORMATS)
    yield members("SupportedPriorities", tuple(priority.name for priority in messages.Priority))
    yield members("SupportedStates", messages.STATES)


def tariff_variables(*, available: bool) -> Iterator[Variable]:
    name = "TariffCostCtrlr"
    for instance in ("Tariff", "Cost"):
        yield Variable(name, "Available", _BOOLEAN, str(available).lower(), instance)
        yield Variable(name, "Enabled", _BOOLEAN, "true", instance, _RW)
    yield Variable(name, "TariffFallbackMessage", _STRING, "", None, _RW, highest=255)
    yield Variable(name, "TotalCostFallbackMessage", _STRING, "", None, _RW, highest=255)
    yield Variable(name, "Currency", _STRING, "EUR", None, _RW, check=_currency_refusal)


def _currency_refusal(value: str) -> str | None:
    fits = len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()
    return None if fits else "a currency has three letters (ISO 4217)"


MONITORING_ITEMS = 50
BASES = ("All", "FactoryDefault", "HardWiredOnly")


def monitoring_variables(
    evses: Iterable[EvseId], phases: int, problems: Iterable[tuple[str, str, EvseId]]
) -> Iterator[Variable]:
    """With what the meter moves, and the `problems` that faults move: component, variable, EVSE."""
    name = "MonitoringCtrlr"
    yield Variable(name, "Available", _BOOLEAN, "true")
    yield Variable(name, "Enabled", _BOOLEAN, "true", None, _RW)
    yield Variable(name, "ActiveMonitoringBase", _OPTION, BASES[0], choices=BASES)
    yield Variable(name, "ActiveMonitoringLevel", _INTEGER, "9", lowest=0, highest=9)
    yield Variable(name, "OfflineQueuingSeverity", _INTEGER, "9", None, _RW, lowest=0, highest=9)
    for instance in ("SetVariableMonitoring", "ClearVariableMonitoring"):
        yield Variable(name, "ItemsPerMessage", _INTEGER, str(MONITORING_ITEMS), instance, constant=True)
        yield Variable(name, "BytesPerMessage", _INTEGER, "65536", instance, constant=True)
    for evse in evses:
        for phase in range(1, phases + 1):
            yield Variable("EVSE", "ACCurrent", _DECIMAL, "0", f"L{phase}", unit="A", evse_id=int(evse))
            yield Variable("EVSE", "ACVoltage", _DECIMAL, "0", f"L{phase}", unit="V", evse_id=int(evse))
    for component, variable, evse in problems:
        yield Variable(component, variable, _BOOLEAN, "false", evse_id=int(evse))
