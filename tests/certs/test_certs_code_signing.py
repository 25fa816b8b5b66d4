"""Who signed a firmware image, and whether the signature holds."""

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.chain import ChainFault, ChainRefused
from certs.code_signing import check_signer, signature_holds
from sim.pki.authority import Blank, Entity, new_key, now, root

DIGEST = hashlib.sha256(b"firmware").digest()
OTHER = hashlib.sha256(b"Firmware").digest()
HASHED = utils.Prehashed(hashes.SHA256())
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


@pytest.fixture
def authority() -> Entity:
    return root(Blank("Manufacturer root"))


def leaf(authority: Entity, **more: object) -> Entity:
    return authority.child(Blank("Firmware signing", **more))  # type: ignore[arg-type]


def rsa_leaf(authority: Entity, bits: int = 2048) -> tuple[str, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, bits)
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    blank = Blank("Firmware signing")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(blank.name)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(hours=1))
        .not_valid_after(now() + timedelta(days=1))
        .sign(authority.key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode(), key


def faults(pem: str, authority: Entity) -> ChainFault:
    with pytest.raises(ChainRefused) as refused:
        check_signer(pem, [authority.certificate], now())
    return refused.value.fault


def test_a_signer_leads_to_the_manufacturer(authority: Entity) -> None:
    for signer in (leaf(authority), leaf(authority, extended_usages=(ExtendedKeyUsageOID.CODE_SIGNING,))):
        path = check_signer(signer.pem.decode(), [authority.certificate], now())
        assert path == [signer.certificate, authority.certificate]


def test_a_sub_ca_may_come_with_it(authority: Entity) -> None:
    sub = authority.child(Blank("Sub CA", ca=True))
    signer = leaf(sub)
    assert len(check_signer(signer.chain_pem.decode(), [authority.certificate], now())) == 3
    assert faults(signer.pem.decode(), authority) is ChainFault.UNKNOWN_ROOT


def test_an_rsa_signer_is_good(authority: Entity) -> None:
    assert check_signer(rsa_leaf(authority)[0], [authority.certificate], now())
    assert faults(rsa_leaf(authority, 1024)[0], authority) is ChainFault.MALFORMED


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda a: leaf(a, not_after=now() - timedelta(minutes=1)), ChainFault.EXPIRED),
        (lambda a: leaf(a, not_before=now() + timedelta(minutes=1)), ChainFault.NOT_YET_VALID),
        (lambda a: leaf(a, extended_usages=(ExtendedKeyUsageOID.SERVER_AUTH,)), ChainFault.WRONG_USAGE),
        (lambda a: leaf(a, usage=frozenset({"key_agreement"})), ChainFault.WRONG_USAGE),
        (lambda a: a.child(Blank("CA", ca=True)), ChainFault.WRONG_USAGE),
        (lambda a: leaf(root(Blank("Manufacturer root"))), ChainFault.BAD_SIGNATURE),
    ],
)
def test_others_are_refused(authority: Entity, make: Callable[[Entity], Entity], fault: ChainFault) -> None:
    assert faults(make(authority).pem.decode(), authority) is fault


@pytest.mark.parametrize("text", ["", "PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(authority: Entity, text: str) -> None:
    assert faults(text, authority) is ChainFault.MALFORMED
    assert not signature_holds(text, "AAAA", DIGEST)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa(authority: Entity, curve: ec.EllipticCurve) -> None:
    key = new_key(curve)
    pem = authority.child(Blank("Firmware signing"), key).pem.decode()
    signature = base64.b64encode(key.sign(DIGEST, ec.ECDSA(HASHED))).decode()
    assert signature_holds(pem, signature, DIGEST)
    assert signature_holds(pem, "\n".join(signature[i : i + 60] for i in range(0, len(signature), 60)), DIGEST)
    assert not signature_holds(pem, signature, OTHER)


def test_rsa_by_pss_alone(authority: Entity) -> None:
    pem, key = rsa_leaf(authority)
    signature = base64.b64encode(key.sign(DIGEST, PSS, HASHED)).decode()
    assert signature_holds(pem, signature, DIGEST)
    assert not signature_holds(pem, signature, OTHER)
    older = base64.b64encode(key.sign(DIGEST, padding.PKCS1v15(), HASHED)).decode()
    assert not signature_holds(pem, older, DIGEST)


def test_a_key_of_another_kind_signs_no_firmware(authority: Entity) -> None:
    key = ed448.Ed448PrivateKey.generate()
    pem = authority.child(Blank("Firmware signing"), key).pem.decode()
    assert not signature_holds(pem, base64.b64encode(key.sign(DIGEST)).decode(), DIGEST)


@pytest.mark.parametrize("signature", ["", "?", "AAAA", "A" * 4000, "ä"])
def test_what_is_no_signature_does_not_hold(authority: Entity, signature: str) -> None:
    assert not signature_holds(leaf(authority).pem.decode(), signature, DIGEST)
