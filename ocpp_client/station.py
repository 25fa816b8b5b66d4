"""The OCPP 2.0.1 charging station: the pure machines of this package on one event loop.

`OcppStation` lives on the loop it was started on; call it from there (from another thread by
`asyncio.run_coroutine_threadsafe`). `report` is called on that loop and must be quick and thread-safe.

Whatever comes over the wire or fails on disk, charging goes on: the methods raise only TransactionError, for a call
that does not fit the transaction's state. A method about a transaction returns once its event is durable.
"""

import asyncio
import logging
import ssl
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from hal.quantities import EvseId, MeterReading
from ocpp_client.actions import Handlers
from ocpp_client.authorization_actions import AuthorizationActions
from ocpp_client.availability import STATION, Availability
from ocpp_client.certificate_actions import CertificateActions
from ocpp_client.charging_actions import ChargingActions
from ocpp_client.config import OcppConfig
from ocpp_client.connection import Dialogue, Rules, payload_of
from ocpp_client.device_actions import DeviceActions
from ocpp_client.device_model import DeviceModel
from ocpp_client.limit_watch import LimitWatch
from ocpp_client.link import BackOff, Endpoint
from ocpp_client.metering import Measurand, ReadingContext, measurands
from ocpp_client.ports import (
    AuthorizationStatus,
    AuthorizeAnswer,
    AvailabilityChanged,
    CertificateStore,
    ChargingState,
    ConnectorStatus,
    CsmsOnline,
    EventSent,
    IdToken,
    Journal,
    JournalError,
    OcspRequestData,
    RemoteStart,
    Report,
    ResetRequested,
    StoppedReason,
    TokenDeauthorized,
    TriggerReason,
)
from ocpp_client.profiles import ProfileRefused, Profiles
from ocpp_client.queue import Call, RetryRules
from ocpp_client.remote_actions import RemoteActions
from ocpp_client.sampling import Sampler
from ocpp_client.schedule import Supply
from ocpp_client.transactions import Sampled, TransactionEvent, Transactions
from ocpp_client.triggers import Triggers
from ocpp_client.variables import station_variables
from ocpp_client.wire import Payload, format_time, text_at

log = logging.getLogger(__name__)

MAX_CERTIFICATE = 5500
"""Characters of AuthorizeRequest.certificate."""
MAX_OCSP = 4
"""Entries of AuthorizeRequest.iso15118CertificateHashData."""


class OcppStation:
    def __init__(
        self,
        config: OcppConfig,
        journal: Journal,
        report: Report,
        *,
        tls: ssl.SSLContext | None = None,
        certificates: CertificateStore | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self.report_fact = report
        self._tls = tls
        self._evse_ids = tuple(EvseId(number) for number in range(1, config.evse_count + 1))
        self.model = DeviceModel(station_variables(config, lambda: format_time(self._now())))
        self._transactions = Transactions(lambda: str(uuid.uuid4()), self._sampled, config.phases)
        supply = Supply(config.phases, config.nominal_voltage_v)
        self._profiles = Profiles(config.evse_count, supply, self._transactions.on)
        self._limits = LimitWatch(self._profiles, (STATION, *self._evse_ids))
        self._availability = Availability(config.evse_count)
        self._sampler = Sampler()
        self._remote = RemoteActions(self, self._transactions, self._availability, config.evse_count)
        self._dialogue = Dialogue(self, journal, self._handlers(certificates), self._rules(), config.boot_retry_s)
        self._triggers = Triggers(self, self._dialogue, self._transactions, self._evse_ids, certificates, config.phases)
        self._boot_reason = config.boot_reason
        self._timer: asyncio.TimerHandle | None = None
        self._remote_profiles: dict[int, Payload] = {}
        self._told_status: dict[EvseId, ConnectorStatus] = {}
        self._latest_meter: dict[EvseId, MeterReading] = {}
        self._noted_meter_s: dict[EvseId, float] = {}
        self._sampled_at_s: dict[EvseId, float] = {}
        self._idle_resets: set[int] = set()
        self._offline_since_s: float | None = None
        self._was_online = False
        self._event_id = 0
        self._dumped_profiles = self._profiles.dump()

    def _handlers(self, certificates: CertificateStore | None) -> Handlers:
        charging = ChargingActions(self._profiles, self._now, self._profiles_changed, self._send_later)
        device = DeviceActions(self.model, self._now, self._variables_changed, self._send_later)
        local = AuthorizationActions()
        table = {**charging.handlers(), **device.handlers(), **self._remote.handlers(), **local.handlers()}
        if certificates is not None:
            table |= CertificateActions(certificates).handlers()
        return table

    def _rules(self) -> Rules:
        def comm(variable: str, instance: str = "") -> float:
            return self.model.number("OCPPCommCtrlr", variable, instance)

        return Rules(
            endpoint=self._endpoint,
            back_off=lambda: BackOff(
                comm("RetryBackOffWaitMinimum"), comm("RetryBackOffRandomRange"), int(comm("RetryBackOffRepeatTimes"))
            ),
            ping_s=lambda: comm("WebSocketPingInterval"),
            message_timeout_s=lambda: comm("MessageTimeout", "Default"),
            retry=lambda: RetryRules(
                int(comm("MessageAttempts", "TransactionEvent")), comm("MessageAttemptInterval", "TransactionEvent")
            ),
        )

    def _endpoint(self) -> Endpoint:
        password = self.model.text("SecurityCtrlr", "BasicAuthPassword") if self._config.security_profile < 3 else ""
        return Endpoint(self._config.url, self._config.identity, password, self._tls)

    # --- Life ---

    async def start(self) -> None:
        """Take up what the journal holds, end what a power cut left open, and connect."""
        self._loop = asyncio.get_running_loop()
        await self._restore()
        self._listen_to_variables()
        self._dialogue.start()
        await self._end_interrupted_transactions()
        for evse_id in self._availability.inoperative():
            self.availability_changed(evse_id)
        self._profiles_changed(self._loop.time())

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._dialogue.stop()

    async def _restore(self) -> None:
        try:
            values = {
                key: await self._journal.get(key) for key in ("variables", "profiles", "availability", "boot_reason")
            }
            await self._journal.put("boot_reason", None)
        except JournalError as error:
            log.error("what the CSMS had set cannot be read, starting without: %s", error)
            return
        self._boot_reason = values["boot_reason"] or self._boot_reason
        takers = {
            "variables": self.model.restore,
            "profiles": self._profiles.restore,
            "availability": self._availability.restore,
        }
        for key, take in takers.items():
            try:
                if (text := values[key]) is not None:
                    take(text)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.error("the stored %s cannot be read, starting without: %s", key, error)

    def _listen_to_variables(self) -> None:
        self.model.on_change("OCPPCommCtrlr", "WebSocketPingInterval", self._ping_changed)
        self.model.on_change("OCPPCommCtrlr", "HeartbeatInterval", self._heartbeat_changed)
        self.model.on_change("SampledDataCtrlr", "TxUpdatedInterval", self._sampling_changed)

    async def _end_interrupted_transactions(self) -> None:
        try:
            interrupted = await self._journal.open_transactions()
        except JournalError as error:
            log.error("open transactions cannot be read: %s", error)
            return
        for state in interrupted:
            log.warning("transaction %s was cut short by a power loss", state.transaction_id)
            await self._store(self._transactions.resume(state))

    # --- What firmware tells: authorization ---

    @property
    def online(self) -> bool:
        return self._dialogue.online

    @property
    def counts(self) -> dict[str, int]:
        """What was dropped, refused or failed, by reason."""
        return self._dialogue.all_counts()

    async def authorize(
        self, token: IdToken, certificate_pem: str | None = None, ocsp: Sequence[OcspRequestData] = ()
    ) -> AuthorizeAnswer:
        """Ask the CSMS (C01, C07). `status` is None when it gives no answer."""
        payload: Payload = {"idToken": {"idToken": token.id_token, "type": token.kind}}
        if certificate_pem is not None and len(certificate_pem) <= MAX_CERTIFICATE:
            payload["certificate"] = certificate_pem
        if ocsp:
            payload["iso15118CertificateHashData"] = [_ocsp(item) for item in ocsp[:MAX_OCSP]]
        response = await self._dialogue.request("Authorize", payload)
        if response is None:
            return AuthorizeAnswer(None)
        return AuthorizeAnswer(
            _authorization_status(text_at(response, "idTokenInfo", "status")), text_at(response, "certificateStatus")
        )

    # --- What firmware tells: transactions ---

    async def transaction_started(
        self,
        evse_id: EvseId,
        id_token: IdToken | None,
        trigger: TriggerReason,
        charging_state: ChargingState,
        meter: MeterReading | None,
        v2g_session_id: str = "",
        remote_start_id: int | None = None,
    ) -> str:
        """Started; returns the transaction id. From here on Updated events with meter values follow by themselves."""
        event = self._transactions.start(
            evse_id,
            self._now(),
            offline=not self.online,
            trigger=trigger,
            charging_state=charging_state,
            id_token=id_token,
            meter=meter,
            v2g_session_id=v2g_session_id,
            remote_start_id=remote_start_id,
        )
        self._sampler.begin(evse_id, self._loop.time(), self._sampling_interval_s())
        self._adopt_remote_profile(evse_id, remote_start_id)
        self._profiles_changed(self._loop.time())
        await self._store(event)
        return event.state.transaction_id

    async def transaction_updated(
        self,
        evse_id: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState | None = None,
        meter: MeterReading | None = None,
        id_token: IdToken | None = None,
        remote_start_id: int | None = None,
        context: ReadingContext = ReadingContext.OTHER,
    ) -> None:
        """Updated: something happened. `charging_state` None leaves it as it was."""
        event = self._transactions.update(
            evse_id,
            self._now(),
            offline=not self.online,
            trigger=trigger,
            charging_state=charging_state,
            meter=meter,
            id_token=id_token,
            remote_start_id=remote_start_id,
            context=context,
        )
        self._adopt_remote_profile(evse_id, remote_start_id)
        await self._store(event)

    async def transaction_ended(
        self,
        evse_id: EvseId,
        trigger: TriggerReason,
        stopped_reason: StoppedReason,
        meter: MeterReading | None = None,
        id_token: IdToken | None = None,
    ) -> None:
        """Ended; without `meter` the latest reading stands."""
        event = self._transactions.end(
            evse_id,
            self._now(),
            offline=not self.online,
            trigger=trigger,
            stopped_reason=stopped_reason,
            meter=meter,
            id_token=id_token,
        )
        self._sampler.end(evse_id)
        self._profiles.transaction_ended(event.state.transaction_id)
        self._profiles_changed(self._loop.time())
        await self._store(event)
        self._carry_out_scheduled()

    async def meter_sampled(self, evse_id: EvseId, reading: MeterReading) -> None:
        """A reading, as often as the board gives them; written down now and then for the case of a power cut."""
        self._latest_meter[evse_id] = reading
        state = self._transactions.sampled(evse_id, reading)
        now = self._loop.time()
        if state is None or now - self._noted_meter_s.get(evse_id, float("-inf")) < self._config.meter_note_s:
            return
        self._noted_meter_s[evse_id] = now
        try:
            await self._journal.note_transaction(state)
        except JournalError as error:
            log.error("the meter reading of EVSE %s is not durable: %s", evse_id, error)

    async def _store(self, event: TransactionEvent) -> None:
        self._noted_meter_s[event.state.evse_id] = self._loop.time()
        await self._dialogue.store("TransactionEvent", event.payload, event.state, ended=event.ended)

    def latest_meter(self, evse_id: EvseId) -> MeterReading | None:
        return self._latest_meter.get(evse_id)

    # --- What firmware tells: status and events ---

    def connector_status(self, evse_id: EvseId, status: ConnectorStatus) -> None:
        """The connector's own status; what the CSMS hears follows from it and from availability."""
        self._availability.report(evse_id, status)
        self._status_changed(evse_id)

    def notify_event(
        self,
        component: str,
        variable: str,
        value: str,
        *,
        evse_id: EvseId | None = None,
        connector_id: int | None = None,
        tech_code: str = "",
        tech_info: str = "",
        cleared: bool | None = None,
        transaction_id: str | None = None,
    ) -> None:
        """NotifyEvent of a hard-wired monitor (N07): a fault, or a value that changed. Kept while offline."""
        self._event_id += 1
        data: Payload = {
            "eventId": self._event_id,
            "timestamp": format_time(self._now()),
            "trigger": "Alerting" if cleared is not None else "Delta",
            "actualValue": value[:2500],
            "eventNotificationType": "HardWiredNotification",
            "component": _component(component, evse_id, connector_id),
            "variable": {"name": variable},
        }
        optional = {"techCode": tech_code[:50], "techInfo": tech_info[:500], "transactionId": transaction_id}
        data |= {name: text for name, text in optional.items() if text}
        if cleared is not None:
            data["cleared"] = cleared
        payload: Payload = {"generatedAt": data["timestamp"], "seqNo": 0, "tbc": False, "eventData": [data]}
        self._dialogue.spawn(self._dialogue.store("NotifyEvent", payload))

    def security_event(self, kind: str, tech_info: str = "") -> None:
        """SecurityEventNotification of a critical event (A04): kept until the CSMS has it."""
        payload: Payload = {"type": kind[:50], "timestamp": format_time(self._now())}
        if tech_info:
            payload["techInfo"] = tech_info[:255]
        self._dialogue.spawn(self._dialogue.store("SecurityEventNotification", payload))

    def unlock_result(self, evse_id: EvseId, unlocked: bool) -> None:
        """The answer to `UnlockRequested`."""
        self._remote.unlock_result(evse_id, unlocked)

    def set_boot_reason(self, reason: str) -> None:
        """For the next start (BootReasonEnumType)."""
        self._put("boot_reason", reason)

    # --- What the dialogue tells ---

    def boot_payload(self) -> Payload:
        station: Payload = {"model": self._config.model[:20], "vendorName": self._config.vendor[:50]}
        if self._config.serial:
            station["serialNumber"] = self._config.serial[:25]
        if self._config.firmware:
            station["firmwareVersion"] = self._config.firmware[:50]
        return {"chargingStation": station, "reason": self._boot_reason}

    def went_online(self) -> None:
        offline_s = 0.0 if self._offline_since_s is None else self._loop.time() - self._offline_since_s
        # B04.FR.01: after OfflineThreshold the CSMS is told every status, before that only what changed.
        if not self._was_online or offline_s > self.model.number("OCPPCommCtrlr", "OfflineThreshold"):
            self._told_status.clear()
        self._was_online = True
        self.report_fact(CsmsOnline(True, "registered"))
        for evse_id in self._evse_ids:
            self._status_changed(evse_id)

    def went_offline(self, reason: str) -> None:
        self._offline_since_s = self._loop.time()
        self.report_fact(CsmsOnline(False, reason))

    def boot_answered(self, response: Payload) -> None:
        interval = response.get("interval")
        if response.get("status") == "Accepted" and isinstance(interval, int) and interval > 0:
            self.model.assign("OCPPCommCtrlr", "HeartbeatInterval", str(interval))

    def heartbeat_answered(self, response: Payload) -> None:
        """The CSMS lives; its time is not taken over, the system's clock is NTP's."""

    def durable_answered(self, call: Call, response: Payload) -> None:
        if call.action != "TransactionEvent":
            return
        sent = payload_of(call)
        transaction_id = sent["transactionInfo"]["transactionId"]
        self.report_fact(
            EventSent(transaction_id, sent["eventType"], sent["seqNo"], sent["triggerReason"], sent["offline"])
        )
        status = text_at(response, "idTokenInfo", "status")
        state = self._transactions.find(transaction_id)
        if status is not None and status != AuthorizationStatus.ACCEPTED and state is not None:
            self.report_fact(TokenDeauthorized(state.evse_id, transaction_id, status))

    def durable_given_up(self, call: Call) -> None:
        log.error("the CSMS never took %s of transaction %s", call.action, call.transaction_id)

    # --- What the handlers ask ---

    def availability_changed(self, evse_id: int) -> None:
        where = None if evse_id == STATION else EvseId(evse_id)
        self.report_fact(AvailabilityChanged(where, self._availability.set_in(evse_id)))
        for affected in self._evse_ids if where is None else (where,):
            self._status_changed(affected)

    def store_availability(self) -> None:
        self._put("availability", self._availability.dump())

    def keep_profile(self, remote_start_id: int, profile: Payload) -> None:
        self._remote_profiles = {remote_start_id: profile}

    def remote_start(self, fact: RemoteStart) -> None:
        if self.model.flag("AuthCtrlr", "AuthorizeRemoteStart"):
            self._dialogue.spawn(self._authorize_and_start(fact))
        else:
            self.report_fact(fact)

    async def _authorize_and_start(self, fact: RemoteStart) -> None:
        answer = await self.authorize(fact.id_token)
        if answer.status is AuthorizationStatus.ACCEPTED:
            self.report_fact(fact)
        else:
            log.warning("remote start %s refused: %s", fact.remote_start_id, answer.status)

    def reset_requested(self, evse_id: EvseId | None, immediate: bool) -> None:
        self._put("boot_reason", "RemoteReset" if evse_id is None else None)
        if immediate or not self._busy(evse_id):
            self.report_fact(ResetRequested(evse_id, immediate))
        else:
            self._idle_resets.add(STATION if evse_id is None else int(evse_id))

    async def messages_wait(self, transaction_id: str | None) -> bool:
        return await self._dialogue.spool.waiting(transaction_id)

    def can_trigger(self, message: str, evse_id: EvseId | None) -> str:
        return self._triggers.can(message, evse_id)

    def trigger(self, message: str, evse_id: EvseId | None) -> None:
        self._triggers.send(message, evse_id)

    def connector_status_payload(self, evse_id: EvseId) -> Payload:
        status = self._availability.status(evse_id) or ConnectorStatus.UNAVAILABLE
        return {
            "timestamp": format_time(self._now()),
            "connectorStatus": status.value,
            "evseId": int(evse_id),
            "connectorId": 1,
        }

    # --- Inside ---

    def _now(self) -> datetime:
        return datetime.now(UTC)

    def _send_later(self, action: str, payload: Payload) -> None:
        self._dialogue.send_later(action, payload)

    def _busy(self, evse_id: EvseId | None) -> bool:
        return bool(self._transactions.all_open()) if evse_id is None else self._transactions.on(evse_id) is not None

    def _sampled(self) -> Sampled:
        def wanted(event: str) -> tuple[Measurand, ...]:
            return measurands(self.model.text("SampledDataCtrlr", f"Tx{event}Measurands"))

        return Sampled(wanted("Started"), wanted("Updated"), wanted("Ended"))

    def _sampling_interval_s(self) -> float:
        return self.model.number("SampledDataCtrlr", "TxUpdatedInterval")

    def _adopt_remote_profile(self, evse_id: EvseId, remote_start_id: int | None) -> None:
        """F01.FR.10: the profile that came with the remote start becomes the transaction's."""
        if remote_start_id is None or (profile := self._remote_profiles.pop(remote_start_id, None)) is None:
            return
        state = self._transactions.on(evse_id)
        if state is None:
            return
        try:
            self._profiles.set(int(evse_id), profile | {"transactionId": state.transaction_id})
        except ProfileRefused as refused:
            log.warning("the remote start's profile does not fit: %s", refused.detail)
        self._profiles_changed(self._loop.time())

    def _profiles_changed(self, at_s: float) -> None:
        for fact in self._limits.refresh(self._now(), at_s):
            self.report_fact(fact)
        dumped = self._profiles.dump()
        if dumped != self._dumped_profiles:
            self._dumped_profiles = dumped
            self._put("profiles", dumped)
        self._arm()

    def _variables_changed(self) -> None:
        self._put("variables", self.model.dump())

    def _ping_changed(self, value: str) -> None:
        self._dialogue.link.set_ping_interval(float(value))

    def _heartbeat_changed(self, value: str) -> None:
        self._dialogue.registrar.set_heartbeat(float(value), self._loop.time())

    def _sampling_changed(self, value: str) -> None:
        busy = tuple(state.evse_id for state in self._transactions.all_open())
        self._sampler.interval_changed(busy, self._loop.time(), float(value))
        self._arm()

    def _put(self, key: str, value: str | None) -> None:
        async def put() -> None:
            try:
                await self._journal.put(key, value)
            except JournalError as error:
                log.error("%s is not durable: %s", key, error)

        self._dialogue.spawn(put())

    def _status_changed(self, evse_id: EvseId) -> None:
        status = self._availability.status(evse_id)
        if status is None:
            return
        self.model.assign("EVSE", "AvailabilityState", status.value, int(evse_id))
        self.model.assign("Connector", "AvailabilityState", status.value, int(evse_id), 1)
        if self.online and self._told_status.get(evse_id) != status:
            self._told_status[evse_id] = status
            self._dialogue.spawn(self._tell_status(evse_id))

    async def _tell_status(self, evse_id: EvseId) -> None:
        response = await self._dialogue.request("StatusNotification", self.connector_status_payload(evse_id))
        if response is None:
            # Not heard: it is told again once the link is back.
            self._told_status.pop(evse_id, None)

    def _carry_out_scheduled(self) -> None:
        busy = frozenset(int(state.evse_id) for state in self._transactions.all_open())
        for evse_id in self._availability.transactions_changed(busy):
            self.availability_changed(evse_id)
        for number in sorted(self._idle_resets):
            where = None if number == STATION else EvseId(number)
            if not self._busy(where):
                self._idle_resets.discard(number)
                self.report_fact(ResetRequested(where, immediate=False))

    # --- Time ---

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delays = []
        if (deadline := self._sampler.deadline) is not None:
            delays.append(deadline - self._loop.time())
        if self._limits.changes_at is not None:
            delays.append((self._limits.changes_at - self._now()).total_seconds())
        # An hour at most: the wall clock that profiles go by may be set meanwhile.
        self._timer = self._loop.call_later(min(max(min(delays), 0.0), 3600.0), self._tick) if delays else None

    def _tick(self) -> None:
        now = self._loop.time()
        for evse_id in self._sampler.tick(now, self._sampling_interval_s()):
            self._dialogue.spawn(self._sample(evse_id))
        self._profiles_changed(now)

    async def _sample(self, evse_id: EvseId) -> None:
        """MeterValuePeriodic with the latest reading; an old reading is not told twice."""
        reading = self._latest_meter.get(evse_id)
        if reading is None or reading.taken_at_s <= self._sampled_at_s.get(evse_id, float("-inf")):
            log.warning("EVSE %s: no fresh meter reading for the periodic sample", evse_id)
            return
        if not self.model.flag("SampledDataCtrlr", "Enabled") or self._transactions.on(evse_id) is None:
            return
        self._sampled_at_s[evse_id] = reading.taken_at_s
        await self.transaction_updated(
            evse_id, TriggerReason.METER_VALUE_PERIODIC, meter=reading, context=ReadingContext.SAMPLE_PERIODIC
        )


def _ocsp(item: OcspRequestData) -> Payload:
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": item.issuer_name_hash,
        "issuerKeyHash": item.issuer_key_hash,
        "serialNumber": item.serial_number,
        "responderURL": item.responder_url,
    }


def _authorization_status(text: str | None) -> AuthorizationStatus:
    """A status we do not know is no permission."""
    try:
        return AuthorizationStatus(text or "")
    except ValueError:
        return AuthorizationStatus.INVALID


def _component(name: str, evse_id: EvseId | None, connector_id: int | None) -> Payload:
    component: Payload = {"name": name}
    if evse_id is not None:
        component["evse"] = {"id": int(evse_id)}
        if connector_id is not None:
            component["evse"]["connectorId"] = connector_id
    return component
