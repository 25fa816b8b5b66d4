"""Roots and chains on disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs import store as store_module
from certs.file import FileKeyStore
from certs.keystore import Curve, Purpose
from certs.store import CertificateStore, RootKind, StoredChain, StoreError, StoreFault, write_atomically
from sim.pki.authority import Blank, root


@pytest.fixture
def empty(tmp_path: Path) -> CertificateStore:
    return CertificateStore(tmp_path)


def test_roots_are_kept_by_kind(empty, pki) -> None:
    empty.install_root(RootKind.V2G, pki.v2g_root.pem.decode())
    empty.install_root(RootKind.MO, pki.mo_root.pem.decode())
    empty.install_root(RootKind.MO, pki.mo_root.pem.decode())
    assert empty.certificates(RootKind.V2G) == [pki.v2g_root.certificate]
    assert empty.certificates(RootKind.V2G, RootKind.MO) == [pki.v2g_root.certificate, pki.mo_root.certificate]
    assert len(empty.roots()) == 2


def test_hash_data_finds_the_root_to_delete(empty, pki) -> None:
    installed = empty.install_root(RootKind.MO, pki.mo_root.pem.decode()).hash_data
    empty.install_root(RootKind.V2G, pki.v2g_root.pem.decode())
    shouted = replace(
        installed,
        issuer_name_hash=installed.issuer_name_hash.upper(),
        issuer_key_hash=installed.issuer_key_hash.upper(),
        serial_number="00" + installed.serial_number.upper(),
    )
    assert empty.delete_root(shouted)
    assert not empty.delete_root(shouted)
    assert empty.certificates() == [pki.v2g_root.certificate]


@pytest.mark.parametrize(
    ("pem", "fault"),
    [("junk", StoreFault.MALFORMED), ("", StoreFault.MALFORMED)],
)
def test_what_is_no_certificate(empty, pem: str, fault: StoreFault) -> None:
    with pytest.raises(StoreError) as error:
        empty.install_root(RootKind.V2G, pem)
    assert error.value.fault is fault


def test_what_is_no_root(empty, pki) -> None:
    for entity in (pki.cpo_sub_ca1, pki.contract, pki.csms):
        with pytest.raises(StoreError) as error:
            empty.install_root(RootKind.V2G, entity.pem.decode())
        assert error.value.fault is StoreFault.NOT_A_ROOT


def test_an_operators_root_may_be_rsa(empty) -> None:
    blank, key = Blank("RSA Root", ca=True), rsa.generate_private_key(65537, 2048)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(blank.name)
        .issuer_name(blank.name)
        .public_key(key.public_key())
        .serial_number(3)
        .not_valid_before(blank.not_before)
        .not_valid_after(blank.not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    empty.install_root(RootKind.CSMS, certificate.public_bytes(Encoding.PEM).decode())
    assert empty.certificates(RootKind.CSMS) == [certificate]


def test_full(empty, pki, monkeypatch) -> None:
    monkeypatch.setattr(store_module, "MAX_ROOTS", 2)
    roots = [root(Blank(f"Root {number}")).pem.decode() for number in range(3)]
    empty.install_root(RootKind.MO, roots[0])
    empty.install_root(RootKind.MO, roots[1])
    empty.install_root(RootKind.MO, roots[1])
    with pytest.raises(StoreError) as error:
        empty.install_root(RootKind.MO, roots[2])
    assert error.value.fault is StoreFault.FULL
    empty.install_root(RootKind.V2G, roots[2])


def test_a_root_file_gone_bad_is_left_out(empty, pki, tmp_path, caplog) -> None:
    empty.install_root(RootKind.MO, pki.mo_root.pem.decode())
    (tmp_path / "roots" / "mo" / "bad.pem").write_bytes(b"\xff\xfe")
    (tmp_path / "roots" / "mo" / "worse.pem").write_text("junk")
    assert empty.certificates(RootKind.MO) == [pki.mo_root.certificate]
    assert "bad.pem is not trusted" in caplog.text
    assert "worse.pem is not trusted" in caplog.text


def test_chain_comes_back(empty, pki) -> None:
    stored = StoredChain("file:01", pki.contract.chain_pem.decode())
    empty.put_chain(Purpose.SECC, stored)
    assert empty.chain(Purpose.SECC) == stored
    assert list(empty.chain(Purpose.SECC).chain_der) == pki.contract.chain_der
    assert empty.chain(Purpose.CSMS) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key_id": "x"}', '{"key_id": "x", "chain": "junk"}', "null"])
def test_a_chain_file_gone_bad(empty, tmp_path, content: str) -> None:
    (tmp_path / "chains").mkdir()
    (tmp_path / "chains" / "secc.json").write_text(content)
    with pytest.raises(StoreError) as error:
        empty.chain(Purpose.SECC)
    assert error.value.fault is StoreFault.UNREADABLE


def test_reconcile_destroys_nothing_while_a_chain_is_unreadable(empty, tmp_path) -> None:
    keys = FileKeyStore(tmp_path / "keys", allowed=True)
    key = keys.create(Curve.P256)
    (tmp_path / "chains").mkdir()
    (tmp_path / "chains" / "secc.json").write_text("{")
    with pytest.raises(StoreError):
        empty.reconcile(keys)
    assert keys.list() == [key.key_id]


def test_keys_of_another_store_are_not_judged(empty, tmp_path, pki) -> None:
    keys = FileKeyStore(tmp_path / "keys", allowed=True)
    empty.put_chain(Purpose.SECC, StoredChain("tpm:81010010", pki.contract.chain_pem.decode()))
    assert empty.reconcile(keys).keyless == ()


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"old")

    def full(_descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
