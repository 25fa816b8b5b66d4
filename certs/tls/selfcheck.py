"""Can this interpreter serve TLS with a key held outside it? Asked once at start, by doing it.

A handshake with oneself over memory, for TLS 1.2 and 1.3, in both roles, each with a throw-away key that only our
provider can reach. An interpreter that fails is refused with the reason: one with OpenSSL linked statically, one whose
OpenSSL is older than 3.0, one that lays `ssl.SSLContext` out differently.
"""

import contextlib
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from certs.errors import CertsError, TlsUnsupported
from certs.keystore import Curve, Origin
from certs.tls import openssl
from certs.tls.identity import Identity, Loaded

FLIGHTS = 3
"""Turns that a handshake of either version takes at most."""


@dataclass(frozen=True, slots=True)
class Report:
    openssl: str
    versions: tuple[str, ...]
    took_s: float


class _ThrowAwayKey:
    """A key in memory that counts its signatures."""

    key_id = "selfcheck"
    curve = Curve.P256
    origin = Origin.FILE

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public_point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.signed = 0

    def sign(self, digest: bytes) -> bytes:
        self.signed += 1
        return self.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def run() -> Report:
    """Raises TlsUnsupported."""
    started, key = time.monotonic(), _ThrowAwayKey()
    identity = Identity(key, (_self_signed(key.private),))
    versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    try:
        for version in versions:
            _handshake(identity, version)
    except (CertsError, ssl.SSLError) as error:
        raise TlsUnsupported(f"self-check with {ssl.OPENSSL_VERSION}: {error}") from error
    if key.signed != 2 * len(versions):
        raise TlsUnsupported(
            f"self-check with {ssl.OPENSSL_VERSION}: {key.signed} signatures in {len(versions)} rounds"
        )
    return Report(ssl.OPENSSL_VERSION, tuple(version.name for version in versions), time.monotonic() - started)


def _handshake(identity: Identity, version: ssl.TLSVersion) -> None:
    loaded, to_server, to_client = Loaded(identity), ssl.MemoryBIO(), ssl.MemoryBIO()
    contexts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts[0].check_hostname = False
    for context in contexts:
        context.minimum_version = context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=identity.chain_der[0])
        loaded.use_for_context(openssl.context_pointer(context))
    client = contexts[0].wrap_bio(to_client, to_server)
    server = contexts[1].wrap_bio(to_server, to_client, server_side=True)
    for _flight in range(FLIGHTS):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    if client.getpeercert(binary_form=True) != server.getpeercert(binary_form=True):
        raise TlsUnsupported("the two ends of one handshake saw different certificates")


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "selfcheck")]), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
