"""An OCSP responder for the test PKI: as a function, and over HTTP at a free port."""

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from sim.pki.authority import Entity, now

LIFETIME = timedelta(days=2)


class Responder:
    """Answers for the certificates issued by `issuers`; each issuer signs for its own."""

    def __init__(self, issuers: Iterable[Entity]) -> None:
        self._issuers = list(issuers)
        self.revoked: set[int] = set()
        """Serial numbers."""

    def status_of(
        self,
        certificate: x509.Certificate,
        issuer: Entity,
        algorithm: SHA1 | SHA256 | None = None,
        this_update: datetime | None = None,
    ) -> bytes:
        """A response as a CSMS hands it on (OCPP GetCertificateStatus), with the CertID hashed by `algorithm`."""
        hashed = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer.certificate, algorithm or SHA256())
        return self._respond(issuer, hashed.build(), this_update or now())

    def answer(self, request_der: bytes) -> bytes:
        """To an OCSP request for one certificate (RFC 6960)."""
        try:
            request = ocsp.load_der_ocsp_request(request_der)
        except ValueError:
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        for issuer in self._issuers:
            if _issued_by(issuer, request):
                return self._respond(issuer, request, now())
        return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)

    def answer_for(self, issuer_name_hash: bytes, issuer_key_hash: bytes, serial_number: int) -> bytes | None:
        """By OCPP's OCSPRequestDataType (SHA-256); None for an issuer that is not ours."""
        asked = _Asked(issuer_name_hash, issuer_key_hash, serial_number)
        issuer = next((issuer for issuer in self._issuers if _issued_by(issuer, asked)), None)
        return None if issuer is None else self._respond(issuer, asked, now())

    def _respond(self, issuer: Entity, request: "ocsp.OCSPRequest | _Asked", this_update: datetime) -> bytes:
        revoked = request.serial_number in self.revoked
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=this_update,
            next_update=this_update + LIFETIME,
            revocation_time=this_update if revoked else None,
            revocation_reason=None,
        )
        assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
        responder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
        return responder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an OCSP request says of one certificate."""

    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int
    hash_algorithm: SHA256 = field(default_factory=SHA256)


def _issued_by(issuer: Entity, request: ocsp.OCSPRequest | _Asked) -> bool:
    """The hash data name the issuer by its name and its key."""
    hashed = hashlib.new(request.hash_algorithm.name, issuer.certificate.subject.public_bytes()).digest()
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    point = issuer.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key_hashed = hashlib.new(request.hash_algorithm.name, point).digest()
    return (request.issuer_name_hash, request.issuer_key_hash) == (hashed, key_hashed)


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


class OcspServer:
    """The responder over HTTP POST at `url`, in a thread of its own. A context manager."""

    def __init__(self, responder: Responder) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 65536))
                answer = responder.answer(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="ocsp-responder", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "OcspServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
