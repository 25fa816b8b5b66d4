"""Vendor messages, both vendors: round trips, layouts that plc-utils reads, and malformed ones."""

import pytest

from hal.plc import vendor_mme as v
from hal.plc.frame import MMV_1_0, MMV_1_1, MmeError, MmeFault, build_frame, parse_header

HOST = bytes.fromhex("020000000101")
MODEM = bytes.fromhex("00b052aa0001")
NETWORK = v.Network(
    b"nidnid\x07", 1, v.StationRole.COORDINATOR, MODEM, (v.Station(MODEM, 2, HOST, 9, 8), v.Station(HOST, 3, MODEM))
)

MESSAGES = [
    v.SwVerReq(),
    v.SwVerCnf(0, 0x22, "MAC-QCA7005-1.2.5"),
    v.OpAttributesReq(0x12345678),
    v.OpAttributesCnf(0, 7, "QCA7005", "MAC", (1, 2, 5, 3207), "20170525", "FINAL"),
    v.NwInfoReq(),
    v.NwInfoCnf(()),
    v.NwInfoCnf((NETWORK, v.Network(b"2222222", 3, v.StationRole.STATION, HOST))),
    v.RsDevReq(),
    v.RsDevCnf(0),
    v.LinkStatusReq(),
    v.LinkStatusCnf(0, True),
    v.ReadPibReq(0x1653, 1),
    v.ReadPibCnf(0, 0x1653, b"\x02"),
    v.AttenuationCharacteristicsInd(),
    v.LumissilVersionReq(),
    v.LumissilVersionCnf((1, 8, 2, 4)),
    v.LumissilLinkStatusReq(),
    v.LumissilLinkStatusCnf(False),
    v.LumissilResetReq(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back_as_it_went(message: v.VendorMessage):
    decoded = v.decode(v.encode(HOST, MODEM, message))
    assert decoded.message == message
    assert (decoded.destination, decoded.source) == (HOST, MODEM)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_no_prefix_of_a_frame_does_more_than_raise(message: v.VendorMessage):
    frame = v.encode(HOST, MODEM, message)
    faults = set()
    for length in range(len(frame)):
        try:
            assert isinstance(v.decode(frame[:length]).message, type(message))
        except MmeError as error:
            faults.add(error.fault)
    assert faults <= {MmeFault.TOO_SHORT, MmeFault.UNKNOWN_VENDOR}


def test_headers_are_each_vendors_own():
    qualcomm = v.encode(MODEM, HOST, v.LinkStatusReq())
    assert qualcomm[14:20] == b"\x00\xb8\xa0\x00\xb0\x52"
    lumissil = v.encode(MODEM, HOST, v.LumissilLinkStatusReq())
    assert lumissil[14:22] == b"\x01\x9c\xac\x00\x00\x00\x16\xe8"
    network = v.encode(MODEM, HOST, v.NwInfoReq())
    assert network[14:22] == b"\x01\x38\xa0\x00\x00\x00\xb0\x52"


def test_a_stations_data_rates_are_where_plctool_reads_them():
    frame = v.encode(HOST, MODEM, v.NwInfoCnf((NETWORK,)))
    network = frame[22 + 6 :]
    assert network[:7] == NETWORK.nid
    assert network[15] == 2  # CCo
    assert network[26] == 2  # stations
    station = network[32:]
    assert station[:6] == MODEM
    assert station[16:18] == b"\x09\0"
    assert station[20:22] == b"\x08\0"


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (build_frame(HOST, MODEM, 0xA00D, b"\x00\xb0\x52", mmv=MMV_1_0), MmeFault.UNKNOWN_TYPE),
        (build_frame(HOST, MODEM, 0xA001, b"\x00\x16\xe8" + bytes(40), mmv=MMV_1_0), MmeFault.UNKNOWN_VENDOR),
        (build_frame(HOST, MODEM, 0xA039, b"\x00\xb0\x52" + bytes(5) + b"\xff", mmv=MMV_1_1), MmeFault.TOO_SHORT),
        # A role beyond the table.
        (
            build_frame(HOST, MODEM, 0xA039, b"\x00\xb0\x52" + bytes(5) + b"\x01" + b"\x09" * 40, mmv=MMV_1_1),
            MmeFault.TOO_SHORT,
        ),
        # A length beyond the frame.
        (
            v.encode(HOST, MODEM, v.ReadPibCnf(0, 0, b"\x02"))[:41] + b"\xff\xff" + bytes(17),
            MmeFault.TOO_SHORT,
        ),
    ],
)
def test_what_is_malformed_is_named(frame: bytes, fault: MmeFault):
    with pytest.raises(MmeError) as caught:
        v.decode(frame, parse_header(frame))
    assert caught.value.fault is fault


@pytest.mark.parametrize(
    "message", [v.SwVerCnf(0, 0x22, "v" * 300), v.SwVerCnf(0, 300, "v"), v.OpAttributesReq(-1), v.RsDevCnf(256)]
)
def test_what_does_not_fit_is_not_sent(message: v.VendorMessage):
    with pytest.raises(MmeError) as caught:
        v.encode(HOST, MODEM, message)
    assert caught.value.fault is MmeFault.BAD_FIELD


def test_a_parameter_block_is_not_printed():
    assert "secret" not in repr(v.ReadPibCnf(0, 0, b"secret"))
