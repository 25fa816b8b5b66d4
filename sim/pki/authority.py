"""Making certificates: a key pair with its certificate, and an issuer that signs others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID, ObjectIdentifier

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey

LIFETIME = timedelta(days=365)
ORGANIZATION = "evsed test PKI"
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Blank:
    """What a certificate is to say; fields of the profile are arguments so that the bad ones differ in one of them."""

    common_name: str
    domain_component: str | None = None
    ca: bool = False
    path_length: int | None = None
    not_before: datetime = field(default_factory=lambda: now() - timedelta(hours=1))
    not_after: datetime = field(default_factory=lambda: now() + LIFETIME)
    ocsp_url: str | None = None
    usage: frozenset[str] | None = None
    """Key usages by x509.KeyUsage's names; None for what the kind of certificate has."""
    extended_usages: tuple[ObjectIdentifier, ...] = ()
    alternative_names: tuple[x509.GeneralName, ...] = ()

    @property
    def name(self) -> x509.Name:
        names = [
            x509.NameAttribute(NameOID.COMMON_NAME, self.common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        ]
        if self.domain_component is not None:
            names.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, self.domain_component))
        return x509.Name(names)

    @property
    def key_usage(self) -> x509.KeyUsage:
        usual = {"key_cert_sign", "crl_sign"} if self.ca else {"digital_signature", "key_agreement"}
        wanted = usual if self.usage is None else self.usage
        return x509.KeyUsage(**{kind: kind in wanted for kind in KEY_USAGES})


@dataclass(frozen=True, slots=True)
class Entity:
    """A certificate; its private key where we have it, and who issued it (None for a root)."""

    certificate: x509.Certificate
    key: PrivateKey | None = None
    issuer: "Entity | None" = None

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> list["Entity"]:
        """This, then its issuers, without the root."""
        if self.issuer is None:
            return []
        return [self, *self.issuer.chain]

    @property
    def chain_der(self) -> list[bytes]:
        return [entity.der for entity in self.chain]

    @property
    def chain_pem(self) -> bytes:
        return b"".join(entity.pem for entity in self.chain)

    @property
    def root(self) -> "Entity":
        return self if self.issuer is None else self.issuer.root

    def key_pem(self, password: str | None = None) -> bytes:
        assert self.key is not None
        encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def issue(self, blank: Blank, public_key: PublicKey) -> x509.Certificate:
        """A certificate by this issuer for a key whose private half may be anywhere."""
        assert self.key is not None
        return sign(blank, public_key, self.certificate.subject, self.key)

    def child(self, blank: Blank, key: PrivateKey | None = None) -> "Entity":
        key = key or new_key()
        return Entity(self.issue(blank, key.public_key()), key, self)

    def saved(self, directory: Path, name: str) -> "Entity":
        """Write `name.der`, `name.pem`, `name.chain.pem` and, where it has one, `name.key` into `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.der").write_bytes(self.der)
        (directory / f"{name}.pem").write_bytes(self.pem)
        (directory / f"{name}.chain.pem").write_bytes(self.chain_pem)
        if self.key is not None:
            key_file = directory / f"{name}.key"
            key_file.touch(mode=0o600)
            key_file.write_bytes(self.key_pem())
        return self


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def root(blank: Blank, key: PrivateKey | None = None) -> Entity:
    key, blank = key or new_key(), replace(blank, ca=True)
    return Entity(sign(blank, key.public_key(), blank.name, key), key)


def line(top: Entity, blanks: Sequence[Blank], curve: ec.EllipticCurve | None = None) -> Entity:
    """Issue each blank by the one before it, starting below `top`; the last."""
    for blank in blanks:
        top = top.child(blank, new_key(curve))
    return top


def sign(blank: Blank, public_key: PublicKey, issuer: x509.Name, issuer_key: PrivateKey) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(blank.name)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(blank.not_before)
        .not_valid_after(blank.not_after)
        .add_extension(x509.BasicConstraints(blank.ca, blank.path_length if blank.ca else None), critical=True)
        .add_extension(blank.key_usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if blank.extended_usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(blank.extended_usages), critical=False)
    if blank.alternative_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(blank.alternative_names), critical=False)
    if blank.ocsp_url is not None:
        location = x509.UniformResourceIdentifier(blank.ocsp_url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(issuer_key, _hash_for(issuer_key))


def _hash_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    if isinstance(key, ed448.Ed448PrivateKey):
        return None
    if key.curve.key_size == 256:
        return hashes.SHA256()
    return hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA512()
