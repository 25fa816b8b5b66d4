"""The vehicle's certificate request to the CSMS and back."""

import base64

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
