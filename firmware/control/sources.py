"""What the control socket asks of the floors below: each through the loop or thread it lives on."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from certs import chain
from certs.keystore import Purpose
from certs.store import CertificateStore, StoreError
from certs.tls.loop import LoopThread
from firmware.journal import SqliteJournal
from hal.quantities import EvseId
from ocpp_client.device_model import Key, Variable
from ocpp_client.ports import QueuedMessage
from ocpp_client.station import OcppStation

log = logging.getLogger(__name__)

STATION_EVSE = EvseId(0)
"""Stands for the station where an EVSE's number is asked for."""

CERTIFICATES_KEPT_S = 30.0
"""Certificates are files; they are read again after so long."""


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """A certificate of a chain in use or of a trusted root. `use` is a Purpose or a RootKind."""

    use: str
    role: str
    """leaf, sub-CA or root."""
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    key_id: str
    """Of a leaf: where its private key is, as in tpm:81010010."""

    def shown(self, now: datetime) -> dict[str, object]:
        return {
            "use": self.use,
            "role": self.role,
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": self.serial,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "days_left": round((self.not_after - now).total_seconds() / 86400, 1),
            "key_id": self.key_id,
        }


class Certificates:
    """The station's certificates, read in a thread and kept for a while."""

    def __init__(self, store: CertificateStore) -> None:
        self._store = store
        self._kept: list[CertificateInfo] = []
        self._read_at_s: float | None = None

    async def all(self) -> Sequence[CertificateInfo]:
        """Raises StoreError."""
        now = time.monotonic()
        if self._read_at_s is None or now - self._read_at_s > CERTIFICATES_KEPT_S:
            self._kept = await asyncio.to_thread(lambda: list(self._read()))
            self._read_at_s = now
        return self._kept

    async def chains(self) -> list[CertificateInfo]:
        """The leaves in use; none when the store cannot be read, which is logged."""
        try:
            return [info for info in await self.all() if info.role == "leaf"]
        except StoreError as error:
            log.warning("certificates cannot be shown: %s", error)
            return []

    async def secc_not_after(self) -> datetime | None:
        ends = [info.not_after for info in await self.chains() if info.use == Purpose.SECC]
        return min(ends, default=None)

    def _read(self) -> Iterator[CertificateInfo]:
        for purpose in Purpose:
            stored = self._store.chain(purpose)
            if stored is None:
                continue
            for number, certificate in enumerate(chain.load_chain(stored.chain_der)):
                role, key_id = ("sub-CA", "") if number else ("leaf", stored.key_id)
                yield _info(purpose.value, role, certificate, key_id)
        for root in self._store.roots():
            yield _info(root.kind.value, "root", root.certificate, "")


def _info(use: str, role: str, certificate: x509.Certificate, key_id: str) -> CertificateInfo:
    return CertificateInfo(
        use,
        role,
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        f"{certificate.serial_number:x}",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        key_id,
    )


class Csms:
    """The OCPP station and its journal, on their loop."""

    def __init__(self, loop: LoopThread, station: OcppStation, journal: SqliteJournal) -> None:
        self._loop = loop
        self._station = station
        self._journal = journal

    async def online(self) -> bool:
        async def ask() -> bool:
            return self._station.online

        return await asyncio.wrap_future(self._loop.submit(ask()))

    async def counts(self) -> dict[str, int]:
        """What was dropped, refused or failed, by reason."""

        async def ask() -> dict[str, int]:
            return dict(self._station.counts)

        return await asyncio.wrap_future(self._loop.submit(ask()))

    def security_event(self, kind: str, tech_info: str) -> None:
        self._loop.call(lambda: self._station.security_event(kind, tech_info))

    async def security_log(self) -> Sequence[str]:
        """The log of security events, a line of JSON each. Raises JournalError."""
        return await asyncio.wrap_future(self._loop.submit(self._station.security_log()))

    def cut_link(self, cut: bool) -> None:
        """Simulate that the network is gone, or back."""
        self._loop.call(lambda: self._station.cut_link(cut))

    async def variables(self) -> list[tuple[Variable, str | None, bool]]:
        """Each with its value (None: it may only be written), and whether it waits for a restart."""

        async def ask() -> list[tuple[Variable, str | None, bool]]:
            model = self._station.model
            return [(variable, *model.value_of(key)) for key, variable in model.table().items()]

        return await asyncio.wrap_future(self._loop.submit(ask()))

    async def set_variables(self, wanted: Mapping[Key, str]) -> dict[Key, tuple[str, str]]:
        """All or none: SetVariableStatus and reason of each."""

        async def ask() -> dict[Key, tuple[str, str]]:
            return self._station.set_variables(wanted)

        return await asyncio.wrap_future(self._loop.submit(ask()))

    async def send(self, message: str, evse: int | None) -> str:
        """As TriggerMessage would: Accepted, or why not."""
        where = EvseId(evse) if evse is not None else None

        async def ask() -> str:
            if not self._station.online:
                return "the CSMS cannot be reached"
            status = self._station.can_trigger(message, where)
            if status == "Accepted":
                self._station.trigger(message, where)
            return status

        return await asyncio.wrap_future(self._loop.submit(ask()))

    def trace(self, watcher: Callable[[str, str], None]) -> None:
        """`watcher` is called on this, the main loop."""
        main = asyncio.get_running_loop()

        def pass_on(way: str, frame: str) -> None:
            main.call_soon_threadsafe(watcher, way, frame)

        self._loop.call(lambda: self._station.watch_frames(pass_on))

    async def queue_length(self) -> int:
        """Raises JournalError."""
        return await asyncio.wrap_future(self._loop.submit(self._journal.pending_count()))

    async def queue(self, limit: int) -> Sequence[QueuedMessage]:
        """The messages that wait, in the order they will go. Raises JournalError."""
        return await asyncio.wrap_future(self._loop.submit(self._journal.pending(0, limit)))
