"""Keys in a real TPM (swtpm): made there, never leaving it, and what happens when the chip falters."""

import hashlib
import threading

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from tpm2_pytss.constants import TPM2_ALG, TPMA_OBJECT
from tpm2_pytss.types import TPMT_SYM_DEF_OBJECT

from certs import csr
from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve, Key, KeyStore, Origin
from certs.tpm import SLOTS, SRK, Tpm, TpmKeyStore
from certs.tpm.objects import STATION_KEY, _template, require
from certs.tpm.response import fault_of

DIGEST = hashlib.sha256(b"a handshake").digest()


def verifies(key: Key, digest: bytes, signature: bytes) -> bool:
    algorithm = {32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}[len(digest)]
    csr.public_key(key).verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))
    return True


def test_key_is_made_in_the_tpm_and_cannot_leave_it(bench) -> None:
    key = bench.keys.create(Curve.P256)
    attributes = key.describe()
    assert str(attributes) == "fixedTPM|fixedParent|sensitiveDataOrigin|noDA"
    assert attributes.handle == SLOTS[0]
    assert len(bytes.fromhex(attributes.name)) == 34
    assert key.origin is Origin.TPM


def test_srk_is_made_once(bench) -> None:
    first = bench.tpm.ensure_srk()
    assert first.handle == SRK
    assert str(first) == "fixedTPM|fixedParent|sensitiveDataOrigin|noDA"
    assert bench.proxy.count()["CreatePrimary"] == 1


@pytest.mark.parametrize("curve", list(Curve))
@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_signatures_verify(bench, curve: Curve, algorithm: str) -> None:
    key = bench.keys.create(curve)
    digest = hashlib.new(algorithm, b"a handshake").digest()
    assert verifies(key, digest, key.sign(digest))


def test_one_command_a_signature(bench) -> None:
    key = bench.keys.create(Curve.P256)
    before = len(bench.proxy.commands)
    for _ in range(5):
        key.sign(DIGEST)
    assert [command.name for command in bench.proxy.commands[before:]] == ["Sign"] * 5


def test_five_slots_and_no_more(bench) -> None:
    made = [bench.keys.create(Curve.P256).key_id for _ in SLOTS]
    assert bench.keys.list() == made
    with pytest.raises(KeyUnavailable) as refused:
        bench.keys.create(Curve.P256)
    assert refused.value.reason is KeyFault.NO_FREE_SLOT


def test_retired_key_is_gone_and_its_slot_free(bench) -> None:
    first, second = bench.keys.create(Curve.P256), bench.keys.create(Curve.P256)
    bench.keys.retire(first.key_id)
    assert bench.keys.list() == [second.key_id]
    with pytest.raises(KeyUnavailable) as refused:
        first.sign(DIGEST)
    assert refused.value.reason is KeyFault.NO_SUCH_KEY
    assert bench.keys.create(Curve.P256).key_id == first.key_id


def test_nothing_stays_loaded(bench) -> None:
    """Chips have room for three transient objects; a leak would end key making after three."""
    for _ in range(5):
        bench.keys.retire(bench.keys.create(Curve.P256).key_id)
    assert bench.proxy.count()["FlushContext"] == bench.proxy.count()["Load"] + 1


@pytest.mark.parametrize("key_id", ["tpm:81000001", "tpm:", "tpm:zz", "file:81010010", "", "tpm:81010014"])
def test_opening_what_is_no_key(bench, key_id: str) -> None:
    with pytest.raises(KeyUnavailable) as refused:
        bench.keys.open(key_id)
    assert refused.value.reason is KeyFault.NO_SUCH_KEY


def test_evicting_the_storage_root_is_refused(bench) -> None:
    with pytest.raises(KeyUnavailable):
        bench.tpm.evict(SRK)


def test_a_template_without_noda_is_refused() -> None:
    with pytest.raises(KeyUnavailable) as refused:
        _template(Curve.P256, STATION_KEY & ~TPMA_OBJECT.NODA, TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL))
    assert refused.value.reason is KeyFault.WEAK_ATTRIBUTES


def test_a_key_without_noda_is_refused(bench) -> None:
    """Somebody else made a key in our slot range."""
    key = bench.keys.create(Curve.P256)
    public = bench.tpm.run(lambda esapi: bench.tpm._handle(esapi, key.handle)[1])
    with pytest.raises(KeyUnavailable) as refused:
        require(public, STATION_KEY | TPMA_OBJECT.RESTRICTED)
    assert refused.value.reason is KeyFault.WEAK_ATTRIBUTES


def test_owner_password(bench) -> None:
    """Making a key needs it, signing does not; a station that has another says so."""
    bench.tpm.take_ownership(b"kept by the manufacturer")
    key = bench.keys.create(Curve.P256)
    bench.swtpm.power_cut()
    assert verifies(key, DIGEST, key.sign(DIGEST))
    assert bench.keys.create(Curve.P256)
    other = Tpm(bench.proxy.tcti, owner_auth=b"a guess")
    assert verifies(key, DIGEST, TpmKeyStore(other).open(key.key_id).sign(DIGEST))
    with pytest.raises(KeyUnavailable) as refused:
        TpmKeyStore(other).create(Curve.P256)
    assert refused.value.reason is KeyFault.NOT_AUTHORISED
    assert bench.tpm.chip().lockout_counter == 0
    other.close()


def test_busy_since_shows_a_chip_that_hangs(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.delay("Sign", 0.2)
    thread = threading.Thread(target=key.sign, args=(DIGEST,))
    thread.start()
    thread.join(0.1)
    assert bench.tpm.health.busy_since_s is not None
    thread.join()
    assert bench.tpm.health.busy_since_s is None
    assert bench.tpm.health.slowest_sign_s >= 0.2


def test_chip_says_what_it_is(bench) -> None:
    chip = bench.tpm.chip()
    assert Curve.P256 in chip.curves
    assert chip.persistent_free > 0
    assert chip.lockout_counter == 0
    assert not chip.locked_out
    assert chip.manufacturer


def test_random(bench) -> None:
    assert len(bench.tpm.random(32)) == 32
    assert bench.tpm.random(32) != bench.tpm.random(32)


# --- faults: response code, times in a row, and what the caller sees (None: the signature, within the same call) ---

FAULT_TABLE = [
    (0x922, 4, None),  # RETRY: absorbed by tpm2-tss, five submissions
    (0x90A, 4, None),  # TESTING
    (0x908, 4, None),  # YIELDED
    (0x922, 100, KeyFault.BUSY),
    (0x90A, 100, KeyFault.BUSY),
    (0x920, 1, None),  # NV_RATE: once more after a pause
    (0x920, 100, KeyFault.BUSY),
    (0x923, 1, None),  # NV_UNAVAILABLE
    (0x921, 1, KeyFault.LOCKED_OUT),
    (0x902, 1, KeyFault.OUT_OF_MEMORY),
    (0x903, 1, KeyFault.OUT_OF_MEMORY),
    (0x904, 1, KeyFault.OUT_OF_MEMORY),
    (0x101, 1, KeyFault.FAILURE_MODE),
    (0x100, 1, None),  # INITIALIZE: reopened and started up
    (0x100, 100, KeyFault.ABSENT),
    (0x18B, 1, None),  # HANDLE: reopened
    (0x18B, 100, KeyFault.NO_SUCH_KEY),
    (0x910, 1, None),  # REFERENCE_H0
    (0x910, 100, KeyFault.NO_SUCH_KEY),
    (0x99D, 1, KeyFault.POLICY),
    (0x1C4, 1, KeyFault.PROTOCOL),  # VALUE of parameter 1
    (0x14F, 1, KeyFault.PROTOCOL),  # one that nobody listed
]


@pytest.mark.parametrize(("rc", "times", "expected"), FAULT_TABLE)
def test_response_codes(bench, rc: int, times: int, expected: KeyFault | None) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.fail("Sign", rc, times)
    if expected is None:
        assert verifies(key, DIGEST, key.sign(DIGEST))
    else:
        with pytest.raises(KeyUnavailable) as refused:
            key.sign(DIGEST)
        assert refused.value.reason is expected
        assert bench.tpm.health.faults[expected] >= 1
        assert bench.tpm.health.last_fault is expected
    bench.proxy.heal()
    assert verifies(key, DIGEST, key.sign(DIGEST))


def test_fault_names() -> None:
    assert fault_of(0x000A000A) is KeyFault.ABSENT
    assert fault_of(0x00070007) is KeyFault.ABSENT
    assert fault_of(0x000B018B) is KeyFault.NO_SUCH_KEY
    assert fault_of(0x2A6) is KeyFault.CURVE_UNSUPPORTED


def test_connection_dropped(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.hang_up("Sign")
    assert verifies(key, DIGEST, key.sign(DIGEST))
    assert bench.tpm.health.reopened == 1
    assert bench.tpm.health.recovered == 1


def test_power_cut(bench) -> None:
    """The TPM restarts without a Shutdown; the next signature succeeds within its own call."""
    key = bench.keys.create(Curve.P256)
    bench.swtpm.power_cut()
    assert verifies(key, DIGEST, key.sign(DIGEST))


def test_twenty_power_cuts_do_not_lock_the_chip(bench) -> None:
    key = bench.keys.create(Curve.P256)
    for _ in range(20):
        assert verifies(key, DIGEST, key.sign(DIGEST))
        bench.swtpm.power_cut()
    chip = bench.tpm.chip()
    assert chip.lockout_counter == 0
    assert not chip.locked_out
    assert verifies(key, DIGEST, key.sign(DIGEST))


def test_tpm_gone_and_back(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.swtpm.stop()
    for _ in range(3):
        with pytest.raises(KeyUnavailable) as refused:
            key.sign(DIGEST)
        assert refused.value.reason is KeyFault.ABSENT
    bench.swtpm.start()
    assert verifies(key, DIGEST, key.sign(DIGEST))


def test_absent_from_the_start() -> None:
    tpm = Tpm("swtpm:path=/nowhere/tpm.sock")
    with pytest.raises(KeyUnavailable) as refused:
        tpm.ensure_srk()
    assert refused.value.reason is KeyFault.ABSENT
    tpm.close()


def test_state_wiped(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.swtpm.wipe()
    bench.swtpm.start()
    with pytest.raises(KeyUnavailable) as refused:
        key.sign(DIGEST)
    assert refused.value.reason is KeyFault.NO_SUCH_KEY
    bench.tpm.ensure_srk()
    new = bench.keys.create(Curve.P256)
    assert verifies(new, DIGEST, new.sign(DIGEST))


def test_another_boards_tpm(bench) -> None:
    """The slot holds a key, but not ours: it must not sign."""
    key = bench.keys.create(Curve.P256)
    bench.swtpm.wipe()
    bench.swtpm.start()
    bench.tpm.ensure_srk()
    other = bench.keys.create(Curve.P256)
    assert other.key_id == key.key_id
    with pytest.raises(KeyUnavailable) as refused:
        key.sign(DIGEST)
    assert refused.value.reason is KeyFault.FOREIGN_KEY
    assert verifies(other, DIGEST, other.sign(DIGEST))


def test_a_handshake_goes_before_a_key_that_waits_to_be_made(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.delay("GetRandom", 0.2)
    bench.proxy.commands.clear()
    work = [lambda: bench.tpm.random(8), lambda: bench.keys.create(Curve.P256), lambda: key.sign(DIGEST)]
    threads = []
    for task in work:
        threads.append(threading.Thread(target=task))
        threads[-1].start()
        threads[-1].join(0.03)
    for thread in threads:
        thread.join()
    names = [command.name for command in bench.proxy.commands]
    assert names.index("GetRandom") < names.index("Sign") < names.index("Create")


def test_many_threads_sign(bench) -> None:
    key = bench.keys.create(Curve.P256)
    signatures: list[bytes] = []
    threads = [threading.Thread(target=lambda: signatures.append(key.sign(DIGEST))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signatures) == 16
    assert all(verifies(key, DIGEST, signature) for signature in signatures)


def test_store_is_a_key_store(bench) -> None:
    store: KeyStore = bench.keys
    assert isinstance(store, TpmKeyStore)
    assert store.list() == []
