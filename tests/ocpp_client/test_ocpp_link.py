"""The WebSocket under bad conditions: refused, half open, wrong protocol, TLS of all three security profiles."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ocpp_client.link import MAX_UNSENT, BackOff, Endpoint, Link
from ocpp_client.ports import SecurityEvent
from sim.csms.server import Csms, Tls

Until = Callable[..., Any]


class User:
    def __init__(self) -> None:
        self.ups = 0
        self.downs: list[str] = []
        self.failures: list[tuple[str, int]] = []
        self.events: list[SecurityEvent | None] = []
        self.frames: list[str | bytes] = []

    def link_up(self) -> None:
        self.ups += 1

    def link_down(self, reason: str) -> None:
        self.downs.append(reason)

    def frame_received(self, frame: str | bytes) -> None:
        self.frames.append(frame)

    def connect_failed(self, reason: str, attempts: int, event: SecurityEvent | None) -> None:
        self.failures.append((reason, attempts))
        self.events.append(event)


class Rig:
    """A link that can be pointed anywhere."""

    def __init__(self) -> None:
        self.user = User()
        self.endpoint = Endpoint("ws://127.0.0.1:1", "CS-1")
        self.ping_s = 0.0
        self.link = Link(self.user, lambda: self.endpoint, lambda: BackOff(0.01, 0.0, 0), lambda: self.ping_s)
        self._task: asyncio.Task[None] | None = None

    def run(self, url: str, **more: Any) -> None:
        self.endpoint = Endpoint(url, "CS-1", **more)
        self._task = asyncio.create_task(self.link.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.stop()


def test_the_wait_doubles_as_often_as_told_and_no_more() -> None:
    back_off = BackOff(10.0, 0.0, 3)
    assert [back_off.wait_s(failures) for failures in range(1, 7)] == [10.0, 20.0, 40.0, 80.0, 80.0, 80.0]
    spread = BackOff(10.0, 5.0, 0)
    waits = [spread.wait_s(1) for _ in range(200)]
    assert min(waits) >= 10.0
    assert max(waits) <= 15.0
    assert max(waits) - min(waits) > 2.0
    assert BackOff(1.0, 0.0, 20).wait_s(10**9) == 2**20, "a station may fail for ever"


def test_the_identity_is_part_of_the_url_and_of_the_credentials() -> None:
    endpoint = Endpoint("wss://csms/ocpp/", "CS 1/ü", "secret")
    assert endpoint.full_url == "wss://csms/ocpp/CS%201%2F%C3%BC"
    assert endpoint.headers()["Authorization"].startswith("Basic ")
    assert Endpoint("ws://csms", "CS-1").headers() == {}


async def test_it_tries_for_ever_and_connects_when_there_is_somebody(rig: Rig, wait_until: Until) -> None:
    csms = Csms()
    await csms.start()
    url = csms.url
    await csms.stop()
    rig.run(url)
    await wait_until(lambda: len(rig.user.failures) >= 5)
    assert [attempts for _, attempts in rig.user.failures[:5]] == [1, 2, 3, 4, 5]
    await csms.start()
    await wait_until(lambda: rig.link.up)
    rig.link.send('[2,"1","Heartbeat",{}]')
    await wait_until(lambda: rig.user.frames)
    await csms.stop()
    await wait_until(lambda: rig.user.downs)
    assert not rig.link.up
    rig.link.send("lost")
    assert rig.link.counts["frame dropped"] == 1


@pytest.mark.parametrize("url", ["ws://no-such-host.invalid", "ws://127.0.0.1:99999", "ws://", "http://127.0.0.1"])
async def test_a_url_that_leads_nowhere_is_a_failure_like_any_other(rig: Rig, wait_until: Until, url: str) -> None:
    rig.run(url)
    await wait_until(lambda: len(rig.user.failures) >= 2)


async def test_a_csms_that_speaks_another_version_is_left(rig: Rig, wait_until: Until) -> None:
    async with Csms(subprotocols=["ocpp1.6"]) as csms:
        rig.run(csms.url)
        await wait_until(lambda: len(rig.user.failures) >= 2)
    assert rig.user.ups == 0


async def test_a_csms_that_names_no_subprotocol_is_left(rig: Rig, wait_until: Until) -> None:
    async with Csms(subprotocols=[]) as csms:
        rig.run(csms.url)
        await wait_until(lambda: len(rig.user.failures) >= 2)
    assert rig.user.ups == 0


async def test_what_answers_no_websocket_is_a_failure(rig: Rig, wait_until: Until) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(web, "127.0.0.1", 0)
    async with server:
        rig.run(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await wait_until(lambda: rig.user.failures)


async def test_a_peer_gone_silent_is_found_by_pings(rig: Rig, wait_until: Until) -> None:
    """TCP half open: a proxy that stops forwarding and closes nothing."""
    async with Csms() as csms:
        silent = asyncio.Event()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(4096):
                if not silent.is_set():
                    writer.write(data)

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", csms.port)
            try:
                await asyncio.gather(forward(reader, up_writer), forward(up_reader, writer), return_exceptions=True)
            finally:
                up_writer.close()
                writer.close()

        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        rig.ping_s = 0.3
        rig.run(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await wait_until(lambda: rig.link.up)
        silent.set()
        begun = asyncio.get_running_loop().time()
        await wait_until(lambda: rig.user.downs)
        took_s = asyncio.get_running_loop().time() - begun
        # Ping interval, pong timeout, one second to close; the rest is for a busy machine.
        assert took_s < 0.3 + 0.3 + 1.0 + 1.0
        await rig.stop()
        server.close()
        await server.wait_closed()


async def test_the_ping_interval_changes_live(rig: Rig, wait_until: Until) -> None:
    async with Csms() as csms:
        rig.link.set_ping_interval(5.0)
        rig.ping_s = 600.0
        rig.run(csms.url)
        await wait_until(lambda: rig.link.up)
        rig.link.set_ping_interval(7.0)
        assert rig.link._socket is not None
        assert (rig.link._socket.ping_interval, rig.link._socket.ping_timeout) == (7.0, 7.0)


async def test_it_can_be_dropped_and_comes_back(rig: Rig, wait_until: Until) -> None:
    async with Csms() as csms:
        await rig.link.drop("nothing yet")
        rig.run(csms.url)
        await wait_until(lambda: rig.link.up)
        await rig.link.drop("new endpoint")
        await wait_until(lambda: rig.user.ups == 2)


async def test_a_peer_that_does_not_read_costs_bounded_memory(rig: Rig, wait_until: Until) -> None:
    async with Csms() as csms:
        rig.run(csms.url)
        await wait_until(lambda: rig.link.up)
        for _ in range(MAX_UNSENT + 50):
            rig.link.send("x")
        assert rig.link.counts["frame dropped"] == 50


async def test_a_frame_of_megabytes_ends_the_link_and_it_comes_back(rig: Rig, wait_until: Until) -> None:
    async with Csms() as csms:
        rig.run(csms.url)
        await wait_until(lambda: rig.link.up)
        await csms.send_raw("x" * (2 << 20))
        await wait_until(lambda: rig.user.ups == 2)
        assert "1009" in rig.user.downs[0]


# --- TLS ---


class Pki:
    """A CA, a server and a station certificate."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._issue("Root", None, self._ca_key)
        self.server = self._leaf("127.0.0.1")
        self.station = self._leaf("CS-1")

    def _issue(self, name: str, issuer: x509.Certificate | None, key: ec.EllipticCurvePrivateKey) -> Path:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        if name == "127.0.0.1":
            import ipaddress

            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._ca_key, hashes.SHA256())
        if issuer is None:
            self._ca_certificate = certificate
        path = self._directory / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _leaf(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._directory / f"{name}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return self._issue(name, self._ca_certificate, key), path

    def client(self, *, with_certificate: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if with_certificate:
            context.load_cert_chain(*self.station)
        return context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


async def test_security_profile_1_is_basic_auth(rig: Rig, wait_until: Until) -> None:
    async with Csms(password="0123456789abcdef") as csms:
        rig.run(csms.url, password="wrong")
        await wait_until(lambda: rig.user.failures)
        assert "401" in rig.user.failures[0][0]
        rig.endpoint = Endpoint(csms.url, "CS-1", "0123456789abcdef")
        await wait_until(lambda: rig.link.up)


async def test_security_profile_2_is_tls_with_basic_auth(rig: Rig, wait_until: Until, pki: Pki) -> None:
    async with Csms(password="0123456789abcdef", tls=Tls(*pki.server)) as csms:
        rig.run(csms.url, password="0123456789abcdef", tls=ssl.create_default_context())
        await wait_until(lambda: rig.user.failures)
        assert "certificate verify failed" in rig.user.failures[0][0]
        rig.endpoint = Endpoint(csms.url, "CS-1", "0123456789abcdef", pki.client(with_certificate=False))
        await wait_until(lambda: rig.link.up)


async def test_security_profile_3_is_mutual_tls(rig: Rig, wait_until: Until, pki: Pki) -> None:
    async with Csms(tls=Tls(*pki.server, client_ca=pki.ca)) as csms:
        rig.run(csms.url, tls=pki.client(with_certificate=False))
        await wait_until(lambda: rig.user.failures or rig.user.downs)
        rig.endpoint = Endpoint(csms.url, "CS-1", tls=pki.client(with_certificate=True))
        await wait_until(lambda: csms.stations == ["CS-1"])


async def test_a_host_that_never_answers_does_not_block_the_loop(
    rig: Rig, wait_until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpp_client.link._OPEN_TIMEOUT_S", 0.1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        rig.run(f"ws://127.0.0.1:{listener.getsockname()[1]}")
        await wait_until(lambda: len(rig.user.failures) >= 2)
