"""TC_C of ISO 15118 Support: contracts verified here or by the CSMS, on line and off; real chains, real checks."""

from datetime import UTC, datetime
from typing import Any

import pytest

from firmware.vehicle_side import ContractCertificates
from ocpp_client.ports import ContractRules
from secc.ports import Authorization, Contract, ContractFault, ContractPresented
from sim.pki.pki import EMAID, Pki, build

Payload = dict[str, Any]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


def verdict(site: Any, pki: Pki, *, with_root: bool = True) -> Contract | ContractFault:
    """The station's own check, with the MO's root or without."""
    rules = site.evses[1].state.contract_rules
    roots = [pki.mo_root.certificate] if with_root else []
    certificates = ContractCertificates(lambda: roots, lambda: rules.central_validation)
    return certificates.check_contract(pki.contract.chain_der, EMAID, datetime.now(UTC))


async def present(site: Any, pki: Pki, *, with_root: bool = True) -> None:
    """A vehicle is there and shows its contract."""
    found = verdict(site, pki, with_root=with_root)
    assert isinstance(found, Contract)
    site.board.plug()
    site.evses[1].report(ContractPresented(found))
    site.board.draw()


async def asked(site: Any) -> Payload:
    authorize: Payload = await site.csms.until_received("Authorize")
    assert authorize["idToken"] == {"idToken": EMAID, "type": "eMAID"}
    return authorize


async def until(site: Any, authorization: Authorization) -> None:
    await site.until(lambda: site.evses[1].state.authorization is authorization)


async def test_tc_c_50(running: Any, pki: Pki) -> None:
    """Verified here, accepted by the CSMS: hash data of leaf and sub-CAs, alone where the CSMS may not verify"""
    await running.until(lambda: not running.evses[1].state.contract_rules.central_validation)
    await present(running, pki)
    authorize = await asked(running)
    assert "certificate" not in authorize
    assert len(authorize["iso15118CertificateHashData"]) == 3
    assert all(item["responderURL"].startswith("http") for item in authorize["iso15118CertificateHashData"])
    started = await running.event("Started")
    assert started["idToken"] == {"idToken": EMAID, "type": "eMAID"}


@pytest.mark.parametrize("certificate", ["CertificateRevoked", "CertificateExpired", "ContractCancelled"])
async def test_tc_c_51(running: Any, pki: Pki, certificate: str) -> None:
    """Verified here, refused by the CSMS: no energy, and the vehicle is told why"""
    running.csms.behaviour.answers["Authorize"] = {
        "idTokenInfo": {"status": "Accepted"},
        "certificateStatus": certificate,
    }
    await present(running, pki)
    await asked(running)
    told = {
        "CertificateRevoked": Authorization.CERTIFICATE_REVOKED,
        "CertificateExpired": Authorization.CERTIFICATE_EXPIRED,
    }
    await until(running, told.get(certificate, Authorization.REJECTED))
    assert not running.board.permitted


async def test_tc_c_52(running: Any, pki: Pki) -> None:
    """Of a root the station does not have: the CSMS gets the chain, verifies it and accepts"""
    await running.configure(ISO15118Ctrlr_CentralContractValidationAllowed="true")
    await running.until(lambda: running.evses[1].state.contract_rules == ContractRules(True, True, True))
    await present(running, pki, with_root=False)
    authorize = await asked(running)
    assert authorize["certificate"].count("BEGIN CERTIFICATE") == 3
    assert "iso15118CertificateHashData" not in authorize
    await running.event("Started")


async def test_tc_c_53(running: Any, pki: Pki) -> None:
    """Of a root the station does not have, and the CSMS finds it wrong; or may not be asked"""
    await running.configure(ISO15118Ctrlr_CentralContractValidationAllowed="true")
    await running.until(lambda: running.evses[1].state.contract_rules.central_validation)
    running.csms.behaviour.answers["Authorize"] = {
        "idTokenInfo": {"status": "Invalid"},
        "certificateStatus": "CertChainError",
    }
    await present(running, pki, with_root=False)
    await asked(running)
    await until(running, Authorization.REJECTED)
    assert not running.board.permitted
    await running.configure(ISO15118Ctrlr_CentralContractValidationAllowed="false")
    await running.until(lambda: not running.evses[1].state.contract_rules.central_validation)
    assert verdict(running, pki, with_root=False) is ContractFault.UNKNOWN_ROOT


async def offline(site: Any, pki: Pki, allowed: str, *, with_root: bool = True) -> None:
    """The local list knows the contract; the CSMS is away."""
    entry = {"idToken": {"idToken": EMAID, "type": "eMAID"}, "idTokenInfo": {"status": "Accepted"}}
    await site.call("SendLocalList", versionNumber=1, updateType="Full", localAuthorizationList=[entry])
    await site.configure(
        ISO15118Ctrlr_ContractValidationOffline=allowed, ISO15118Ctrlr_CentralContractValidationAllowed="true"
    )
    await site.until(lambda: site.evses[1].state.contract_rules.central_validation)
    await site.go_offline()
    await present(site, pki, with_root=with_root)


async def test_tc_c_54(running: Any, pki: Pki) -> None:
    """Offline, ContractValidationOffline true: verified here, known to the local list, it charges"""
    await offline(running, pki, "true")
    await running.until(lambda: running.board.permitted)
    await running.come_back()
    started = await running.event("Started")
    assert (started["offline"], started["idToken"]["idToken"]) == (True, EMAID)


async def test_tc_c_55(running: Any, pki: Pki) -> None:
    """Offline, ContractValidationOffline false: it does not charge"""
    await offline(running, pki, "false")
    await until(running, Authorization.NO_ANSWER)
    assert not running.board.permitted


async def test_offline_a_contract_of_an_unknown_root_does_not_charge(running: Any, pki: Pki) -> None:
    await offline(running, pki, "true", with_root=False)
    await until(running, Authorization.NO_ANSWER)
    assert not running.board.permitted


async def test_plug_and_charge_switched_off_is_not_offered(running: Any) -> None:
    assert running.evses[1].view.accepts_contract
    assert running.evses[1].view.offers_certificates
    await running.configure(ISO15118Ctrlr_ContractCertificateInstallationEnabled="false")
    await running.until(lambda: not running.evses[1].view.offers_certificates)
    assert running.evses[1].view.accepts_contract
    assert running.evses[1].view.receipt_required
    await running.configure(ISO15118Ctrlr_RequestMeteringReceipt="false")
    await running.until(lambda: not running.evses[1].view.receipt_required)
    await running.configure(ISO15118Ctrlr_PnCEnabled="false")
    await running.until(lambda: not running.evses[1].view.accepts_contract)
