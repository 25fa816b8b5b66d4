"""The OCPP station on a loop of its own, as the EVSEs see it.

What the EVSEs tell goes through one queue: events reach the journal in the order in which they were made, and what is
told before the station has started waits for it. A question to the CSMS may take half a minute and goes beside it.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from certs.tls.loop import LoopThread
from firmware.facts import AuthorizationAnswered, Fact, MasterPassShown, TransactionOpened
from firmware.planning import charging_needs, schedule_answer
from firmware.problems import Cause, problem
from hal.ports import BoardFault, Fault
from hal.quantities import EvseId, MeterReading
from ocpp_client.authorization import at_evse
from ocpp_client.ports import (
    ChargingState,
    ConnectorStatus,
    IdToken,
    Journal,
    JournalError,
    OcspRequestData,
    SecurityEvent,
    StoppedReason,
    TransactionError,
    TriggerReason,
)
from ocpp_client.station import OcppStation
from secc.ports import CertificateAnswer, CertificateRequested, Contract, PausedSession
from secc.schedules import EnergyRequested, ScheduleSelected

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


async def keep_pause(journal: Journal, evse: EvseId, paused: PausedSession) -> None:
    """Raises JournalError."""
    await journal.put(f"paused_session_{evse}", json.dumps([paused.session_id, paused.evcc_id, paused.vehicle]))


async def kept_pause(journal: Journal, evse: EvseId) -> PausedSession | None:
    """What `keep_pause` kept last. Raises JournalError."""
    text = await journal.get(f"paused_session_{evse}")
    return PausedSession(*json.loads(text)) if text else None


class OperatorSide:
    """Implements `firmware.ports.Operator`. `report(evse)` takes facts to an EVSE, from any thread."""

    def __init__(
        self,
        loop: LoopThread,
        station: OcppStation,
        journal: Journal,
        report: Callable[[EvseId], Callable[[Fact], None]],
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._station = station
        self._report = report
        self._offered: dict[EvseId, list[int]] = {}
        self._work: asyncio.Queue[Work] = asyncio.Queue()

    async def run(self) -> None:
        """Work the queue off, on the station's loop, until cancelled."""
        while True:
            work = await self._work.get()
            try:
                await work()
            except (TransactionError, JournalError) as error:
                log.error("a record was refused: %s", error)

    async def drain(self) -> None:
        """Until everything asked for so far is durable."""
        done = asyncio.Event()

        async def mark() -> None:
            done.set()

        self._work.put_nowait(mark)
        await done.wait()

    def _post(self, work: Work) -> None:
        self._loop.call(partial(self._work.put_nowait, work))

    def _do(self, call: Callable[[], None]) -> None:
        """The same for what is done at once."""

        async def work() -> None:
            call()

        self._post(work)

    # --- Operator ---

    def authorize(self, evse: EvseId, token: IdToken, contract: Contract | None) -> None:
        self._loop.submit(self._authorize(evse, token, contract))

    async def _authorize(self, evse: EvseId, token: IdToken, contract: Contract | None) -> None:
        if contract is None:
            answer = await self._station.authorize(token)
        else:
            ocsp = [
                OcspRequestData(item.issuer_name_hash, item.issuer_key_hash, item.serial_number, item.responder_url)
                for item in contract.ocsp
            ]
            answer = await self._station.authorize(token, contract.chain_pem, ocsp, central=contract.central)
        self._report(evse)(AuthorizationAnswered(token, at_evse(answer, evse)))
        if self._station.is_master_pass(answer):
            for every in self._station.evse_ids:
                self._report(every)(MasterPassShown(token))

    def fetch_certificate(self, evse: EvseId, request: CertificateRequested) -> None:
        self._loop.submit(self._fetch(evse, request))

    async def _fetch(self, evse: EvseId, request: CertificateRequested) -> None:
        octets = await self._station.ev_certificate(request.schema, request.action.value, request.exi_request)
        self._report(evse)(CertificateAnswer(request.request_id, octets))

    def plan(self, evse: EvseId, needs: EnergyRequested, phases: int, *, anew: bool) -> None:
        self._loop.submit(self._plan(evse, needs, phases, anew))

    async def _plan(self, evse: EvseId, needs: EnergyRequested, phases: int, anew: bool) -> None:
        desk = self._station.planning
        schedules = desk.schedules(evse) if anew else await desk.plan(evse, charging_needs(needs, phases))
        self._offered[evse] = [schedule.number for schedule in schedules]
        self._report(evse)(schedule_answer(needs.request_id, schedules))

    def tell_plan(self, evse: EvseId, chosen: ScheduleSelected) -> None:
        """By the operator's own number for it; a vehicle that was offered the limits alone chose number 0."""
        offered = self._offered.get(evse, [])
        number = offered[chosen.tuple_id - 1] if 0 < chosen.tuple_id <= len(offered) else 0
        profile = [(period.start_s, period.power_w, period.phases) for period in chosen.profile]
        self._loop.submit(self._station.planning.chosen(evse, number, profile))

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
        self.open_transaction(evse, trigger, charging_state, token, meter, v2g_session_id, remote_start_id)

    def open_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState,
        token: IdToken | None,
        meter: MeterReading | None,
        v2g_session_id: str,
        remote_start_id: int | None,
        transaction_id: str = "",
    ) -> None:
        """`start_transaction`, under an id that was given out before."""

        async def start() -> None:
            opened = await self._station.transaction_started(
                evse, token, trigger, charging_state, meter, v2g_session_id, remote_start_id, transaction_id
            )
            self._report(evse)(TransactionOpened(opened))

        self._post(start)

    def update_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState,
        token: IdToken | None,
        meter: MeterReading | None,
        remote_start_id: int | None,
    ) -> None:
        update = self._station.transaction_updated
        self._post(partial(update, evse, trigger, charging_state, meter, token, remote_start_id))

    def end_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        reason: StoppedReason,
        meter: MeterReading | None,
        token: IdToken | None,
    ) -> None:
        self._post(partial(self._station.transaction_ended, evse, trigger, reason, meter, token))

    def resume_transaction(self, evse: EvseId, charging_state: ChargingState, meter: MeterReading | None) -> None:
        self._post(partial(self._station.transaction_resumed, evse, charging_state, meter))

    def give_up_transaction(self, evse: EvseId) -> None:
        self._post(partial(self._station.transaction_given_up, evse))

    def reservation_used(self, evse: EvseId, reservation_id: int, token: IdToken) -> None:
        self._do(partial(self._station.reservation_used, evse, reservation_id, token))

    def meter_sampled(self, evse: EvseId, reading: MeterReading) -> None:
        self._post(partial(self._station.meter_sampled, evse, reading))

    def connector_status(self, evse: EvseId, status: ConnectorStatus) -> None:
        self._do(partial(self._station.connector_status, evse, status))

    def problem(self, evse: EvseId, cause: Cause) -> None:
        entry = problem(cause)
        if isinstance(cause, BoardFault) and cause.fault is Fault.ENCLOSURE_OPEN and cause.active:
            tampered = SecurityEvent.TAMPER_DETECTION_ACTIVATED
            self._do(partial(self._station.security_event, tampered, f"EVSE {evse}: {cause.detail}"))
        self._do(
            partial(
                self._station.notify_event,
                entry.component,
                entry.variable,
                "true" if entry.active else "false",
                evse_id=evse,
                tech_code=entry.tech_code,
                tech_info=entry.tech_info,
                cleared=not entry.active,
            )
        )

    def remember_pause(self, evse: EvseId, paused: PausedSession) -> None:
        self._post(partial(keep_pause, self._journal, evse, paused))

    def unlock_result(self, evse: EvseId, unlocked: bool) -> None:
        self._do(partial(self._station.unlock_result, evse, unlocked))
