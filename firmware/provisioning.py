"""A station gets its keys and certificates at the factory, or anew in the field; and loses them again.

What goes out and comes in lies in one directory, so that no network is needed:

    secc.csr.pem, csms.csr.pem, secc-20.csr.pem      out: requests by keys that are in the TPM
    ek.der                                           out: the chip's endorsement certificate, where it has one
    secc.chain.pem, csms.chain.pem, ...              in: the answers, leaf first
    roots/{v2g,mo,oem,csms,manufacturer}/*.pem       in: whom the station is to trust
    csms.password                                    in: the BasicAuth password of security profiles 1 and 2

Every step finds what an earlier run left and goes on from there; a run without the chains ends waiting for them.
"""

import hashlib
import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from certs.errors import CertsError, KeyFault, KeyUnavailable
from certs.keystore import Curve, Purpose
from certs.provision import factory_reset, report, roots_for, store_for, take_over
from certs.rotation import InstallFault, InstallRefused, Rotation
from certs.store import CertificateStore, RootKind, write_atomically
from certs.tls import selfcheck
from certs.tls.identity import Identity
from certs.tpm import Tpm
from certs.vault import Vault
from firmware.certificates import subjects
from firmware.config import Config
from firmware.secrets import PASSWORD

log = logging.getLogger(__name__)

CURVE_OF = {Purpose.SECC: Curve.P256, Purpose.CSMS: Curve.P256, Purpose.SECC_20: Curve.P521}
"""Of ISO 15118-2 and OCPP 2.0.1, and of ISO 15118-20."""


class Waiting(Exception):
    """A step has done what it could; the text says what has to come in."""


@dataclass(slots=True)
class Report:
    """What was done, for the factory's record. `steps` has name, state (done, waiting, failed) and detail of each."""

    station: str
    at: str
    steps: list[dict[str, str]] = field(default_factory=list)
    chip: dict[str, object] = field(default_factory=dict)
    keys: list[dict[str, object]] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The worst of all steps."""
        states = {step["state"] for step in self.steps}
        return next((state for state in ("failed", "waiting") if state in states), "done")

    def to_json(self) -> dict[str, object]:
        return {"state": self.state, **asdict(self)}


def daemon_runs(config: Config) -> bool:
    """Whether somebody answers at the control socket: the certificate store and the TPM's slots take one writer."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(config.control.socket))
        except OSError:
            return False
    return True


class Provisioning:
    """`with_20` adds a key for ISO 15118-20, in the chip if it has P-521, else sealed by it."""

    def __init__(self, config: Config, exchange: Path, *, with_20: bool = False) -> None:
        self._config = config
        self._exchange = exchange
        self._directory = config.station.state_dir / "certs"
        self._store = CertificateStore(self._directory)
        self._tpm = Tpm(config.tpm.tcti)
        self._purposes = [Purpose.CSMS]
        if any(evse.plc_interface for evse in config.evse):
            self._purposes += [Purpose.SECC, Purpose.SECC_20] if with_20 else [Purpose.SECC]
        self._report = Report(config.station.identity, datetime.now(UTC).isoformat(timespec="seconds"))

    def run(self) -> Report:
        """All steps up to the first that fails."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("tls", self._check_tls),
            ("chip", self._probe),
            ("ownership", self._own),
            ("storage root key", self._take_over),
            ("endorsement", self._endorse),
            ("roots", self._trust),
            *((f"key {purpose.value}", lambda purpose=purpose: self._equip(purpose)) for purpose in self._purposes),
            ("vault", self._open_vault),
            ("rollback counter", self._count),
            ("signatures", self._sign),
        ]
        try:
            for name, step in steps:
                if not self._do(name, step):
                    break
        finally:
            self._tpm.close()
        return self._report

    def _do(self, name: str, step: Callable[[], str]) -> bool:
        """False when the steps after it make no sense."""
        try:
            state, detail = "done", step()
        except Waiting as waiting:
            state, detail = "waiting", str(waiting)
        except (CertsError, OSError, ValueError) as error:
            state, detail = "failed", str(error)
        self._report.steps.append({"name": name, "state": state, "detail": detail})
        return state != "failed"

    # --- the chip ---

    def _check_tls(self) -> str:
        return selfcheck.run().openssl

    def _probe(self) -> str:
        self._tpm.self_test()
        chip = self._tpm.chip()
        self._report.chip = asdict(chip)
        if Curve.P256 not in chip.curves:
            raise KeyUnavailable(KeyFault.CURVE_UNSUPPORTED, f"{Curve.P256} is what ISO 15118-2 asks for")
        curves = ", ".join(chip.curves)
        return f"{chip.manufacturer} {chip.firmware}: {curves}; {chip.persistent_free} persistent objects free"

    def _own(self) -> str:
        """The password lies in its file before the TPM knows it: a cut between leaves one that was never set."""
        file = self._config.tpm.owner_auth_file
        if file is None:
            return "left without a password: tpm.owner_auth_file is not set"
        found = file.exists()
        if not found:
            _write_secret(file, secrets.token_hex(16).encode())
        password = file.read_bytes().strip()
        for current in (password, b""):
            self._tpm.close()
            self._tpm = Tpm(self._config.tpm.tcti, current)
            try:
                self._tpm.take_ownership(password)
            except KeyUnavailable as error:
                if error.reason is not KeyFault.NOT_AUTHORISED or not current:
                    raise
            else:
                return "the password in its file holds" if found else "a random password was set"
        raise AssertionError("unreachable: the second attempt returns or raises")

    def _take_over(self) -> str:
        taken = take_over(self._tpm, self._store)
        retired = ", ".join(taken.reconciled.retired)
        return f"0x{taken.srk.handle:x} {taken.srk}" + (f"; orphan keys destroyed: {retired}" if retired else "")

    def _endorse(self) -> str:
        certificate = self._tpm.endorsement().certificate_der
        if certificate is None:
            return "the chip has no ECC endorsement certificate"
        write_atomically(self._exchange / "ek.der", certificate)
        return "ek.der"

    # --- certificates ---

    def _trust(self) -> str:
        counts = []
        for kind in RootKind:
            for file in sorted((self._exchange / "roots" / kind.value).glob("*.pem")):
                self._store.install_root(kind, file.read_text())
            if held := len(self._store.roots(kind)):
                counts.append(f"{held} {kind.value}")
        needed = {RootKind.CSMS} if self._config.csms.security_profile > 1 else set()
        needed |= {RootKind.V2G} if Purpose.SECC in self._purposes else set()
        if missing := sorted(kind.value for kind in needed if not self._store.roots(kind)):
            raise Waiting(", ".join(f"roots/{kind}/*.pem" for kind in missing))
        return ", ".join(counts)

    def _rotation(self, purpose: Purpose) -> Rotation:
        keys = store_for(CURVE_OF[purpose], self._tpm, lambda: Vault(self._directory / "vault", self._tpm))
        return Rotation(self._store, keys, purpose)

    def _equip(self, purpose: Purpose) -> str:
        rotation = self._rotation(purpose)
        identity = rotation.identity()
        if identity is None:
            identity = self._take_chain(rotation)
        return f"{identity.key.key_id} {_subject(identity)}"

    def _take_chain(self, rotation: Rotation) -> Identity:
        name = rotation.purpose.value
        request = rotation.begin(subjects(self._config)[rotation.purpose], CURVE_OF[rotation.purpose])
        write_atomically(self._exchange / f"{name}.csr.pem", request)
        try:
            answer = (self._exchange / f"{name}.chain.pem").read_text()
        except FileNotFoundError:
            raise Waiting(f"{name}.chain.pem for {name}.csr.pem") from None
        try:
            return rotation.install(answer, roots_for(self._store, rotation.purpose), datetime.now(UTC))
        except InstallRefused as refused:
            # An answer to an earlier request, as after a factory reset.
            if refused.fault is InstallFault.OTHER_KEY:
                raise Waiting(f"{name}.chain.pem is for another key than {name}.csr.pem") from refused
            raise

    # --- other secrets, and proof ---

    def _open_vault(self) -> str:
        vault = Vault(self._directory / "vault", self._tpm)
        try:
            password = (self._exchange / "csms.password").read_text().strip()
        except FileNotFoundError:
            return "its key opens"
        vault.put(PASSWORD, password.encode())
        return "its key opens; the BasicAuth password is sealed, csms.password may go"

    def _count(self) -> str:
        return str(self._tpm.rollback_counter() or self._tpm.raise_rollback_counter())

    def _sign(self) -> str:
        """Each key signs once, and its leaf proves it."""
        signed = []
        for purpose in self._purposes:
            rotation = self._rotation(purpose)
            identity = rotation.identity()
            if identity is not None:
                _prove(identity)
                signed.append(purpose.value)
                self._report.keys += [
                    {**asdict(chain), "not_after": chain.not_after.isoformat()}
                    for chain in report(self._store, rotation.keys)
                    if chain.purpose is purpose
                ]
        return ", ".join(signed) or "no certificate yet"


def _prove(identity: Identity) -> None:
    """Raises KeyUnavailable FOREIGN_KEY."""
    digest = hashlib.sha256(secrets.token_bytes(32)).digest()
    public = x509.load_der_x509_certificate(identity.chain_der[0]).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    try:
        public.verify(identity.key.sign(digest), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature as error:
        raise KeyUnavailable(KeyFault.FOREIGN_KEY, identity.key.key_id) from error


def _subject(identity: Identity) -> str:
    return x509.load_der_x509_certificate(identity.chain_der[0]).subject.rfc4514_string()


def _write_secret(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def reset(config: Config) -> Sequence[str]:
    """Destroy every key, certificate and sealed secret; the ids of the keys. Raises CertsError, OSError."""
    file = config.tpm.owner_auth_file
    tpm = Tpm(config.tpm.tcti, file.read_bytes().strip() if file is not None and file.exists() else b"")
    try:
        return factory_reset(tpm, config.station.state_dir / "certs")
    finally:
        tpm.close()
