"""A rotation in a process of its own that kills itself (SIGKILL) before its n-th durable step.

Arguments: TCTI, store directory, PKI directory, n (0: never).
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import store as store_module
from certs.csr import Subject
from certs.keystore import Purpose
from certs.provision import roots_for, take_over
from certs.rotation import Rotation
from certs.store import CertificateStore
from certs.tpm import Tpm, TpmKeyStore
from sim.pki.authority import Blank, Entity


def main(tcti: str, directory: str, pki: str, kill_at: str) -> None:
    steps = iter(range(1, 1000))

    def dangerous(function: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            if next(steps) == int(kill_at):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return step

    tpm = Tpm(tcti)
    # Every step that lasts: a TPM key made or destroyed, a file synced, renamed or removed.
    Tpm.create, Tpm.evict = dangerous(Tpm.create), dangerous(Tpm.evict)  # type: ignore[method-assign,assignment]
    os.fsync = dangerous(os.fsync)  # type: ignore[assignment]
    Path.replace, Path.unlink = dangerous(Path.replace), dangerous(Path.unlink)  # type: ignore[method-assign,assignment]
    store, keys = CertificateStore(Path(directory)), TpmKeyStore(tpm)
    take_over(tpm, store)
    rotation = Rotation(store, keys, Purpose.SECC)
    request = rotation.begin(Subject("DE*EVS*E0001", "evsed", "DE"))
    rotation.install(issue(Path(pki), request), roots_for(store, Purpose.SECC), datetime.now(UTC))
    tpm.close()


def issue(pki: Path, request: bytes) -> str:
    certificates = x509.load_pem_x509_certificates((pki / "cpo_sub_ca2.chain.pem").read_bytes())
    key = load_pem_private_key((pki / "cpo_sub_ca2.key").read_bytes(), None)
    issuer = Entity(certificates[0], key)  # type: ignore[arg-type]
    blank = Blank(
        "DE*EVS*E0001",
        "CPO",
        not_after=datetime.now(UTC) + timedelta(days=90),
        extended_usages=(ExtendedKeyUsageOID.SERVER_AUTH,),
    )
    leaf = issuer.issue(blank, x509.load_pem_x509_csr(request).public_key())  # type: ignore[arg-type]
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in (leaf, *certificates))


if __name__ == "__main__":
    assert store_module.os is os
    main(*sys.argv[1:])
