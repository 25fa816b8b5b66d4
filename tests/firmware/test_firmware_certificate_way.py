"""A vehicle's certificate request on its way to the CSMS and back, as the session and the EVSE see it."""

from firmware import effects as e
from firmware.limits import Limits
from firmware.session import Session
from secc.ports import CertificateAction, CertificateAnswer, CertificateRequested

REQUEST = CertificateRequested("A1", CertificateAction.INSTALL, "urn:iso:15118:2:2013:MsgDef", b"\x80\x98")


def test_the_request_goes_out_once_and_the_answer_stands_in_the_state() -> None:
    session = Session(Limits(32.0), has_plc=True)
    session.feed(REQUEST, 0.0)
    assert e.FetchCertificate(REQUEST) in session.feed(REQUEST, 0.0)
    answer = CertificateAnswer("A1", b"\x80\x99")
    assert session.feed(answer, 1.0) == []
    assert session.state.certificate_answer == answer
