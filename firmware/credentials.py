"""The station's keys in the TPM, their chains, and the roots it trusts; and the TLS contexts made of them."""

import logging
import ssl
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keystore import Purpose
from certs.provision import take_over
from certs.rotation import Rotation
from certs.store import CertificateStore, RootKind
from certs.tls import selfcheck
from certs.tls.csms import SecurityProfile, client_context
from certs.tls.vehicle import VehicleContext
from certs.tpm import Tpm, TpmKeyStore
from firmware.config import Config
from secc.ports import TlsUnavailable

log = logging.getLogger(__name__)


class Credentials:
    """Opening blocks for as long as the TPM takes. Raises CertsError: without its keys the station does not start."""

    def __init__(self, config: Config) -> None:
        checked = selfcheck.run()
        log.info("TLS self-check: %s, %.0f ms", checked.openssl, 1000 * checked.took_s)
        self.tpm = Tpm(config.tpm.tcti)
        self.keys = TpmKeyStore(self.tpm)
        self.store = CertificateStore(config.station.state_dir / "certs")
        taken = take_over(self.tpm, self.store)
        self.chip = taken.chip
        log.info("TPM: %s", taken.chip)
        self._profile = SecurityProfile(config.csms.security_profile)

    def close(self) -> None:
        self.tpm.close()

    def contract_roots(self) -> list[x509.Certificate]:
        """ISO 15118-2 8.4.2: a contract leads to an MO root or to the V2G root."""
        return self.store.certificates(RootKind.MO, RootKind.V2G)

    def vehicle_tls(self) -> Callable[[], ssl.SSLContext]:
        """Gives one EVSE's TLS context, made here, once; without an SECC certificate it raises TlsUnavailable."""
        identity = Rotation(self.store, self.keys, Purpose.SECC).identity()
        context = VehicleContext([identity]) if identity else None
        if context is None:
            log.warning("no SECC certificate: no TLS, no Plug & Charge")

        def give() -> ssl.SSLContext:
            if context is None:
                raise TlsUnavailable("no SECC certificate")
            return context

        return give

    def csms_context(self) -> ssl.SSLContext | None:
        """By the security profile; None for profile 1. Raises CertsError."""
        roots = [root.public_bytes(Encoding.DER) for root in self.store.certificates(RootKind.CSMS)]
        identity = Rotation(self.store, self.keys, Purpose.CSMS).identity()
        return client_context(self._profile, roots, identity)
