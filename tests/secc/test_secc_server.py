"""The server on a real cable: SDP, TCP, TLS, one vehicle at a time."""

import asyncio
import resource
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hal.quantities import EvseId
from secc.exi import Namespace, decode
from secc.ports import (
    Authorization,
    EndReason,
    MessageAnswered,
    PausedSession,
    PowerWanted,
    SeccFact,
    SessionSetUp,
    TlsEstablished,
    TlsUnavailable,
    V2GEnded,
)
from secc.sdp import MULTICAST_GROUP, PORT, SdpRequest, SdpResponse, Security
from secc.server import SeccServer
from secc.v2gtp import HEADER, Frame, PayloadType
from tests.secc.private_net import EVCC, SECC, run_in_private_net
from tests.secc.support import (
    AUTHORIZATION,
    CHARGE_PARAMETERS,
    EVCC_ID,
    ISO_2_WISH,
    PAYMENT_DETAILS,
    VIEW,
    Response,
    StubCertificates,
    app_protocol_req,
    certificate,
    make_key,
    message,
    power,
    reading,
    selection,
    signature_of,
)

EV_MAC = "02:00:00:00:02:01"


class Station:
    """The server with everything it is given from outside, and what it reported."""

    def __init__(self, interface: str = SECC, **options: object) -> None:
        self.view = VIEW
        self.facts: list[SeccFact] = []
        self._reported = asyncio.Event()
        arguments: dict = {
            "tls": None,
            "allow_plain_tcp": True,
            "view": lambda: self.view,
            "certificates": StubCertificates(),
            "report": self._report,
            "wall_clock": lambda: datetime.now(UTC),
        }
        self.server = SeccServer(EvseId(1), interface, **{**arguments, **options})

    def _report(self, fact: SeccFact) -> None:
        self.facts.append(fact)
        self._reported.set()

    def change(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)
        self.server.view_changed()

    def facts_of(self, kind: type) -> list:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 3.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._reported.clear()
                await self._reported.wait()

    async def ended(self) -> V2GEnded:
        await self.until(lambda: bool(self.facts_of(V2GEnded)))
        return self.facts_of(V2GEnded)[-1]


@asynccontextmanager
async def station(kind: type["Station"] = Station, **options: object) -> AsyncIterator[Station]:
    made = kind(**options)
    await made.server.start()
    made.server.link_ready(EV_MAC)
    try:
        yield made
    finally:
        await made.server.stop()


async def discover(security: Security, timeout_s: float = 0.5, asked_on: str = EVCC) -> SdpResponse | None:
    """Ask on the vehicle's end of the cable; None is silence."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        index = socket.if_nametoindex(asked_on)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        sock.sendto(SdpRequest(security).to_bytes(), (MULTICAST_GROUP, PORT, 0, index))
        try:
            async with asyncio.timeout(timeout_s):
                return SdpResponse.from_bytes(await loop.sock_recv(sock, 64))
        except TimeoutError:
            return None


class Vehicle:
    """A scripted vehicle over a real connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.session_id = "00" * 8

    @classmethod
    async def connect(cls, found: SdpResponse, context: ssl.SSLContext | None = None, over: str = EVCC) -> "Vehicle":
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        sock.setblocking(False)
        address = (str(found.address), found.port, 0, socket.if_nametoindex(over))
        await asyncio.get_running_loop().sock_connect(sock, address)
        name = "" if context else None
        return cls(*await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name))

    def write(self, payload: bytes) -> None:
        self.writer.write(Frame(PayloadType.EXI, payload).to_bytes())

    async def read(self) -> bytes:
        async with asyncio.timeout(3):
            _, _, _, length = HEADER.unpack(await self.reader.readexactly(HEADER.size))
            return await self.reader.readexactly(length)

    async def negotiate(self) -> str:
        self.write(app_protocol_req(ISO_2_WISH))
        return decode(Namespace.SAP, await self.read())["supportedAppProtocolRes"]["ResponseCode"]

    async def ask(self, name: str, elements: dict | None = None, signature: dict | None = None) -> Response:
        self.write(message(name, elements or {}, self.session_id, signature))
        return Response.of(await self.read())

    async def set_up(self) -> Response:
        await self.negotiate()
        response = await self.ask("SessionSetupReq", {"EVCCID": EVCC_ID})
        self.session_id = response.session_id
        return response

    async def closed(self) -> bool:
        async with asyncio.timeout(8):
            return await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ssl.SSLError, ConnectionError):
            await self.writer.wait_closed()


def server_context(folder: Path) -> ssl.SSLContext:
    key = make_key()
    pem = ssl.DER_cert_to_PEM_cert(certificate("SECC", key, "CPO")).encode()
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "secc.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "secc.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def vehicle_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


def test_a_plug_and_charge_session_over_tls(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        context = server_context(tmp_path)
        async with station(tls=lambda: context, allow_plain_tcp=False) as here:
            found = await discover(Security.TLS)
            assert found is not None
            assert found.security is Security.TLS
            assert found.address.is_link_local
            car = await Vehicle.connect(found, vehicle_context())
            assert (await car.set_up()).code == "OK_NewSessionEstablished"
            offered = await car.ask("ServiceDiscoveryReq")
            assert offered.elements["PaymentOptionList"]["PaymentOption"][0] == "Contract"
            await car.ask("PaymentServiceSelectionReq", selection("Contract"))
            details = await car.ask("PaymentDetailsReq", PAYMENT_DETAILS)
            proof = {**AUTHORIZATION, "GenChallenge": details.elements["GenChallenge"]}
            signature = signature_of("AuthorizationReq", proof)
            ongoing = await car.ask("AuthorizationReq", proof, signature)
            assert ongoing.elements["EVSEProcessing"] == "Ongoing"
            here.change(authorization=Authorization.ACCEPTED)
            assert (await car.ask("AuthorizationReq", proof, signature)).elements["EVSEProcessing"] == "Finished"
            assert (await car.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS)).code == "OK"
            start = asyncio.create_task(car.ask("PowerDeliveryReq", power("Start")))
            await here.until(lambda: PowerWanted(True) in here.facts)
            here.change(contactor_closed=True, meter=reading(5.0))
            assert (await start).code == "OK"
            assert (await car.ask("ChargingStatusReq")).elements["MeterInfo"]["MeterReading"] == 5
            assert (await car.ask("PowerDeliveryReq", power("Stop"))).code == "OK"
            assert (await car.ask("SessionStopReq", {"ChargingSession": "Terminate"})).code == "OK"
            assert (await here.ended()).reason is EndReason.TERMINATED
            await car.close()
            (tls,) = here.facts_of(TlsEstablished)
            assert tls.version == "TLSv1.2"
            assert tls.took_s > 0
            took = [fact.took_s for fact in here.facts_of(MessageAnswered) if fact.request == "ChargingStatusReq"]
            assert 0 < took[0] < 0.1

    cable(session)


def test_plain_tcp_where_it_is_allowed_and_silence_where_not(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        async with station():
            found = await discover(Security.NONE)
            assert found is not None
            car = await Vehicle.connect(found)
            await car.set_up()
            services = await car.ask("ServiceDiscoveryReq")
            assert services.elements["PaymentOptionList"] == {"PaymentOption": ["ExternalPayment"]}
            await car.close()
        context = server_context(tmp_path)
        async with station(tls=lambda: context, allow_plain_tcp=False) as here:
            assert await discover(Security.NONE) is None
            assert here.server.sdp_refused == {"security not offered": 1}

    cable(session)


def test_the_tls_context_is_asked_for_by_link_and_connection_not_by_request(cable: Callable, tmp_path: Path) -> None:
    made = server_context(tmp_path)
    asked = []

    def context() -> ssl.SSLContext:
        asked.append(1)
        return made

    async def session() -> None:
        async with station(tls=context):
            for _ in range(4):
                found = await discover(Security.TLS)
            assert len(asked) == 1
            car = await Vehicle.connect(found, vehicle_context())
            await car.set_up()
            assert len(asked) == 2
            await car.close()

    cable(session)


def test_tls_that_cannot_be_had_is_silence_not_plain_tcp(cable: Callable) -> None:
    def broken() -> ssl.SSLContext:
        raise TlsUnavailable("no key")

    async def session() -> None:
        async with station(tls=broken, allow_plain_tcp=True):
            assert await discover(Security.TLS) is None
            assert (await discover(Security.NONE)).security is Security.NONE

    cable(session)


def test_tls_lost_after_discovery_ends_the_attempt(cable: Callable, tmp_path: Path) -> None:
    contexts: list[ssl.SSLContext] = []

    def fragile() -> ssl.SSLContext:
        if not contexts:
            raise TlsUnavailable("the TPM does not answer")
        return contexts.pop()

    async def session() -> None:
        contexts.append(server_context(tmp_path))
        async with station(tls=fragile) as here:
            found = await discover(Security.TLS)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await Vehicle.connect(found, vehicle_context())
            assert await here.ended() == V2GEnded("", EndReason.TLS_FAILED, "no TLS context")

    cable(session)


def test_no_answer_before_the_link_is_ready_nor_after_it_is_down(cable: Callable) -> None:
    async def session() -> None:
        here = Station()
        await here.server.start()
        assert await discover(Security.NONE, 0.2) is None
        here.server.link_ready(EV_MAC)
        found = await discover(Security.NONE)
        car = await Vehicle.connect(found)
        await car.set_up()
        here.server.link_down()
        assert (await here.ended()).reason is EndReason.LINK_DOWN
        assert await car.closed()
        assert await discover(Security.NONE, 0.2) is None
        here.server.link_ready(EV_MAC)
        assert (await discover(Security.NONE)).port == found.port
        assert here.server.ports == (0, found.port)
        await car.close()
        await here.server.stop()

    cable(session)


def test_a_second_vehicle_is_refused_and_the_first_goes_on(cable: Callable) -> None:
    async def session() -> None:
        async with station() as here:
            found = await discover(Security.NONE)
            first = await Vehicle.connect(found)
            await first.set_up()
            second = await Vehicle.connect(found)
            assert await second.closed()
            assert (await first.ask("ServiceDiscoveryReq")).code == "OK"
            assert not here.facts_of(V2GEnded)
            await first.close()
            await second.close()
            await here.ended()
            third = await Vehicle.connect(found)
            assert (await third.set_up()).code == "OK_NewSessionEstablished"
            await third.close()

    cable(session)


def test_bytes_one_by_one_and_two_messages_in_one_segment(cable: Callable) -> None:
    async def session() -> None:
        async with station():
            car = await Vehicle.connect(await discover(Security.NONE))
            for byte in Frame(PayloadType.EXI, app_protocol_req(ISO_2_WISH)).to_bytes():
                car.writer.write(bytes((byte,)))
                await car.writer.drain()
            await car.read()
            car.session_id = (await car.ask("SessionSetupReq", {"EVCCID": EVCC_ID})).session_id
            payloads = [
                message("ServiceDiscoveryReq", {}, car.session_id),
                message("PaymentServiceSelectionReq", selection("ExternalPayment"), car.session_id),
            ]
            car.writer.write(b"".join(Frame(PayloadType.EXI, payload).to_bytes() for payload in payloads))
            assert Response.of(await car.read()).name == "ServiceDiscoveryRes"
            assert Response.of(await car.read()).name == "PaymentServiceSelectionRes"
            await car.close()

    cable(session)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x01\xfe\x80\x01\xff\xff\xff\xff", b"\x01\xfe\x80\x01\x00\x00\x00\x03abc"],
    ids=["not V2GTP", "4 GB announced", "not EXI"],
)
def test_garbage_ends_its_own_connection_and_the_next_is_served_at_once(cable: Callable, garbage: bytes) -> None:
    async def session() -> None:
        async with station() as here:
            found = await discover(Security.NONE)
            bad = await Vehicle.connect(found)
            bad.writer.write(garbage)
            assert await bad.closed()
            assert (await here.ended()).reason is EndReason.PROTOCOL_ERROR
            await bad.close()
            before = asyncio.get_running_loop().time()
            car = await Vehicle.connect(await discover(Security.NONE))
            await car.set_up()
            assert asyncio.get_running_loop().time() - before < 1.0
            await car.close()

    cable(session)


def test_failed_handshakes_are_facts_and_the_next_vehicle_charges(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        context = server_context(tmp_path)
        async with station(tls=lambda: context) as here:
            found = await discover(Security.TLS)
            for _ in range(3):
                bad = await Vehicle.connect(found)
                bad.writer.write(b"not a ClientHello at all")
                await bad.closed()
                await bad.close()
            await here.until(lambda: len(here.facts_of(V2GEnded)) == 3)
            assert {fact.reason for fact in here.facts_of(V2GEnded)} == {EndReason.TLS_FAILED}
            car = await Vehicle.connect(found, vehicle_context())
            assert (await car.set_up()).code == "OK_NewSessionEstablished"
            await car.close()

    cable(session)


def test_a_vehicle_that_never_closes_is_closed_and_delays_nobody(
    cable: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secc.v2g.conversation.CLOSE_TIMEOUT_S", 0.3)

    async def session() -> None:
        async with station() as here:
            found = await discover(Security.NONE)
            first = await Vehicle.connect(found)
            await first.set_up()
            await first.ask("SessionStopReq", {"ChargingSession": "Pause"})
            assert (await here.ended()).reason is EndReason.PAUSED
            (paused,) = here.facts_of(PausedSession)
            again = await Vehicle.connect(found)
            again.session_id = paused.session_id
            assert (await again.set_up()).code == "OK_OldSessionJoined"
            await again.ask("SessionStopReq", {"ChargingSession": "Terminate"})
            assert await again.closed()
            await first.close()
            await again.close()

    cable(session)


def test_without_a_session_in_time_the_link_is_reported_useless(
    cable: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secc.server.COMMUNICATION_SETUP_TIMEOUT_S", 0.2)

    async def session() -> None:
        async with station() as here:
            assert (await here.ended()).reason is EndReason.SETUP_TIMEOUT
        async with station() as here:
            car = await Vehicle.connect(await discover(Security.NONE))
            await car.negotiate()
            assert (await here.ended()).reason is EndReason.SETUP_TIMEOUT
            assert await car.closed()
            await car.close()
        async with station() as here:
            car = await Vehicle.connect(await discover(Security.NONE))
            await car.set_up()
            await asyncio.sleep(0.3)
            assert not here.facts_of(V2GEnded)
            assert len(here.facts_of(SessionSetUp)) == 1
            await car.close()

    cable(session)


def test_an_address_that_comes_late_is_waited_for(cable: Callable) -> None:
    async def session() -> None:
        ip("-6", "addr", "flush", "dev", SECC)
        async with station():
            assert await discover(Security.NONE, 0.2) is None
            ip("addr", "add", "fe80::5ecc/64", "dev", SECC, "nodad")
            await asyncio.sleep(0.15)
            assert (await discover(Security.NONE)).address == IPv6Address("fe80::5ecc")

    cable(session)


def test_an_sdp_flood_is_throttled_and_tcp_stays_served(cable: Callable) -> None:
    async def session() -> None:
        async with station() as here:
            found = await discover(Security.NONE)
            answers = await asyncio.gather(*(discover(Security.NONE, 0.3) for _ in range(100)))
            answered = sum(answer is not None for answer in answers)
            assert answered <= 15
            # The kernel may drop some of a flood before we see them.
            assert 50 <= here.server.sdp_refused["too many requests"] <= 100 - answered
            car = await Vehicle.connect(found)
            assert (await car.set_up()).code == "OK_NewSessionEstablished"
            await car.close()

    cable(session)


def test_two_evses_in_one_process_do_not_hear_each_other(cable: Callable) -> None:
    """The two ends of the cable are two stations here: each answers what comes in on its own interface only."""

    async def session() -> None:
        async with station() as one:
            other = Station(interface=EVCC)
            await other.server.start()
            other.server.link_ready(EV_MAC)
            found = await discover(Security.NONE, asked_on=EVCC)
            back = await discover(Security.NONE, asked_on=SECC)
            assert found.port == one.server.ports[1]
            assert back.port == other.server.ports[1]
            first, second = await Vehicle.connect(found), await Vehicle.connect(back, over=SECC)
            await first.set_up()
            await second.set_up()
            assert first.session_id != second.session_id
            other.server.link_down()
            assert (await other.ended()).reason is EndReason.LINK_DOWN
            assert (await first.ask("ServiceDiscoveryReq")).code == "OK"
            assert not one.facts_of(V2GEnded)
            await first.close()
            await second.close()
            await other.server.stop()

    cable(session)


def test_a_vehicle_that_vanishes_in_the_handshake(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        context = server_context(tmp_path)
        async with station(tls=lambda: context) as here:
            found = await discover(Security.TLS)
            car = await Vehicle.connect(found)
            await asyncio.sleep(0.05)
            here.server.link_down()
            here.server.link_ready(EV_MAC)
            again = await Vehicle.connect(await discover(Security.TLS), vehicle_context())
            assert (await again.set_up()).code == "OK_NewSessionEstablished"
            await car.close()
            await again.close()

    cable(session)


def test_a_lost_vehicle_loses_its_power(cable: Callable) -> None:
    async def session() -> None:
        async with station() as here:
            here.change(authorization=Authorization.ACCEPTED, contactor_closed=True)
            car = await Vehicle.connect(await discover(Security.NONE))
            await car.set_up()
            await car.ask("ServiceDiscoveryReq")
            await car.ask("PaymentServiceSelectionReq", selection("ExternalPayment"))
            await car.ask("AuthorizationReq")
            await car.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS)
            assert (await car.ask("PowerDeliveryReq", power("Start"))).code == "OK"
            car.writer.transport.abort()
            assert (await here.ended()).reason is EndReason.CONNECTION_LOST
            assert here.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]

    cable(session)


@pytest.mark.parametrize("when", ["at a request", "at a timer", "at a change"])
def test_an_error_of_ours_ends_the_session_and_takes_the_power_back(cable: Callable, when: str) -> None:
    async def session() -> None:
        heard: list[dict] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        async with station() as here:
            here.change(authorization=Authorization.ACCEPTED)
            car = await Vehicle.connect(await discover(Security.NONE))
            await car.set_up()
            await car.ask("ServiceDiscoveryReq")
            await car.ask("PaymentServiceSelectionReq", selection("ExternalPayment"))
            await car.ask("AuthorizationReq")
            await car.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS)
            start = asyncio.create_task(car.ask("PowerDeliveryReq", power("Start")))
            await here.until(lambda: PowerWanted(True) in here.facts)
            broken = {"contactor_closed": True, "rcd_tripped": None}
            if when == "at a timer":
                here.view = replace(here.view, **broken)
            elif when == "at a change":
                with pytest.raises(ValueError, match="RCD"):
                    here.change(**broken)
            else:
                here.change(contactor_closed=True)
                await start
                here.change(**broken)
                car.write(message("ChargingStatusReq", {}, car.session_id))
            assert (await here.ended()).reason is EndReason.CONNECTION_LOST
            assert here.facts_of(PowerWanted)[-1] == PowerWanted(False)
            assert bool(heard) is (when != "at a change")
            await asyncio.gather(start, return_exceptions=True)
            await car.close()

    cable(session)


def test_no_file_descriptors_left_is_survived(cable: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secc.listener._PAUSE_S", 0.1)

    async def session() -> None:
        async with station():
            found = await discover(Security.NONE)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            sock.setblocking(False)
            address = (str(found.address), found.port, 0, socket.if_nametoindex(EVCC))
            used = highest_descriptor()
            resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
            try:
                held = [sock, *exhausted()]
                await asyncio.get_running_loop().sock_connect(sock, address)
                await asyncio.sleep(0.15)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for spare in held[1:]:
                spare.close()
            car = Vehicle(*await asyncio.open_connection(sock=sock))
            assert (await car.set_up()).code == "OK_NewSessionEstablished"
            await car.close()

    cable(session)


def highest_descriptor() -> int:
    return max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())


def exhausted() -> list[socket.socket]:
    """Sockets until no more can be had."""
    taken = []
    while True:
        try:
            taken.append(socket.socket())
        except OSError:
            return taken
