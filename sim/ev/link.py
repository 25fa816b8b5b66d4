"""A scripted vehicle on a cable: SECC discovery, TCP, TLS, and the script's requests with its manners."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from secc.sdp import MULTICAST_GROUP, PORT, SdpRequest, SdpResponse, Security
from secc.v2gtp import Frame, V2gtpReader
from sim.ev import din, iso2, iso20
from sim.ev.iso20 import NotAuthorized
from sim.ev.manners import Manners
from sim.ev.script import Ask, Pause, Power, Refused, Reply, Script
from sim.ev.wire import Tongue, app_protocol_reply, app_protocol_request, tongue_of
from sim.ev.wishes import Speaks, Told, Wishes

SDP_RETRY_S = 0.25
SDP_TRIES = 50
RESPONSE_TIMEOUT_S = 10.0

SCRIPTS: dict[Speaks, Callable[[Wishes, Told], Script]] = {
    Speaks.DIN: din.session,
    Speaks.ISO_2: iso2.session,
    Speaks.ISO_20: iso20.session,
}


class Ending(Enum):
    FINISHED = "the whole script"
    REFUSED = "a FAILED response"
    NOT_AUTHORIZED = "authorization refused"
    NOT_DISCOVERED = "no SDP response"
    NOT_CONNECTED = "no TCP or TLS connection"
    NOT_NEGOTIATED = "no common protocol"
    LOST = "connection lost"
    LEFT = "left by its own manners"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, when it was sent and answered (monotonic), and the response's code."""

    name: str
    sent_s: float
    answered_s: float
    code: str


@dataclass(slots=True)
class Outcome:
    ending: Ending = Ending.LOST
    detail: str = ""
    began_s: float = 0.0
    connected_s: float = 0.0
    tls_version: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    told: Told = field(default_factory=Told)


PowerPath = Callable[[bool], Awaitable[None]]
Heard = Callable[[Exchange, Reply], None]


async def _no_power_path(_on: bool) -> None:
    """Nothing hangs on the cable's other wires."""


def _unheard(_exchange: Exchange, _reply: Reply) -> None:
    """Nobody listens."""


async def drive(
    wishes: Wishes,
    interface: str,
    *,
    tls: ssl.SSLContext | None = None,
    also: tuple[Tongue, ...] = (),
    manners: Manners | None = None,
    power: PowerPath = _no_power_path,
    heard: Heard = _unheard,
) -> Outcome:
    """One session to its end, whatever that is. `also` are protocols it would rather speak."""
    car = _Car(wishes, manners or Manners(), power, heard)
    car.outcome.began_s = time.monotonic()
    found = await discover(interface, Security.TLS if tls else Security.NONE)
    if found is None:
        return car.end(Ending.NOT_DISCOVERED)
    try:
        await car.connect(found, interface, tls)
    except (OSError, ssl.SSLError) as error:
        return car.end(Ending.NOT_CONNECTED, str(error))
    try:
        return await car.run(also)
    except Refused as refused:
        return car.end(Ending.REFUSED, str(refused))
    except NotAuthorized as refused:
        return car.end(Ending.NOT_AUTHORIZED, str(refused))
    except (OSError, EOFError, TimeoutError) as error:
        return car.end(Ending.LOST, str(error) or type(error).__name__)
    finally:
        await car.close()


async def discover(interface: str, security: Security) -> SdpResponse | None:
    """Ask until the station answers; None if it never does."""
    loop = asyncio.get_running_loop()
    index = socket.if_nametoindex(interface)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    transport, heard = await loop.create_datagram_endpoint(_Answers, sock=sock)
    try:
        for _ in range(SDP_TRIES):
            transport.sendto(SdpRequest(security).to_bytes(), (MULTICAST_GROUP, PORT, 0, index))
            done, _ = await asyncio.wait({heard.first}, timeout=SDP_RETRY_S)
            if done:
                return SdpResponse.from_bytes(heard.first.result())
    finally:
        transport.close()
    return None


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _source: object) -> None:
        if not self.first.done():
            self.first.set_result(data)


class _Left(Exception):
    """The vehicle goes, by its manners."""


class _Car:
    def __init__(self, wishes: Wishes, manners: Manners, power: PowerPath, heard: Heard) -> None:
        self.outcome = Outcome()
        self._wishes = wishes
        self._manners = manners
        self._power = power
        self._heard = heard
        self._tongue = tongue_of(wishes.speaks, wishes.service)
        self._frames = V2gtpReader()
        self._arrived: list[Frame] = []
        self._disordered = False

    def end(self, ending: Ending, detail: str = "") -> Outcome:
        self.outcome.ending, self.outcome.detail = ending, detail
        return self.outcome

    async def connect(self, found: SdpResponse, interface: str, tls: ssl.SSLContext | None) -> None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            address = (str(found.address), found.port, 0, socket.if_nametoindex(interface))
            await asyncio.get_running_loop().sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = "" if tls else None
            self._reader, self._writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        if tls is not None:
            self.outcome.tls_version = self._writer.get_extra_info("ssl_object").version() or ""
        self.outcome.connected_s = time.monotonic()

    async def run(self, also: tuple[Tongue, ...]) -> Outcome:
        if not await self._negotiate([*also, self._tongue]):
            return self.end(Ending.NOT_NEGOTIATED)
        self.outcome.told.session_id = self._wishes.paused_session or bytes(8)
        script = SCRIPTS[self._wishes.speaks](self._wishes, self.outcome.told)
        reply: Reply | None = None
        try:
            while True:
                step = script.send(reply)
                reply = await self._perform(step)
        except StopIteration:
            return self.end(Ending.FINISHED)
        except _Left as left:
            return self.end(Ending.LEFT, str(left))

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (OSError, TimeoutError, ssl.SSLError):
            pass

    async def _negotiate(self, tongues: list[Tongue]) -> bool:
        sent_s = time.monotonic()
        self._writer.write(app_protocol_request(tongues).to_bytes())
        reply = app_protocol_reply(await self._receive())
        self._note("supportedAppProtocolReq", sent_s, reply)
        return reply.code.startswith("OK") and reply.elements.get("SchemaID") == len(tongues)

    async def _perform(self, step: Ask | Power | Pause) -> Reply | None:
        match step:
            case Pause(seconds):
                if seconds:
                    await asyncio.sleep(seconds)
            case Power():
                await self._power(step is Power.ON)
            case Ask():
                return await self._ask(step)
        return None

    async def _ask(self, ask: Ask) -> Reply:
        manners = self._manners
        before, other = manners.out_of_order
        if ask.name == before and not self._disordered:
            self._disordered = True
            ask = Ask(other, ask.elements if other == before else {})
        await asyncio.sleep(manners.think_s)
        sent_s = time.monotonic()
        octets = self._tongue.write(ask, self.outcome.told.session_id).to_bytes()
        twice = ask.name == manners.twice
        await self._send(octets * 2 if twice else octets)
        if ask.name == manners.leaves_before_response:
            raise _Left(f"before the response to {ask.name}")
        reply = self._tongue.read(await self._receive())
        self._note(ask.name, sent_s, reply)
        if twice:
            reply = self._tongue.read(await self._receive())
            self._note(ask.name, sent_s, reply)
        if ask.name == manners.leaves_after:
            raise _Left(f"after {ask.name}")
        if ask.name == manners.silent_after:
            await self._reader.read()
            raise _Left(f"silent after {ask.name}")
        return reply

    async def _send(self, octets: bytes) -> None:
        if not self._manners.one_byte_segments:
            self._writer.write(octets)
            return
        for octet in octets:
            self._writer.write(bytes((octet,)))
            await self._writer.drain()
            await asyncio.sleep(0)

    async def _receive(self) -> Frame:
        async with asyncio.timeout(RESPONSE_TIMEOUT_S):
            while not self._arrived:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError("closed by the station")
                self._arrived += self._frames.feed(data)
        return self._arrived.pop(0)

    def _note(self, name: str, sent_s: float, reply: Reply) -> None:
        exchange = Exchange(name, sent_s, time.monotonic(), reply.code)
        self.outcome.exchanges.append(exchange)
        self._heard(exchange, reply)
