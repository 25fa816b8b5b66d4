"""One EVSE's SECC on a loop of its own, and its certificate questions answered by `certs`."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509

from certs import contract as contracts
from certs.contract import ContractRefusal
from certs.tls.loop import LoopThread
from firmware import config
from firmware.vehicle_tls import VehicleTls
from secc.ports import Contract, ContractFault, OcspHashData
from secc.server import SeccServer
from secc.v2g.din.wire import DIN_70121
from secc.v2g.iso2.wire import ISO_15118_2
from secc.v2g.protocol import Protocol
from secc.v2g.protocols import ISO_15118_20

log = logging.getLogger(__name__)


PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "din-70121": (DIN_70121,),
    "iso15118-2": (ISO_15118_2,),
    "iso15118-20": ISO_15118_20,
}


def protocols_of(settings: config.Evse) -> list[Protocol]:
    """What this EVSE offers; in a laboratory ISO 15118-20 over any connection there is."""
    offered = [protocol for name in settings.protocols for protocol in PROTOCOLS[name]]
    if not settings.lab_iso15118_20_without_mutual_tls:
        return offered
    log.warning("evse %d: LAB SWITCH: ISO 15118-20 without mutual TLS 1.3", settings.id)
    return [replace(protocol, only_mutual_tls_13=False) for protocol in offered]


class SeccSide:
    """Implements `firmware.ports.SeccControl`."""

    def __init__(self, loop: LoopThread, server: SeccServer, tls: VehicleTls) -> None:
        self._loop = loop
        self._server = server
        self._tls = tls

    def open(self, ev_mac: bytes) -> None:
        self._loop.call(partial(self._server.link_ready, ev_mac.hex(":")))

    def close(self) -> None:
        self._loop.call(self._server.link_down)

    def view_changed(self) -> None:
        self._loop.call(self._server.view_changed)

    async def log_keys(self, file: Path, duration_s: float) -> None:
        await asyncio.to_thread(self._tls.log_keys, file, duration_s)


class ContractCertificates:
    """Implements `secc.ports.Certificates` against the roots the station trusts for contracts just then.

    While `central` holds the operator verifies contracts whose root the station does not have.
    """

    def __init__(
        self, roots: Callable[[], Sequence[x509.Certificate]], central: Callable[[], bool] = lambda: False
    ) -> None:
        self._roots = roots
        self._central = central

    def check_contract(self, chain_der: Sequence[bytes], emaid: str, at: datetime) -> Contract | ContractFault:
        verdict = contracts.check_contract(chain_der, emaid, self._roots(), at, central=self._central())
        if isinstance(verdict, ContractRefusal):
            return ContractFault[verdict.fault.name]
        ocsp = tuple(
            OcspHashData(item.issuer_name_hash, item.issuer_key_hash, item.serial_number, item.responder_url)
            for item in verdict.ocsp
        )
        return Contract(verdict.emaid, verdict.chain_pem, ocsp, verdict.central)

    def verify_signature(self, leaf_der: bytes, data: bytes, signature: bytes) -> bool:
        return contracts.verify_signature(leaf_der, data, signature)
