"""The station's keys in the TPM, their chains, and the roots it trusts; and the TLS contexts made of them.

Everything here blocks for as long as the TPM or the disk takes: `firmware/certificates.py` calls it in a thread.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import chain
from certs.errors import KeyUnavailable
from certs.keystore import KeyStore, Origin, Purpose
from certs.ocsp import OcspCache
from certs.provision import mix_random, take_over
from certs.rotation import Rotation
from certs.sealed import SealedKeyStore
from certs.store import CertificateStore, RootKind
from certs.tls import selfcheck
from certs.tls.csms import SecurityProfile, client_context
from certs.tls.identity import Identity
from certs.tls.loop import LoopThread
from certs.tpm import Chip, Health, Tpm, TpmKeyStore
from certs.vault import Vault
from firmware.config import Config, ConfigError
from firmware.vehicle_tls import Shown, VehicleTls

log = logging.getLogger(__name__)

NO_CHIP = Chip(manufacturer="", firmware="", curves=(), persistent_free=0, lockout_counter=0, locked_out=False)


def open_tpm(config: Config) -> Tpm:
    """Not yet connected. Raises ConfigError."""
    file = config.tpm.owner_auth_file
    try:
        owner_auth = file.read_bytes().strip() if file is not None else b""
    except OSError as error:
        raise ConfigError(f"tpm.owner_auth_file: {error}") from error
    return Tpm(config.tpm.tcti, owner_auth)


@dataclass(frozen=True, slots=True)
class TpmStatus:
    chip: Chip
    """As last read."""
    trouble: str
    """Why its keys are out of reach; empty when they are not."""
    health: Health


class Credentials:
    """Raises CertsError and ConfigError: a station without its keys starts only where the configuration lets it."""

    def __init__(self, config: Config, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        checked = selfcheck.run()
        log.info("TLS self-check: %s, %.0f ms", checked.openssl, 1000 * checked.took_s)
        self.now = now
        self.directory = config.station.state_dir / "certs"
        self.store = CertificateStore(self.directory)
        self.ocsp = OcspCache(self.directory / "ocsp")
        self.tpm = open_tpm(config)
        self.keys: KeyStore = TpmKeyStore(self.tpm)
        self.chip = NO_CHIP
        self.absence = ""
        """Why the keys are out of reach; empty when they are not."""
        self._profile = SecurityProfile(config.csms.security_profile)
        self._vehicles: list[VehicleTls] = []
        self._shown = Shown()
        self._contract_roots: list[x509.Certificate] = []
        try:
            self.reach()
        except KeyUnavailable as error:
            if config.tpm.absent == "refuse":
                self.tpm.close()
                raise
            self.absence = str(error)
            log.error("the TPM's keys are out of reach, going on without TLS: %s", error)
        self.roots_changed()

    def close(self) -> None:
        self.tpm.close()

    def forget_watcher(self) -> None:
        """Nobody is there any more to be told how the TPM stands."""
        self.tpm.watcher = None

    def tpm_status(self) -> TpmStatus:
        """As it is now; quick, from any thread."""
        trouble = self.tpm.trouble
        return TpmStatus(self.chip, self.absence or (trouble.value if trouble is not None else ""), self.tpm.health)

    def read_chip(self) -> None:
        """Ask the chip how it stands; one that does not answer shows in `tpm_status`."""
        try:
            self.chip = self.tpm.chip()
        except KeyUnavailable as error:
            log.warning("the TPM cannot be asked: %s", error)

    def reach(self) -> None:
        """Take the TPM over and present what it holds. Raises KeyUnavailable, StoreError."""
        self.chip = take_over(self.tpm, self.store).chip
        log.info("TPM: %s", self.chip)
        try:
            mix_random(self.tpm)
        except (OSError, KeyUnavailable) as error:
            log.warning("the TPM's randomness is not mixed in: %s", error)
        self.present()
        self.absence = ""

    # --- roots ---

    def contract_roots(self) -> list[x509.Certificate]:
        """ISO 15118-2 8.4.2: a contract leads to an MO root or to the V2G root. Quick."""
        return self._contract_roots

    def roots_changed(self) -> None:
        """Read again whom we trust."""
        self._contract_roots = self.store.certificates(RootKind.MO, RootKind.V2G)

    # --- what is presented ---

    def rotation(self, purpose: Purpose) -> Rotation:
        """Over the key store that the purpose's key in use lives in; the TPM for one that has none yet."""
        stored = self.store.chain(purpose)
        if stored is not None and stored.key_id.startswith(f"{Origin.TPM_SEALED.value}:"):
            return Rotation(self.store, SealedKeyStore(Vault(self.directory / "vault", self.tpm)), purpose)
        return Rotation(self.store, self.keys, purpose)

    def path(self, purpose: Purpose) -> list[x509.Certificate]:
        """The chain in use with its root; empty without either. Raises StoreError."""
        stored = self.store.chain(purpose)
        if stored is None:
            return []
        certificates = [chain.load(der) for der in stored.chain_der]
        root = self.store.issuer_of(certificates[-1])
        return [] if root is None else [*certificates, root]

    def vehicle_tls(self, loop: LoopThread) -> VehicleTls:
        """One EVSE's TLS context, for connections on `loop`."""
        if self._shown.secc is None:
            log.warning("no SECC certificate: no TLS, no Plug & Charge")
        vehicle = VehicleTls(loop.submit)
        vehicle.show(self._shown)
        self._vehicles.append(vehicle)
        return vehicle

    def present(self) -> None:
        """Every EVSE presents from its next handshake on what is stored now. Returns once none presents anything else.

        Raises KeyUnavailable, StoreError.
        """
        shown = self._read_shown()
        if shown.contents == self._shown.contents:
            return
        for vehicle in self._vehicles:
            vehicle.present(shown)
        self._shown = shown

    def _read_shown(self) -> Shown:
        secc, secc_20 = self._stapled(Purpose.SECC), self._stapled(Purpose.SECC_20)
        roots = self.store.certificates(RootKind.OEM, RootKind.V2G) if secc_20 is not None else []
        return Shown(secc, secc_20, tuple(root.public_bytes(Encoding.DER) for root in roots))

    def _stapled(self, purpose: Purpose) -> Identity | None:
        identity = self.rotation(purpose).identity()
        return None if identity is None else self.ocsp.stapled(identity, self.now())

    def csms_context(self, identity: Identity | None = None) -> ssl.SSLContext | None:
        """With the identity in use, unless another is given; None for no TLS, by security profile 1 or by absence.

        Whatever the configuration's profile, it can all that roots and keys allow: a CSMS may raise the profile while
        the station runs (A05). Raises CertsError: what the configuration's profile needs is missing.
        """
        if self.absence and self._profile is SecurityProfile.TLS_CLIENT_CERTIFICATE:
            log.error("no connection to the CSMS by security profile 3: %s", self.absence)
            return None
        roots = [root.public_bytes(Encoding.DER) for root in self.store.certificates(RootKind.CSMS)]
        if identity is None and not self.absence:
            identity = self.rotation(Purpose.CSMS).identity()
        profile = self._profile
        if identity is not None and roots:
            profile = SecurityProfile.TLS_CLIENT_CERTIFICATE
        elif roots:
            profile = max(profile, SecurityProfile.TLS)
        return client_context(profile, roots, identity)
