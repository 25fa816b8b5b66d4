"""The files the `iso15118` package's EVCC reads, in its fixed layout below PKI_PATH.

The EVCC sends at most what the files hold: leaf, MO sub-CA 2 and, if its file is there, MO sub-CA 1.
"""

from pathlib import Path

from sim.pki.authority import Entity
from sim.pki.pki import Pki

PASSWORD = "evsed"


def export_evcc(pki: Pki, directory: Path, contract: Entity | None = None) -> Path:
    """Write `directory` so that PKI_PATH can name it; `contract` replaces the good one. Returns `directory`."""
    certificates, keys = directory / "iso15118_2" / "certs", directory / "iso15118_2" / "private_keys"
    certificates.mkdir(parents=True, exist_ok=True)
    keys.mkdir(parents=True, exist_ok=True)
    contract = contract or pki.contract
    for entity, names in (
        (contract, ("contractLeafCert", "moSubCA2Cert", "moSubCA1Cert")),
        (pki.oem, ("oemLeafCert", "oemSubCA2Cert", "oemSubCA1Cert")),
        (pki.cps, ("cpsLeafCert", "cpsSubCA2Cert", "cpsSubCA1Cert")),
    ):
        for certificate, name in zip(entity.chain, names, strict=False):
            (certificates / f"{name}.der").write_bytes(certificate.der)
    (certificates / "moRootCACert.der").write_bytes(contract.root.der)
    for root, name in ((pki.v2g_root, "v2gRootCACert"), (pki.oem_root, "oemRootCACert")):
        (certificates / f"{name}.der").write_bytes(root.der)
        (certificates / f"{name}.pem").write_bytes(root.pem)
    (certificates / "oemCertChain.pem").write_bytes(pki.oem.chain_pem)
    for entity, key, password in (
        (contract, "contractLeaf.key", "contractLeafPassword.txt"),
        (pki.oem, "oemLeaf.key", "oemLeafPassword.txt"),
        (pki.cps, "cpsLeaf.key", "cpsLeafPassword.txt"),
        (pki.mo_sub_ca2, "moSubCA2.key", "moSubCA2LeafPassword.txt"),
    ):
        (keys / key).write_bytes(entity.key_pem(PASSWORD))
        (keys / password).write_text(PASSWORD)
    return directory
