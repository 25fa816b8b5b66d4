"""From CSR to chain in use; what is refused; and that no kill leaves a station without a working certificate."""

import copy
import hashlib
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs import csr
from certs.csr import Subject
from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve, Purpose
from certs.provision import ensure_identity, roots_for, take_over
from certs.rotation import InstallFault, InstallRefused, Rotation
from certs.store import CertificateStore, RootKind
from certs.tpm import Tpm, TpmKeyStore
from sim.pki.authority import Blank, Entity
from sim.pki.bad import BAD_CONTRACTS

SUBJECT = Subject("DE*EVS*E0001", "evsed", "DE")
DIGEST = hashlib.sha256(b"a handshake").digest()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def rotation(bench, store) -> Rotation:
    return Rotation(store, bench.keys, Purpose.SECC)


def v2g(store: CertificateStore) -> list[x509.Certificate]:
    return store.certificates(RootKind.V2G)


# --- requests ---


@pytest.mark.parametrize("curve", [Curve.P256, Curve.P521])
@pytest.mark.parametrize("purpose", list(Purpose))
def test_csr(bench, curve: Curve, purpose: Purpose) -> None:
    key = bench.keys.create(curve)
    request = x509.load_pem_x509_csr(csr.build(key, purpose, SUBJECT))
    assert request.is_signature_valid
    assert request.public_key() == csr.public_key(key)
    names = {name.oid: name.value for name in request.subject}
    assert names[NameOID.COMMON_NAME] == "DE*EVS*E0001"
    assert names[NameOID.ORGANIZATION_NAME] == "evsed"
    assert names[NameOID.COUNTRY_NAME] == "DE"
    assert names.get(NameOID.DOMAIN_COMPONENT) == (None if purpose is Purpose.CSMS else "CPO")


def test_openssl_verifies_the_csr(bench, tmp_path: Path) -> None:
    file = tmp_path / "request.pem"
    file.write_bytes(csr.build(bench.keys.create(Curve.P256), Purpose.SECC, SUBJECT))
    run = subprocess.run(
        ["openssl", "req", "-in", file, "-verify", "-noout"], capture_output=True, text=True, check=True
    )
    assert "verify OK" in run.stdout + run.stderr


def test_what_signs_the_csr_gives_nothing_but_signatures(bench) -> None:
    """To cryptography it is a private key; its private half stays out of reach, copies included."""
    signer = csr._Signer(bench.keys.create(Curve.P256))
    for same in (signer, copy.copy(signer), copy.deepcopy(signer)):
        assert same.key_size == 256
        for ask in (same.private_numbers, same.private_bytes, same.exchange):
            with pytest.raises(NotImplementedError):
                ask()


def test_subject_that_x509_cannot_carry(bench) -> None:
    with pytest.raises(ValueError, match="length"):
        csr.build(bench.keys.create(Curve.P256), Purpose.SECC, Subject("DE*EVS*E0001", "evsed", "Germany"))


# --- the steps ---


def test_install(rotation: Rotation, pki, store, at) -> None:
    identity = rotation.install(pki.issue_secc(rotation.begin(SUBJECT)).decode(), v2g(store), at)
    assert rotation.identity().chain_der == identity.chain_der
    assert len(identity.chain_der) == 3
    assert identity.root_der == rotation.identity().root_der == pki.v2g_root.der
    assert store.pending(Purpose.SECC) is None
    assert rotation.keys.list() == [identity.key.key_id]


def test_rotate_swaps_and_destroys_the_old_key(rotation: Rotation, secc, pki, store, at) -> None:
    request = rotation.begin(SUBJECT)
    accepted = rotation.accept(pki.issue_secc(request).decode(), v2g(store), at)
    assert rotation.identity().key.key_id == secc.key.key_id
    old = rotation.activate()
    assert old == secc.key.key_id
    assert rotation.identity().chain_der == accepted.chain_der
    assert secc.key.sign(DIGEST)
    rotation.retire(old)
    assert rotation.keys.list() == [accepted.key.key_id]
    with pytest.raises(KeyUnavailable) as gone:
        secc.key.sign(DIGEST)
    assert gone.value.reason is KeyFault.NO_SUCH_KEY


def test_begin_again_asks_with_the_same_key(rotation: Rotation) -> None:
    first, second = (x509.load_pem_x509_csr(rotation.begin(SUBJECT)) for _ in range(2))
    assert first.public_key() == second.public_key()
    assert len(rotation.keys.list()) == 1


def test_abandon(rotation: Rotation, secc) -> None:
    rotation.begin(SUBJECT)
    rotation.abandon()
    rotation.abandon()
    assert rotation.keys.list() == [secc.key.key_id]
    assert rotation.identity().chain_der == secc.chain_der


def refused(rotation: Rotation, chain_pem: bytes | str, roots, at: datetime) -> InstallFault:
    text = chain_pem.decode() if isinstance(chain_pem, bytes) else chain_pem
    with pytest.raises(InstallRefused) as error:
        rotation.accept(text, roots, at)
    return error.value.fault


def test_chains_that_are_refused(rotation: Rotation, secc, pki, store, at) -> None:
    """Each leaves the old chain serving."""
    good = pki.issue_secc(rotation.begin(SUBJECT))
    request = rotation.begin(SUBJECT)
    leaf_key = x509.load_pem_x509_csr(request).public_key()
    no_dc = Entity(pki.cpo_sub_ca2.issue(Blank("DE*EVS*E0001"), leaf_key), issuer=pki.cpo_sub_ca2)
    by_mo = Entity(pki.mo_sub_ca2.issue(Blank("DE*EVS*E0001", "CPO"), leaf_key), issuer=pki.mo_sub_ca2)
    client = Blank("DE*EVS*E0001", "CPO", extended_usages=(csr.ExtendedKeyUsageOID.CLIENT_AUTH,))
    no_server = Entity(pki.cpo_sub_ca2.issue(client, leaf_key), issuer=pki.cpo_sub_ca2)
    roots = v2g(store)
    assert refused(rotation, "", roots, at) is InstallFault.MALFORMED
    assert refused(rotation, "junk", roots, at) is InstallFault.MALFORMED
    assert refused(rotation, pki.cps.chain_pem, roots, at) is InstallFault.WRONG_USAGE
    assert refused(rotation, no_dc.chain_pem, roots, at) is InstallFault.WRONG_USAGE
    assert refused(rotation, no_server.chain_pem, roots, at) is InstallFault.WRONG_USAGE
    assert refused(rotation, by_mo.chain_pem, roots, at) is InstallFault.UNKNOWN_ROOT
    assert refused(rotation, good, [], at) is InstallFault.UNKNOWN_ROOT
    assert refused(rotation, good, roots, at + timedelta(days=500)) is InstallFault.EXPIRED
    assert refused(rotation, good, roots, at - timedelta(days=500)) is InstallFault.NOT_YET_VALID
    other = rotation.keys.create(Curve.P256)
    foreign = pki.issue_secc(csr.build(other, Purpose.SECC, SUBJECT))
    assert refused(rotation, foreign, roots, at) is InstallFault.OTHER_KEY
    with pytest.raises(InstallRefused):
        rotation.activate()
    assert rotation.identity().chain_der == secc.chain_der
    assert rotation.accept(good.decode(), roots, at)


def test_nothing_was_asked_for(rotation: Rotation, pki, store, at) -> None:
    assert refused(rotation, pki.cps.chain_pem, v2g(store), at) is InstallFault.NOT_ASKED_FOR


def test_station_certificate_needs_no_root_of_ours(station, store) -> None:
    assert len(station.chain_der) == 1
    assert store.chain(Purpose.CSMS).key_id == station.key.key_id


def test_station_certificate_for_another_use(bench, store, pki, at) -> None:
    rotation = Rotation(store, bench.keys, Purpose.CSMS)
    leaf_key = x509.load_pem_x509_csr(rotation.begin(SUBJECT)).public_key()
    server = Blank("x", extended_usages=(csr.ExtendedKeyUsageOID.SERVER_AUTH,))
    leaf = Entity(pki.station_root.issue(server, leaf_key), issuer=pki.station_root)
    assert refused(rotation, leaf.chain_pem, None, at) is InstallFault.WRONG_USAGE


def test_ensure_identity_asks_once(bench, store, pki, at, secc) -> None:
    def issue(_request: bytes) -> bytes:
        raise AssertionError("a certificate is there already")

    again = ensure_identity(store, bench.keys, Purpose.SECC, SUBJECT, issue, at)
    assert again.chain_der == secc.chain_der


# --- what a kill leaves behind ---


def test_reconcile_retires_orphans_and_keeps_the_rest(bench, store, secc) -> None:
    orphan = bench.keys.create(Curve.P256)
    pending = Rotation(store, bench.keys, Purpose.CSMS)
    pending.begin(SUBJECT)
    result = take_over(bench.tpm, store).reconciled
    assert result.retired == (orphan.key_id,)
    assert secc.key.key_id in bench.keys.list()
    assert store.pending(Purpose.CSMS).key_id in bench.keys.list()


def test_reconcile_says_which_chain_lost_its_key(bench, store, secc) -> None:
    Rotation(store, bench.keys, Purpose.CSMS).begin(SUBJECT)
    bench.swtpm.wipe()
    bench.swtpm.start()
    result = take_over(bench.tpm, store).reconciled
    assert result.keyless == (Purpose.SECC,)
    assert result.abandoned == (Purpose.CSMS,)
    assert store.pending(Purpose.CSMS) is None


def test_a_rotation_killed_at_every_step(bench, store, secc, pki, tmp_path) -> None:
    """Whatever step it dies at, the station comes up with a working certificate and, reconciled, no orphan key."""
    steps, survived = 0, False
    while not survived:
        steps += 1
        command = [sys.executable, str(Path(__file__).with_name("certs_rotation_child.py"))]
        command += [bench.proxy.tcti, str(tmp_path / "certificates"), str(pki.directory), str(steps)]
        run = subprocess.run(
            command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        survived = run.returncode == 0
        assert survived or run.returncode == -signal.SIGKILL, run.stderr
        tpm = Tpm(bench.proxy.tcti)
        after = CertificateStore(tmp_path / "certificates")
        result = take_over(tpm, after).reconciled
        keys = TpmKeyStore(tpm)
        rotation = Rotation(after, keys, Purpose.SECC)
        identity = rotation.identity()
        assert identity.key.sign(DIGEST)
        leaf = x509.load_der_x509_certificate(identity.chain_der[0])
        assert leaf.public_key() == csr.public_key(identity.key)
        pending = after.pending(Purpose.SECC)
        known = {identity.key.key_id} | ({pending.key_id} if pending else set())
        assert set(keys.list()) == known
        assert result.keyless == ()
        rotation.abandon()
        tpm.close()
    assert steps == 13, "the steps of a rotation were not all met"


def test_roots_for(store, pki) -> None:
    assert roots_for(store, Purpose.SECC) == [pki.v2g_root.certificate]
    assert roots_for(store, Purpose.CSMS) is None


def test_bad_contract_table_names_faults() -> None:
    assert {reason for _, reason in BAD_CONTRACTS.values()} <= {
        *InstallFault.__members__,
        "EMAID_MISMATCH",
        "EMAID_SYNTAX",
    }


def test_chain_as_ocpp_names_it(store, secc, pki) -> None:
    leaf, sub_ca2, sub_ca1 = store.chain_hash_data(Purpose.SECC)
    assert int(leaf.serial_number, 16) == x509.load_der_x509_certificate(secc.chain_der[0]).serial_number
    assert int(sub_ca2.serial_number, 16) == pki.cpo_sub_ca2.certificate.serial_number
    assert sub_ca1.issuer_key_hash == store.roots(RootKind.V2G)[0].hash_data.issuer_key_hash
    assert store.chain_hash_data(Purpose.CSMS) == ()
    assert store.delete_root(store.roots(RootKind.V2G)[0].hash_data)
    assert store.chain_hash_data(Purpose.SECC) == ()


def test_expiring(store, secc, at) -> None:
    assert store.expiring(at, timedelta(days=300)) == []
    assert store.expiring(at, timedelta(days=366)) == [Purpose.SECC]


def test_expiry(store, secc) -> None:
    assert timedelta(days=364) < store.expiry()[Purpose.SECC] - datetime.now(UTC) < timedelta(days=366)
