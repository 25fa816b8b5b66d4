"""V2G messages for a reader: every protocol's, decoded, and nobody in them."""

import json

import pytest

from secc.v2g.din.wire import DIN_70121
from secc.v2g.iso2.wire import ISO_15118_2
from secc.v2g.iso20.wire import ISO_15118_20_AC
from secc.v2g.protocol import Protocol
from secc.v2g.tracing import readable
from secc.v2gtp import Frame, PayloadType
from tests.secc.support import (
    CONTRACT_DER,
    EMAID,
    EVCC_ID,
    ISO_2_WISH,
    PAYMENT_DETAILS,
    SESSION_ID,
    app_protocol_req,
    message,
    signature_of,
)
from tests.secc.v2g.talk20 import EVCC_ID_20, PNC, frame20, signed
from tests.secc.v2g.test_secc_20_refusals import GOOD as GOOD_20
from tests.secc.v2g.test_secc_din import GOOD as GOOD_DIN
from tests.secc.v2g.test_secc_din import din_message
from tests.secc.v2g.test_secc_refusals import GOOD as GOOD_2

SECRETS = [EMAID, EVCC_ID.hex(), EVCC_ID_20, CONTRACT_DER.hex(), CONTRACT_DER.hex()[:40]]


def every_message() -> list[tuple[str, Frame, Protocol]]:
    din = [(name, din_message(name, elements, SESSION_ID), DIN_70121) for name, elements in GOOD_DIN.items()]
    two = [(name, message(name, elements, SESSION_ID), ISO_15118_2) for name, elements in GOOD_2.items()]
    signature = signature_of("AuthorizationReq", GOOD_2["AuthorizationReq"])
    two.append(("signed", message("AuthorizationReq", GOOD_2["AuthorizationReq"], SESSION_ID, signature), ISO_15118_2))
    found = [(name, Frame(PayloadType.EXI, octets), protocol) for name, octets, protocol in [*din, *two]]
    twenty = [(name, frame20(name, elements, SESSION_ID), ISO_15118_20_AC) for name, elements in GOOD_20.items()]
    contract = ("contract", frame20("AuthorizationReq", PNC, SESSION_ID, signed()), ISO_15118_20_AC)
    return [*found, *twenty, contract]


@pytest.mark.parametrize(
    ("name", "frame", "protocol"), [pytest.param(*case, id=f"{case[2].name} {case[0]}") for case in every_message()]
)
def test_a_message_without_anybody_in_it(name: str, frame: Frame, protocol: Protocol) -> None:
    told = readable(frame, protocol)
    text = json.dumps(told).upper()
    assert "ERROR" not in told
    assert told["schema"]
    assert name.upper() in text or name in ("signed", "contract")
    for secret in SECRETS:
        assert secret.upper() not in text


def test_what_is_told_of_what_is_hidden() -> None:
    frame = Frame(PayloadType.EXI, message("PaymentDetailsReq", PAYMENT_DETAILS, SESSION_ID))
    body = readable(frame, ISO_15118_2)["message"]["V2G_Message"]["Body"]["PaymentDetailsReq"]
    assert body == {
        "eMAID": f"({len(EMAID)})",
        "ContractSignatureCertChain": {"Certificate": f"({len(CONTRACT_DER)})"},
    }


def test_the_negotiation_and_what_cannot_be_read() -> None:
    told = readable(Frame(PayloadType.EXI, app_protocol_req(ISO_2_WISH)), None)
    assert "supportedAppProtocolReq" in told["message"]
    assert readable(Frame(PayloadType.DC, b"123"), None) == {"payload_type": 0x8004, "octets": 3}
    assert readable(Frame(PayloadType.DC, b"123"), ISO_15118_2) == {"payload_type": 0x8004, "octets": 3}
    broken = readable(Frame(PayloadType.EXI, b"\x80\xff\xff"), ISO_15118_2)
    assert broken["octets"] == 3
    assert broken["error"]
