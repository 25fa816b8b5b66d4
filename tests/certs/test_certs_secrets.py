"""What the TPM keeps beside the TLS keys: sealed secrets, the rollback counter, the proof of enrolment."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA512
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPMA_NV
from tpm2_pytss.ESAPI import ESAPI
from tpm2_pytss.types import TPM2B_NV_PUBLIC, TPM2B_PUBLIC, TPMS_NV_PUBLIC
from tpm2_pytss.utils import make_credential

from certs import csr
from certs.errors import KeyFault, KeyUnavailable
from certs.file import FileKeyStore
from certs.keystore import Curve, KeyStore, Origin, Purpose
from certs.provision import ensure_identity, factory_reset, mix_random, report, store_for
from certs.sealed import SealedKeyStore
from certs.tls.vehicle import VehicleContext
from certs.tpm import Sealed, Tpm, TpmKeyStore, chip
from certs.vault import Vault
from sim.tpm.swtpm import Swtpm

DIGEST = hashlib.sha512(b"a handshake").digest()


def reason(call, *arguments: object) -> KeyFault:
    with pytest.raises(KeyUnavailable) as refused:
        call(*arguments)
    return refused.value.reason


# --- sealing ---


def test_seal_and_unseal(bench) -> None:
    sealed = bench.tpm.seal(b"a database key")
    assert b"a database key" not in sealed.to_bytes()
    assert bench.tpm.unseal(Sealed.from_bytes(sealed.to_bytes())) == b"a database key"


def test_secrets_do_not_cross_the_bus_in_clear(bench, monkeypatch) -> None:
    """The proxy stands where a probe on the SPI lines would."""
    seen: list[bytes] = []
    ask = type(bench.proxy)._ask

    def listen(proxy, command: bytes) -> bytes:
        response = ask(proxy, command)
        seen.extend((command, response))
        return response

    monkeypatch.setattr(type(bench.proxy), "_ask", listen)
    assert bench.tpm.unseal(bench.tpm.seal(b"the KEK of this very station")) == b"the KEK of this very station"
    assert seen
    assert not any(b"the KEK" in message for message in seen)


def test_sealed_to_registers(bench) -> None:
    sealed = bench.tpm.seal(b"secret", pcrs=(0, 2, 7))
    again = Sealed.from_bytes(sealed.to_bytes())
    assert again.pcrs == (0, 2, 7)
    assert bench.tpm.unseal(again) == b"secret"
    bench.tpm.run(lambda esapi: esapi.pcr_event(ESYS_TR.PCR7, b"another boot loader"))
    assert reason(bench.tpm.unseal, again) is KeyFault.POLICY


def test_another_boards_secret(bench) -> None:
    sealed = bench.tpm.seal(b"secret")
    bench.swtpm.wipe()
    bench.swtpm.start()
    assert reason(bench.tpm.unseal, sealed) is KeyFault.NO_SUCH_KEY
    bench.tpm.ensure_srk()
    assert reason(bench.tpm.unseal, sealed) is KeyFault.FOREIGN_SECRET


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00\x05ab", b"\xff" * 40])
def test_sealed_bytes_cut_short(data: bytes) -> None:
    assert reason(Sealed.from_bytes, data) is KeyFault.BAD_FILE


def test_too_long_to_seal(bench) -> None:
    assert reason(bench.tpm.seal, b"x" * 129) is KeyFault.PROTOCOL
    assert bench.tpm.unseal(bench.tpm.seal(b"x" * 128)) == b"x" * 128


def test_unsealing_survives_power_cuts_without_locking_the_chip(bench) -> None:
    sealed = bench.tpm.seal(b"secret")
    for _ in range(5):
        assert bench.tpm.unseal(sealed) == b"secret"
        bench.swtpm.power_cut()
    assert bench.tpm.chip().lockout_counter == 0


# --- the vault ---


def test_vault(bench, tmp_path: Path) -> None:
    Vault(tmp_path, bench.tpm).put("basic-auth", b"password")
    vault = Vault(tmp_path, bench.tpm)
    assert vault.get("basic-auth") == b"password"
    assert vault.names() == ["basic-auth"]
    assert not any(b"password" in file.read_bytes() for file in tmp_path.iterdir())
    vault.delete("basic-auth")
    assert reason(vault.get, "basic-auth") is KeyFault.NO_SUCH_KEY
    assert reason(vault.delete, "basic-auth") is KeyFault.NO_SUCH_KEY


def test_vault_notices_what_was_changed_or_moved(bench, tmp_path: Path) -> None:
    vault = Vault(tmp_path, bench.tpm)
    vault.put("one", b"first")
    vault.put("two", b"second")
    (tmp_path / "one.secret").write_bytes((tmp_path / "two.secret").read_bytes())
    assert reason(vault.get, "one") is KeyFault.BAD_FILE
    (tmp_path / "two.secret").write_bytes(b"short")
    assert reason(vault.get, "two") is KeyFault.BAD_FILE


def test_vault_is_not_begun_anew_over_secrets(bench, tmp_path: Path) -> None:
    Vault(tmp_path, bench.tpm).put("one", b"first")
    (tmp_path / "kek.sealed").unlink()
    assert reason(Vault, tmp_path, bench.tpm) is KeyFault.BAD_FILE


@pytest.mark.parametrize("name", ["", "../one", "a/b", "a.b"])
def test_names_of_no_secret(bench, tmp_path: Path, name: str) -> None:
    assert reason(Vault(tmp_path, bench.tpm).get, name) is KeyFault.NO_SUCH_KEY


# --- sealed keys ---


def test_sealed_keys(bench, tmp_path: Path) -> None:
    store: KeyStore = SealedKeyStore(Vault(tmp_path, bench.tpm))
    key = store.create(Curve.P521)
    again = SealedKeyStore(Vault(tmp_path, bench.tpm)).open(key.key_id)
    assert again.origin is Origin.TPM_SEALED
    assert again.public_point == key.public_point
    csr.public_key(key).verify(again.sign(DIGEST), DIGEST, ec.ECDSA(Prehashed(SHA512())))
    assert store.list() == [key.key_id]
    store.retire(key.key_id)
    assert store.list() == []
    for key_id in (key.key_id, "file:00", "tpm-sealed:../x"):
        assert reason(store.open, key_id) is KeyFault.NO_SUCH_KEY


def test_a_sealed_secret_that_is_no_key(bench, tmp_path: Path) -> None:
    vault = Vault(tmp_path, bench.tpm)
    vault.put("key-00", b"not a key")
    assert reason(SealedKeyStore(vault).open, "tpm-sealed:00") is KeyFault.BAD_FILE


def test_the_chips_curves_decide(bench, tmp_path: Path, monkeypatch) -> None:
    def vault() -> Vault:
        return Vault(tmp_path, bench.tpm)

    assert store_for(Curve.P521, bench.tpm, vault).origin is Origin.TPM
    monkeypatch.setattr(chip, "CURVES", {Curve.P256: chip.CURVES[Curve.P256]})
    assert store_for(Curve.P521, bench.tpm, vault).origin is Origin.TPM_SEALED
    assert store_for(Curve.P256, bench.tpm, vault).origin is Origin.TPM


def test_tls_with_a_sealed_key(bench, store, pki, at, vehicle, meet, tmp_path: Path) -> None:
    keys = SealedKeyStore(Vault(tmp_path / "vault", bench.tpm))
    subject = csr.Subject("DE*EVS*E0001", "evsed", "DE")
    identity = ensure_identity(store, keys, Purpose.SECC, subject, pki.issue_secc, at)
    assert meet(vehicle, VehicleContext([identity])).connected
    assert identity.key.origin is Origin.TPM_SEALED


# --- counter, enrolment, randomness, the end ---


def test_rollback_counter_only_rises(bench) -> None:
    assert bench.tpm.rollback_counter() == 0
    first = bench.tpm.raise_rollback_counter()
    assert first >= 1
    assert bench.tpm.raise_rollback_counter() == first + 1
    bench.swtpm.power_cut()
    assert bench.tpm.rollback_counter() == first + 1


def test_enrolment(bench) -> None:
    """The factory makes a credential for the chip and the key; only the chip with that key in it can open it."""
    key = bench.keys.create(Curve.P256)
    chip = bench.tpm.endorsement()
    public, _ = TPM2B_PUBLIC.unmarshal(chip.public_area)
    blob, secret = make_credential(public, b"proof of enrolment", bytes.fromhex(key.describe().name))
    assert bench.tpm.activate(key.handle, blob.marshal(), secret.marshal()) == b"proof of enrolment"
    other = bench.keys.create(Curve.P256)
    assert reason(bench.tpm.activate, other.handle, blob.marshal(), secret.marshal()) is KeyFault.FOREIGN_SECRET


def test_endorsement_is_the_chips_own(bench) -> None:
    assert bench.tpm.endorsement() == bench.tpm.endorsement()
    assert bench.tpm.endorsement().certificate_der is None


@pytest.fixture
def made_chip() -> Iterator[tuple[Tpm, x509.Certificate]]:
    """A chip whose maker certified its endorsement keys, and the maker."""
    with tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name:
        swtpm = Swtpm(Path(name))
        maker = swtpm.manufacture()
        with swtpm:
            tpm = Tpm(swtpm.tcti)
            tpm.ensure_srk()
            yield tpm, maker
            tpm.close()


def test_the_makers_certificate_is_of_the_endorsement_key(made_chip: tuple[Tpm, x509.Certificate]) -> None:
    chip, maker = made_chip
    endorsement = chip.endorsement()
    assert endorsement.certificate_der is not None
    certificate = x509.load_der_x509_certificate(endorsement.certificate_der)
    certificate.verify_directly_issued_by(maker)
    public, _ = TPM2B_PUBLIC.unmarshal(endorsement.public_area)
    point = public.publicArea.unique.ecc
    numbers = certificate.public_key().public_numbers()
    assert (numbers.x, numbers.y) == tuple(int.from_bytes(bytes(part), "big") for part in (point.x, point.y))


def test_enrolment_with_the_key_the_maker_certified(made_chip: tuple[Tpm, x509.Certificate]) -> None:
    chip, _ = made_chip
    key = TpmKeyStore(chip).create(Curve.P256)
    public, _ = TPM2B_PUBLIC.unmarshal(chip.endorsement().public_area)
    blob, secret = make_credential(public, b"proof of enrolment", bytes.fromhex(key.describe().name))
    assert chip.activate(key.handle, blob.marshal(), secret.marshal()) == b"proof of enrolment"


def test_a_certificate_is_read_without_its_padding(bench) -> None:
    """Written by a maker into the index of P-256 keys, with room to spare."""
    der = b"\x30\x82\x00\x03abc"
    public = TPMS_NV_PUBLIC(
        nvIndex=0x1C0000A,
        nameAlg=TPM2_ALG.SHA256,
        attributes=TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.AUTHREAD | TPMA_NV.NO_DA,
        dataSize=16,
    )

    def write(esapi: ESAPI) -> None:
        index = esapi.nv_define_space(None, TPM2B_NV_PUBLIC(public))
        esapi.nv_write(index, der.ljust(16, b"\xff"), auth_handle=ESYS_TR.OWNER)

    bench.tpm.run(write)
    assert bench.tpm.endorsement().certificate_der == der


def test_self_test(bench) -> None:
    bench.tpm.self_test()
    bench.proxy.fail("SelfTest", 0x101)
    assert reason(bench.tpm.self_test) is KeyFault.FAILURE_MODE


def test_report(bench, store, secc, station) -> None:
    of_secc, of_station = report(store, bench.keys)
    assert (of_secc.purpose, of_secc.key_id) == (Purpose.SECC, secc.key.key_id)
    assert of_secc.origin is Origin.TPM
    assert of_secc.attributes == "fixedTPM|fixedParent|sensitiveDataOrigin|noDA"
    assert "DC=CPO" in of_secc.subject
    assert of_station.purpose is Purpose.CSMS


def test_report_of_development_keys(store, pki, at, tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path / "keys", allowed=True)
    subject = csr.Subject("DE*EVS*E0001", "evsed", "DE")
    ensure_identity(store, keys, Purpose.SECC, subject, pki.issue_secc, at)
    (chain,) = report(store, keys)
    assert (chain.origin, chain.attributes) == (Origin.FILE, "")


def test_mix_random(bench, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    mix_random(bench.tpm, pool)
    assert len(pool.read_bytes()) == 32
    mix_random(bench.tpm)


def test_factory_reset(bench, secc, station, tmp_path: Path) -> None:
    directory = tmp_path / "certificates"
    assert directory.exists()
    destroyed = factory_reset(bench.tpm, directory)
    assert sorted(destroyed) == sorted([secc.key.key_id, station.key.key_id])
    assert TpmKeyStore(bench.tpm).list() == []
    assert not directory.exists()
    assert reason(secc.key.sign, DIGEST) is KeyFault.NO_SUCH_KEY
    assert factory_reset(bench.tpm, directory) == []
