"""The test PKI: what it issues holds by OpenSSL's verifier too, and the EVCC finds its files."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from certs import csr
from certs.csr import Subject
from certs.file import FileKeyStore
from certs.keystore import Curve, Purpose
from sim.pki.bad import BAD_CONTRACTS
from sim.pki.evcc import PASSWORD, export_evcc
from sim.pki.pki import EMAID, PCID, Pki, build

SUBJECT = Subject("DE*EVS*E0001", "evsed", "DE")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


def openssl_verify(pki: Pki, root: str, chain: Path) -> str:
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-CAfile",
        str(pki.path(root)),
        "-untrusted",
        str(chain),
        str(chain),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


@pytest.mark.parametrize(
    ("root", "leaf"),
    [
        ("mo_root.pem", "contract"),
        ("oem_root.pem", "oem"),
        ("v2g_root.pem", "cps"),
        ("v2g_root.pem", "cpo_sub_ca2"),
        ("csms_root.pem", "csms"),
    ],
)
def test_good_chains_hold_by_openssl(pki: Pki, root: str, leaf: str) -> None:
    chain = pki.path(f"{leaf}.chain.pem")
    assert openssl_verify(pki, root, chain) == f"{chain}: OK\n"


def test_secc_leaf_for_a_csr(pki: Pki, tmp_path: Path) -> None:
    key = FileKeyStore(tmp_path, allowed=True).create(Curve.P256)
    chain = tmp_path / "secc.chain.pem"
    chain.write_bytes(pki.issue_secc(csr.build(key, Purpose.SECC, SUBJECT)))
    assert openssl_verify(pki, "v2g_root.pem", chain).endswith(": OK\n")
    leaf, sub_ca2, _sub_ca1 = x509.load_pem_x509_certificates(chain.read_bytes())
    assert leaf.issuer == sub_ca2.subject
    assert leaf.public_key() == csr.public_key(key)
    components = leaf.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)
    assert [component.value for component in components] == ["CPO"]


def test_a_csr_its_own_key_did_not_sign(pki: Pki, tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path, allowed=True)
    request = x509.load_pem_x509_csr(csr.build(keys.create(Curve.P256), Purpose.SECC, SUBJECT))
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(ValueError, match="CSR"):
        pki.issue_secc(forged)


def test_p521(tmp_path: Path) -> None:
    pki = build(tmp_path, ec.SECP521R1())
    key = pki.contract.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp521r1"
    assert openssl_verify(pki, "mo_root.pem", pki.path("contract.chain.pem")).endswith(": OK\n")


def test_files_the_evcc_reads(pki: Pki, tmp_path: Path) -> None:
    """By the names of iso15118.shared.security's CertPath, KeyPath and KeyPasswordPath."""
    certificates = export_evcc(pki, tmp_path) / "iso15118_2" / "certs"
    keys = tmp_path / "iso15118_2" / "private_keys"
    leaf = x509.load_der_x509_certificate((certificates / "contractLeafCert.der").read_bytes())
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == EMAID
    sub_ca2 = x509.load_der_x509_certificate((certificates / "moSubCA2Cert.der").read_bytes())
    sub_ca1 = x509.load_der_x509_certificate((certificates / "moSubCA1Cert.der").read_bytes())
    leaf.verify_directly_issued_by(sub_ca2)
    sub_ca2.verify_directly_issued_by(sub_ca1)
    sub_ca1.verify_directly_issued_by(x509.load_der_x509_certificate((certificates / "moRootCACert.der").read_bytes()))
    password = (keys / "contractLeafPassword.txt").read_text().rstrip()
    assert password == PASSWORD
    private = load_pem_private_key((keys / "contractLeaf.key").read_bytes(), password.encode())
    assert private.public_key() == leaf.public_key()
    oem = x509.load_der_x509_certificate((certificates / "oemLeafCert.der").read_bytes())
    assert oem.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == PCID
    assert x509.load_pem_x509_certificate((certificates / "v2gRootCACert.pem").read_bytes())


@pytest.mark.parametrize("name", BAD_CONTRACTS)
def test_a_bad_contract_replaces_the_good_one(pki: Pki, tmp_path: Path, name: str) -> None:
    bad = BAD_CONTRACTS[name][0](pki)
    certificates = export_evcc(pki, tmp_path, bad.leaf) / "iso15118_2" / "certs"
    assert (certificates / "contractLeafCert.der").read_bytes() == bad.leaf.der
    assert (certificates / "moSubCA2Cert.der").exists()
