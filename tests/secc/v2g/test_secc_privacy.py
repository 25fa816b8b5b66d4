"""Logs name no one: neither contract nor vehicle nor certificate, at any level."""

import logging

import pytest

from secc.ports import ContractFault
from tests.secc.support import CONTRACT_DER, EMAID, EVCC_ID, PAYMENT_DETAILS, StubCertificates, Talk


@pytest.mark.parametrize("certificates", [StubCertificates(), StubCertificates(ContractFault.EXPIRED)])
def test_a_session_s_log_lines(certificates: StubCertificates, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    talk = Talk(certificates=certificates).select()
    talk.ask("PaymentDetailsReq", PAYMENT_DETAILS)
    talk.ask("SessionStopReq", {"ChargingSession": "Terminate"})
    text = caplog.text.upper()
    assert "ENDED" in text
    for secret in (EMAID, EVCC_ID.hex(), CONTRACT_DER.hex(), repr(CONTRACT_DER)[2:40]):
        assert secret.upper() not in text
