"""What a vehicle asks of TLS: of ISO 15118-2 the server's chain, of -20 that and its own certificate shown."""

import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from sim.ev.wishes import Credential


def context_2(v2g_root_pem: bytes) -> ssl.SSLContext:
    """TLS 1.2 with the suite of ISO 15118-2."""
    context = _context(v2g_root_pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    return context


def context_20(v2g_root_pem: bytes, vehicle: Credential | None) -> ssl.SSLContext:
    """TLS 1.3; without `vehicle` it shows no certificate."""
    context = _context(v2g_root_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if vehicle is not None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "vehicle.pem"
            path.write_bytes(_pem(vehicle))
            context.load_cert_chain(path)
    return context


def _context(v2g_root_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An SECC's certificate names the EVSE, not a host.
    context.check_hostname = False
    context.load_verify_locations(cadata=v2g_root_pem.decode())
    return context


def _pem(credential: Credential) -> bytes:
    certificates = [load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in credential.chain_der]
    key = credential.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join(certificates) + key
