"""What the codec reads and writes, and above all what it refuses: the reason, the element's path, the bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from secc.exi import ExiDecodeError, ExiEncodeError, ExiError, Namespace, Reason, codec, decode, encode
from secc.exi.codec import positions
from secc.exi.decoder import MAX_BYTES
from tests.secc.exi.exi_messages import CURRENT_DEMAND_REQ, KINDS, SAP_REQ, SESSION_ID, iso_2, physical, signature

SAP_RES = {"supportedAppProtocolRes": {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}}


@pytest.fixture(autouse=True, params=["python", "as built"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds without the accelerator; and with it, where it was built."""
    if request.param == "python":
        monkeypatch.setattr(codec, "accelerator", None)
    elif codec.accelerator is None:
        pytest.skip("the accelerator is not built in place")


class Bits:
    """Octets from bits written by hand, to say what a peer sent."""

    def __init__(self, *parts: str) -> None:
        self.text = f"{0x80:08b}" + "".join(parts).replace(" ", "").replace("_", "")

    def octets(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8)


def test_a_response_bit_by_bit() -> None:
    """Document of two roots, two bits; response code SE, CH, two bits, EE; schema id SE of two, CH, eight bits, EE."""
    octets = Bits("01", "0 0 00 0", "00 0 00000001 0", "0").octets()
    assert encode(Namespace.SAP, SAP_RES) == octets
    assert decode(Namespace.SAP, octets) == SAP_RES


def test_what_is_optional_may_be_absent() -> None:
    octets = Bits("01", "0 0 10 0", "01").octets()
    absent = {"supportedAppProtocolRes": {"ResponseCode": "Failed_NoNegotiation"}}
    assert encode(Namespace.SAP, absent) == octets
    assert decode(Namespace.SAP, octets) == absent


def test_a_vehicles_first_message() -> None:
    """One protocol, ISO 15118-2, version 2.0: octets that vehicles send."""
    octets = bytes.fromhex("8000ebab9371d34b9b79d189a98989c1d191d191818999d26b9b3a232b30020000040040")
    message = decode(Namespace.SAP, octets)
    assert message == {
        "supportedAppProtocolReq": {
            "AppProtocol": [
                {
                    "ProtocolNamespace": "urn:iso:15118:2:2013:MsgDef",
                    "VersionNumberMajor": 2,
                    "VersionNumberMinor": 0,
                    "SchemaID": 1,
                    "Priority": 1,
                }
            ]
        }
    }
    assert encode(Namespace.SAP, message) == octets


@pytest.mark.parametrize("kind", KINDS)
def test_octets_behind_the_message_are_ignored(kind: str) -> None:
    namespace, message, fragment = KINDS[kind]
    octets = encode(namespace, message, fragment=fragment)
    for tail in (b"\x00", b"\xff\xff", bytes(300)):
        assert decode(namespace, octets + tail, fragment=fragment) == message


@pytest.mark.parametrize("kind", KINDS)
def test_every_shorter_message_is_refused(kind: str) -> None:
    namespace, message, fragment = KINDS[kind]
    octets = encode(namespace, message, fragment=fragment)
    for length in range(min(len(octets), 200)):
        with pytest.raises(ExiDecodeError) as refused:
            decode(namespace, octets[:length], fragment=fragment)
        assert refused.value.bit is not None
        assert refused.value.bit <= length * 8


def test_an_empty_session_id_and_other_deviations_of_vehicles_are_read() -> None:
    """Seen on the road: no session id, three phases and one more, a time in minutes."""
    whole = iso_2({"SessionSetupReq": {"EVCCID": b""}})
    whole["V2G_Message"]["Header"]["SessionID"] = b""
    assert decode(Namespace.ISO_2, encode(Namespace.ISO_2, whole)) == whole
    profile = {
        "ProfileEntry": [
            {
                "ChargingProfileEntryStart": 0,
                "ChargingProfileEntryMaxPower": physical(11, "W", 3),
                "ChargingProfileEntryMaxNumberOfPhasesInUse": 3,
            }
        ]
    }
    message = iso_2(
        {"PowerDeliveryReq": {"ChargeProgress": "Start", "SAScheduleTupleID": 1, "ChargingProfile": profile}}
    )
    found = next(
        item
        for item in positions(Namespace.ISO_2, encode(Namespace.ISO_2, message))
        if item.name == "ChargingProfileEntryMaxNumberOfPhasesInUse"
    )
    octets = bytearray(encode(Namespace.ISO_2, message))
    bit = found.end - 1
    octets[bit >> 3] |= 1 << (7 - (bit & 7))
    read: Any = decode(Namespace.ISO_2, bytes(octets))
    entry = read["V2G_Message"]["Body"]["PowerDeliveryReq"]["ChargingProfile"]["ProfileEntry"][0]
    assert entry["ChargingProfileEntryMaxNumberOfPhasesInUse"] == 4


def test_a_chargers_empty_abstract_element_is_read_and_written() -> None:
    """In DIN SPEC 70121, in place of a schedule list, by chargers that vehicles charge at."""
    octets = bytes.fromhex("809a02004080c1014181c21080004820400000c99002062050193080c0c802064c8010190140c80a20")
    message: Any = decode(Namespace.DIN, octets)
    assert message["V2G_Message"]["Body"]["ChargeParameterDiscoveryRes"]["SASchedules"] == {}
    assert encode(Namespace.DIN, message) == octets


def test_text_of_all_planes() -> None:
    names = ["", "a", "Grüße", "漢字", "😀", "\x7f\x80", "x" * 3000 + "é"]
    message = {"KeyInfo": {"KeyName": names}}
    assert decode(Namespace.XMLDSIG, encode(Namespace.XMLDSIG, message, fragment=True), fragment=True) == message


@pytest.mark.parametrize(
    "serial", [0, 1, 127, 128, 255, 2**31, 2**63 - 1, 2**63, 2**64, 2**160 - 1, -1, -(2**63), -(2**70)]
)
def test_certificate_serial_numbers_of_any_size(serial: int) -> None:
    issuer = {"X509IssuerName": "CN=V2G Root", "X509SerialNumber": serial}
    message = {"X509Data": {"X509IssuerSerial": [issuer]}}
    assert decode(Namespace.XMLDSIG, encode(Namespace.XMLDSIG, message, fragment=True), fragment=True) == message


class TestRefusedOctets:
    @pytest.mark.parametrize("octets", [b"", b"\x00", b"$EXI\x80", b"\xa0\x00"])
    def test_no_header(self, octets: bytes) -> None:
        with pytest.raises(ExiDecodeError) as refused:
            decode(Namespace.SAP, octets)
        assert (refused.value.reason, refused.value.bit) == (Reason.HEADER, 0)

    def test_too_large(self) -> None:
        with pytest.raises(ExiDecodeError) as refused:
            decode(Namespace.SAP, b"\x80" + bytes(MAX_BYTES))
        assert refused.value.reason is Reason.TOO_LARGE

    @pytest.mark.parametrize(
        ("octets", "reason", "path", "bit"),
        [
            pytest.param(Bits("10"), Reason.WILDCARD, "", 8, id="a root of no schema"),
            pytest.param(Bits("11"), Reason.UNKNOWN_EVENT, "", 8, id="no such root"),
            pytest.param(Bits("01 1"), Reason.UNKNOWN_EVENT, "supportedAppProtocolRes", 10, id="a second-level event"),
            pytest.param(
                Bits("01 0 1 00 0"),
                Reason.DEVIATION,
                "supportedAppProtocolRes/ResponseCode",
                11,
                id="a second-level event in place of a value",
            ),
            pytest.param(
                Bits("01 0 0 11 0 01"),
                Reason.ENUMERATION,
                "supportedAppProtocolRes/ResponseCode",
                11,
                id="beyond the enumeration",
            ),
            pytest.param(
                Bits("01 0 0 00 1 00"), Reason.UNKNOWN_EVENT, "supportedAppProtocolRes", 14, id="no end of the element"
            ),
            pytest.param(
                Bits("00 0 0 0 00000001"),
                Reason.STRING_TABLE,
                "supportedAppProtocolReq/AppProtocol[0]/ProtocolNamespace",
                21,
                id="a string table hit",
            ),
            pytest.param(
                Bits("00 0 0 0 11111111 11111111 00001111 00000000"),
                Reason.LENGTH,
                "supportedAppProtocolReq/AppProtocol[0]/ProtocolNamespace",
                37,
                id="a length beyond the message",
            ),
            pytest.param(
                Bits("00 0 0 0 00000011 10000000 10110000 00000011 00000000"),
                Reason.CODE_POINT,
                "supportedAppProtocolReq/AppProtocol[0]/ProtocolNamespace",
                45,
                id="a surrogate",
            ),
            pytest.param(
                Bits("00 0 0 0 00000011 11111111 11111111 01111111 00000000"),
                Reason.CODE_POINT,
                "supportedAppProtocolReq/AppProtocol[0]/ProtocolNamespace",
                45,
                id="beyond Unicode",
            ),
            pytest.param(
                Bits("00 0 0 0 00000010", "0 0 0", "11111111" * 12),
                Reason.INTEGER,
                "supportedAppProtocolReq/AppProtocol[0]/VersionNumberMajor",
                None,
                id="an integer without end",
            ),
        ],
    )
    def test_deviations(self, octets: Bits, reason: Reason, path: str, bit: int | None) -> None:
        with pytest.raises(ExiDecodeError) as refused:
            decode(Namespace.SAP, octets.octets())
        error = refused.value
        assert (error.reason, error.path) == (reason, path)
        assert error.root == path.partition("/")[0]
        assert bit is None or error.bit == bit
        assert f"bit {error.bit}" in str(error)

    def test_wildcards_and_mixed_text_of_xml_signatures(self) -> None:
        start = encode(Namespace.XMLDSIG, {"DigestMethod": {"Algorithm": ""}}, fragment=True)
        [algorithm] = [item for item in positions(Namespace.XMLDSIG, start, fragment=True) if item.name == "Algorithm"]
        kept = f"{int.from_bytes(start):0{len(start) * 8}b}"[8 : algorithm.end]
        for code, reason in (("00", Reason.WILDCARD), ("10", Reason.MIXED_TEXT), ("11", Reason.UNKNOWN_EVENT)):
            with pytest.raises(ExiDecodeError) as refused:
                decode(Namespace.XMLDSIG, Bits(kept, code, "0" * 64).octets(), fragment=True)
            assert (refused.value.reason, refused.value.path) == (reason, "DigestMethod")
            assert refused.value.bit == algorithm.end

    def test_a_second_root_of_a_fragment(self) -> None:
        octets = encode(Namespace.SAP, {"Priority": 1}, fragment=True)
        assert decode(Namespace.SAP, octets, fragment=True) == {"Priority": 1}
        with pytest.raises(ExiDecodeError):
            decode(Namespace.SAP, octets[:-1] + b"\x00", fragment=True)

    def test_an_unknown_namespace(self) -> None:
        for call in (lambda: decode("urn:none", b"\x80"), lambda: encode("urn:none", SAP_RES)):
            with pytest.raises(ExiError) as refused:
                call()
            assert refused.value.reason is Reason.NAMESPACE


class TestRefusedMessages:
    def refuse(self, change: Any, namespace: Namespace = Namespace.ISO_2) -> ExiEncodeError:
        message: Any = copy.deepcopy(iso_2(CURRENT_DEMAND_REQ))
        change(message["V2G_Message"]["Body"]["CurrentDemandReq"])
        with pytest.raises(ExiEncodeError) as refused:
            encode(namespace, message)
        assert refused.value.root == "V2G_Message"
        return refused.value

    @pytest.mark.parametrize(
        ("key", "value", "reason", "path"),
        [
            ("EVTargetCurrents", 1, Reason.UNKNOWN_KEY, ""),
            ("ChargingComplete", 0, Reason.TYPE, "/ChargingComplete"),
            ("ChargingComplete", None, Reason.TYPE, "/ChargingComplete"),
            ("ChargingComplete", "false", Reason.TYPE, "/ChargingComplete"),
            ("EVTargetCurrent", 3, Reason.TYPE, "/EVTargetCurrent"),
            ("EVTargetCurrent", [], Reason.TYPE, "/EVTargetCurrent"),
            ("EVTargetCurrent", {}, Reason.MISSING, "/EVTargetCurrent"),
            ("EVTargetCurrent", physical(0, "A", 4), Reason.RANGE, "/EVTargetCurrent/Multiplier"),
            ("EVTargetCurrent", physical(0, "A", -4), Reason.RANGE, "/EVTargetCurrent/Multiplier"),
            ("EVTargetCurrent", physical(32768, "A"), Reason.RANGE, "/EVTargetCurrent/Value"),
            ("EVTargetCurrent", physical(1.0, "A"), Reason.TYPE, "/EVTargetCurrent/Value"),  # type: ignore[arg-type]
            ("EVTargetCurrent", physical(True, "A"), Reason.TYPE, "/EVTargetCurrent/Value"),
            ("EVTargetCurrent", physical(1, "kA"), Reason.ENUMERATION, "/EVTargetCurrent/Unit"),
            ("EVTargetCurrent", physical(1, 5), Reason.TYPE, "/EVTargetCurrent/Unit"),  # type: ignore[arg-type]
            ("EVTargetCurrent", {**physical(1, "A"), "value": 1}, Reason.UNKNOWN_KEY, "/EVTargetCurrent"),
        ],
    )
    def test_values(self, key: str, value: Any, reason: Reason, path: str) -> None:
        error = self.refuse(lambda request: request.update({key: value}))
        assert (error.reason, error.path) == (reason, f"V2G_Message/Body/CurrentDemandReq{path}")
        assert error.bit is None

    def test_what_is_missing_is_named(self) -> None:
        error = self.refuse(lambda request: request.pop("EVTargetVoltage"))
        assert error.reason is Reason.MISSING
        assert "EVTargetVoltage" in str(error)

    def test_what_is_unknown_is_named(self) -> None:
        assert "'Speed'" in str(self.refuse(lambda request: request.update(Speed=1)))

    @pytest.mark.parametrize("message", [{}, {"a": 1, "b": 2}, [], None, "V2G_Message"])
    def test_no_message(self, message: Any) -> None:
        with pytest.raises(ExiEncodeError) as refused:
            encode(Namespace.SAP, message)
        assert refused.value.reason is Reason.ROOT

    def test_an_unknown_root(self) -> None:
        for fragment in (False, True):
            with pytest.raises(ExiEncodeError) as refused:
                encode(Namespace.SAP, {"V2G_Message": {}}, fragment=fragment)
            assert refused.value.reason is Reason.MISSING

    def test_lists(self) -> None:
        [protocol] = SAP_REQ["supportedAppProtocolReq"]["AppProtocol"][:1]

        def reason(protocols: Any) -> Reason:
            with pytest.raises(ExiEncodeError) as refused:
                encode(Namespace.SAP, {"supportedAppProtocolReq": {"AppProtocol": protocols}})
            assert refused.value.path.startswith("supportedAppProtocolReq")
            return refused.value.reason

        assert reason([protocol] * 21) is Reason.TOO_MANY
        assert reason([]) is Reason.MISSING
        assert reason(protocol) is Reason.TYPE
        assert reason([protocol, 5]) is Reason.TYPE
        twenty = {"supportedAppProtocolReq": {"AppProtocol": [protocol] * 20}}
        assert decode(Namespace.SAP, encode(Namespace.SAP, twenty)) == twenty

    def test_lengths_of_text_and_octets(self) -> None:
        for content in ({"EVCCID": bytes(7)}, {"EVCCID": "DEADBEEF"}):
            with pytest.raises(ExiEncodeError) as refused:
                encode(Namespace.ISO_2, iso_2({"SessionSetupReq": content}))
            assert refused.value.path == "V2G_Message/Body/SessionSetupReq/EVCCID"
        long = {"ResponseCode": "OK", "EVSEID": "DE*" + "A" * 40}
        with pytest.raises(ExiEncodeError) as refused:
            encode(Namespace.ISO_2, iso_2({"SessionSetupRes": long}))
        assert refused.value.reason is Reason.RANGE

    def test_half_a_character(self) -> None:
        with pytest.raises(ExiEncodeError) as refused:
            encode(Namespace.XMLDSIG, {"KeyName": "a\ud800b"}, fragment=True)
        assert refused.value.reason is Reason.CODE_POINT

    def test_two_alternatives_at_once(self) -> None:
        value = {"Name": "p", "intValue": 1, "boolValue": True}
        details = {
            "ResponseCode": "OK",
            "ServiceID": 1,
            "ServiceParameterList": {"ParameterSet": [{"ParameterSetID": 1, "Parameter": [value]}]},
        }
        with pytest.raises(ExiEncodeError) as refused:
            encode(Namespace.ISO_2, iso_2({"ServiceDetailRes": details}))
        assert refused.value.reason is Reason.UNKNOWN_KEY
        assert "cannot stand together" in str(refused.value)

    def test_an_empty_list_is_an_absent_one(self) -> None:
        with_signature = iso_2({"SessionStopReq": {"ChargingSession": "Terminate"}}, Signature=signature({"a": b""}))
        with_empty = copy.deepcopy(with_signature)
        with_empty["V2G_Message"]["Header"]["Signature"]["Object"] = []
        assert encode(Namespace.ISO_2, with_empty) == encode(Namespace.ISO_2, with_signature)


def test_positions_tell_where_everything_stands() -> None:
    octets = encode(Namespace.SAP, SAP_RES)
    assert [(item.start, item.end, item.depth, item.name) for item in positions(Namespace.SAP, octets)] == [
        (8, 10, 0, "supportedAppProtocolRes"),
        (10, 14, 1, "ResponseCode"),
        (14, 26, 1, "SchemaID"),
    ]


def test_order_of_keys_has_no_meaning() -> None:
    message = iso_2(CURRENT_DEMAND_REQ)
    turned = iso_2({"CurrentDemandReq": dict(reversed(CURRENT_DEMAND_REQ["CurrentDemandReq"].items()))})
    assert encode(Namespace.ISO_2, message) == encode(Namespace.ISO_2, turned)
    assert message["V2G_Message"]["Header"]["SessionID"] == SESSION_ID


def test_octets_of_other_kinds_are_taken() -> None:
    octets = encode(Namespace.SAP, SAP_RES)
    assert decode(Namespace.SAP, bytearray(octets)) == SAP_RES
    assert decode(Namespace.SAP, memoryview(octets)) == SAP_RES
