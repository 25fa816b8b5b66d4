"""Reading along at the EXI codec, and the stream beneath it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from iso15118.shared.iexi_codec import IEXICodec

from sim.vehicle.stream import FramedReader
from sim.vehicle.tap import TappedCodec, quantity

V2G = "urn:iso:15118:2:2013:MsgDef"
SAP = "urn:iso:15118:2:2010:AppProtocol"


class JsonCodec(IEXICodec):
    """Its 'EXI' is the JSON itself."""

    def encode(self, message: str, namespace: str) -> bytes:
        return message.encode()

    def decode(self, stream: bytes, namespace: str) -> str:
        return stream.decode()

    def get_version(self) -> str:
        return "json"


class Heard:
    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.received: list[tuple[str, dict[str, Any], str]] = []

    def tap(self, emaid: str | None = None) -> TappedCodec:
        return TappedCodec(JsonCodec(), lambda *m: self.sent.append(m), lambda *m: self.received.append(m), emaid)


def message(name: str, body: dict[str, Any], session_id: str = "0A") -> str:
    return json.dumps({"V2G_Message": {"Header": {"SessionID": session_id}, "Body": {name: body}}})


def test_it_tells_what_is_sent_and_what_is_received() -> None:
    heard = Heard()
    tap = heard.tap()

    assert tap.encode(message("SessionSetupReq", {"EVCCID": "02"}, "00"), V2G)
    assert tap.decode(message("SessionSetupRes", {"ResponseCode": "OK"}).encode(), V2G)
    assert tap.decode(json.dumps({"supportedAppProtocolRes": {"ResponseCode": "OK"}}).encode(), SAP)

    assert heard.sent == [("SessionSetupReq", {"EVCCID": "02"}, "00")]
    assert heard.received == [
        ("SessionSetupRes", {"ResponseCode": "OK"}, "0A"),
        ("supportedAppProtocolRes", {"ResponseCode": "OK"}, ""),
    ]
    assert tap.get_version() == "json"


def test_fragments_made_for_signing_are_no_messages() -> None:
    heard = Heard()
    tap = heard.tap()
    tap.encode(json.dumps({"AuthorizationReq": {"Id": "id1"}}), V2G)
    tap.encode(json.dumps({"SignedInfo": {}}), "http://www.w3.org/2000/09/xmldsig#")
    assert heard.sent == []


def test_a_false_emaid_goes_into_payment_details_alone() -> None:
    tap = Heard().tap(emaid="DE8EV0000000X")
    details = json.loads(tap.encode(message("PaymentDetailsReq", {"eMAID": "DE8EV12345678"}), V2G))
    assert details["V2G_Message"]["Body"]["PaymentDetailsReq"] == {"eMAID": "DE8EV0000000X"}
    other = message("SessionStopReq", {"ChargingSession": "Terminate"})
    assert tap.encode(other, V2G) == other.encode()


def test_without_one_the_contract_certificates_stays() -> None:
    details = message("PaymentDetailsReq", {"eMAID": "DE8EV12345678"})
    assert Heard().tap().encode(details, V2G) == details.encode()


@pytest.mark.parametrize(("multiplier", "value", "expected"), [(0, 16, 16.0), (-1, 164, 16.4), (3, 11, 11000.0)])
def test_a_quantity_is_value_times_ten_to_the_multiplier(multiplier: int, value: int, expected: float) -> None:
    assert quantity({"Multiplier": multiplier, "Value": value, "Unit": "A"}) == pytest.approx(expected)


def frame(payload: bytes) -> bytes:
    return b"\x01\xfe\x80\x01" + len(payload).to_bytes(4, "big") + payload


class Lost:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, why: str) -> None:
        self.reasons.append(why)


def framed(stream: asyncio.StreamReader, lost: Lost, pause_s: Callable[[], float] = lambda: 0.0) -> FramedReader:
    return FramedReader(stream, pause_s, lost)


async def test_messages_come_whole_however_tcp_cuts_them() -> None:
    stream, lost = asyncio.StreamReader(), Lost()
    reader = framed(stream, lost)
    bytes_sent = frame(b"a" * 9000) + frame(b"b") + frame(b"")
    for start in range(0, len(bytes_sent), 1440):
        stream.feed_data(bytes_sent[start : start + 1440])
    assert await reader.read(7000) == frame(b"a" * 9000)
    assert await reader.read(7000) == frame(b"b")
    assert await reader.read(7000) == frame(b"")
    assert not reader.at_eof()
    assert lost.reasons == []


@pytest.mark.parametrize("rest", [b"", b"\x01\xfe", frame(b"abc")[:-1]])
async def test_a_closed_connection_is_told_at_once(rest: bytes) -> None:
    stream, lost = asyncio.StreamReader(), Lost()
    reader = framed(stream, lost)
    stream.feed_data(rest)
    stream.feed_eof()
    assert await reader.read(7000) == b""
    assert reader.at_eof()
    assert lost.reasons == ["the station closed the connection"]


async def test_a_reset_connection_too() -> None:
    stream, lost = asyncio.StreamReader(), Lost()
    stream.set_exception(ConnectionResetError())
    assert await framed(stream, lost).read(7000) == b""
    assert lost.reasons == ["the station closed the connection"]


async def test_a_nonsense_length_is_not_waited_for() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"\x01\xfe\x80\x01\xff\xff\xff\xff")
    assert await framed(stream, Lost()).read(7000) == b"\x01\xfe\x80\x01\xff\xff\xff\xff"


async def test_it_pauses_when_told() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(frame(b"x"))
    loop = asyncio.get_running_loop()
    before_s = loop.time()
    await framed(stream, Lost(), lambda: 0.05).read(7000)
    assert loop.time() - before_s >= 0.05


async def test_an_answer_that_does_not_come_is_told_when_the_package_gives_up() -> None:
    lost = Lost()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(framed(asyncio.StreamReader(), lost).read(7000), 0.01)
    assert lost.reasons == ["no answer in time"]
