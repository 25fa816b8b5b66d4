"""File keys: for development alone."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import csr
from certs.errors import KeyFault, KeyUnavailable
from certs.file import FileKeyStore
from certs.keystore import Curve, KeyStore, Origin

DIGEST = hashlib.sha256(b"a handshake").digest()


def test_refused_unless_allowed(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable) as refused:
        FileKeyStore(tmp_path / "keys", allowed=False)
    assert refused.value.reason is KeyFault.NOT_ALLOWED
    assert not (tmp_path / "keys").exists()


def test_create_open_list_retire(tmp_path: Path) -> None:
    store: KeyStore = FileKeyStore(tmp_path, allowed=True)
    made = [store.create(curve) for curve in Curve]
    assert store.list() == sorted(key.key_id for key in made)
    for key in made:
        again = store.open(key.key_id)
        assert again.public_point == key.public_point
        assert again.curve is key.curve
        assert again.origin is Origin.FILE
        csr.public_key(key).verify(again.sign(DIGEST), DIGEST, ec.ECDSA(Prehashed(SHA256())))
        store.retire(key.key_id)
    assert store.list() == []


def test_file_is_the_owners_alone(tmp_path: Path) -> None:
    FileKeyStore(tmp_path, allowed=True).create(Curve.P256)
    (file,) = tmp_path.glob("*.key")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key_id", ["file:", "file:../etc/passwd", "tpm:81010010", "file:00", ""])
def test_no_such_key(tmp_path: Path, key_id: str) -> None:
    store = FileKeyStore(tmp_path, allowed=True)
    for ask in (store.open, store.retire):
        with pytest.raises(KeyUnavailable) as refused:
            ask(key_id)
        assert refused.value.reason is KeyFault.NO_SUCH_KEY


def test_files_that_are_no_keys_of_ours(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path, allowed=True)
    (tmp_path / "00.key").write_text("junk")
    other = rsa.generate_private_key(65537, 2048)
    (tmp_path / "01.key").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for key_id in ("file:00", "file:01"):
        with pytest.raises(KeyUnavailable) as refused:
            store.open(key_id)
        assert refused.value.reason is KeyFault.BAD_FILE
