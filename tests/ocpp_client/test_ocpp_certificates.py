"""Certificates by the CSMS (M03-M05, A02), over a store that remembers what it was asked."""

import ssl
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from ocpp_client.ports import CertificateId, InstalledCertificate
from sim.csms.server import CallRefused

ROOT = CertificateId("aa", "bb", "01")
SUB_CA = CertificateId("cc", "dd", "02")
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}


class Store:
    def __init__(self) -> None:
        self.certificates = [
            InstalledCertificate("CSMSRootCertificate", ROOT),
            InstalledCertificate("V2GCertificateChain", ROOT, (SUB_CA,) * 5),
        ]
        self.fits = True
        self.entries = 7
        self.taken: list[tuple[str, str]] = []

    async def installed(self, kinds: Collection[str]) -> Sequence[InstalledCertificate]:
        return [item for item in self.certificates if not kinds or item.kind in kinds]

    async def install(self, kind: str, certificate_pem: str) -> str:
        self.taken.append((kind, certificate_pem))
        return "Accepted"

    async def delete(self, certificate: CertificateId) -> str:
        return "Accepted" if certificate == ROOT else "NotFound"

    async def ready_for(self, security_profile: int) -> bool:
        return security_profile < 3

    async def signed(self, chain_pem: str, use: str) -> bool:
        self.taken.append((use, chain_pem))
        return self.fits

    async def signing_request(self, use: str) -> str:
        return f"CSR for {use}"

    async def candidate(self) -> ssl.SSLContext | None:
        return None

    async def tried(self, works: bool) -> None:
        raise AssertionError("there was no candidate")


async def test_how_many_are_held_is_told_as_it_is_now(bench: Any) -> None:
    store = Store()
    await bench.station(certificates=store)
    named = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "CertificateEntries"}}
    for held in (7, 8):
        store.entries = held
        answer = await bench.csms.call("GetVariables", {"getVariableData": [named]})
        assert answer["getVariableResult"][0]["attributeValue"] == str(held)


async def test_what_is_installed_is_told(bench: Any) -> None:
    await bench.station(certificates=Store())
    call = bench.csms.call
    answer = await call("GetInstalledCertificateIds", {})
    root, chain = answer["certificateHashDataChain"]
    assert root == {"certificateType": "CSMSRootCertificate", "certificateHashData": HASHES}
    assert len(chain["childCertificateHashData"]) == 4, "the standard takes four"
    only = await call("GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]})
    assert len(only["certificateHashDataChain"]) == 1
    none = await call("GetInstalledCertificateIds", {"certificateType": ["MORootCertificate"]})
    assert none == {"status": "NotFound"}


def reconfigured(bench: Any) -> list[str]:
    """What of its security parameters the station said was changed."""
    told = bench.csms.received("SecurityEventNotification")
    return [event["techInfo"] for event in told if event["type"] == "ReconfigurationOfSecurityParameters"]


async def test_installing_and_deleting(bench: Any) -> None:
    store = Store()
    await bench.station(certificates=store)
    call = bench.csms.call
    install = {"certificateType": "MORootCertificate", "certificate": "PEM"}
    assert (await call("InstallCertificate", install))["status"] == "Accepted"
    assert store.taken == [("MORootCertificate", "PEM")]
    assert (await call("DeleteCertificate", {"certificateHashData": HASHES}))["status"] == "Accepted"
    other = HASHES | {"serialNumber": "FF"}
    assert (await call("DeleteCertificate", {"certificateHashData": other}))["status"] == "NotFound"
    await bench.csms.until(lambda: len(reconfigured(bench)) == 2)
    assert reconfigured(bench) == ["MORootCertificate installed", f"certificate {HASHES['serialNumber']} deleted"]


@pytest.mark.parametrize(
    ("message", "use"),
    [
        ("SignChargingStationCertificate", "ChargingStationCertificate"),
        ("SignV2GCertificate", "V2GCertificate"),
    ],
)
async def test_a_new_certificate_is_asked_for_and_taken(bench: Any, message: str, use: str) -> None:
    store = Store()
    await bench.station(certificates=store)
    call = bench.csms.call
    assert (await call("TriggerMessage", {"requestedMessage": message}))["status"] == "Accepted"
    request = await bench.csms.until_received("SignCertificate")
    assert request == {"csr": f"CSR for {use}", "certificateType": use}
    signed = {"certificateChain": "PEM", "certificateType": use}
    assert (await call("CertificateSigned", signed))["status"] == "Accepted"
    assert store.taken == [(use, "PEM")]
    store.fits = False
    assert (await call("CertificateSigned", {"certificateChain": "PEM"}))["status"] == "Rejected"
    assert store.taken[-1] == ("ChargingStationCertificate", "PEM")
    await bench.csms.until_security_event("InvalidChargingStationCertificate")


async def test_without_a_store_the_csms_hears_so(bench: Any) -> None:
    await bench.station()
    for action, payload in (
        ("GetInstalledCertificateIds", {}),
        ("CertificateSigned", {"certificateChain": "PEM"}),
        ("InstallCertificate", {"certificateType": "MORootCertificate", "certificate": "PEM"}),
    ):
        with pytest.raises(CallRefused, match="NotSupported"):
            await bench.csms.call(action, payload)
