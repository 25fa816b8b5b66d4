"""ISO 15118's demands on TLS that stock stacks do not meet: two versions on one port, chains by root, staples."""

import contextlib
import ctypes
import hashlib
import shutil
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from certs import csr
from certs.csr import Subject
from certs.errors import CertsError
from certs.keystore import Curve, Key, Purpose
from certs.ocsp import OcspCache
from certs.tls import openssl
from certs.tls.identity import Identity
from certs.tls.vehicle import EXT_CONTEXT, VehicleContext, _AddExtension
from sim.pki.authority import Blank, Entity, line, root
from sim.pki.ocsp import Responder
from sim.pki.pki import Pki, build, sub_cas

SUBJECT = Subject("DE*EVS*E0001", "evsed", "DE")


def identity_below(pki: Pki, key: Key) -> Identity:
    chain = x509.load_pem_x509_certificates(pki.issue_secc(csr.build(key, Purpose.SECC, SUBJECT)))
    return Identity(
        key, tuple(certificate.public_bytes(Encoding.DER) for certificate in chain), root_der=pki.v2g_root.der
    )


# --- -2 and -20 on one port ---


@dataclass(frozen=True, slots=True)
class Port20:
    """One port for both: P-256 for TLS 1.2, P-521 for TLS 1.3, both keys in the TPM."""

    context: VehicleContext
    pki_20: Pki

    def vehicle(self, with_certificate: bool = True) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=self.pki_20.v2g_root.der)
        if with_certificate:
            context.load_cert_chain(self.pki_20.path("oem.chain.pem"), self.pki_20.path("oem.key"))
        return context


@pytest.fixture(scope="module")
def pki_20(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki20"), ec.SECP521R1())


@pytest.fixture
def port(bench, secc, pki_20: Pki) -> Port20:
    identity_20 = identity_below(pki_20, bench.keys.create(Curve.P521))
    return Port20(VehicleContext([secc], [identity_20], [pki_20.oem_root.der]), pki_20)


def test_20_vehicle_is_mutual_tls_1_3(port: Port20, meet) -> None:
    met = meet(port.vehicle(), port.context)
    assert met.connected
    assert met.client.version() == "TLSv1.3"
    assert met.client.cipher()[0] == "TLS_AES_256_GCM_SHA384"
    leaf = x509.load_der_x509_certificate(met.client.getpeercert(binary_form=True))
    assert leaf.public_key().curve.name == "secp521r1"
    assert met.server.getpeercert(binary_form=True) == port.pki_20.oem.der


def test_20_vehicle_without_certificate_is_refused(port: Port20, meet) -> None:
    met = meet(port.vehicle(with_certificate=False), port.context)
    assert isinstance(met.server, ssl.SSLError)
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in str(met.server)


def test_20_vehicle_of_a_foreign_root_is_refused(port: Port20, pki, meet) -> None:
    vehicle = port.vehicle(with_certificate=False)
    vehicle.load_cert_chain(pki.path("oem.chain.pem"), pki.path("oem.key"))
    assert isinstance(meet(vehicle, port.context).server, ssl.SSLError)


def test_vehicle_without_certificate_is_let_in_where_configured(port: Port20, bench, secc, pki_20, meet) -> None:
    """A -2 vehicle with a modern TLS stack; but a certificate that is shown must hold."""
    (loaded,) = port.context._identities_20
    context = VehicleContext([secc], [loaded.identity], [pki_20.oem_root.der], vehicle_certificate_required=False)
    met = meet(port.vehicle(with_certificate=False), context)
    assert met.connected
    assert met.server.getpeercert(binary_form=True) is None
    assert meet(port.vehicle(), context).server.getpeercert(binary_form=True) == pki_20.oem.der
    stranger = port.vehicle(with_certificate=False)
    stranger.load_cert_chain(pki_20.path("cps.chain.pem"), pki_20.path("cps.key"))
    assert isinstance(meet(stranger, context).server, ssl.SSLError)


def test_2_vehicle_at_the_same_port_shows_nothing(port: Port20, vehicle, meet) -> None:
    met = meet(vehicle, port.context)
    assert met.connected
    assert met.client.version() == "TLSv1.2"
    leaf = x509.load_der_x509_certificate(met.client.getpeercert(binary_form=True))
    assert leaf.public_key().curve.name == "secp256r1"


def test_both_at_once(port: Port20, vehicle, meet) -> None:
    """Handshakes of both kinds on one context in many threads: nobody gets the other's chain."""
    results: list[tuple[str, str]] = []

    def visit(context: ssl.SSLContext, expected: str) -> None:
        results.extend((expected, meet(context, port.context).client.version()) for _ in range(5))

    pairs = [(port.vehicle(), "TLSv1.3"), (vehicle, "TLSv1.2")] * 2
    threads = [threading.Thread(target=visit, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert all(expected == version for expected, version in results)


def test_both_in_turn(port: Port20, vehicle, meet) -> None:
    for _ in range(3):
        assert meet(port.vehicle(), port.context).client.version() == "TLSv1.3"
        assert meet(vehicle, port.context).client.version() == "TLSv1.2"


@pytest.mark.parametrize("group", ["secp521r1", "X448"])
def test_20_groups(port: Port20, meet, group: str) -> None:
    vehicle = port.vehicle()
    pointer = openssl.context_pointer(vehicle)
    assert openssl.library().SSL_CTX_ctrl(pointer, 92, 0, group.encode()) == 1
    assert meet(vehicle, port.context).connected


# --- chains by the vehicle's roots ---


class Asking:
    """A vehicle's context that sends trusted_ca_keys with this content, and notes whether it was answered."""

    def __init__(self, vehicle: ssl.SSLContext, content: bytes) -> None:
        self.context = vehicle
        self.answered = False
        self._content = ctypes.create_string_buffer(content, len(content))
        parse_type = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 9)
        self._callbacks = _AddExtension(self._add), parse_type(self._parse)
        added = openssl.library().SSL_CTX_add_custom_ext(
            openssl.context_pointer(vehicle), 3, EXT_CONTEXT, self._callbacks[0], None, None, self._callbacks[1], None
        )
        assert added == 1

    def _add(self, _ssl: int, _number: int, _context: int, out: Any, out_size: Any, *_: Any) -> int:
        out[0] = ctypes.addressof(self._content)
        out_size[0] = len(self._content)
        return 1

    def _parse(self, *_: Any) -> int:
        self.answered = True
        return 1


@pytest.fixture
def two_roots(bench, secc, pki, tmp_path: Path) -> tuple[VehicleContext, Pki]:
    """A station with leaves below two V2G roots: the usual one first."""
    other = root(Blank("Other V2G Root", "V2G"))
    sub_ca2 = line(other, sub_cas("CPO"))
    other_pki = replace(pki, v2g_root=other, cpo_sub_ca2=sub_ca2)
    second = identity_below(other_pki, bench.keys.create(Curve.P256))
    return VehicleContext([replace(secc, root_der=pki.v2g_root.der), second]), other_pki


def hello_list(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def of_root(entity: Entity, kind: int) -> bytes:
    """One TrustedAuthority for a root."""
    assert isinstance(entity.key, ec.EllipticCurvePrivateKey)
    if kind == 2:
        return b"\x02" + hello_list(entity.certificate.subject.public_bytes())
    key = x509.SubjectKeyIdentifier.from_public_key(entity.key.public_key()).digest
    return bytes([kind]) + (key if kind == 1 else hashlib.sha1(entity.der).digest())


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_chain_by_trusted_ca_keys(two_roots, vehicle, meet, kind: int) -> None:
    context, other_pki = two_roots
    vehicle.load_verify_locations(cadata=other_pki.v2g_root.der)
    asking = Asking(vehicle, hello_list(of_root(other_pki.v2g_root, kind)))
    met = meet(asking.context, context)
    leaf = x509.load_der_x509_certificate(met.client.getpeercert(binary_form=True))
    leaf.verify_directly_issued_by(other_pki.cpo_sub_ca2.certificate)
    assert asking.answered


def test_list_without_its_length(two_roots, vehicle, meet) -> None:
    context, other_pki = two_roots
    vehicle.load_verify_locations(cadata=other_pki.v2g_root.der)
    met = meet(Asking(vehicle, of_root(other_pki.v2g_root, 3)).context, context)
    leaf = x509.load_der_x509_certificate(met.client.getpeercert(binary_form=True))
    leaf.verify_directly_issued_by(other_pki.cpo_sub_ca2.certificate)


@pytest.mark.parametrize("content", [b"garbage", b"\x00", b"\xff" * 300, hello_list(b"\x01" + b"\0" * 20)])
def test_garbage_or_unknown_gets_the_first_chain(two_roots, pki, vehicle, meet, content: bytes) -> None:
    context, _ = two_roots
    asking = Asking(vehicle, content)
    met = meet(asking.context, context)
    leaf = x509.load_der_x509_certificate(met.client.getpeercert(binary_form=True))
    leaf.verify_directly_issued_by(pki.cpo_sub_ca2.certificate)
    assert not asking.answered
    malformed = content != hello_list(b"\x01" + b"\0" * 20)
    assert context.seen["malformed trusted_ca_keys"] == int(malformed and content != b"\x00")


# --- staples ---


def stapled(identity: Identity, pki: Pki, tmp_path: Path, at, algorithm: SHA1 | None = None) -> Identity:
    """Responses as they come through the CSMS, kept in the cache, and given to the identity."""
    cache, responder = OcspCache(tmp_path / "ocsp"), Responder([])
    chain = [x509.load_der_x509_certificate(der) for der in identity.chain_der]
    for certificate, issuer in zip(chain, [pki.cpo_sub_ca2, pki.cpo_sub_ca1, pki.v2g_root], strict=True):
        cache.put(responder.status_of(certificate, issuer, algorithm), certificate, issuer.certificate, at)
    complete = cache.stapled(replace(identity, root_der=pki.v2g_root.der), at)
    assert None not in complete.staples
    return complete


def s_client(port: int, *options: str) -> str:
    command = ["openssl", "s_client", "-status", "-connect", f"127.0.0.1:{port}", *options]
    run = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, check=False)
    return run.stdout + run.stderr


def test_openssl_sees_the_leafs_staple_in_tls_1_2(bench, secc, pki, tmp_path, at, listening) -> None:
    context = VehicleContext([stapled(secc, pki, tmp_path, at)])
    with listening(context) as port:
        output = s_client(port, "-tls1_2", "-CAfile", str(pki.path("v2g_root.pem")))
    assert "OCSP Response Status: successful" in output
    assert "Cert Status: good" in output
    assert "Verification: OK" in output
    assert context.seen["staple for the leaf"] == 1
    assert secc.key.describe().fixed_tpm


def test_openssl_sees_the_leafs_staple_in_tls_1_3(bench, port: Port20, tmp_path, at, listening) -> None:
    (loaded,) = port.context._identities_20
    complete = stapled(loaded.identity, port.pki_20, tmp_path, at)
    port.context.present([loaded.identity], [complete])
    mine = ["-cert", str(port.pki_20.path("oem.chain.pem")), "-key", str(port.pki_20.path("oem.key"))]
    with listening(port.context) as number:
        output = s_client(number, "-tls1_3", *mine, "-CAfile", str(port.pki_20.path("v2g_root.pem")))
    assert "OCSP Response Status: successful" in output
    assert "Cert Status: good" in output
    assert "Verification: OK" in output
    assert complete.key.describe().fixed_tpm


def test_without_a_response_nothing_is_stapled(secc, pki, listening) -> None:
    with listening(VehicleContext([secc])) as port:
        output = s_client(port, "-CAfile", str(pki.path("v2g_root.pem")))
    assert "OCSP response: no response sent" in output
    assert "Verify return code: 0 (ok)" in output


@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler for the JSSE client")
def test_jsse_with_strict_revocation_gets_three_staples(bench, secc, pki, tmp_path, at, listening) -> None:
    """Java's own TLS client, revocation on, no fallback: it passes only if every certificate's status came along.

    It looks responses up by SHA-1 CertIDs.
    """
    source = Path(__file__).with_name("JsseClient.java")
    subprocess.run(["javac", "-d", tmp_path, source], check=True, capture_output=True)
    context = VehicleContext([stapled(secc, pki, tmp_path, at, SHA1())])
    with listening(context) as port:
        complete = jsse(tmp_path, port, pki)
    assert complete.stdout.strip() == "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 staples=3"
    assert context.seen["staples for the chain"] == 1
    with listening(VehicleContext([secc])) as port:
        assert jsse(tmp_path, port, pki).returncode != 0


def jsse(classes: Path, port: int, pki: Pki) -> "subprocess.CompletedProcess[str]":
    command = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", str(classes), "JsseClient"]
    command += [str(port), str(pki.path("v2g_root.pem"))]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- a technician's key log ---


def test_key_log_is_off_unless_asked_for_and_ends_by_itself(secc, vehicle, meet, tmp_path, monkeypatch) -> None:
    file = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(file))
    context = VehicleContext([secc])
    assert meet(vehicle, context).connected
    assert not file.exists()
    context.log_keys(file, duration_s=0.5)
    assert meet(vehicle, context).connected
    written = file.read_text()
    assert written.count("CLIENT_RANDOM") == 1
    time.sleep(0.55)
    assert meet(vehicle, context).connected
    assert file.read_text() == written
    context.log_keys(file, duration_s=60)
    context.stop_logging_keys()
    assert meet(vehicle, context).connected
    assert file.read_text().count("CLIENT_RANDOM") == 1


def test_more_handshakes_at_once_than_are_remembered(secc, vehicle, meet) -> None:
    """Strangers that open and never finish do not fill the memory; the next vehicle is served."""
    context, begun = VehicleContext([secc]), []
    for _ in range(100):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = vehicle.wrap_bio(outgoing, incoming)
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        begun.append(server)
    assert len(context._handshakes) == 64
    assert meet(vehicle, context).connected


def test_no_identity_at_all() -> None:
    with pytest.raises(CertsError, match="no certificate"):
        VehicleContext([])
