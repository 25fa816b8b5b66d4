"""For the technician: captures that Wireshark reads, without keys, and a driver's counters."""

import struct

import pytest

from hal.plc import mme, vendor_mme
from hal.plc.capture import file_header, record, without_key
from hal.plc.counters import driver_counters
from hal.plc.frame import build_frame
from tests.hal.plc.plc_talk import EV, EVSE, RUN

KEY = b"secret key bytes"


@pytest.mark.parametrize(
    "message",
    [
        mme.SetKeyReq(nid=b"n" * 7, new_key=KEY),
        mme.MatchCnf(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=b"n" * 7, nmk=KEY),
    ],
    ids=lambda message: type(message).__name__,
)
def test_keys_are_blanked(message: mme.Message):
    frame = mme.encode(EV, EVSE, message)
    assert KEY in frame
    blank = without_key(frame)
    assert KEY not in blank
    assert len(blank) == len(frame)
    assert frame.replace(KEY, bytes(16)) == blank


def test_a_key_the_modem_tells_is_blanked():
    frame = mme.encode(EV, EVSE, mme.GetKeyCnf(0, b"n" * 7))
    told = frame[:37] + KEY + frame[53:]
    assert without_key(told) == frame
    assert without_key(frame[:41] + KEY + frame[57:]) == frame, "with a second nonce before the NID"


def test_a_parameter_block_read_by_another_program_is_blanked_but_our_octet_of_it_stays():
    whole = vendor_mme.encode(EV, EVSE, vendor_mme.ReadPibCnf(0, 0x10, b"\x02" + KEY))
    blank = without_key(whole)
    assert KEY in whole
    assert KEY not in blank
    ours = vendor_mme.encode(EV, EVSE, vendor_mme.ReadPibCnf(0, 0x1653, b"\x02"))
    assert without_key(ours) == ours
    read_module = build_frame(EV, EVSE, 0xA025, vendor_mme.OUI[vendor_mme.Vendor.QUALCOMM] + bytes(12) + KEY, mmv=0)
    assert KEY not in without_key(read_module)


def test_a_key_is_found_behind_either_header():
    """MMV 1.0 has no FMI: all that follows stands two octets earlier."""
    payload = mme.encode(EV, EVSE, mme.SetKeyReq(nid=b"n" * 7, new_key=KEY))[19:]
    frame = build_frame(EV, EVSE, 0x6008, payload, mmv=0)
    assert frame.replace(KEY, bytes(16)) == without_key(frame)


@pytest.mark.parametrize(
    "frame",
    [b"", bytes(60), mme.encode(EV, EVSE, mme.SlacParmReq(run_id=RUN)), EV + EVSE + b"\x88\xe1\x01\x7d\x60\0\0"],
)
def test_all_else_stays_as_it_is(frame: bytes):
    assert without_key(frame) == frame


def test_an_interface_without_counters_has_none():
    assert driver_counters("lo") == driver_counters("no-such-one0") == {}


def test_the_file_is_a_nanosecond_pcap():
    data = file_header() + record(bytes(60), 1_700_000_000_123_456_789)
    assert struct.unpack("<IHHiIII", data[:24]) == (0xA1B23C4D, 2, 4, 0, 0, 2048, 1)
    assert struct.unpack("<IIII", data[24:40]) == (1_700_000_000, 123_456_789, 60, 60)
    assert data[40:] == bytes(60)
