"""A websockets link to the CSMS, profile 3, its key in the TPM; and a certificate rotated under it."""

import ssl
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from certs.csr import Subject
from certs.keystore import Purpose
from certs.rotation import Rotation
from certs.tls.csms import SecurityProfile, client_context
from sim.pki.authority import Blank, Entity

SUBJECT = Subject("DE*EVS*E0001", "evsed", "DE")


def csms_context(pki, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.path("csms.chain.pem"), pki.path("csms.key"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.path("station_root.pem"))
    context.minimum_version = context.maximum_version = version
    return context


async def csms(connection: ServerConnection) -> None:
    """Answers every message with the serial number of the certificate it was shown."""
    shown = connection.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    async for _message in connection:
        await connection.send(shown)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_rotated_under_a_live_link(
    bench, store, pki, station, at: datetime, version: ssl.TLSVersion
) -> None:
    roots = [pki.csms_root.der]
    async with serve(csms, "127.0.0.1", 0, ssl=csms_context(pki, version)) as server:
        url = f"wss://localhost:{server.sockets[0].getsockname()[1]}"
        link = await connect(
            url, ssl=client_context(SecurityProfile.TLS_CLIENT_CERTIFICATE, roots, station), proxy=None
        )
        await link.send("who am I")
        first = await link.recv()

        rotation = Rotation(store, bench.keys, Purpose.CSMS)
        renewed = rotation.accept(pki.issue_station(rotation.begin(SUBJECT)).decode(), None, at)
        trial = await connect(
            url, ssl=client_context(SecurityProfile.TLS_CLIENT_CERTIFICATE, roots, renewed), proxy=None
        )
        await trial.send("who am I")
        second = await trial.recv()
        assert second != first

        await link.send("and I")
        assert await link.recv() == first
        rotation.retire(rotation.activate())
        await link.send("still I")
        assert await link.recv() == first
        await link.close()
        await trial.send("and after")
        assert await trial.recv() == second
        await trial.close()
    assert bench.keys.list() == [renewed.key.key_id]
    assert Rotation(store, bench.keys, Purpose.CSMS).identity().chain_der == renewed.chain_der


async def test_a_certificate_the_csms_does_not_take_is_given_up(bench, store, pki, station, at: datetime) -> None:
    """The new one is tried beside the link; refused, it is dropped, and the old one serves on."""
    roots = [pki.csms_root.der]
    server_context = csms_context(pki, ssl.TLSVersion.TLSv1_2)
    async with serve(csms, "127.0.0.1", 0, ssl=server_context) as server:
        url = f"wss://localhost:{server.sockets[0].getsockname()[1]}"
        rotation = Rotation(store, bench.keys, Purpose.CSMS)
        foreign = pki.cpo_sub_ca2
        request = rotation.begin(SUBJECT)
        leaf = foreign_leaf(foreign, request)
        renewed = rotation.accept(leaf, None, at)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(url, ssl=client_context(SecurityProfile.TLS_CLIENT_CERTIFICATE, roots, renewed), proxy=None)
        rotation.abandon()
        identity = rotation.identity()
        assert identity.chain_der == station.chain_der
        link = await connect(
            url, ssl=client_context(SecurityProfile.TLS_CLIENT_CERTIFICATE, roots, identity), proxy=None
        )
        await link.close()
    assert bench.keys.list() == [station.key.key_id]


def foreign_leaf(issuer, request: bytes) -> str:
    blank = Blank("DE*EVS*E0001", extended_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    certificate = issuer.issue(blank, x509.load_pem_x509_csr(request).public_key())
    return Entity(certificate, issuer=issuer).chain_pem.decode()
