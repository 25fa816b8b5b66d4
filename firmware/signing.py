"""Signed metering: a signing meter's transaction runs with the station's, and its records go with the events.

Starting and stopping such a meter takes about a second, so the calls about a transaction of its EVSE go through a queue
of their own: their order is kept, and no other EVSE waits. A meter that does not start is a fault of the board: without
its record there is nothing to bill, and the session ends.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from certs.tls.loop import LoopThread
from firmware.facts import Fact
from firmware.operator_side import OperatorSide
from hal import ocmf
from hal.ports import BoardFault, BoardUnavailable, Fault, MeteredTransaction, Severity, SigningMeter
from hal.quantities import EvseId, MeterReading, SignedReading
from ocpp_client.ports import ChargingState, IdToken, Journal, StoppedReason, TransactionState, TriggerReason
from ocpp_client.station import OcppStation

log = logging.getLogger(__name__)

LAST_WORD_S = 5.0
"""How long the station's start waits for a meter's word on a transaction that a power cut left open."""


@dataclass(slots=True)
class _Lane:
    """One EVSE's meter, and what waits for it."""

    meter: SigningMeter
    queue: asyncio.Queue[Callable[[], Awaitable[None]]] = field(default_factory=asyncio.Queue)
    transaction_id: str = ""
    """Of the transaction the meter measures."""
    failed: bool = False


class SigningOperator(OperatorSide):
    """The operator's side of a station some of whose EVSEs have a signing meter: `meters`, complete at `run_meters`.

    `names` are the EVSE ids by ISO 15118-2, which the meter writes into its records.
    """

    def __init__(
        self,
        loop: LoopThread,
        station: OcppStation,
        journal: Journal,
        report: Callable[[EvseId], Callable[[Fact], None]],
        meters: Mapping[EvseId, SigningMeter],
        names: Mapping[EvseId, str],
    ) -> None:
        super().__init__(loop, station, journal, report)
        self._names = names
        self._meters = meters
        self._lanes: dict[EvseId, _Lane] = {}

    async def run_meters(self) -> None:
        """On the main loop, until cancelled."""
        lanes = [lane for evse in self._meters if (lane := self._lane(evse)) is not None]
        await asyncio.gather(*(self._run_meter(lane) for lane in lanes))

    def _lane(self, evse: EvseId) -> _Lane | None:
        if evse not in self._lanes and evse in self._meters:
            self._lanes[evse] = _Lane(self._meters[evse])
        return self._lanes.get(evse)

    async def _run_meter(self, lane: _Lane) -> None:
        """First an end to what the meter may still measure since before a power cut."""
        with suppress(BoardUnavailable):
            await lane.meter.stop_forgotten()
        while True:
            work = await lane.queue.get()
            await work()
            lane.queue.task_done()

    async def drain_meters(self) -> None:
        """Until everything asked for so far is with the operator's side."""
        for lane in self._lanes.values():
            await lane.queue.join()

    # --- Operator ---

    def start_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState,
        token: IdToken | None,
        meter: MeterReading | None,
        v2g_session_id: str,
        remote_start_id: int | None,
    ) -> None:
        start = self.open_transaction
        if (lane := self._lane(evse)) is None:
            start(evse, trigger, charging_state, token, meter, v2g_session_id, remote_start_id)
            return

        async def begin() -> None:
            lane.transaction_id = str(uuid.uuid4())
            reading = await self._begin(evse, lane, token, meter)
            start(evse, trigger, charging_state, token, reading, v2g_session_id, remote_start_id, lane.transaction_id)

        lane.queue.put_nowait(begin)

    def update_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState,
        token: IdToken | None,
        meter: MeterReading | None,
        remote_start_id: int | None,
    ) -> None:
        update = partial(super().update_transaction, evse, trigger, charging_state, token, meter, remote_start_id)
        if (lane := self._lane(evse)) is None:
            update()
            return

        async def tell() -> None:
            update()

        lane.queue.put_nowait(tell)

    def end_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        reason: StoppedReason,
        meter: MeterReading | None,
        token: IdToken | None,
    ) -> None:
        end = super().end_transaction
        if (lane := self._lane(evse)) is None:
            end(evse, trigger, reason, meter, token)
            return

        async def stop() -> None:
            end(evse, trigger, reason, await self._stop(evse, lane, meter), token)

        lane.queue.put_nowait(stop)

    # --- The meter ---

    async def _begin(
        self, evse: EvseId, lane: _Lane, token: IdToken | None, meter: MeterReading | None
    ) -> MeterReading | None:
        who = MeteredTransaction(lane.transaction_id, self._names[evse], token.id_token if token else "")
        try:
            signed = await lane.meter.start_transaction(who)
        except BoardUnavailable as error:
            log.error("EVSE %s: the meter does not start, so nothing may flow: %s", evse, error)
            self._tell(evse, lane, failed=True, detail=str(error))
            return meter
        return _with(meter, signed)

    async def _stop(self, evse: EvseId, lane: _Lane, meter: MeterReading | None) -> MeterReading | None:
        try:
            signed = await lane.meter.stop_transaction(lane.transaction_id)
        except BoardUnavailable as error:
            log.error("EVSE %s: transaction %s ends without its record: %s", evse, lane.transaction_id, error)
            return meter
        finally:
            self._tell(evse, lane, failed=False, detail="the transaction that it did not start is over")
        with suppress(BoardUnavailable):
            meter = lane.meter.reading()
        if meter is None:
            log.error("EVSE %s: no reading to send this record with: %s", evse, signed.data)
        return _with(meter, signed)

    def _tell(self, evse: EvseId, lane: _Lane, *, failed: bool, detail: str) -> None:
        if lane.failed != failed:
            lane.failed = failed
            fault = BoardFault(Fault.POWER_METER_FAILURE, failed, Severity.STOP, detail, time.monotonic())
            self._report(evse)(fault)


def _with(meter: MeterReading | None, signed: SignedReading | None) -> MeterReading | None:
    return None if meter is None else replace(meter, signed=signed)


async def last_word(meters: Mapping[EvseId, SigningMeter], state: TransactionState) -> MeterReading | None:
    """On the main loop: what the meter measured of a transaction that a power cut left open, None if it cannot say."""
    meter = meters.get(state.evse_id)
    if meter is None:
        return None
    try:
        async with asyncio.timeout(LAST_WORD_S):
            signed = await meter.stop_transaction(state.transaction_id)
    except (BoardUnavailable, TimeoutError) as error:
        log.error("transaction %s ends without its meter's record: %s", state.transaction_id, error)
        return None
    return reading_of(signed) or _with(state.last_meter, signed)


def reading_of(signed: SignedReading) -> MeterReading | None:
    """The register as the record's last reading has it; None for what is no record of energy."""
    try:
        last = ocmf.parse(signed.data).readings[-1]
    except ocmf.OcmfError as error:
        log.error("the meter's record cannot be read: %s", error)
        return None
    if last.energy_wh is None:
        return None
    nothing = (0.0, 0.0, 0.0)
    return MeterReading(float(last.energy_wh), 0.0, nothing, nothing, time.monotonic(), last.time, signed=signed)
