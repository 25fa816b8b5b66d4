"""Keeps the books: consumption by transaction and uptime by month, on disk, once a minute and where something ends."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from firmware.consumption import Charged, Consumption
from firmware.evse import Evse
from firmware.uptime import Condition, Uptime
from firmware.visits import Visit, Visits
from hal.ports import BoardUnavailable
from hal.quantities import EvseId

log = logging.getLogger(__name__)

PERIOD_S = 60.0
PRUNE_EVERY = 1440
"""Periods: once a day."""


class Ledger:
    """`run` until cancelled; `close` writes what is open."""

    def __init__(self, directory: Path, evses: Mapping[EvseId, Evse], visits: Visits) -> None:
        self.consumption = Consumption(directory / "consumption.sqlite")
        self.uptime = Uptime()
        self._file = directory / "uptime.json"
        self._evses = evses
        self._visits = visits
        self._written: dict[str, Charged] = {}

    async def run(self) -> None:
        await asyncio.to_thread(self._restore)
        periods = 0
        while True:
            await self.write()
            if periods % PRUNE_EVERY == 0:
                await self._safely(self.consumption.prune, datetime.now(UTC))
            periods += 1
            await asyncio.sleep(PERIOD_S)

    async def write(self) -> None:
        """A disk that refuses is logged; the books are written again in a minute."""
        now = datetime.now(UTC)
        self.uptime.count({number: condition_of(evse) for number, evse in self._evses.items()}, now)
        await asyncio.to_thread(self._keep_uptime, self.uptime.text())
        for charged in [charged for visit in self._visits.all for charged in charged_of(visit)]:
            if self._written.get(charged.transaction_id) != charged:
                await self._safely(self.consumption.put, charged)
                self._written[charged.transaction_id] = charged
        known = {transaction for visit in self._visits.all for transaction in visit.transaction_ids}
        self._written = {key: charged for key, charged in self._written.items() if key in known}

    async def _safely(self, call: object, argument: object) -> None:
        assert callable(call)
        try:
            await asyncio.to_thread(call, argument)
        except sqlite3.Error as error:
            log.error("the consumption history is not written: %s", error)

    def _restore(self) -> None:
        """A file that cannot be read is put aside: counting begins anew, and says so."""
        now = datetime.now(UTC)
        try:
            self.uptime = Uptime.restored(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.error("uptime begins anew: %s", error)
            with suppress(OSError):
                self._file.replace(self._file.with_name("uptime.bad"))
            return
        self.uptime.slept(list(self._evses), now)

    def _keep_uptime(self, text: str) -> None:
        try:
            new = self._file.with_name(f"{self._file.name}.new")
            new.write_text(text, encoding="utf-8")
            new.replace(self._file)
        except OSError as error:
            log.error("uptime is not written: %s", error)


def condition_of(evse: Evse) -> Condition:
    state = evse.state
    if state.maintenance is not None or not state.operative:
        return Condition.EXCLUDED
    return Condition.OUTAGE if state.stopped or not evse.alive() or not _answers(evse) else Condition.UP


def _answers(evse: Evse) -> bool:
    try:
        return evse.board is not None and evse.board.snapshot() is not None
    except BoardUnavailable:
        return False


def charged_of(visit: Visit) -> list[Charged]:
    """A visit's energy is its last transaction's: a visit seldom has another."""
    if not visit.transaction_ids or visit.energy_wh is None:
        return []
    last = visit.transaction_ids[-1]
    return [Charged(last, int(visit.evse), visit.began, visit.ended, visit.energy_wh)]
