"""What a TLS side presents: a key, its chain, and the OCSP responses that go with it."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from certs.keystore import Key
from certs.tls import openssl
from certs.tls.extkey import ExternalKey
from certs.tls.hello import Authority
from certs.tls.openssl import check, library


@dataclass(frozen=True, slots=True)
class Identity:
    """A key with its chain, leaf first, without the root."""

    key: Key
    chain_der: tuple[bytes, ...]
    staples: tuple[bytes | None, ...] = field(default=())
    """The OCSP response (DER) of each certificate of the chain, in its order; None where there is none."""
    root_der: bytes | None = None
    """The root the chain leads to, where we hold it: a vehicle may name it in its ClientHello."""


class Loaded:
    """An identity in OpenSSL's hands, made once and given to any number of contexts and connections."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        above = [*identity.chain_der[1:], *([identity.root_der] if identity.root_der else [])]
        self.authorities = [_authority(x509.load_der_x509_certificate(der)) for der in above]
        self._leaf = openssl.X509(identity.chain_der[0])
        self._issuers = openssl.CertificateStack(identity.chain_der[1:])
        self._key = ExternalKey(identity.key)

    def use_for_context(self, context_pointer: int) -> None:
        """Raises OpenSslError if leaf and key differ."""
        used = library().SSL_CTX_use_cert_and_key(
            context_pointer, self._leaf.pointer, self._key.pointer, self._issuers.pointer, 1
        )
        check(used, "SSL_CTX_use_cert_and_key")

    def use_for_connection(self, ssl_pointer: int) -> None:
        """For one connection, from within its handshake. Raises OpenSslError."""
        used = library().SSL_use_cert_and_key(
            ssl_pointer, self._leaf.pointer, self._key.pointer, self._issuers.pointer, 1
        )
        check(used, "SSL_use_cert_and_key")


def _authority(certificate: x509.Certificate) -> Authority:
    return Authority(
        subject_der=certificate.subject.public_bytes(),
        certificate_sha1=certificate.fingerprint(SHA1()),
        key_sha1=x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest,
    )
