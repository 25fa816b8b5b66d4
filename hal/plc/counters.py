"""An interface driver's own counters, as `ethtool -S` shows them: for a QCA7000 the resets and errors of its SPI."""

import fcntl
import socket
import struct
from array import array

_SIOCETHTOOL = 0x8946
_ETHTOOL_GSTRINGS = 0x1B
_ETHTOOL_GSTATS = 0x1D
_ETHTOOL_GSSET_INFO = 0x37
_ETH_SS_STATS = 1
_NAME_LENGTH = 32
# More than any driver has. The kernel writes as many as the driver has then, whatever was asked: so much room there is.
_MOST = 4096


def driver_counters(interface: str) -> dict[str, int]:
    """The counters by name; none where the interface or its driver has none. Takes well under a millisecond."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            count = _count(control, interface)
            if not 0 < count <= _MOST:
                return {}
            strings = struct.pack("III", _ETHTOOL_GSTRINGS, _ETH_SS_STATS, count)
            names = _ethtool(control, interface, strings, _MOST * _NAME_LENGTH)
            values = _ethtool(control, interface, struct.pack("II", _ETHTOOL_GSTATS, count), _MOST * 8)
        except OSError:
            return {}
    read = struct.unpack_from(f"={count}Q", values, 8)
    return {_name(names, 12 + n * _NAME_LENGTH): value for n, value in enumerate(read)}


def _name(names: bytes, at: int) -> str:
    return names[at : at + _NAME_LENGTH].split(b"\0", 1)[0].decode("ascii", "replace")


def _count(control: socket.socket, interface: str) -> int:
    answer = _ethtool(control, interface, struct.pack("=IIQ", _ETHTOOL_GSSET_INFO, 0, 1 << _ETH_SS_STATS), 4)
    mask, count = struct.unpack_from("=QI", answer, 8)
    return count if mask else 0


def _ethtool(control: socket.socket, interface: str, head: bytes, room: int) -> bytes:
    """One ethtool request with room for its answer behind the head. Raises OSError."""
    buffer = array("B", head + bytes(room))
    address, _ = buffer.buffer_info()
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), address))
    return buffer.tobytes()
