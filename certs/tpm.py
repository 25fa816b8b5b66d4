"""The station's TPM 2.0: its keys, and the only door to tpm2_pytss.

One owner, one connection, one command at a time (`Turns`: handshakes first). Keys are persistent handles below the
storage root key at 0x81000001, so a signature is a single command and nothing has to be loaded, saved or flushed;
authorisation is the empty password, because a password that lies beside the key in the same flash defends nothing.

Every key is made with noDA, and a key without it is refused. A key under dictionary-attack protection counts a failure
for each hard power cut after its use: three power cuts lock the TPM, and with it the charger. noDA keys leave the
counter at 0 and sign even while it is locked.

What happens when the chip falters: transport errors, a lost Startup, unknown handles and a busy chip are met once by
reopening the connection (and TPM2_Startup where the TPM asks for it) and running the whole operation again; the second
failure is raised with its reason. A key that is opened again is compared with the public point it had, so that another
board's TPM, or a wiped one, is noticed before it signs.

Secrets are sealed below the same root key, through a session salted with it, so that nothing of them is readable on
the bus between the chip and the processor.

Results of tpm2_pytss are kept in a variable before their parts are read: `f()[1].data.x` reads memory already freed.
The file is long because this is the only one that may name tpm2_pytss.
"""

# tpm2_pytss takes plain integers where its hints ask for its own kinds of int, and has untyped constructors.
# mypy: disable-error-code="no-untyped-call, arg-type"

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

# tpm2-tss prints every error to stderr by itself; ours carry the reason and go through logging.
os.environ.setdefault("TSS2_LOG", "all+none")

from tpm2_pytss.constants import (
    ESYS_TR,
    TPM2_ALG,
    TPM2_CAP,
    TPM2_ECC,
    TPM2_NT,
    TPM2_PT,
    TPM2_PT_FIRMWARE,
    TPM2_PT_HR,
    TPM2_RH,
    TPM2_SE,
    TPM2_ST,
    TPM2_SU,
    TPMA_NV,
    TPMA_OBJECT,
    TPMA_SESSION,
)
from tpm2_pytss.ESAPI import ESAPI
from tpm2_pytss.TSS2_Exception import TSS2_Exception
from tpm2_pytss.types import (
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_ID_OBJECT,
    TPM2B_NV_PUBLIC,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPM2B_SENSITIVE_DATA,
    TPML_PCR_SELECTION,
    TPMS_ECC_PARMS,
    TPMS_NV_PUBLIC,
    TPMS_SENSITIVE_CREATE,
    TPMT_ECC_SCHEME,
    TPMT_KDF_SCHEME,
    TPMT_PUBLIC,
    TPMT_SIG_SCHEME,
    TPMT_SYM_DEF,
    TPMT_SYM_DEF_OBJECT,
    TPMT_TK_HASHCHECK,
    TPMU_PUBLIC_PARMS,
    TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
)
from tpm2_pytss.utils import NVReadEK, create_ek_template

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve, Origin
from certs.turns import Turns

log = logging.getLogger(__name__)

T = TypeVar("T")

SRK = 0x81000001
"""Storage root key, where the TCG's provisioning guidance puts it."""

SLOTS = range(0x81010010, 0x81010015)
"""Two SECC leaves, one CSMS client key, two for rotation. With the SRK six; a chip has room for seven or more."""

ROLLBACK_COUNTER = 0x01500010
"""NV index of the counter that firmware versions are held against."""

MAX_SEALED = 128
BUSY_PAUSE_S = 0.05

STATION_KEY = (
    TPMA_OBJECT.FIXEDTPM
    | TPMA_OBJECT.FIXEDPARENT
    | TPMA_OBJECT.SENSITIVEDATAORIGIN
    | TPMA_OBJECT.USERWITHAUTH
    | TPMA_OBJECT.NODA
)
SIGNING_KEY = STATION_KEY | TPMA_OBJECT.SIGN_ENCRYPT
STORAGE_KEY = STATION_KEY | TPMA_OBJECT.RESTRICTED | TPMA_OBJECT.DECRYPT

SEALED_OBJECT = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.NODA
COUNTER = (
    TPMA_NV.OWNERREAD
    | TPMA_NV.OWNERWRITE
    | TPMA_NV.AUTHREAD
    | TPMA_NV.AUTHWRITE
    | TPMA_NV.NO_DA
    | (TPM2_NT.COUNTER << TPMA_NV.TPM2_NT_SHIFT)
)

CURVES = {Curve.P256: TPM2_ECC.NIST_P256, Curve.P384: TPM2_ECC.NIST_P384, Curve.P521: TPM2_ECC.NIST_P521}
COORDINATE_SIZE = {Curve.P256: 32, Curve.P384: 48, Curve.P521: 66}
HASHES = {32: TPM2_ALG.SHA256, 48: TPM2_ALG.SHA384, 64: TPM2_ALG.SHA512}

# Response codes (TPM 2.0 library specification, part 2, table of TPM_RC), without handle, session and parameter bits.
RC_INITIALIZE = 0x100
FAULTS = {
    RC_INITIALIZE: KeyFault.ABSENT,
    0x101: KeyFault.FAILURE_MODE,
    0x902: KeyFault.OUT_OF_MEMORY,
    0x903: KeyFault.OUT_OF_MEMORY,
    0x904: KeyFault.OUT_OF_MEMORY,
    0x908: KeyFault.BUSY,
    0x90A: KeyFault.BUSY,
    0x920: KeyFault.BUSY,
    0x921: KeyFault.LOCKED_OUT,
    0x922: KeyFault.BUSY,
    0x923: KeyFault.BUSY,
    0x082: KeyFault.NO_SUCH_KEY,
    0x08B: KeyFault.NO_SUCH_KEY,
    **dict.fromkeys(range(0x910, 0x917), KeyFault.NO_SUCH_KEY),
    0x08E: KeyFault.NOT_AUTHORISED,
    0x0A2: KeyFault.NOT_AUTHORISED,
    0x09D: KeyFault.POLICY,
    0x09F: KeyFault.FOREIGN_SECRET,
    0x0A6: KeyFault.CURVE_UNSUPPORTED,
}
WORTH_A_SECOND_TRY = {KeyFault.ABSENT, KeyFault.BUSY, KeyFault.NO_SUCH_KEY}

LAYER_MASK = 0xFF0000
# Layers whose codes are the TPM's own: the TPM itself, and a resource manager that answers in its place.
TPM_LAYERS = (0x000000, 0x0B0000)


@dataclass(frozen=True, slots=True)
class KeyAttributes:
    """What the TPM itself says of a key; the proof that it was made in it and cannot leave it."""

    handle: int
    curve: Curve
    fixed_tpm: bool
    fixed_parent: bool
    sensitive_data_origin: bool
    no_da: bool
    name: str
    """The TPM's name of the object: hex of hash algorithm and digest over its public area."""

    def __str__(self) -> str:
        flags = ("fixed_tpm", "fixed_parent", "sensitive_data_origin", "no_da")
        words = ("fixedTPM", "fixedParent", "sensitiveDataOrigin", "noDA")
        return "|".join(word for flag, word in zip(flags, words, strict=True) if getattr(self, flag))


@dataclass(frozen=True, slots=True)
class Chip:
    """What the chip is and how it stands."""

    manufacturer: str
    firmware: str
    curves: tuple[Curve, ...]
    persistent_free: int
    lockout_counter: int
    locked_out: bool


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret only this TPM can open; the two halves of a TPM object, safe to keep in flash."""

    private: bytes
    public: bytes
    pcrs: tuple[int, ...] = ()
    """Platform registers (SHA-256 bank) that must read as they did when it was sealed."""

    def to_bytes(self) -> bytes:
        return b"".join(len(part).to_bytes(2, "big") + part for part in (bytes(self.pcrs), self.private, self.public))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sealed":
        """Raises KeyUnavailable BAD_FILE."""
        parts = []
        for _ in range(3):
            end = 2 + int.from_bytes(data[:2], "big")
            if len(data) < end:
                raise KeyUnavailable(KeyFault.BAD_FILE, "a sealed secret cut short")
            parts.append(data[2:end])
            data = data[end:]
        return cls(private=parts[1], public=parts[2], pcrs=tuple(parts[0]))


@dataclass(frozen=True, slots=True)
class Endorsement:
    """The chip's own identity, for enrolment at the factory."""

    certificate_der: bytes | None
    """By the chip's maker, as it lies in the chip; some chips have none."""
    public_area: bytes
    """TPM2B_PUBLIC of the endorsement key, what a credential is made for."""


@dataclass(slots=True)
class Health:
    """Counters for the status page; they only grow. A chip that hangs shows in `busy_since_s`."""

    operations: int = 0
    recovered: int = 0
    reopened: int = 0
    slowest_sign_s: float = 0.0
    busy_since_s: float | None = None
    """Monotonic; None while the TPM is idle."""
    last_fault: KeyFault | None = None
    faults: Counter[KeyFault] = field(default_factory=Counter)


def fault_of(rc: int) -> KeyFault:
    """The reason behind a TSS2 or TPM response code."""
    if rc & LAYER_MASK not in TPM_LAYERS:
        return KeyFault.ABSENT
    code = rc & 0xFFFF
    return FAULTS.get((0x80 | (code & 0x3F)) if code & 0x80 else code, KeyFault.PROTOCOL)


class Tpm:
    """The owner of the TPM behind `tcti` (`device:/dev/tpmrm0`, `swtpm:path=...`), for any thread to call.

    `owner_auth` is the owner hierarchy's password, where the manufacturer has set one: making and destroying keys needs
    it, signing does not.
    """

    def __init__(self, tcti: str, owner_auth: bytes = b"") -> None:
        self.health = Health()
        self._tcti = tcti
        self._owner_auth = owner_auth
        self._turns = Turns()
        self._esapi: ESAPI | None = None
        self._handles: dict[int, tuple[ESYS_TR, TPMT_PUBLIC]] = {}

    def close(self) -> None:
        with self._turns.turn(urgent=False):
            self._hang_up()

    # --- how every operation runs ---

    def run(self, operation: Callable[[ESAPI], T], urgent: bool = False) -> T:
        """Run `operation` alone on the TPM, a second time if the first failed in a way that may pass.

        Raises KeyUnavailable.
        """
        with self._turns.turn(urgent):
            self.health.operations += 1
            self.health.busy_since_s = time.monotonic()
            try:
                return self._persevere(operation)
            finally:
                self.health.busy_since_s = None

    def _persevere(self, operation: Callable[[ESAPI], T]) -> T:
        try:
            return self._attempt(operation)
        except KeyUnavailable as error:
            if error.reason not in WORTH_A_SECOND_TRY:
                raise
            log.warning("TPM: %s; trying once more", error)
        self._recover()
        result = self._attempt(operation)
        self.health.recovered += 1
        return result

    def _attempt(self, operation: Callable[[ESAPI], T]) -> T:
        try:
            return operation(self._open())
        except TSS2_Exception as error:
            fault = fault_of(error.rc)
            self._count(fault)
            raise KeyUnavailable(fault, f"0x{error.rc:x} {error}") from error
        except KeyUnavailable as error:
            self._count(error.reason)
            raise

    def _count(self, fault: KeyFault) -> None:
        self.health.faults[fault] += 1
        self.health.last_fault = fault

    def _open(self) -> ESAPI:
        if self._esapi is None:
            self._esapi = ESAPI(self._tcti)
            self._esapi.tr_set_auth(ESYS_TR.OWNER, self._owner_auth)
        return self._esapi

    def _recover(self) -> None:
        """A fresh connection to a TPM that is started up. What still fails shows in the second attempt."""
        if self.health.last_fault is KeyFault.BUSY:
            time.sleep(BUSY_PAUSE_S)
            return
        self._hang_up()
        self.health.reopened += 1
        try:
            self._open().startup(TPM2_SU.CLEAR)
        except TSS2_Exception as error:
            # 0x100 is the answer of a TPM that needs no Startup; what else is wrong, the operation meets again.
            if error.rc != RC_INITIALIZE:
                log.warning("TPM: not reopened: 0x%x %s", error.rc, error)
                self._hang_up()

    def _hang_up(self) -> None:
        self._handles.clear()
        if self._esapi is not None:
            self._esapi.close()
            self._esapi = None

    def _handle(self, esapi: ESAPI, persistent: int) -> tuple[ESYS_TR, TPMT_PUBLIC]:
        """The session's handle and public area of a persistent object, read once a connection."""
        known = self._handles.get(persistent)
        if known is None:
            handle = esapi.tr_from_tpmpublic(persistent)
            answer = esapi.read_public(handle)
            known = self._handles[persistent] = (handle, answer[0].publicArea)
        return known

    # --- keys ---

    def take_ownership(self, owner_auth: bytes) -> None:
        """Set the owner hierarchy's password, at the factory. Raises KeyUnavailable."""

        def change(esapi: ESAPI) -> None:
            esapi.hierarchy_change_auth(ESYS_TR.OWNER, owner_auth)
            esapi.tr_set_auth(ESYS_TR.OWNER, owner_auth)
            self._owner_auth = owner_auth

        self.run(change)

    def ensure_srk(self) -> KeyAttributes:
        """Make the storage root key unless it is there. Raises KeyUnavailable, also for one of weak attributes."""

        def ensure(esapi: ESAPI) -> None:
            if SRK in self._persistent(esapi, SRK, 1):
                return
            primary = esapi.create_primary(None, TPM2B_PUBLIC(_storage_template()))
            with _transient(esapi, primary[0]):
                esapi.evict_control(ESYS_TR.OWNER, primary[0], SRK)

        self.run(ensure)
        return self._checked(SRK, STORAGE_KEY)

    def create(self, curve: Curve) -> int:
        """Make a signing key in a free slot; its persistent handle. Raises KeyUnavailable."""

        def make(esapi: ESAPI) -> int:
            taken = self._persistent(esapi, SLOTS.start, len(SLOTS))
            slot = next((slot for slot in SLOTS if slot not in taken), None)
            if slot is None:
                raise KeyUnavailable(KeyFault.NO_FREE_SLOT, f"{len(SLOTS)} slots")
            parent, _ = self._handle(esapi, SRK)
            made = esapi.create(parent, None, TPM2B_PUBLIC(_signing_template(curve)))
            loaded = esapi.load(parent, made[0], made[1])
            with _transient(esapi, loaded):
                esapi.evict_control(ESYS_TR.OWNER, loaded, slot)
            return slot

        slot = self.run(make)
        self._checked(slot, SIGNING_KEY)
        return slot

    def handles(self) -> list[int]:
        """The slots that hold a key."""
        return self.run(lambda esapi: self._persistent(esapi, SLOTS.start, len(SLOTS)))

    def evict(self, persistent: int) -> None:
        """Destroy the key in a slot. Raises KeyUnavailable."""

        def evict(esapi: ESAPI) -> None:
            handle, _ = self._handle(esapi, persistent)
            esapi.evict_control(ESYS_TR.OWNER, handle, persistent)
            del self._handles[persistent]

        if persistent not in SLOTS:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"0x{persistent:x} is no slot")
        self.run(evict)

    def attributes(self, persistent: int) -> KeyAttributes:
        """What the TPM says of a key now (read anew). Raises KeyUnavailable."""

        def read(esapi: ESAPI) -> KeyAttributes:
            handle, _ = self._handle(esapi, persistent)
            answer = esapi.read_public(handle)
            return _attributes(persistent, answer[0].publicArea, bytes(answer[1]))

        return self.run(read)

    def public_point(self, persistent: int) -> bytes:
        """X9.62 uncompressed."""
        return self.run(lambda esapi: _point(self._handle(esapi, persistent)[1]))

    def sign(self, persistent: int, expected_point: bytes, digest: bytes) -> bytes:
        """ECDSA as DER, in one command and ahead of everything that is not urgent. Raises KeyUnavailable."""

        def sign(esapi: ESAPI) -> bytes:
            handle, public = self._handle(esapi, persistent)
            if _point(public) != expected_point:
                raise KeyUnavailable(KeyFault.FOREIGN_KEY, f"0x{persistent:x}")
            return bytes(esapi.sign(handle, digest, scheme, ticket))

        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.ECDSA)
        scheme.details.any.hashAlg = HASHES[len(digest)]
        ticket = TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)
        started = time.monotonic()
        signature = self.run(sign, urgent=True)
        self.health.slowest_sign_s = max(self.health.slowest_sign_s, time.monotonic() - started)
        return signature

    def _checked(self, persistent: int, required: int) -> KeyAttributes:
        def read(esapi: ESAPI) -> KeyAttributes:
            _, public = self._handle(esapi, persistent)
            require(public, required)
            return _attributes(persistent, public, b"")

        return self.run(read)

    def _persistent(self, esapi: ESAPI, first: int, count: int) -> list[int]:
        answer = esapi.get_capability(TPM2_CAP.HANDLES, first, count)
        handles = answer[1].data.handles
        return [int(handle) for handle in handles if first <= handle < first + count]

    # --- the chip ---

    def chip(self) -> Chip:
        """What the chip is and how it stands. Raises KeyUnavailable."""
        return self.run(_read_chip)

    # --- secrets ---

    def seal(self, secret: bytes, pcrs: tuple[int, ...] = ()) -> Sealed:
        """Up to 128 bytes that only this TPM gives back. Raises KeyUnavailable."""

        def seal(esapi: ESAPI) -> Sealed:
            parent, _ = self._handle(esapi, SRK)
            policy = _pcr_policy(esapi, parent, pcrs) if pcrs else b""
            data = TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(data=TPM2B_SENSITIVE_DATA(secret)))
            with _session(esapi, parent, TPM2_SE.HMAC) as session:
                made = esapi.create(parent, data, TPM2B_PUBLIC(_sealed_template(policy)), session1=session)
                return Sealed(made[0].marshal(), made[1].marshal(), pcrs)

        if len(secret) > MAX_SEALED:
            raise KeyUnavailable(KeyFault.PROTOCOL, f"{len(secret)} bytes, at most {MAX_SEALED} can be sealed")
        return self.run(seal)

    def unseal(self, sealed: Sealed) -> bytes:
        """Raises KeyUnavailable: POLICY where a register has changed, FOREIGN_SECRET for another TPM's secret."""

        def unseal(esapi: ESAPI) -> bytes:
            parent, _ = self._handle(esapi, SRK)
            private, _ = TPM2B_PRIVATE.unmarshal(sealed.private)
            public, _ = TPM2B_PUBLIC.unmarshal(sealed.public)
            require(public.publicArea, SEALED_OBJECT)
            with _session(esapi, parent, TPM2_SE.HMAC) as session:
                loaded = esapi.load(parent, private, public, session1=session)
            kind = TPM2_SE.POLICY if sealed.pcrs else TPM2_SE.HMAC
            with _transient(esapi, loaded), _session(esapi, parent, kind) as session:
                if sealed.pcrs:
                    esapi.policy_pcr(session, b"", _pcr_selection(sealed.pcrs))
                return bytes(esapi.unseal(loaded, session1=session))

        return self.run(unseal)

    def rollback_counter(self) -> int:
        """The counter's value; 0 before it was first raised. Raises KeyUnavailable."""

        def read(esapi: ESAPI) -> int:
            if ROLLBACK_COUNTER not in self._persistent(esapi, ROLLBACK_COUNTER, 1):
                return 0
            index = esapi.tr_from_tpmpublic(ROLLBACK_COUNTER)
            value = esapi.nv_read(index, 8, auth_handle=index)
            return int.from_bytes(bytes(value), "big")

        return self.run(read)

    def raise_rollback_counter(self) -> int:
        """Count one up, for ever; the new value. Raises KeyUnavailable."""

        def count(esapi: ESAPI) -> None:
            if ROLLBACK_COUNTER not in self._persistent(esapi, ROLLBACK_COUNTER, 1):
                public = TPMS_NV_PUBLIC(
                    nvIndex=ROLLBACK_COUNTER, nameAlg=TPM2_ALG.SHA256, attributes=COUNTER, dataSize=8
                )
                esapi.nv_define_space(None, TPM2B_NV_PUBLIC(public))
            index = esapi.tr_from_tpmpublic(ROLLBACK_COUNTER)
            esapi.nv_increment(index, auth_handle=index)

        self.run(count)
        return self.rollback_counter()

    # --- enrolment ---

    def endorsement(self) -> Endorsement:
        """The endorsement key (ECC P-256) and its certificate. Raises KeyUnavailable."""

        def read(esapi: ESAPI) -> Endorsement:
            certificate, template = create_ek_template("EK-ECC256", NVReadEK(esapi))
            made = esapi.create_primary(None, template, ESYS_TR.ENDORSEMENT)
            with _transient(esapi, made[0]):
                return Endorsement(certificate, made[1].marshal())

        return self.run(read)

    def activate(self, persistent: int, credential: bytes, secret: bytes) -> bytes:
        """Open a credential made for this chip's endorsement key and the key in a slot (TPM2_ActivateCredential).

        What comes back proves to its maker that the key is in the chip whose certificate it saw. Raises KeyUnavailable.
        """

        def activate(esapi: ESAPI) -> bytes:
            _, template = create_ek_template("EK-ECC256", NVReadEK(esapi))
            key, _ = self._handle(esapi, persistent)
            blob, _ = TPM2B_ID_OBJECT.unmarshal(credential)
            seed, _ = TPM2B_ENCRYPTED_SECRET.unmarshal(secret)
            made = esapi.create_primary(None, template, ESYS_TR.ENDORSEMENT)
            with _transient(esapi, made[0]), _session(esapi, ESYS_TR.NONE, TPM2_SE.POLICY) as session:
                esapi.policy_secret(ESYS_TR.ENDORSEMENT, session, b"", b"", b"", 0)
                opened = esapi.activate_credential(
                    key, made[0], blob, seed, session1=ESYS_TR.PASSWORD, session2=session
                )
                return bytes(opened)

        return self.run(activate)

    def self_test(self) -> None:
        """Have the chip test all it has; it takes a second or more. Raises KeyUnavailable FAILURE_MODE if it fails."""

        def test(esapi: ESAPI) -> None:
            esapi.self_test(full_test=True)
            answer = esapi.get_test_result()
            if answer[1] != 0:
                raise KeyUnavailable(KeyFault.FAILURE_MODE, f"self-test: 0x{int(answer[1]):x}")

        self.run(test)

    def random(self, size: int) -> bytes:
        """`size` bytes (at most 32) from the chip's generator. Raises KeyUnavailable."""
        return self.run(lambda esapi: bytes(esapi.get_random(size)))


class TpmKey:
    """A signing key in a slot of the TPM."""

    origin = Origin.TPM

    def __init__(self, tpm: Tpm, persistent: int, curve: Curve, public_point: bytes) -> None:
        self.handle = persistent
        self.key_id = f"tpm:{persistent:08x}"
        self.curve = curve
        self.public_point = public_point
        self._tpm = tpm

    def sign(self, digest: bytes) -> bytes:
        return self._tpm.sign(self.handle, self.public_point, digest)

    def describe(self) -> KeyAttributes:
        """What the TPM says of the key. Raises KeyUnavailable."""
        return self._tpm.attributes(self.handle)


class TpmKeyStore:
    """Keys in the TPM's slots. Needs the SRK: `Tpm.ensure_srk`, at provisioning."""

    origin = Origin.TPM

    def __init__(self, tpm: Tpm) -> None:
        self.tpm = tpm

    def create(self, curve: Curve) -> TpmKey:
        return self._key(self.tpm.create(curve))

    def open(self, key_id: str) -> TpmKey:
        store, _, handle = key_id.partition(":")
        try:
            persistent = int(handle, 16)
        except ValueError:
            persistent = 0
        if store != "tpm" or persistent not in SLOTS:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"{key_id!r} names no slot of the TPM")
        return self._key(persistent)

    def list(self) -> list[str]:
        return [f"tpm:{handle:08x}" for handle in self.tpm.handles()]

    def retire(self, key_id: str) -> None:
        self.tpm.evict(self.open(key_id).handle)

    def _key(self, persistent: int) -> TpmKey:
        attributes = self.tpm._checked(persistent, SIGNING_KEY)
        return TpmKey(self.tpm, persistent, attributes.curve, self.tpm.public_point(persistent))


def require(public: TPMT_PUBLIC, required: int) -> None:
    """Refuse a key or template that lacks an attribute every station key must have. Raises KeyUnavailable."""
    missing = required & ~int(public.objectAttributes)
    if missing:
        raise KeyUnavailable(KeyFault.WEAK_ATTRIBUTES, f"lacks {TPMA_OBJECT(missing)}")


def _signing_template(curve: Curve) -> TPMT_PUBLIC:
    return _template(curve, SIGNING_KEY, TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL))


def _storage_template() -> TPMT_PUBLIC:
    aes_128_cfb = TPMT_SYM_DEF_OBJECT(
        algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(aes=128), mode=TPMU_SYM_MODE(aes=TPM2_ALG.CFB)
    )
    return _template(Curve.P256, STORAGE_KEY, aes_128_cfb)


def _template(curve: Curve, attributes: int, symmetric: TPMT_SYM_DEF_OBJECT) -> TPMT_PUBLIC:
    template = TPMT_PUBLIC(
        type=TPM2_ALG.ECC,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=attributes,
        parameters=TPMU_PUBLIC_PARMS(
            eccDetail=TPMS_ECC_PARMS(
                symmetric=symmetric,
                scheme=TPMT_ECC_SCHEME(scheme=TPM2_ALG.NULL),
                curveID=CURVES[curve],
                kdf=TPMT_KDF_SCHEME(scheme=TPM2_ALG.NULL),
            )
        ),
    )
    require(template, STATION_KEY)
    return template


def _sealed_template(policy: bytes) -> TPMT_PUBLIC:
    """Without a policy the empty password opens it, with one only the policy does."""
    template = TPMT_PUBLIC(
        type=TPM2_ALG.KEYEDHASH,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=SEALED_OBJECT if policy else SEALED_OBJECT | TPMA_OBJECT.USERWITHAUTH,
        authPolicy=policy,
    )
    template.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG.NULL
    require(template, SEALED_OBJECT)
    return template


@contextmanager
def _session(esapi: ESAPI, salt_key: ESYS_TR, kind: TPM2_SE) -> Iterator[ESYS_TR]:
    """A session whose parameters travel encrypted, under a salt that only the holder of `salt_key` reads."""
    aes_128_cfb = TPMT_SYM_DEF(
        algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(sym=128), mode=TPMU_SYM_MODE(sym=TPM2_ALG.CFB)
    )
    session = esapi.start_auth_session(salt_key, ESYS_TR.NONE, kind, aes_128_cfb, TPM2_ALG.SHA256)
    if salt_key != ESYS_TR.NONE:
        esapi.trsess_set_attributes(session, TPMA_SESSION.DECRYPT | TPMA_SESSION.ENCRYPT | TPMA_SESSION.CONTINUESESSION)
    try:
        yield session
    finally:
        esapi.flush_context(session)


def _pcr_selection(pcrs: tuple[int, ...]) -> TPML_PCR_SELECTION:
    return TPML_PCR_SELECTION.parse("sha256:" + ",".join(map(str, pcrs)))


def _pcr_policy(esapi: ESAPI, parent: ESYS_TR, pcrs: tuple[int, ...]) -> bytes:
    with _session(esapi, parent, TPM2_SE.TRIAL) as session:
        esapi.policy_pcr(session, b"", _pcr_selection(pcrs))
        return bytes(esapi.policy_get_digest(session))


def _curve(public: TPMT_PUBLIC) -> Curve:
    curve_id = public.parameters.eccDetail.curveID if public.type == TPM2_ALG.ECC else None
    for curve, known in CURVES.items():
        if curve_id == known:
            return curve
    raise KeyUnavailable(KeyFault.CURVE_UNSUPPORTED, "not a key on a NIST curve")


def _point(public: TPMT_PUBLIC) -> bytes:
    size, point = COORDINATE_SIZE[_curve(public)], public.unique.ecc
    return b"\x04" + bytes(point.x).rjust(size, b"\0") + bytes(point.y).rjust(size, b"\0")


def _attributes(persistent: int, public: TPMT_PUBLIC, name: bytes) -> KeyAttributes:
    bits = int(public.objectAttributes)
    return KeyAttributes(
        handle=persistent,
        curve=_curve(public),
        fixed_tpm=bool(bits & TPMA_OBJECT.FIXEDTPM),
        fixed_parent=bool(bits & TPMA_OBJECT.FIXEDPARENT),
        sensitive_data_origin=bool(bits & TPMA_OBJECT.SENSITIVEDATAORIGIN),
        no_da=bool(bits & TPMA_OBJECT.NODA),
        name=name.hex(),
    )


@contextmanager
def _transient(esapi: ESAPI, handle: ESYS_TR) -> Iterator[None]:
    """Flush a loaded object whatever happens: chips have room for three."""
    try:
        yield
    finally:
        esapi.flush_context(handle)


def _read_chip(esapi: ESAPI) -> Chip:
    curves = esapi.get_capability(TPM2_CAP.ECC_CURVES, 0, 64)
    known = {int(curve) for curve in curves[1].data.eccCurves}
    manufacturer = _property(esapi, TPM2_PT.MANUFACTURER).to_bytes(4, "big").rstrip(b"\0")
    firmware = _property(esapi, TPM2_PT_FIRMWARE.VERSION_1)
    permanent = _property(esapi, TPM2_PT.PERMANENT)
    return Chip(
        manufacturer=manufacturer.decode("ascii", "replace"),
        firmware=f"{firmware >> 16}.{firmware & 0xFFFF}",
        curves=tuple(curve for curve, number in CURVES.items() if int(number) in known),
        persistent_free=_property(esapi, TPM2_PT_HR.PERSISTENT_AVAIL),
        lockout_counter=_property(esapi, TPM2_PT.LOCKOUT_COUNTER),
        locked_out=bool(permanent & IN_LOCKOUT),
    )


IN_LOCKOUT = 1 << 9
"""TPMA_PERMANENT.inLockout."""


def _property(esapi: ESAPI, wanted: int) -> int:
    answer = esapi.get_capability(TPM2_CAP.TPM_PROPERTIES, wanted, 1)
    properties = answer[1].data.tpmProperties
    found = properties[0]
    return int(found.value) if len(properties) and found.property == wanted else 0
