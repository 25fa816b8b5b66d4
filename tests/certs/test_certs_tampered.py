"""One octet changed, anywhere: nothing that is judged, opened or read from a disk passes for what it was."""

import contextlib
import json
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import chain
from certs import ocsp as station
from certs.chain import ChainRefused
from certs.contract import VerifiedContract, check_contract
from certs.errors import KeyFault, KeyUnavailable
from certs.hashdata import hash_data
from certs.keystore import Purpose
from certs.ocsp import OcspCache, OcspRefused
from certs.store import CertificateStore, RootKind, StoredChain, StoreError, StoreFault
from certs.tpm import Sealed
from certs.vault import Vault
from sim.pki.ocsp import Responder
from tests.certs.test_certs_contract import EMAID

any_octet = st.integers(0, 10**6)


def with_change(octets: bytes, at: int, change: int = 1) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= change
    return bytes(changed)


# --- chains ---


@pytest.mark.parametrize("link", [0, 1, 2])
def test_no_changed_octet_of_a_contract_chain_gets_through(pki, at: datetime, link: int) -> None:
    """Each octet in turn: refused, or the change left alone what is signed."""
    ders, roots = list(pki.contract.chain_der), [pki.mo_root.certificate]
    signed = [chain.load(der).tbs_certificate_bytes for der in ders]
    assert isinstance(check_contract(ders, EMAID, roots, at), VerifiedContract)
    for position in range(len(ders[link])):
        changed = [*ders]
        changed[link] = with_change(ders[link], position)
        if isinstance(check_contract(changed, EMAID, roots, at), VerifiedContract):
            assert chain.load(changed[link]).tbs_certificate_bytes == signed[link], position


@given(st.lists(st.binary(max_size=300), max_size=4))
@settings(max_examples=100)
def test_any_octets_for_a_chain_are_refused(ders: list[bytes]) -> None:
    with pytest.raises(ChainRefused):
        chain.verify(chain.load_chain(ders), [], datetime.now().astimezone(), chain.SECC)


# --- OCSP responses ---


def test_no_changed_octet_of_an_ocsp_response_gets_through(pki, at: datetime) -> None:
    certificate, issuer = pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1
    response = Responder([]).status_of(certificate, issuer)
    signed = ocsp.load_der_ocsp_response(response).tbs_response_bytes
    passed = 0
    for position in range(len(response)):
        changed = with_change(response, position)
        try:
            station.check(changed, certificate, issuer.certificate, at)
        except OcspRefused:
            continue
        passed += 1
        assert ocsp.load_der_ocsp_response(changed).tbs_response_bytes == signed
    assert passed < 10, "but for what nothing is said by"


@given(st.binary(max_size=400))
@settings(max_examples=100)
def test_any_octets_for_an_ocsp_response_are_refused(pki, octets: bytes) -> None:
    with pytest.raises(OcspRefused):
        station.check(octets, pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1.certificate, datetime.now().astimezone())


def test_a_kept_response_that_was_changed_is_not_stapled(pki, at: datetime, tmp_path: Path) -> None:
    cache = OcspCache(tmp_path)
    certificate, issuer = pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1
    cache.put(Responder([]).status_of(certificate, issuer), certificate, issuer.certificate, at)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for position in range(40, len(whole), 7):
        file.write_bytes(with_change(whole, position, 0x80))
        held = cache.held(certificate, issuer.certificate, at)
        assert held is None or held.der != whole
    file.write_bytes(whole)
    assert cache.held(certificate, issuer.certificate, at) is not None


# --- the store ---


@pytest.mark.parametrize("folder", ["chains", "pending"])
@given(octets=st.binary(max_size=200))
@settings(max_examples=50)
def test_any_octets_for_a_stored_chain_are_unreadable_and_said(
    tmp_path_factory: pytest.TempPathFactory, folder: str, octets: bytes
) -> None:
    directory = tmp_path_factory.mktemp("store")
    store = CertificateStore(directory)
    (directory / folder).mkdir()
    (directory / folder / "secc.json").write_bytes(octets)
    with pytest.raises(StoreError) as refused:
        (store.chain if folder == "chains" else store.pending)(Purpose.SECC)
    assert refused.value.fault is StoreFault.UNREADABLE


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        "chain",
        {"key_id": "tpm:81010010"},
        {"chain": ""},
        {"key_id": "tpm:81010010", "chain": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"},
    ],
)
def test_json_that_is_no_stored_chain(tmp_path: Path, content: object) -> None:
    (tmp_path / "chains").mkdir()
    (tmp_path / "chains" / "csms.json").write_text(json.dumps(content))
    with pytest.raises(StoreError):
        CertificateStore(tmp_path).chain(Purpose.CSMS)


def test_what_is_held_is_counted(tmp_path: Path, pki) -> None:
    store = CertificateStore(tmp_path)
    assert store.count() == 0
    store.install_root(RootKind.V2G, pki.v2g_root.pem.decode())
    store.install_root(RootKind.CSMS, pki.csms_root.pem.decode())
    pem = "".join(one.certificate.public_bytes(Encoding.PEM).decode() for one in (pki.cpo_sub_ca2, pki.cpo_sub_ca1))
    store.put_chain(Purpose.SECC, StoredChain("tpm:81010010", pem))
    store.put_pending(Purpose.CSMS, StoredChain("tpm:81010011", ""))
    assert store.count() == 4
    store.delete_root(hash_data(pki.csms_root.certificate, pki.csms_root.certificate))
    assert store.count() == 3


# --- sealed secrets ---


@given(st.binary(max_size=80))
def test_any_octets_for_a_sealed_secret(data: bytes) -> None:
    """Read to the end of what they hold, or refused for what they lack."""
    with contextlib.suppress(KeyUnavailable):
        assert data.startswith(Sealed.from_bytes(data).to_bytes())


@given(st.binary(max_size=300), st.binary(max_size=300), st.lists(st.integers(0, 23), max_size=8))
def test_a_sealed_secret_is_read_as_it_was_written(private: bytes, public: bytes, pcrs: list[int]) -> None:
    sealed = Sealed(private, public, tuple(pcrs))
    assert Sealed.from_bytes(sealed.to_bytes()) == sealed


def test_no_changed_octet_of_a_secret_gets_through(bench, tmp_path: Path) -> None:
    vault = Vault(tmp_path, bench.tpm)
    vault.put("one", b"a secret")
    file = tmp_path / "one.secret"
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(with_change(whole, position))
        with pytest.raises(KeyUnavailable) as refused:
            vault.get("one")
        assert refused.value.reason is KeyFault.BAD_FILE
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(KeyUnavailable):
            vault.get("one")
    file.write_bytes(whole)
    assert vault.get("one") == b"a secret"


def test_no_changed_octet_of_a_sealed_key_opens(bench) -> None:
    """Every eleventh: each asks the chip. Whatever it answers, it is no secret, and the chip goes on."""
    whole = bench.tpm.seal(b"the key").to_bytes()
    for position in range(0, len(whole), 11):
        with pytest.raises(KeyUnavailable) as refused:
            bench.tpm.unseal(Sealed.from_bytes(with_change(whole, position)))
        assert refused.value.reason in (
            KeyFault.FOREIGN_SECRET,
            KeyFault.PROTOCOL,
            KeyFault.BAD_FILE,
            KeyFault.WEAK_ATTRIBUTES,
            KeyFault.NOT_AUTHORISED,
            KeyFault.POLICY,
        )
    assert bench.tpm.unseal(Sealed.from_bytes(whole)) == b"the key"
    assert bench.tpm.chip().lockout_counter == 0
