"""TLS with the key in the TPM: the vehicle's side, the CSMS's side, the self-check."""

import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import csr
from certs.csr import Subject
from certs.errors import CertsError, KeyFault, KeyUnavailable, TlsUnsupported
from certs.keystore import Curve, Purpose
from certs.tls import extkey, openssl, selfcheck
from certs.tls.csms import SecurityProfile, client_context
from certs.tls.identity import Identity
from certs.tls.openssl import OpenSslError
from certs.tls.vehicle import VehicleContext


def test_selfcheck_passes_here() -> None:
    report = selfcheck.run()
    assert report.versions == ("TLSv1_2", "TLSv1_3")
    assert report.took_s < 5


def test_selfcheck_refuses_an_interpreter_without_reachable_openssl(monkeypatch) -> None:
    """As in a build with OpenSSL linked statically: the symbols are not there."""
    monkeypatch.setitem(openssl.SIGNATURES, "OSSL_PROVIDER_from_the_future", (None, []))
    openssl.library.cache_clear()
    try:
        with pytest.raises(TlsUnsupported, match="OSSL_PROVIDER_from_the_future"):
            selfcheck.run()
    finally:
        monkeypatch.undo()
        openssl.library.cache_clear()
    assert selfcheck.run().versions


def test_selfcheck_refuses_a_built_in_ssl_module(monkeypatch) -> None:
    monkeypatch.delattr("_ssl.__file__")
    openssl.library.cache_clear()
    try:
        with pytest.raises(TlsUnsupported, match="built into"):
            selfcheck.run()
    finally:
        monkeypatch.undo()
        openssl.library.cache_clear()


# --- the vehicle ---


def test_vehicle_handshake(bench, secc, vehicle, meet) -> None:
    met = meet(vehicle, VehicleContext([secc]))
    assert met.connected
    assert met.client.version() == "TLSv1.2"
    assert met.client.cipher()[0] == "ECDHE-ECDSA-AES128-SHA256"
    assert met.client.getpeercert(binary_form=True) == secc.chain_der[0]


def test_one_tpm_command_a_handshake(bench, secc, vehicle, meet) -> None:
    context = VehicleContext([secc])
    assert meet(vehicle, context).connected
    before = len(bench.proxy.commands)
    for _ in range(3):
        assert meet(vehicle, context).connected
    assert [command.name for command in bench.proxy.commands[before:]] == ["Sign"] * 3


def test_no_resumption(bench, secc, vehicle, meet) -> None:
    context = VehicleContext([secc])
    first = meet(vehicle, context)
    assert first.client.session is None or not first.client.session.has_ticket
    assert not meet(vehicle, context).client.session_reused


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384"])
def test_other_suites_are_refused(secc, vehicle, meet, suite: str) -> None:
    vehicle.set_ciphers(suite)
    assert not meet(vehicle, VehicleContext([secc])).connected


def test_vehicle_that_offers_tls_1_3_too(secc, vehicle, meet) -> None:
    vehicle.maximum_version = ssl.TLSVersion.TLSv1_3
    met = meet(vehicle, VehicleContext([secc]))
    assert met.client.version() == "TLSv1.2"


def test_vehicle_with_another_root_refuses_us(secc, pki, meet) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname = False
    stranger.load_verify_locations(cadata=pki.oem_root.der)
    met = meet(stranger, VehicleContext([secc]))
    assert isinstance(met.client, ssl.SSLCertVerificationError)


def test_openssl_s_client(bench, secc, pki, listening) -> None:
    """The other end is another program: chain verified, suite and curve as ISO 15118-2 asks."""
    with listening(VehicleContext([secc])) as port:
        output = s_client(port, "-CAfile", str(pki.path("v2g_root.pem")))
    assert "Verify return code: 0 (ok)" in output
    assert "ECDHE-ECDSA-AES128-SHA256" in output
    assert "Server Temp Key: ECDH, prime256v1, 256 bits" in output
    assert "No client certificate CA names sent" in output


def s_client(port: int, *options: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    run = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, check=False)
    return run.stdout + run.stderr


def test_tpm_fault_ends_one_handshake_only(bench, secc, vehicle, meet) -> None:
    context = VehicleContext([secc])
    bench.proxy.fail("Sign", 0x921)
    met = meet(vehicle, context)
    assert isinstance(met.client, ssl.SSLError)
    assert "INTERNAL_ERROR" in str(met.client)
    assert bench.tpm.health.last_fault is KeyFault.LOCKED_OUT
    assert meet(vehicle, context).connected


RESPONSE_CODES = [0x922, 0x90A, 0x908, 0x920, 0x923, 0x921, 0x902, 0x101, 0x100, 0x18B, 0x910, 0x1C4]


@pytest.mark.parametrize("times", [1, 100])
def test_every_response_code_recovers_or_fails_clean(bench, secc, vehicle, meet, times: int) -> None:
    """Within the handshake, or with an alert at once and the reason at hand; the next handshake works."""
    context = VehicleContext([secc])
    for rc in RESPONSE_CODES:
        bench.proxy.fail("Sign", rc, times)
        bench.tpm.health.last_fault = None
        started = time.monotonic()
        met = meet(vehicle, context)
        assert time.monotonic() - started < 1, hex(rc)
        if not met.connected:
            assert "INTERNAL_ERROR" in str(met.client), hex(rc)
            assert bench.tpm.health.last_fault is not None, hex(rc)
        bench.proxy.heal()
        assert meet(vehicle, context).connected, hex(rc)


def test_power_cut_before_a_handshake(bench, secc, vehicle, meet) -> None:
    context = VehicleContext([secc])
    assert meet(vehicle, context).connected
    bench.swtpm.power_cut()
    assert meet(vehicle, context).connected


def test_wiped_and_foreign_tpm(bench, secc, vehicle, meet) -> None:
    """No key, then another board's key in the same slot: refused with the reason, and nothing hangs."""
    context = VehicleContext([secc])
    bench.swtpm.wipe()
    bench.swtpm.start()
    assert isinstance(meet(vehicle, context).client, ssl.SSLError)
    assert bench.tpm.health.last_fault is KeyFault.NO_SUCH_KEY
    bench.tpm.ensure_srk()
    bench.keys.create(Curve.P256)
    assert isinstance(meet(vehicle, context).client, ssl.SSLError)
    assert bench.tpm.health.last_fault is KeyFault.FOREIGN_KEY


def test_why_the_signature_failed(bench, secc, vehicle) -> None:
    """`ssl` says only that something internal failed; the reason is kept for the thread that shook hands."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = VehicleContext([secc]).wrap_bio(incoming, outgoing, server_side=True)
    client = vehicle.wrap_bio(outgoing, incoming)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    bench.proxy.fail("Sign", 0x101)
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    error = extkey.last_error()
    assert isinstance(error, KeyUnavailable)
    assert error.reason is KeyFault.FAILURE_MODE
    assert extkey.last_error() is None


def test_key_and_leaf_must_belong_together(bench, secc, station) -> None:
    with pytest.raises(OpenSslError):
        VehicleContext([Identity(station.key, secc.chain_der)])


def test_identity_swapped_under_a_live_session(bench, secc, station, pki, vehicle, meet) -> None:
    """A rotation: the live session goes on, the next handshake has the new leaf."""
    context = VehicleContext([secc])
    live = meet(vehicle, context)
    key = bench.keys.create(Curve.P256)
    renewed = Identity(key, _secc_chain(key, pki))
    context.present([renewed])
    assert meet(vehicle, context).client.getpeercert(binary_form=True) == renewed.chain_der[0]
    live.server.sendall(b"still here")
    assert live.client.recv(16) == b"still here"


def test_200_swaps(bench, secc, pki, vehicle, meet) -> None:
    key = bench.keys.create(Curve.P256)
    both = [secc, Identity(key, _secc_chain(key, pki))]
    context = VehicleContext([secc])
    for turn in range(200):
        context.present([both[turn % 2]])
    assert meet(vehicle, context).client.getpeercert(binary_form=True) == both[1].chain_der[0]


def test_a_signature_longer_than_its_buffer_is_not_written(vehicle, meet) -> None:
    """A key store gone mad must not reach beyond the memory OpenSSL gave."""

    class Mad(selfcheck._ThrowAwayKey):
        def sign(self, digest: bytes) -> bytes:
            return b"\x30" * 5000

    key = Mad()
    met = meet(vehicle, VehicleContext([Identity(key, (selfcheck._self_signed(key.private),))]))
    assert isinstance(met.server, ssl.SSLError)


def test_x509_that_is_none() -> None:
    with pytest.raises(OpenSslError, match="d2i_X509"):
        openssl.X509(b"junk")


# --- the CSMS ---


def csms_server(pki, client_certificates: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.path("csms.chain.pem"), pki.path("csms.key"))
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pki.path("station_root.pem"))
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_profile_3_with_the_key_in_the_tpm(bench, station, pki, meet, version) -> None:
    server = csms_server(pki, client_certificates=True)
    server.minimum_version = server.maximum_version = version
    context = client_context(SecurityProfile.TLS_CLIENT_CERTIFICATE, [pki.csms_root.der], station)
    met = meet(context, server, "localhost")
    assert met.connected
    subject = dict(pair[0] for pair in met.server.getpeercert()["subject"])
    assert subject["commonName"] == "DE*EVS*E0001"


def test_profile_3_without_a_certificate_is_refused_by_the_csms(pki, meet) -> None:
    context = client_context(SecurityProfile.TLS, [pki.csms_root.der])
    server = csms_server(pki, client_certificates=True)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not meet(context, server, "localhost").connected


def test_profile_2(pki, meet) -> None:
    context = client_context(SecurityProfile.TLS, [pki.csms_root.der])
    assert meet(context, csms_server(pki, client_certificates=False), "127.0.0.1").connected


def test_profile_1_has_no_tls() -> None:
    assert client_context(SecurityProfile.BASIC, []) is None


def test_csms_of_another_name_or_root(pki, meet) -> None:
    server = csms_server(pki, client_certificates=False)
    right = client_context(SecurityProfile.TLS, [pki.csms_root.der])
    assert isinstance(meet(right, server, "csms.example").client, ssl.SSLCertVerificationError)
    wrong = client_context(SecurityProfile.TLS, [pki.v2g_root.der])
    assert isinstance(meet(wrong, server, "localhost").client, ssl.SSLCertVerificationError)


def test_contexts_that_cannot_be(pki) -> None:
    with pytest.raises(CertsError, match="root"):
        client_context(SecurityProfile.TLS, [])
    with pytest.raises(CertsError, match="client certificate"):
        client_context(SecurityProfile.TLS_CLIENT_CERTIFICATE, [pki.csms_root.der])
    with pytest.raises(CertsError, match="cannot be read"):
        client_context(SecurityProfile.TLS, [b"junk"])


def _secc_chain(key, pki) -> tuple[bytes, ...]:
    request = csr.build(key, Purpose.SECC, Subject("DE*EVS*E0001", "evsed", "DE"))
    chain = x509.load_pem_x509_certificates(pki.issue_secc(request))
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
