"""The whole test PKI: V2G, CPO, MO, OEM, CPS and CSMS, as ISO 15118-2 Annex F and OCPP 2.0.1 part 2 A draw them.

    V2G root ─ CPO sub-CA 1 ─ CPO sub-CA 2 ─ SECC leaf (by CSR)
             └ CPS sub-CA 1 ─ CPS sub-CA 2 ─ CPS leaf
    MO root  ─ MO sub-CA 1  ─ MO sub-CA 2  ─ contract leaf (CN = eMAID)
    OEM root ─ OEM sub-CA 1 ─ OEM sub-CA 2 ─ provisioning leaf (CN = PCID)
    CSMS root ─ CSMS server leaf
    station root ─ station client leaf (by CSR)

`build(directory, curve)` makes one; for ISO 15118-20 the same with P-521.
"""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sim.pki.authority import LIFETIME, Blank, Entity, line, new_key, now, root

EMAID = "DEEVSC0000001X"
PCID = "WMIEVSED000000001"
OCSP_URL = "http://ocsp.evsed.test"
CSMS_NAMES = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


@dataclass(frozen=True, slots=True)
class Pki:
    """Every authority and the leaves whose private keys are not the station's. Files lie below `directory`."""

    directory: Path
    v2g_root: Entity
    cpo_sub_ca1: Entity
    cpo_sub_ca2: Entity
    cps: Entity
    mo_root: Entity
    mo_sub_ca2: Entity
    contract: Entity
    oem_root: Entity
    oem: Entity
    csms_root: Entity
    csms: Entity
    station_root: Entity

    def path(self, name: str) -> Path:
        """A file of the PKI, as in `v2g_root.pem`, `csms.chain.pem`, `contract.der`, `csms.key`."""
        return self.directory / name

    def issue_secc(self, csr_pem: bytes, lifetime: timedelta = LIFETIME) -> bytes:
        """The SECC leaf for a station's CSR, with CPO sub-CA 2 and 1 after it: PEM."""
        blank = Blank(
            _requested_name(csr_pem),
            "CPO",
            not_after=now() + lifetime,
            ocsp_url=f"{OCSP_URL}/cpo2",
            extended_usages=(ExtendedKeyUsageOID.SERVER_AUTH,),
        )
        return self._issue(self.cpo_sub_ca2, blank, csr_pem)

    def issue_station(self, csr_pem: bytes, lifetime: timedelta = LIFETIME) -> bytes:
        """The station's client certificate for the CSMS: PEM."""
        blank = Blank(
            _requested_name(csr_pem),
            not_after=now() + lifetime,
            extended_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,),
        )
        return self._issue(self.station_root, blank, csr_pem)

    def new_contract(self, emaid: str) -> Entity:
        """Another contract under the MO root."""
        return self.mo_sub_ca2.child(contract_blank(emaid))

    def _issue(self, issuer: Entity, blank: Blank, csr_pem: bytes) -> bytes:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("a CSR that its own key did not sign")
        return Entity(issuer.issue(blank, key), issuer=issuer).chain_pem


def build(directory: Path, curve: ec.EllipticCurve | None = None) -> Pki:
    """Make the PKI and write it below `directory`. `curve` defaults to P-256, ISO 15118-2's only one."""
    v2g_root = root(Blank("V2G Root CA", "V2G", not_after=now() + 10 * LIFETIME), new_key(curve))
    mo_root = root(Blank("MO Root CA", "MO", not_after=now() + 10 * LIFETIME), new_key(curve))
    oem_root = root(Blank("OEM Root CA", "OEM", not_after=now() + 10 * LIFETIME), new_key(curve))
    csms_root, station_root = root(Blank("CSMS Root CA")), root(Blank("Station Root CA"))
    cpo_sub_ca2 = line(v2g_root, sub_cas("CPO"), curve)
    cps_sub_ca2 = line(v2g_root, sub_cas("CPS"), curve)
    mo_sub_ca2 = line(mo_root, sub_cas("MO"), curve)
    oem_sub_ca2 = line(oem_root, sub_cas("OEM"), curve)
    assert cpo_sub_ca2.issuer is not None
    server = Blank("localhost", extended_usages=(ExtendedKeyUsageOID.SERVER_AUTH,), alternative_names=CSMS_NAMES)
    return Pki(
        directory=directory,
        v2g_root=v2g_root.saved(directory, "v2g_root"),
        cpo_sub_ca1=cpo_sub_ca2.issuer.saved(directory, "cpo_sub_ca1"),
        cpo_sub_ca2=cpo_sub_ca2.saved(directory, "cpo_sub_ca2"),
        cps=cps_sub_ca2.child(Blank("CPS leaf", "CPS"), new_key(curve)).saved(directory, "cps"),
        mo_root=mo_root.saved(directory, "mo_root"),
        mo_sub_ca2=mo_sub_ca2.saved(directory, "mo_sub_ca2"),
        contract=mo_sub_ca2.child(contract_blank(EMAID), new_key(curve)).saved(directory, "contract"),
        oem_root=oem_root.saved(directory, "oem_root"),
        oem=oem_sub_ca2.child(Blank(PCID, "OEM"), new_key(curve)).saved(directory, "oem"),
        csms_root=csms_root.saved(directory, "csms_root"),
        csms=csms_root.child(server).saved(directory, "csms"),
        station_root=station_root.saved(directory, "station_root"),
    )


def sub_cas(who: str) -> list[Blank]:
    """Sub-CA 1 and 2 of `who`, with the path lengths of the profile."""
    first = Blank(f"{who} Sub-CA 1", who, ca=True, path_length=1, ocsp_url=f"{OCSP_URL}/{who.lower()}-root")
    return [first, Blank(f"{who} Sub-CA 2", who, ca=True, path_length=0, ocsp_url=f"{OCSP_URL}/{who.lower()}1")]


def contract_blank(emaid: str) -> Blank:
    usages = {"digital_signature", "content_commitment", "key_encipherment", "key_agreement"}
    return Blank(emaid, "MO", ocsp_url=f"{OCSP_URL}/mo2", usage=frozenset(usages))


def new_key_448() -> ed448.Ed448PrivateKey:
    return ed448.Ed448PrivateKey.generate()


def _requested_name(csr_pem: bytes) -> str:
    names = x509.load_pem_x509_csr(csr_pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "unnamed"
