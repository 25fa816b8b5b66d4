"""SupportedAppProtocol: what is chosen, and what is not."""

from dataclasses import replace

import pytest

from secc.ports import EndReason, V2GEnded
from secc.v2g.app_protocol import negotiate
from secc.v2g.iso2.wire import ISO_15118_2
from secc.v2g.protocol import Protocol
from tests.secc.support import DIN_WISH, ISO_2_WISH, Talk

ISO_2 = ISO_15118_2.namespace


def _named(namespace: str) -> Protocol:
    return replace(ISO_15118_2, namespace=namespace, major=1)


@pytest.mark.parametrize(
    ("wishes", "code", "schema"),
    [
        ([ISO_2_WISH], "OK_SuccessfulNegotiation", 1),
        ([(ISO_2, 2, 1, 1)], "OK_SuccessfulNegotiationWithMinorDeviation", 1),
        ([("urn:other", 1, 0, 1), (ISO_2, 2, 0, 2)], "OK_SuccessfulNegotiation", 2),
        ([DIN_WISH], "Failed_NoNegotiation", None),
        ([(ISO_2, 3, 0, 1)], "Failed_NoNegotiation", None),
    ],
)
def test_negotiation(wishes: list, code: str, schema: int | None) -> None:
    talk = Talk()
    answer = talk.negotiate(*wishes)
    assert answer["ResponseCode"] == code
    assert answer.get("SchemaID") == schema
    if schema is None:
        assert talk.end == V2GEnded("", EndReason.REFUSED, "Failed_NoNegotiation")


def test_the_vehicle_s_priority_decides_among_what_is_offered() -> None:
    first, second = _named("urn:one"), _named("urn:two")
    version = {"VersionNumberMajor": 1, "VersionNumberMinor": 0}
    wishes = [
        {"ProtocolNamespace": "urn:two", **version, "SchemaID": 7, "Priority": 1},
        {"ProtocolNamespace": "urn:one", **version, "SchemaID": 8, "Priority": 2},
    ]
    result = negotiate({"supportedAppProtocolReq": {"AppProtocol": wishes}}, (first, second))
    assert result.protocol is second
    assert result.response.schema_id == 7


@pytest.mark.parametrize(
    "document",
    [{}, {"supportedAppProtocolRes": {}}, {"supportedAppProtocolReq": {"AppProtocol": [{"Priority": 99}]}}],
)
def test_no_wish_at_all(document: dict) -> None:
    assert negotiate(document, (ISO_15118_2,)).protocol is None


def test_session_setup_in_place_of_it_ends_the_connection() -> None:
    talk = Talk()
    assert talk.send(b"\x80\x98\x02") == []
    assert talk.end.reason is EndReason.PROTOCOL_ERROR
