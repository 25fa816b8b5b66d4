"""One EVSE's SECC on a loop of its own, and its certificate questions answered by `certs`."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509

from certs import contract as contracts
from certs.contract import ContractRefusal
from certs.tls.loop import LoopThread
from firmware.vehicle_tls import VehicleTls
from secc.ports import Contract, ContractFault, OcspHashData
from secc.server import SeccServer


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
