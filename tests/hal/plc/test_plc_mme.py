"""Frames and messages: what goes out comes in again, and what is malformed is named."""

import logging
import subprocess
import sys

import pytest

from hal.plc import mme
from hal.plc.frame import BROADCAST, MMV_1_0, MmeError, MmeFault, build_frame, parse_header

EV = bytes.fromhex("020000000201")
EVSE = bytes.fromhex("020000000101")
RUN = bytes(range(8))

MESSAGES = [
    mme.SlacParmReq(run_id=RUN),
    mme.SlacParmCnf(forwarding_sta=EV, run_id=RUN),
    mme.StartAttenChar(num_sounds=10, time_out=6, forwarding_sta=EV, run_id=RUN),
    mme.MnbcSound(cnt=9, run_id=RUN, rnd=12345),
    mme.AttenProfile(pev_mac=EV, aag=list(range(58))),
    mme.AttenChar(source_address=EV, run_id=RUN, num_sounds=10, num_groups=58, aag=list(range(58))),
    mme.AttenCharRsp(source_address=EV, run_id=RUN, source_id=0, resp_id=0, result=0),
    mme.MatchReq(pev_mac=EV, evse_mac=EVSE, run_id=RUN),
    mme.MatchCnf(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=b"n" * 7, nmk=b"k" * 16),
    mme.ValidateReq(0, 3, 1),
    mme.ValidateCnf(0, 2, 3),
    mme.AmpMap(3, b"\x12\x30"),
    mme.AmpMapCnf(0),
    mme.SetKeyReq(nid=b"n" * 7, new_key=b"k" * 16),
    mme.SetKeyCnf(1, bytes(4), b"\xaa" * 4, b"\x04", bytes(2), b"\0", b"\0"),
    mme.GetKeyReq(b"n" * 7),
    mme.GetKeyCnf(0, b"n" * 7),
]
# Frame lengths in captures of real stations and vehicles.
LENGTHS = {
    mme.SlacParmReq: 60,
    mme.SlacParmCnf: 60,
    mme.StartAttenChar: 60,
    mme.MnbcSound: 71,
    mme.AttenProfile: 85,
    mme.AttenChar: 129,
    mme.AttenCharRsp: 70,
    mme.MatchReq: 85,
    mme.MatchCnf: 109,
    mme.SetKeyReq: 60,
    mme.SetKeyCnf: 60,
}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back_as_it_went(message: mme.Message):
    frame = mme.encode(EV, EVSE, message)
    assert mme.decode(frame) == (EV, EVSE, message)
    assert len(frame) == LENGTHS.get(type(message), 60)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_no_prefix_of_a_frame_does_more_than_raise(message: mme.Message):
    frame = mme.encode(EV, EVSE, message)
    faults = set()
    for length in range(len(frame)):
        try:
            assert isinstance(mme.decode(frame[:length]).message, type(message))
        except MmeError as error:
            faults.add(error.fault)
    assert faults <= {MmeFault.TOO_SHORT, MmeFault.BAD_GROUPS, MmeFault.BAD_FIELD}


def test_match_lengths_are_little_endian_on_the_wire():
    req = mme.encode(EVSE, EV, mme.MatchReq(pev_mac=EV, evse_mac=EVSE, run_id=RUN))
    cnf = mme.encode(EV, EVSE, mme.MatchCnf(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=b"n" * 7, nmk=b"k" * 16))
    assert req[21:23] == b"\x3e\0"
    assert cnf[21:23] == b"\x56\0"
    assert mme.decode(req).message.mvf_length == 0x3E
    assert mme.decode(cnf).message.mvf_length == 0x56


def test_debians_short_sound_is_understood():
    frame = mme.encode(BROADCAST, EV, mme.MnbcSound(cnt=4, run_id=RUN))[:64]
    sound = mme.decode(frame).message
    assert (sound.cnt, sound.run_id) == (4, RUN)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (b"", MmeFault.TOO_SHORT),
        (bytes(16), MmeFault.TOO_SHORT),
        (bytes(1515), MmeFault.TOO_LONG),
        (bytes(60), MmeFault.NOT_HOMEPLUG),
        (bytes(12) + b"\x88\xe1\x03" + bytes(45), MmeFault.UNKNOWN_VERSION),
        (bytes(12) + b"\x88\xe1\x01\xff\xff" + bytes(43), MmeFault.UNKNOWN_TYPE),
        (build_frame(EV, EVSE, 0x6064, bytes(40), mmv=MMV_1_0), MmeFault.UNKNOWN_VERSION),
        (build_frame(EV, EVSE, 0x6086, EV + b"\0\0" + bytes(60)), MmeFault.BAD_GROUPS),
        (build_frame(EV, EVSE, 0x6086, EV + b"\x3b\0" + bytes(60)), MmeFault.BAD_GROUPS),
        (build_frame(EV, EVSE, 0x6086, EV + b"\xff\0" + bytes(300)), MmeFault.BAD_GROUPS),
        (build_frame(EV, EVSE, 0x606E, bytes(51) + b"\x3a" + bytes(57)), MmeFault.BAD_GROUPS),
        (build_frame(EV, EVSE, 0x601C, b"\0\0" + bytes(40)), MmeFault.BAD_FIELD),
        (build_frame(EV, EVSE, 0x601C, b"\xff\xff" + bytes(40)), MmeFault.BAD_FIELD),
        (build_frame(EV, EVSE, 0x601C, b"\x80\x04" + bytes(40)), MmeFault.BAD_FIELD),
    ],
)
def test_what_is_malformed_is_named(frame: bytes, fault: MmeFault):
    with pytest.raises(MmeError) as caught:
        mme.decode(frame)
    assert caught.value.fault is fault


@pytest.mark.parametrize(
    "message",
    [
        mme.SlacParmReq(run_id=b""),
        mme.AttenProfile(pev_mac=EV, aag=[300] * 58),
        mme.AttenProfile(pev_mac=EV, aag=[1]),
        mme.ValidateCnf(0, 256, 0),
        mme.MatchReq(pev_mac=b"", evse_mac=b"", run_id=RUN, mvf_length=70000),
        mme.SetKeyReq(nid=b"", new_key=b""),
    ],
    ids=lambda m: type(m).__name__,
)
def test_what_does_not_fit_is_not_sent(message: mme.Message):
    with pytest.raises(MmeError) as caught:
        mme.encode(EV, EVSE, message)
    assert caught.value.fault is MmeFault.BAD_FIELD


def test_addresses_and_lengths_are_checked_on_the_way_out():
    for source, payload, fault in [(b"", b"", MmeFault.BAD_FIELD), (EV, bytes(1500), MmeFault.TOO_LONG)]:
        with pytest.raises(MmeError) as caught:
            build_frame(EVSE, source, 0x6064, payload)
        assert caught.value.fault is fault


def test_headers_say_where_the_payload_begins():
    assert parse_header(build_frame(EV, EVSE, 0x6064, b"x")).payload_at == 19
    vendor = parse_header(build_frame(EV, EVSE, 0xA000, b"x", mmv=MMV_1_0))
    assert vendor.payload_at == 17
    assert vendor.is_vendor_specific


def test_the_network_id_is_qualcomms():
    assert mme.network_id(bytes.fromhex("50d3e4933f855b7040784df815aa8db7")).hex() == "b0f2e695666b03"


def test_pyslac_does_not_change_the_programs_logging():
    script = "import logging, hal.plc.mme; print(logging.getLogger().level, logging.getLogger().handlers)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{logging.WARNING} []"


def test_mac_addresses_read_as_people_write_them():
    assert mme.format_mac(EV) == "02:00:00:00:02:01"
