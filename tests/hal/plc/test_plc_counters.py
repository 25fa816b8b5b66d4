"""A driver's counters by ethtool's ioctl, with a driver that is played here: a QCA7000's, and those that misbehave."""

import ctypes
import errno
import struct
from types import SimpleNamespace

import pytest

from hal.plc import counters
from hal.plc.counters import driver_counters

QCASPI = {
    "Triggered resets": 0,
    "Device resets": 2,
    "Reset timeouts": 0,
    "Read errors": 1,
    "Write errors": 0,
    "SPI errors": 2**40,
    "Transmit ring full": 7,
}
GSTRINGS, GSTATS, GSSET_INFO = 0x1B, 0x1D, 0x37


class Driver:
    """Answers as the kernel does for its interface: into the caller's memory, whatever room was asked for."""

    def __init__(self, held: dict[str, int]) -> None:
        self.held = held
        self.asked: list[int] = []
        self.refuses: int | None = None
        self.grows = False

    def ioctl(self, _socket: object, request: int, ifreq: bytes) -> None:
        assert request == 0x8946
        name, address = struct.unpack("16sP16x", ifreq)
        assert name.rstrip(b"\0") == b"plc0"
        (command,) = struct.unpack("I", ctypes.string_at(address, 4))
        self.asked.append(command)
        if command == self.refuses:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        answer = {GSSET_INFO: self._count, GSTRINGS: self._names, GSTATS: self._values}[command]()
        ctypes.memmove(address, answer, len(answer))

    def _count(self) -> bytes:
        counted = len(self.held)
        if self.grows:
            self.held["one more"] = 1
        return struct.pack("=IIQI", GSSET_INFO, 0, 2 if counted else 0, counted)

    def _names(self) -> bytes:
        names = b"".join(name.encode().ljust(32, b"\0") for name in self.held)
        return struct.pack("=III", GSTRINGS, 1, len(self.held)) + names

    def _values(self) -> bytes:
        return struct.pack(f"=II{len(self.held)}Q", GSTATS, len(self.held), *self.held.values())


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver(dict(QCASPI))
    monkeypatch.setattr(counters, "fcntl", SimpleNamespace(ioctl=driver.ioctl))
    return driver


def test_the_spi_counters_of_a_qca7000(driver: Driver) -> None:
    assert driver_counters("plc0") == QCASPI
    assert driver.asked == [GSSET_INFO, GSTRINGS, GSTATS]


@pytest.mark.parametrize("command", [GSSET_INFO, GSTRINGS, GSTATS])
def test_a_driver_that_refuses_has_none(driver: Driver, command: int) -> None:
    driver.refuses = command
    assert driver_counters("plc0") == {}


def test_a_driver_without_counters_is_not_asked_for_them(driver: Driver) -> None:
    driver.held.clear()
    assert driver_counters("plc0") == {}
    assert driver.asked == [GSSET_INFO]


def test_a_driver_that_counts_one_more_in_between_has_room_for_it(driver: Driver) -> None:
    """As when the interface is taken for another: the kernel writes what there is now."""
    driver.grows = True
    assert driver_counters("plc0") == QCASPI


def test_more_counters_than_any_driver_has_are_none(driver: Driver) -> None:
    driver.held = {f"queue {n}": n for n in range(4097)}
    assert driver_counters("plc0") == {}
    assert driver.asked == [GSSET_INFO], "nothing is written past the end"
    driver.asked.clear()
    del driver.held["queue 0"]
    assert len(driver_counters("plc0")) == 4096
