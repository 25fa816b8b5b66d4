"""TC_M of vehicles' contract certificates, and TC_E_46: real EXI messages, a real provisioning service, a real SECC."""

import base64
from typing import Any

import pytest

from secc.exi import Namespace, decode
from secc.ports import CertificateAction, CertificateRequested
from sim.csms.pki import CertificateDesk
from sim.ev.installation import installed_2
from sim.ev.script import Ask
from sim.ev.signing import signature_over
from sim.ev.wire import tongue_of
from sim.ev.wishes import Credential, Service, Speaks
from sim.pki.pki import EMAID, Pki, build
from tests.conformance.ocpp.planner import Planner

Payload = dict[str, Any]
ENVELOPE = "ISO15118-2"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


def installation_request(pki: Pki) -> bytes:
    """A vehicle's CertificateInstallationReq, signed with its provisioning key."""
    wish = {
        "Id": "ID1",
        "OEMProvisioningCert": pki.oem.chain_der[0],
        "ListOfRootCertificateIDs": {
            "RootCertificateID": [{"X509IssuerName": "CN=V2G Root CA", "X509SerialNumber": 1}]
        },
    }
    signature = signature_over(Namespace.ISO_2, "CertificateInstallationReq", wish, pki.oem.key)
    ask = Ask("CertificateInstallationReq", wish, signature)
    return tongue_of(Speaks.ISO_2, Service.AC).write(ask, bytes(8)).payload


async def answered(site: Any, exi: bytes, action: CertificateAction = CertificateAction.INSTALL) -> bytes | None:
    """The vehicle asks; what the station has for it."""
    evse = site.evses[1]
    evse.report(CertificateRequested("r1", action, Namespace.ISO_2.value, exi))
    await site.until(lambda: evse.view.certificate_answer is not None)
    answer = evse.view.certificate_answer
    assert answer.request_id == "r1"
    octets: bytes | None = answer.exi_response
    return octets


def installed(octets: bytes | None, pki: Pki) -> Credential:
    """The contract in a response, its key decrypted by the vehicle."""
    assert octets is not None
    message: Any = decode(Namespace.ISO_2, octets)["V2G_Message"]
    return installed_2(message["Body"]["CertificateInstallationRes"], pki.oem.key)


async def test_tc_m_26(running: Any, pki: Pki) -> None:
    """A contract certificate installed: the vehicle's message to the CSMS and the answer back, unread"""
    running.csms.answers.ev_certificate = CertificateDesk(pki).ev_certificate
    exi = installation_request(pki)
    assert installed(await answered(running, exi), pki).name == EMAID
    (asked,) = running.csms.received("Get15118EVCertificate")
    assert asked["action"] == "Install"
    assert base64.b64decode(asked["exiRequest"]) == exi


async def test_tc_m_27(running: Any, pki: Pki) -> None:
    """A contract certificate the CSMS does not have: the vehicle is told there is none"""
    assert await answered(running, installation_request(pki)) is None
    assert len(running.csms.received("Get15118EVCertificate")) == 1


async def test_tc_m_28(running: Any) -> None:
    """A contract certificate updated"""
    running.csms.behaviour.answers["Get15118EVCertificate"] = {"status": "Accepted", "exiResponse": "gJgC"}
    assert await answered(running, b"\x80\x98\x01", CertificateAction.UPDATE) == b"\x80\x98\x02"
    (asked,) = running.csms.received("Get15118EVCertificate")
    assert (asked["action"], asked["exiRequest"]) == ("Update", "gJgB")


async def test_tc_m_29(running: Any) -> None:
    """A contract certificate the CSMS does not update"""
    running.csms.behaviour.answers["Get15118EVCertificate"] = {"status": "Failed", "exiResponse": ""}
    assert await answered(running, b"\x80\x98\x01", CertificateAction.UPDATE) is None


async def test_a_csms_that_wants_the_envelope_of_data_transfer(site: Any, pki: Pki) -> None:
    await site.start(iso15118_vendor=ENVELOPE)
    site.csms.answers.ev_certificate = CertificateDesk(pki).ev_certificate
    exi = installation_request(pki)
    assert installed(await answered(site, exi), pki).name == EMAID
    (asked,) = site.csms.received("DataTransfer")
    assert (asked["vendorId"], asked["messageId"]) == (ENVELOPE, "CertificateInstallationReq")
    assert base64.b64decode(asked["data"]) == exi
    assert site.csms.received("Get15118EVCertificate") == []


async def test_a_vehicle_that_sends_rubbish_is_told_there_is_none(site: Any, pki: Pki) -> None:
    await site.start(iso15118_vendor=ENVELOPE)
    site.csms.answers.ev_certificate = CertificateDesk(pki).ev_certificate
    assert await answered(site, b"\x80\x98rubbish") is None


async def test_tc_e_46(site: Any) -> None:
    """A vehicle of ISO 15118 ends its session: Ended, then free once the plug is out"""
    site.has_plc = True
    await site.start()
    vehicle = Planner(site)
    await vehicle.arrive()
    transaction_id = await vehicle.authorize()
    await vehicle.parameters()
    assert (await vehicle.start()).code == "OK"
    await site.event("Updated", chargingState="Charging")
    assert (await vehicle.status()).code == "OK"
    told = len(site.csms.received("StatusNotification"))
    await vehicle.leave()
    ended = await site.event("Ended", stoppedReason="StoppedByEV")
    assert ended["transactionInfo"]["transactionId"] == transaction_id
    await site.status("Available", after=told)
    site.whole(transaction_id)
