"""The serial line over a pseudo-terminal: exclusive, never blocking, back after a loss."""

import asyncio
import errno
import os
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hal import serial_port
from hal.serial_port import PortError, SerialPort


class FarEnd:
    """A pty under a path that stays the same when the pty is replaced, as a USB adapter's udev name does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug()

    def plug(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        os.close(self._slave)
        os.close(self.master)
        self.path.unlink()


class Recorder:
    def __init__(self, device: Path) -> None:
        self.opened = 0
        self.data = b""
        self.lost: list[str] = []
        self.port = SerialPort(str(device), self._opened, self._received, self.lost.append)

    def _opened(self) -> None:
        self.opened += 1

    def _received(self, data: bytes) -> None:
        self.data += data


async def until(condition: Callable[[], bool], timeout_s: float = 3.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarEnd]:
    end = FarEnd(tmp_path / "tty")
    yield end
    if end.path.exists():
        end.unplug()


async def test_bytes_both_ways(far: FarEnd) -> None:
    recorder = Recorder(far.path)
    recorder.port.open()
    assert recorder.opened == 1
    os.write(far.master, b"\x00\x03\x11up")
    await until(lambda: recorder.data == b"\x00\x03\x11up")
    recorder.port.write(b"down\x00\x0a\x0d")
    assert os.read(far.master, 100) == b"down\x00\x0a\x0d"
    recorder.port.close()
    assert not recorder.port.is_open
    assert recorder.lost == []


async def test_what_came_before_the_opening_is_gone(far: FarEnd) -> None:
    os.write(far.master, b"early")
    recorder = Recorder(far.path)
    recorder.port.open()
    os.write(far.master, b"late")
    await until(lambda: recorder.data == b"late")
    recorder.port.close()


async def test_a_second_opener_is_refused(far: FarEnd) -> None:
    first, second = Recorder(far.path), Recorder(far.path)
    first.port.open()
    with pytest.raises(PortError, match="tty"):
        second.port.open()
    first.port.close()
    second.port.open()
    second.port.close()


async def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="nowhere"):
        Recorder(tmp_path / "nowhere").port.open()


async def test_unplugged_it_is_reported_and_comes_back(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "REOPEN_FIRST_S", 0.02)
    recorder = Recorder(far.path)
    recorder.port.open()
    far.unplug()
    await until(lambda: len(recorder.lost) == 1)
    assert not recorder.port.is_open
    recorder.port.write(b"nobody hears this")
    await asyncio.sleep(0.15)
    far.plug()
    await until(lambda: recorder.opened == 2)
    os.write(far.master, b"again")
    await until(lambda: recorder.data == b"again")
    recorder.port.close()


async def test_closed_while_waiting_it_stays_closed(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "REOPEN_FIRST_S", 0.02)
    recorder = Recorder(far.path)
    recorder.port.open()
    far.unplug()
    await until(lambda: len(recorder.lost) == 1)
    recorder.port.close()
    far.plug()
    await asyncio.sleep(0.1)
    assert recorder.opened == 1


async def test_a_line_nobody_reads_never_blocks_and_the_loss_is_counted(far: FarEnd) -> None:
    recorder = Recorder(far.path)
    recorder.port.open()
    async with asyncio.timeout(2):
        for _ in range(200):
            recorder.port.write(b"x" * 1000)
            await asyncio.sleep(0)
    assert recorder.port.dropped_bytes > 100_000
    recorder.port.close()


@pytest.mark.parametrize("call", ["read", "write"])
async def test_an_error_of_the_line_is_a_loss_not_a_crash(
    far: FarEnd, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    recorder = Recorder(far.path)
    recorder.port.open()
    with monkeypatch.context() as patched:
        patched.setattr(f"hal.serial_port.os.{call}", broken)
        if call == "write":
            recorder.port.write(b"x")
        else:
            recorder.port._readable()
    assert len(recorder.lost) == 1
    assert "Input/output error" in recorder.lost[0]
    await until(lambda: recorder.opened == 2)
    recorder.port.close()


async def test_a_false_alarm_and_a_full_line_are_no_losses(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_now(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    recorder = Recorder(far.path)
    recorder.port.open()
    recorder.port._readable()
    with monkeypatch.context() as patched:
        patched.setattr("hal.serial_port.os.write", not_now)
        recorder.port.write(b"12345")
    assert recorder.port.dropped_bytes == 5
    assert recorder.lost == []
    recorder.port.close()
    recorder.port._readable()
