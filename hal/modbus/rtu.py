"""Modbus over serial line 1.02: frames of unit, PDU and CRC-16, told apart by silence. Pure."""

from hal.modbus.pdu import EXCEPTION, Request

MAX_FRAME = 256


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS; goes on the wire low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def to_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def find_answer(received: bytes, unit: int, request: Request) -> bytes | None:
    """The PDU that answers, wherever it begins; None as long as there is none.

    A line driver that wakes up sends a stray byte, so an answer need not stand at the beginning.
    """
    for start in range(len(received) - 3):
        if received[start] != unit:
            continue
        function = received[start + 1]
        if function == request.function:
            length = 1 + request.answer_length + 2
        elif function == request.function | EXCEPTION:
            length = 5
        else:
            continue
        frame = received[start : start + length]
        if len(frame) == length and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
            return frame[1:-2]
    return None


def silence_s(baudrate: int) -> float:
    """What tells two frames apart: 3.5 characters of 11 bits; a fixed 1.75 ms above 19200 Bd (clause 2.5.1.1)."""
    return 3.5 * 11 / baudrate if baudrate <= 19200 else 0.00175
