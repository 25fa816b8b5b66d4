"""Variables of the functional blocks beside the core: local list, reservation, tariff, display, monitoring.

The same table as `ocpp_client/variables.py`; what counts entries is asked of the block itself each time.
"""

from collections.abc import Callable, Iterator

from ocpp_client import local_list
from ocpp_client.device_model import DataType, Mutability, Variable

_RW = Mutability.READ_WRITE
_INTEGER, _BOOLEAN = DataType.INTEGER, DataType.BOOLEAN

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


def reservation_variables() -> Iterator[Variable]:
    name = "ReservationCtrlr"
    yield Variable(name, "Available", _BOOLEAN, "true")
    yield Variable(name, "Enabled", _BOOLEAN, "true", None, _RW)
    yield Variable(name, "NonEvseSpecific", _BOOLEAN, "true", None, _RW)
