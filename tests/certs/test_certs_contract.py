"""Contract chains: the good ones accepted, each bad one refused for its own reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.contract import ContractFault, ContractRefusal, VerifiedContract, check_contract, verify_signature
from sim.pki.authority import Blank, Entity, line, new_key, root
from sim.pki.bad import BAD_CONTRACTS
from sim.pki.pki import EMAID, OCSP_URL, Pki, contract_blank, new_key_448, sub_cas


def judge(pki: Pki, chain_der: list[bytes], emaid: str = EMAID, at: datetime | None = None):
    roots = [pki.mo_root.certificate, pki.v2g_root.certificate]
    return check_contract(chain_der, emaid, roots, at or datetime.now(UTC))


def test_good_contract(pki: Pki) -> None:
    contract = judge(pki, pki.contract.chain_der)
    assert isinstance(contract, VerifiedContract)
    assert contract.emaid == EMAID
    assert contract.chain_pem.encode() == pki.contract.chain_pem
    assert [data.responder_url for data in contract.ocsp] == [
        f"{OCSP_URL}/mo2",
        f"{OCSP_URL}/mo1",
        f"{OCSP_URL}/mo-root",
    ]
    leaf = contract.ocsp[0]
    assert int(leaf.serial_number, 16) == pki.contract.certificate.serial_number
    assert leaf.serial_number == leaf.serial_number.lower().lstrip("0")
    assert len(leaf.issuer_name_hash) == len(leaf.issuer_key_hash) == 64
    issuer_name = hashes.Hash(hashes.SHA256())
    issuer_name.update(pki.mo_sub_ca2.certificate.subject.public_bytes())
    assert leaf.issuer_name_hash == issuer_name.finalize().hex()


@pytest.mark.parametrize("name", BAD_CONTRACTS)
def test_bad_contract(pki: Pki, name: str) -> None:
    make, reason = BAD_CONTRACTS[name]
    bad = make(pki)
    refusal = judge(pki, bad.chain_der, bad.emaid)
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault[reason]
    assert refusal.detail


def test_without_its_reason_each_bad_contract_is_good(pki: Pki) -> None:
    """The bad ones are bad in one thing: at the right time, with the right root, they pass."""
    over = BAD_CONTRACTS["expired"][0](pki)
    assert isinstance(judge(pki, over.chain_der, at=datetime.now(UTC) - timedelta(days=2)), ContractRefusal)
    later = BAD_CONTRACTS["not_yet_valid"][0](pki)
    assert isinstance(judge(pki, later.chain_der, at=datetime.now(UTC) + timedelta(days=2)), VerifiedContract)
    stranger = BAD_CONTRACTS["unknown_root"][0](pki)
    roots = [stranger.leaf.root.certificate]
    assert isinstance(check_contract(stranger.chain_der, EMAID, roots, datetime.now(UTC)), VerifiedContract)


# --- what iso15118's own check takes wrongly, or refuses wrongly ---


def test_no_root_at_all_is_refused(pki: Pki) -> None:
    refusal = check_contract(pki.contract.chain_der, EMAID, [], datetime.now(UTC))
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.UNKNOWN_ROOT


def test_attackers_rsa_sub_ca_below_the_genuine_root_is_refused(pki: Pki) -> None:
    rsa_key = rsa.generate_private_key(65537, 2048)
    attacker = new_key()
    now = datetime.now(UTC)
    sub_ca = (
        x509.CertificateBuilder()
        .subject_name(sub_cas("MO")[1].name)
        .issuer_name(pki.mo_root.certificate.subject)
        .public_key(rsa_key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(attacker, hashes.SHA256())
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(contract_blank(EMAID).name)
        .issuer_name(sub_ca.subject)
        .public_key(attacker.public_key())
        .serial_number(8)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(rsa_key, hashes.SHA256())
    )
    refusal = judge(pki, [leaf.public_bytes(Encoding.DER), sub_ca.public_bytes(Encoding.DER)])
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.MALFORMED


def test_expired_root_is_refused() -> None:
    now = datetime.now(UTC)
    old = root(Blank("Old Root", "MO", not_before=now - timedelta(days=20), not_after=now - timedelta(days=1)))
    leaf = line(old, [*sub_cas("MO"), contract_blank(EMAID)])
    refusal = check_contract(leaf.chain_der, EMAID, [old.certificate], now)
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.EXPIRED


def test_names_that_do_not_chain_are_refused(pki: Pki) -> None:
    refusal = judge(pki, [pki.contract.der, pki.cpo_sub_ca2.der, pki.cpo_sub_ca1.der])
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.UNKNOWN_ROOT


def test_sub_ca_without_path_length_is_accepted(pki: Pki) -> None:
    unbounded = [replace(blank, path_length=None) for blank in sub_cas("MO")]
    leaf = line(pki.mo_root, [*unbounded, contract_blank(EMAID)])
    assert isinstance(judge(pki, leaf.chain_der), VerifiedContract)


def test_p521_with_sha512_is_accepted() -> None:
    top = root(Blank("MO Root 521", "MO"), new_key(ec.SECP521R1()))
    leaf = line(top, [*sub_cas("MO"), contract_blank(EMAID)], ec.SECP521R1())
    assert isinstance(check_contract(leaf.chain_der, EMAID, [top.certificate], datetime.now(UTC)), VerifiedContract)


def test_ed448_is_accepted() -> None:
    top = root(Blank("MO Root 448", "MO"), new_key_448())
    sub_ca = top.child(sub_cas("MO")[1], new_key_448())
    leaf = sub_ca.child(contract_blank(EMAID), new_key_448())
    assert isinstance(check_contract(leaf.chain_der, EMAID, [top.certificate], datetime.now(UTC)), VerifiedContract)


# --- shapes of good chains ---


def test_one_sub_ca_is_enough(pki: Pki) -> None:
    leaf = line(pki.mo_root, [sub_cas("MO")[1], contract_blank(EMAID)])
    assert isinstance(judge(pki, leaf.chain_der), VerifiedContract)


def test_contract_below_the_v2g_root(pki: Pki) -> None:
    leaf = line(pki.v2g_root, [*sub_cas("MO"), contract_blank(EMAID)])
    assert isinstance(judge(pki, leaf.chain_der), VerifiedContract)


def test_sub_cas_in_any_order_and_strangers_between(pki: Pki) -> None:
    leaf, sub_ca2, sub_ca1 = pki.contract.chain_der
    assert isinstance(judge(pki, [leaf, sub_ca1, pki.cps.der, sub_ca2]), VerifiedContract)


def test_root_sent_along(pki: Pki) -> None:
    contract = judge(pki, [*pki.contract.chain_der, pki.mo_root.der])
    assert isinstance(contract, VerifiedContract)
    assert contract.chain_pem.encode() == pki.contract.chain_pem


def test_renewed_root_beside_the_old_one(pki: Pki) -> None:
    """Two roots of one name: whichever signed is taken, in either order."""
    renewed = root(Blank("MO Root CA", "MO"))
    now = datetime.now(UTC)
    for roots in ([renewed, pki.mo_root], [pki.mo_root, renewed]):
        held = [entity.certificate for entity in roots]
        assert isinstance(check_contract(pki.contract.chain_der, EMAID, held, now), VerifiedContract)


def test_root_that_bears_a_sub_cas_name(pki: Pki) -> None:
    """A name proves nothing: the certificate that signed is found whatever else is called the same."""
    namesake = root(Blank("MO Sub-CA 2", "MO"))
    held = [namesake.certificate, pki.mo_root.certificate]
    assert isinstance(check_contract(pki.contract.chain_der, EMAID, held, datetime.now(UTC)), VerifiedContract)


def test_root_in_the_leafs_place(pki: Pki) -> None:
    refusal = judge(pki, [pki.mo_root.der])
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.UNKNOWN_ROOT


def test_chain_that_goes_round(pki: Pki) -> None:
    """Two CAs that certify each other lead nowhere, in finite time."""
    first, second = root(Blank("Round 1", "MO")), root(Blank("Round 2", "MO"))
    forth = second.issue(Blank("Round 1", "MO", ca=True), first.certificate.public_key())
    back = first.issue(Blank("Round 2", "MO", ca=True), second.certificate.public_key())
    leaf = first.child(contract_blank(EMAID))
    chain_der = [leaf.der, *(certificate.public_bytes(Encoding.DER) for certificate in (forth, back))]
    refusal = judge(pki, chain_der)
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.UNKNOWN_ROOT


def test_validity_is_judged_at_the_time_given(pki: Pki) -> None:
    later = datetime.now(UTC) + timedelta(days=400)
    refusal = judge(pki, pki.contract.chain_der, at=later)
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.EXPIRED


@pytest.mark.parametrize("chain_der", [[], [b""]])
def test_nothing_sent(pki: Pki, chain_der: list[bytes]) -> None:
    refusal = judge(pki, chain_der)
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.NO_CHAIN


def test_bounds(pki: Pki) -> None:
    for chain_der in ([b"\x30" * 5000], [pki.contract.der] * 7, [pki.contract.der, b"junk"]):
        refusal = judge(pki, chain_der)
        assert isinstance(refusal, ContractRefusal)
        assert refusal.fault is ContractFault.MALFORMED


def test_unknown_critical_extension(pki: Pki) -> None:
    key = new_key()
    now = datetime.now(UTC)
    private = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
    assert isinstance(pki.mo_sub_ca2.key, ec.EllipticCurvePrivateKey)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(contract_blank(EMAID).name)
        .issuer_name(pki.mo_sub_ca2.certificate.subject)
        .public_key(key.public_key())
        .serial_number(9)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(private, critical=True)
        .sign(pki.mo_sub_ca2.key, hashes.SHA256())
    )
    entity = Entity(leaf, key, pki.mo_sub_ca2)
    refusal = judge(pki, entity.chain_der)
    assert isinstance(refusal, ContractRefusal)
    assert refusal.fault is ContractFault.WRONG_USAGE


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), which=st.integers(0, 2))
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_one_changed_byte_is_refused_or_harmless(pki: Pki, position: int, value: int, which: int) -> None:
    """No byte of any certificate can be changed and the chain still hold; and nothing is raised."""
    chain_der = [bytearray(der) for der in pki.contract.chain_der]
    target = chain_der[which]
    changed = target[position % len(target)] != value
    target[position % len(target)] = value
    result = judge(pki, [bytes(der) for der in chain_der])
    assert isinstance(result, ContractRefusal if changed else VerifiedContract)


# --- signatures by the contract's key ---


def raw(key: ec.EllipticCurvePrivateKey, data: bytes, algorithm: hashes.HashAlgorithm, size: int) -> bytes:
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(algorithm)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def test_contract_signature(pki: Pki) -> None:
    assert isinstance(pki.contract.key, ec.EllipticCurvePrivateKey)
    signature = raw(pki.contract.key, b"AuthorizationReq", hashes.SHA256(), 32)
    assert verify_signature(pki.contract.der, b"AuthorizationReq", signature)
    assert not verify_signature(pki.contract.der, b"another", signature)
    assert not verify_signature(pki.cps.der, b"AuthorizationReq", signature)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\xff" * 64, b"\1" * 63, b"\1" * 65, b"\1" * 132])
def test_signatures_of_no_shape(pki: Pki, signature: bytes) -> None:
    assert not verify_signature(pki.contract.der, b"data", signature)


def test_p521_signature() -> None:
    key = new_key(ec.SECP521R1())
    leaf = root(Blank("MO Root 521"), key)
    assert verify_signature(leaf.der, b"data", raw(key, b"data", hashes.SHA512(), 66))


def test_keys_that_sign_otherwise(pki: Pki) -> None:
    assert not verify_signature(root(Blank("Root 448"), new_key_448()).der, b"data", b"\1" * 64)
    assert not verify_signature(b"junk", b"data", b"\1" * 64)


# --- A root the station does not have, where the operator may verify ---


def test_a_chain_of_an_unknown_root_is_left_to_the_operator(pki: Pki) -> None:
    at = datetime.now(UTC)
    verdict = check_contract(pki.contract.chain_der, EMAID, [], at, central=True)
    assert isinstance(verdict, VerifiedContract)
    assert verdict.central
    assert verdict.chain_pem.count("BEGIN CERTIFICATE") == 3
    assert len(verdict.ocsp) == 2, "the topmost's issuer is not known"
    held = check_contract(pki.contract.chain_der, EMAID, [pki.mo_root.certificate], at, central=True)
    assert isinstance(held, VerifiedContract)
    assert not held.central


def test_what_is_wrong_without_its_root_is_not_asked_about(pki: Pki) -> None:
    at = datetime.now(UTC)
    leaf, *sub_cas = pki.contract.chain_der
    for chain_der, emaid, moment in (
        ([leaf], EMAID, at),
        ([leaf, sub_cas[1]], EMAID, at),
        ([leaf, *sub_cas], "DE8AAAC12345678", at),
        ([leaf, *sub_cas], EMAID, at + timedelta(days=36500)),
        ([pki.oem.chain_der[0], *sub_cas], EMAID, at),
    ):
        assert isinstance(check_contract(chain_der, emaid, [], moment, central=True), ContractRefusal)
    assert check_contract([leaf, *sub_cas], EMAID, [], at) == ContractRefusal(
        ContractFault.UNKNOWN_ROOT, "MO Sub-CA 1 leads to no root we hold"
    )
