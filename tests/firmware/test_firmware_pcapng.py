"""Packets and their secrets as pcapng, read back by a reader of its own."""

import struct

from firmware import pcapng


def blocks(octets: bytes) -> list[tuple[int, bytes]]:
    found = []
    while octets:
        kind, length = struct.unpack_from("<II", octets)
        assert length % 4 == 0
        assert struct.unpack_from("<I", octets, length - 4) == (length,)
        found.append((kind, octets[8 : length - 4]))
        octets = octets[length:]
    return found


def test_the_header_names_the_interface_and_counts_nanoseconds() -> None:
    (section_kind, section), (interface_kind, interface) = blocks(pcapng.file_header("plc0"))
    assert (section_kind, interface_kind) == (0x0A0D0D0A, 1)
    assert struct.unpack_from("<IHH", section) == (0x1A2B3C4D, 1, 0)
    assert struct.unpack_from("<H", interface) == (1,)
    assert interface[8:] == b"\x02\0\x04\0plc0" + b"\x09\0\x01\0\x09\0\0\0" + b"\0\0\0\0"


def test_a_packet_is_padded_and_its_length_is_not() -> None:
    ((kind, body),) = blocks(pcapng.packet(b"12345", (7 << 32) + 9))
    assert kind == 6
    assert struct.unpack_from("<IIIII", body) == (0, 7, 9, 5, 5)
    assert body[20:] == b"12345\0\0\0"


def test_secrets_are_of_tls() -> None:
    ((kind, body),) = blocks(pcapng.tls_secrets(b"CLIENT_RANDOM aa bb\n"))
    assert kind == 10
    assert struct.unpack_from("<II", body) == (0x544C534B, 20)
    assert body[8:] == b"CLIENT_RANDOM aa bb\n"
