"""A PKI that was built before, read back from its files: another process issues from it and answers for it."""

import dataclasses
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sim.pki.authority import Entity, PrivateKey
from sim.pki.pki import Pki


def load(directory: Path) -> Pki:
    """What `sim.pki.pki.build` wrote below `directory`."""
    names = [item.name for item in dataclasses.fields(Pki) if item.name != "directory"]
    alone = [
        Entity(
            x509.load_pem_x509_certificate((directory / f"{name}.pem").read_bytes()), _key(directory / f"{name}.key")
        )
        for name in names
    ]
    above = [
        Entity(certificate)
        for name in names
        for certificate in _certificates(directory / f"{name}.chain.pem")
        if certificate not in [entity.certificate for entity in alone]
    ]
    known = {entity.certificate.subject: entity for entity in (*above, *alone)}
    return Pki(directory, **{name: _linked(entity, known) for name, entity in zip(names, alone, strict=True)})


def _linked(entity: Entity, known: dict[x509.Name, Entity]) -> Entity:
    certificate = entity.certificate
    if certificate.issuer == certificate.subject:
        return entity
    return dataclasses.replace(entity, issuer=_linked(known[certificate.issuer], known))


def _certificates(file: Path) -> list[x509.Certificate]:
    content = file.read_bytes()
    return x509.load_pem_x509_certificates(content) if content else []


def _key(file: Path) -> PrivateKey | None:
    if not file.exists():
        return None
    key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey)
    return key
