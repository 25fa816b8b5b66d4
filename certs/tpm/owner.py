"""What the station asks of its TPM."""

# tpm2_pytss takes plain integers where its hints ask for its own kinds of int, and has untyped constructors.
# mypy: disable-error-code="no-untyped-call, arg-type"

import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_CAP, TPM2_RH, TPM2_SE, TPM2_ST
from tpm2_pytss.ESAPI import ESAPI
from tpm2_pytss.types import (
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_ID_OBJECT,
    TPM2B_NV_PUBLIC,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPM2B_SENSITIVE_DATA,
    TPMS_NV_PUBLIC,
    TPMS_SENSITIVE_CREATE,
    TPMT_PUBLIC,
    TPMT_SIG_SCHEME,
    TPMT_TK_HASHCHECK,
)

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve
from certs.tpm import objects
from certs.tpm.chip import Chip, Endorsement, KeyAttributes, attributes_of, read_chip
from certs.tpm.line import Health, Line
from certs.tpm.objects import Sealed
from certs.tpm.response import OF_THE_CHIP
from certs.turns import Turns

T = TypeVar("T")

SRK = 0x81000001
"""Storage root key, where the TCG's provisioning guidance puts it."""

SLOTS = range(0x81010010, 0x81010015)
"""Two SECC leaves, one CSMS client key, two for rotation. With the SRK six; a chip has room for seven or more."""

ROLLBACK_COUNTER = 0x01500010
"""NV index of the counter that firmware versions are held against."""

MAX_SEALED = 128
SIGN_LIMIT_S = 5.0
"""A signature takes a real chip 0.2 to 0.6 s, and a vehicle waits 20 s for its whole session setup."""
LIMIT_S = 20.0
"""What else is asked of it while the daemon runs; making a key takes the longest."""
SELF_TEST_LIMIT_S = 120.0
MAX_HANGING = 3
"""Connections whose last command was never answered. With so many no further one is opened."""

HASHES = {32: TPM2_ALG.SHA256, 48: TPM2_ALG.SHA384, 64: TPM2_ALG.SHA512}


class Tpm:
    """The owner of the TPM behind `tcti` (`device:/dev/tpmrm0`, `swtpm:path=...`), for any thread to call.

    `owner_auth` is the owner hierarchy's password, where the manufacturer has set one: making and destroying keys needs
    it, signing does not.
    """

    def __init__(self, tcti: str, owner_auth: bytes = b"") -> None:
        self.health = Health()
        self.trouble: KeyFault | None = None
        """Why the last operation met no chip in working order; None since one did."""
        self.watcher: Callable[[KeyFault | None], None] | None = None
        """Told when `trouble` becomes another; on whichever thread that is found."""
        self._tcti = tcti
        self._owner_auth = owner_auth
        self._turns = Turns()
        self._line: Line | None = None
        self._hanging: list[Line] = []
        self._handles: WeakKeyDictionary[ESAPI, dict[int, tuple[ESYS_TR, TPMT_PUBLIC]]] = WeakKeyDictionary()

    def close(self) -> None:
        with self._turns.turn(urgent=False):
            if self._line is not None:
                self._line.close()
                self._line = None

    # --- how every operation runs ---

    def run(self, operation: Callable[[ESAPI], T], urgent: bool = False, limit_s: float = LIMIT_S) -> T:
        """Run `operation` alone on the TPM, a second time if the first failed in a way that may pass.

        Raises KeyUnavailable, SILENT after `limit_s`, and BUSY when others had the TPM for so long.
        """
        try:
            result = self._in_turn(operation, urgent, limit_s)
        except KeyUnavailable as error:
            if error.reason in OF_THE_CHIP:
                self._note(error.reason)
            raise
        self._note(None)
        return result

    def _in_turn(self, operation: Callable[[ESAPI], T], urgent: bool, limit_s: float) -> T:
        try:
            with self._turns.turn(urgent, limit_s):
                self.health.operations += 1
                self.health.busy_since_s = time.monotonic()
                try:
                    return self._run(operation, limit_s)
                finally:
                    self.health.busy_since_s = None
        except TimeoutError:
            self.health.count(KeyFault.BUSY)
            raise KeyUnavailable(KeyFault.BUSY, f"for {limit_s:g} s with others") from None

    def _run(self, operation: Callable[[ESAPI], T], limit_s: float) -> T:
        if self._line is None:
            self._hanging = [line for line in self._hanging if line.is_open]
            if len(self._hanging) >= MAX_HANGING:
                raise KeyUnavailable(KeyFault.SILENT, f"{MAX_HANGING} commands are still without an answer")
            self._line = Line(self._tcti, lambda: self._owner_auth, self.health)
        line = self._line
        try:
            return line.run(operation, limit_s)
        except KeyUnavailable as error:
            if error.reason is KeyFault.SILENT:
                line.leave()
                self._hanging.append(line)
                self._line = None
            raise

    def _note(self, trouble: KeyFault | None) -> None:
        changed, self.trouble = trouble is not self.trouble, trouble
        if changed and self.watcher is not None:
            self.watcher(trouble)

    def _handle(self, esapi: ESAPI, persistent: int) -> tuple[ESYS_TR, TPMT_PUBLIC]:
        """The session's handle and public area of a persistent object, read once a connection."""
        known = self._handles.setdefault(esapi, {})
        if persistent not in known:
            handle = esapi.tr_from_tpmpublic(persistent)
            answer = esapi.read_public(handle)
            known[persistent] = (handle, answer[0].publicArea)
        return known[persistent]

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
            primary = esapi.create_primary(None, TPM2B_PUBLIC(objects.storage_template()))
            with objects.transient(esapi, primary[0]):
                esapi.evict_control(ESYS_TR.OWNER, primary[0], SRK)

        self.run(ensure)
        return self.checked(SRK, objects.STORAGE_KEY)

    def create(self, curve: Curve) -> int:
        """Make a signing key in a free slot; its persistent handle. Raises KeyUnavailable."""

        def make(esapi: ESAPI) -> int:
            taken = self._persistent(esapi, SLOTS.start, len(SLOTS))
            slot = next((slot for slot in SLOTS if slot not in taken), None)
            if slot is None:
                raise KeyUnavailable(KeyFault.NO_FREE_SLOT, f"{len(SLOTS)} slots")
            parent, _ = self._handle(esapi, SRK)
            made = esapi.create(parent, None, TPM2B_PUBLIC(objects.signing_template(curve)))
            loaded = esapi.load(parent, made[0], made[1])
            with objects.transient(esapi, loaded):
                esapi.evict_control(ESYS_TR.OWNER, loaded, slot)
            return slot

        slot = self.run(make)
        self.checked(slot, objects.SIGNING_KEY)
        return slot

    def handles(self) -> list[int]:
        """The slots that hold a key."""
        return self.run(lambda esapi: self._persistent(esapi, SLOTS.start, len(SLOTS)))

    def evict(self, persistent: int) -> None:
        """Destroy the key in a slot. Raises KeyUnavailable."""

        def evict(esapi: ESAPI) -> None:
            handle, _ = self._handle(esapi, persistent)
            esapi.evict_control(ESYS_TR.OWNER, handle, persistent)
            del self._handles[esapi][persistent]

        if persistent not in SLOTS:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"0x{persistent:x} is no slot")
        self.run(evict)

    def attributes(self, persistent: int) -> KeyAttributes:
        """What the TPM says of a key now (read anew). Raises KeyUnavailable."""

        def read(esapi: ESAPI) -> KeyAttributes:
            handle, _ = self._handle(esapi, persistent)
            answer = esapi.read_public(handle)
            return attributes_of(persistent, answer[0].publicArea, bytes(answer[1]))

        return self.run(read)

    def public_point(self, persistent: int) -> bytes:
        """X9.62 uncompressed."""
        return self.run(lambda esapi: objects.point(self._handle(esapi, persistent)[1]))

    def sign(self, persistent: int, expected_point: bytes, digest: bytes) -> bytes:
        """ECDSA as DER, in one command and ahead of everything that is not urgent. Raises KeyUnavailable."""

        def sign(esapi: ESAPI) -> bytes:
            handle, public = self._handle(esapi, persistent)
            if objects.point(public) != expected_point:
                raise KeyUnavailable(KeyFault.FOREIGN_KEY, f"0x{persistent:x}")
            return bytes(esapi.sign(handle, digest, scheme, ticket))

        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.ECDSA)
        scheme.details.any.hashAlg = HASHES[len(digest)]
        ticket = TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)
        started = time.monotonic()
        signature = self.run(sign, urgent=True, limit_s=SIGN_LIMIT_S)
        self.health.slowest_sign_s = max(self.health.slowest_sign_s, time.monotonic() - started)
        return signature

    def checked(self, persistent: int, required: int) -> KeyAttributes:
        """A key's attributes, if it has those. Raises KeyUnavailable WEAK_ATTRIBUTES."""

        def read(esapi: ESAPI) -> KeyAttributes:
            _, public = self._handle(esapi, persistent)
            objects.require(public, required)
            return attributes_of(persistent, public, b"")

        return self.run(read)

    def _persistent(self, esapi: ESAPI, first: int, count: int) -> list[int]:
        answer = esapi.get_capability(TPM2_CAP.HANDLES, first, count)
        handles = answer[1].data.handles
        return [int(handle) for handle in handles if first <= handle < first + count]

    # --- the chip ---

    def chip(self) -> Chip:
        """What the chip is and how it stands. Raises KeyUnavailable."""
        return self.run(read_chip)

    # --- secrets ---

    def seal(self, secret: bytes, pcrs: tuple[int, ...] = ()) -> Sealed:
        """Up to 128 bytes that only this TPM gives back. Raises KeyUnavailable."""

        def seal(esapi: ESAPI) -> Sealed:
            parent, _ = self._handle(esapi, SRK)
            policy = objects.pcr_policy(esapi, parent, pcrs) if pcrs else b""
            data = TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(data=TPM2B_SENSITIVE_DATA(secret)))
            with objects.station_session(esapi, parent, TPM2_SE.HMAC) as session:
                made = esapi.create(parent, data, TPM2B_PUBLIC(objects.sealed_template(policy)), session1=session)
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
            objects.require(public.publicArea, objects.SEALED_OBJECT)
            with objects.station_session(esapi, parent, TPM2_SE.HMAC) as session:
                loaded = esapi.load(parent, private, public, session1=session)
            kind = TPM2_SE.POLICY if sealed.pcrs else TPM2_SE.HMAC
            with objects.transient(esapi, loaded), objects.station_session(esapi, parent, kind) as session:
                if sealed.pcrs:
                    esapi.policy_pcr(session, b"", objects.pcr_selection(sealed.pcrs))
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
                    nvIndex=ROLLBACK_COUNTER, nameAlg=TPM2_ALG.SHA256, attributes=objects.COUNTER, dataSize=8
                )
                esapi.nv_define_space(None, TPM2B_NV_PUBLIC(public))
            index = esapi.tr_from_tpmpublic(ROLLBACK_COUNTER)
            esapi.nv_increment(index, auth_handle=index)

        self.run(count)
        return self.rollback_counter()

    # --- enrolment ---

    def endorsement(self) -> Endorsement:
        """The endorsement key (on an ECC curve) and its certificate. Raises KeyUnavailable."""

        def read(esapi: ESAPI) -> Endorsement:
            certificate, template = objects.endorsement_template(esapi)
            made = esapi.create_primary(None, template, ESYS_TR.ENDORSEMENT)
            with objects.transient(esapi, made[0]):
                return Endorsement(certificate, made[1].marshal())

        return self.run(read)

    def activate(self, persistent: int, credential: bytes, secret: bytes) -> bytes:
        """Open a credential made for this chip's endorsement key and the key in a slot (TPM2_ActivateCredential).

        What comes back proves to its maker that the key is in the chip whose certificate it saw. Raises KeyUnavailable.
        """

        def activate(esapi: ESAPI) -> bytes:
            _, template = objects.endorsement_template(esapi)
            key, _ = self._handle(esapi, persistent)
            blob, _ = TPM2B_ID_OBJECT.unmarshal(credential)
            seed, _ = TPM2B_ENCRYPTED_SECRET.unmarshal(secret)
            made = esapi.create_primary(None, template, ESYS_TR.ENDORSEMENT)
            with objects.transient(esapi, made[0]), objects.endorsement_session(esapi, template) as session:
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

        self.run(test, limit_s=SELF_TEST_LIMIT_S)

    def random(self, size: int) -> bytes:
        """`size` bytes (at most 32) from the chip's generator. Raises KeyUnavailable."""
        return self.run(lambda esapi: bytes(esapi.get_random(size)))
