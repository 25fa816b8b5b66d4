"""A trace of a session over TLS, taken off a real interface: every packet, and the secrets before what they decrypt."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from certs.file import SoftwareKey
from certs.keystore import Origin
from certs.tls.identity import Identity
from certs.tls.vehicle import VehicleContext
from firmware.control.plc_capture import Capture, Captures, Ended
from firmware.control.rpc import RpcError
from firmware.control.v2g_trace import V2gSource
from sim.ev.link import Ending, drive
from sim.ev.tls import context_2
from sim.ev.wishes import Service, Speaks, Wishes
from sim.pki.authority import Blank
from sim.pki.pki import Pki, build
from tests.firmware.test_firmware_pcapng import blocks
from tests.secc.driven_station import DrivenStation
from tests.secc.private_net import EVCC, SECC, run_in_private_net
from tests.secc.test_secc_server import station

PACKET, SECRETS = 6, 10
IPV6, TCP = b"\x86\xdd", 6


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


def test_a_session_and_its_secrets(cable: Callable, pki: Pki, tmp_path: Path) -> None:
    leaf = pki.cpo_sub_ca2.child(Blank("SECCCert", "CPO"))
    context = VehicleContext([Identity(SoftwareKey("secc", leaf.key, Origin.FILE), tuple(leaf.chain_der))])
    key_log = tmp_path / "keys.log"
    taken: list[bytes] = []

    async def session() -> None:
        source = V2gSource(SECC, key_log)
        source.watch(taken.append)
        context.log_keys(key_log, 60.0)
        async with station(kind=DrivenStation, tls=lambda: context):
            outcome = await drive(Wishes(Speaks.ISO_2, Service.AC), EVCC, tls=context_2(pki.v2g_root.pem))
            assert outcome.ending is Ending.FINISHED, outcome.detail
            await asyncio.sleep(0.1)
        source.watch(None)
        context.stop_logging_keys()

    cable(session)
    assert not key_log.exists(), "the secrets are in the trace alone"
    found = [block for piece in taken for block in blocks(piece)]
    frames = [body[20:] for kind, body in found if kind == PACKET]
    assert all(frame[12:14] == IPV6 for frame in frames)
    segments = [index for index, (kind, body) in enumerate(found) if kind == PACKET and body[40] == TCP]
    assert len(segments) > 30
    # TLS application data begins with content type 23.
    payloads = [(index, _tcp_payload(found[index][1][20:])) for index in segments]
    first_data = next(index for index, payload in payloads if payload[:1] == b"\x17")
    secrets = [index for index, (kind, body) in enumerate(found) if kind == SECRETS and b"CLIENT_RANDOM " in body]
    assert secrets
    assert secrets[0] < first_data


def _tcp_payload(frame: bytes) -> bytes:
    segment = frame[54:]
    return segment[(segment[12] >> 4) * 4 :]


def test_a_capture_is_read_in_pages_and_ends(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        capture = Capture(1, V2gSource(SECC, tmp_path / "none.log"), 60)
        async with station(kind=DrivenStation):
            assert (await drive(Wishes(Speaks.ISO_2, Service.AC), EVCC)).ending is Ending.FINISHED
            await asyncio.sleep(0.1)
        first = await capture.page()
        assert first["frames"] > 30
        capture.end(Ended.STOPPED)
        while (await capture.page())["ended"] is None:
            pass
        assert capture.is_over

    cable(session)


def test_an_interface_that_is_not_there(tmp_path: Path) -> None:
    async def session() -> None:
        with pytest.raises(OSError, match="No such device"):
            V2gSource("none0", tmp_path / "keys.log")
        captures = Captures()
        with pytest.raises(OSError, match="No such device"):
            captures.start(1, lambda: V2gSource("none0", tmp_path / "keys.log"), 5)
        with pytest.raises(RpcError):
            captures.stop(1)

    asyncio.run(session())
