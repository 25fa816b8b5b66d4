"""OCSP responses: taken when a vehicle would take them, and stapled no longer than they hold."""

from dataclasses import replace
from datetime import timedelta
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import ocsp as station
from certs.ocsp import OcspCache, OcspFault, OcspRefused
from sim.pki.authority import Blank, Entity, now
from sim.pki.ocsp import OcspServer, Responder


@pytest.fixture
def cache(tmp_path) -> OcspCache:
    return OcspCache(tmp_path / "ocsp")


def refused(der: bytes, certificate: Entity, issuer: Entity, at) -> OcspFault:
    with pytest.raises(OcspRefused) as error:
        station.check(der, certificate.certificate, issuer.certificate, at)
    return error.value.fault


@pytest.mark.parametrize("algorithm", [SHA1(), SHA256()])
def test_good(pki, at, cache, algorithm) -> None:
    response = Responder([]).status_of(pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1, algorithm)
    held = cache.put(response, pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1.certificate, at)
    assert held.der == response
    assert held.since <= at <= held.until
    assert cache.held(pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1.certificate, at) == held


def test_revoked(pki, at, cache) -> None:
    responder = Responder([])
    responder.revoked.add(pki.cpo_sub_ca2.certificate.serial_number)
    response = responder.status_of(pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1)
    assert refused(response, pki.cpo_sub_ca2, pki.cpo_sub_ca1, at) is OcspFault.NOT_GOOD


def test_for_another_certificate(pki, at) -> None:
    response = Responder([]).status_of(pki.cpo_sub_ca1.certificate, pki.v2g_root)
    assert refused(response, pki.cpo_sub_ca2, pki.cpo_sub_ca1, at) is OcspFault.OTHER_CERTIFICATE


def test_forged(pki, at) -> None:
    response = bytearray(Responder([]).status_of(pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1))
    response[-1] ^= 1
    assert refused(bytes(response), pki.cpo_sub_ca2, pki.cpo_sub_ca1, at) is OcspFault.BAD_SIGNATURE


def test_not_current(pki, at) -> None:
    certificate, issuer = pki.cpo_sub_ca2, pki.cpo_sub_ca1
    old = Responder([]).status_of(certificate.certificate, issuer, this_update=now() - timedelta(days=3))
    early = Responder([]).status_of(certificate.certificate, issuer, this_update=now() + timedelta(hours=1))
    assert refused(old, certificate, issuer, at) is OcspFault.NOT_CURRENT
    assert refused(early, certificate, issuer, at) is OcspFault.NOT_CURRENT


@pytest.mark.parametrize("der", [b"", b"junk", b"\x30" * 20_000])
def test_no_response_at_all(pki, at, der: bytes) -> None:
    assert refused(der, pki.cpo_sub_ca2, pki.cpo_sub_ca1, at) is OcspFault.MALFORMED


def test_responder_without_an_answer(pki, at) -> None:
    response = Responder([]).answer(b"junk")
    assert refused(response, pki.cpo_sub_ca2, pki.cpo_sub_ca1, at) is OcspFault.NO_ANSWER


def delegated(certificate: Entity, issuer: Entity, delegate: Entity) -> bytes:
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate.certificate,
        issuer.certificate,
        SHA256(),
        ocsp.OCSPCertStatus.GOOD,
        now(),
        None,
        None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, delegate.certificate)
    signed = builder.certificates([delegate.certificate]).sign(delegate.key, SHA256())
    return signed.public_bytes(Encoding.DER)


def test_delegated_responder(pki, at) -> None:
    authorised = pki.cpo_sub_ca1.child(Blank("OCSP", extended_usages=(ExtendedKeyUsageOID.OCSP_SIGNING,)))
    response = delegated(pki.cpo_sub_ca2, pki.cpo_sub_ca1, authorised)
    held = station.check(response, pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1.certificate, at)
    assert held.until - held.since == timedelta(days=7)


@pytest.mark.parametrize("flaw", ["no usage", "other issuer", "expired"])
def test_responder_that_was_not_authorised(pki, at, flaw: str) -> None:
    issuer = pki.mo_root if flaw == "other issuer" else pki.cpo_sub_ca1
    usages = () if flaw == "no usage" else (ExtendedKeyUsageOID.OCSP_SIGNING,)
    over = {"not_before": now() - timedelta(days=9), "not_after": now() - timedelta(days=1)}
    delegate = issuer.child(Blank("OCSP", extended_usages=usages, **(over if flaw == "expired" else {})))
    response = delegated(pki.cpo_sub_ca2, pki.cpo_sub_ca1, delegate)
    assert refused(response, pki.cpo_sub_ca2, pki.cpo_sub_ca1, at) is OcspFault.BAD_SIGNATURE


def test_staples_and_what_is_due(pki, at, cache) -> None:
    entities = [pki.cpo_sub_ca2, pki.cpo_sub_ca1, pki.v2g_root]
    path = [entity.certificate for entity in entities]
    assert cache.staples(path, at) == (None, None)
    assert len(cache.due(path, at)) == 2
    response = Responder([]).status_of(path[0], pki.cpo_sub_ca1)
    cache.put(response, path[0], path[1], at)
    assert cache.staples(path, at) == (response, None)
    assert cache.due(path, at) == [(path[1], path[2])]
    later = at + timedelta(hours=30)
    assert cache.staples(path, later) == (response, None)
    assert len(cache.due(path, later)) == 2
    assert cache.staples(path, at + timedelta(days=3)) == (None, None)


def test_identity_without_a_known_root_is_left_alone(secc, cache, at) -> None:
    bare = replace(secc, root_der=None)
    assert cache.stapled(bare, at) is bare


def test_a_file_gone_bad_is_not_stapled(pki, at, cache, tmp_path) -> None:
    certificate, issuer = pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1.certificate
    cache.put(Responder([]).status_of(certificate, pki.cpo_sub_ca1), certificate, issuer, at)
    (file,) = (tmp_path / "ocsp").glob("*.ocsp")
    file.write_bytes(b"junk")
    assert cache.held(certificate, issuer, at) is None


def test_responder_over_http(pki, at) -> None:
    certificate, issuer = pki.cpo_sub_ca2.certificate, pki.cpo_sub_ca1.certificate
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA256()).build()
    with OcspServer(Responder([pki.v2g_root, pki.cpo_sub_ca1])) as server:

        def ask(body: bytes) -> bytes:
            with urlopen(Request(server.url, body)) as answer:
                return answer.read()

        assert station.check(ask(request.public_bytes(Encoding.DER)), certificate, issuer, at)
        stranger = ocsp.OCSPRequestBuilder().add_certificate(
            pki.contract.certificate, pki.mo_sub_ca2.certificate, SHA256()
        )
        unknown = ocsp.load_der_ocsp_response(ask(stranger.build().public_bytes(Encoding.DER)))
        assert unknown.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
        assert isinstance(x509.ocsp.load_der_ocsp_response(ask(b"junk")), ocsp.OCSPResponse)
