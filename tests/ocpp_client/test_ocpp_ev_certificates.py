"""The vehicle's certificate request to the CSMS and back."""

import base64
from typing import Any

import pytest

from ocpp_client.ev_certificates import MAX_EXI_REQUEST, ev_certificate
from ocpp_client.wire import Payload

SCHEMA = "urn:iso:15118:2:2013:MsgDef"


class Operator:
    def __init__(self, answer: Payload | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Payload]] = []

    async def request(self, action: str, payload: Payload) -> Payload | None:
        self.asked.append((action, payload))
        return self.answer


async def test_the_message_passes_unread() -> None:
    operator = Operator({"status": "Accepted", "exiResponse": base64.b64encode(b"\x80\x98").decode()})
    assert await ev_certificate(operator.request, SCHEMA, "Install", b"\x80\x97") == b"\x80\x98"
    assert operator.asked == [
        (
            "Get15118EVCertificate",
            {"iso15118SchemaVersion": SCHEMA, "action": "Install", "exiRequest": "gJc="},
        )
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"status": "Failed", "exiResponse": ""},
        {"status": "Accepted", "exiResponse": ""},
        {"status": "Accepted"},
        {"status": "Accepted", "exiResponse": "*"},
    ],
)
async def test_no_certificate_is_none(answer: Payload | None) -> None:
    assert await ev_certificate(Operator(answer).request, SCHEMA, "Install", b"\x80") is None


async def test_a_request_too_long_for_ocpp_is_not_sent() -> None:
    operator = Operator(None)
    assert await ev_certificate(operator.request, SCHEMA, "Update", bytes(MAX_EXI_REQUEST)) is None
    assert operator.asked == []


ENVELOPE, SCHEMA_20 = "ISO15118-2", "urn:iso:std:iso:15118:-20:CommonMessages"


@pytest.mark.parametrize(
    ("action", "name"), [("Install", "CertificateInstallationReq"), ("Update", "CertificateUpdateReq")]
)
async def test_in_the_envelope_of_data_transfer(action: str, name: str) -> None:
    operator = Operator({"status": "Accepted", "data": base64.b64encode(b"\x80\x98").decode()})
    long = bytes(MAX_EXI_REQUEST)
    assert await ev_certificate(operator.request, SCHEMA, action, long, ENVELOPE) == b"\x80\x98"
    data = base64.b64encode(long).decode()
    assert operator.asked == [("DataTransfer", {"vendorId": ENVELOPE, "messageId": name, "data": data})]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"status": "UnknownVendorId"},
        {"status": "Rejected", "data": "gJg="},
        {"status": "Accepted"},
        {"status": "Accepted", "data": {"exi": "gJg="}},
        {"status": "Accepted", "data": "\u00e4"},
    ],
)
async def test_an_envelope_that_comes_back_empty(answer: Payload | None) -> None:
    assert await ev_certificate(Operator(answer).request, SCHEMA, "Install", b"\x80", ENVELOPE) is None


async def test_the_envelope_is_of_iso_15118_2_alone() -> None:
    operator = Operator({"status": "Accepted", "exiResponse": "gJg="})
    assert await ev_certificate(operator.request, SCHEMA_20, "Install", b"\x80\x97", ENVELOPE) == b"\x80\x98"
    assert [action for action, _ in operator.asked] == ["Get15118EVCertificate"]


async def test_nothing_is_taken_in_the_envelope(bench: Any) -> None:
    await bench.station(iso15118_vendor=ENVELOPE)
    for vendor, status in ((ENVELOPE, "UnknownMessageId"), ("iso15118-2", "UnknownVendorId"), ("x", "UnknownVendorId")):
        assert (await bench.csms.call("DataTransfer", {"vendorId": vendor, "messageId": "Hi"}))["status"] == status
