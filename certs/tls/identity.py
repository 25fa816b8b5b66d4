"""What a TLS side presents: a key, its chain, and the OCSP responses that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from certs.keystore import Key
from certs.tls import openssl
from certs.tls.extkey import ExternalKey
from certs.tls.openssl import check, library


@dataclass(frozen=True, slots=True)
class Identity:
    """A key with its chain, leaf first, without the root."""

    key: Key
    chain_der: tuple[bytes, ...]
    staples: tuple[bytes | None, ...] = field(default=())
    """The OCSP response (DER) of each certificate of the chain, in its order; None where there is none."""


class Loaded:
    """An identity in OpenSSL's hands, made once and given to any number of contexts and connections."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
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


def load_all(identities: Sequence[Identity]) -> list[Loaded]:
    return [Loaded(identity) for identity in identities]
