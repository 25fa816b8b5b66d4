"""The OCPP 2.0.1 charging station: the pure machines of this package on one event loop.

`OcppStation` lives on the loop it was started on; call it from there (from another thread by
`asyncio.run_coroutine_threadsafe`). `report` is called on that loop and must be quick and thread-safe.

Whatever comes over the wire or fails on disk, charging goes on: the methods raise only TransactionError, for a call
that does not fit the transaction's state. A method about a transaction returns once its event is durable.
"""

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hal.quantities import EvseId, MeterReading
from hal.wall_clock import utc_now
from ocpp_client.actions import Handlers
from ocpp_client.authorization import Authorizer, OfflineRules
from ocpp_client.authorization_actions import AuthorizationActions
from ocpp_client.availability import Availability
from ocpp_client.block_variables import certificate_variables
from ocpp_client.blocks import Blocks, BlockState, Surroundings
from ocpp_client.certificate_actions import CertificateActions
from ocpp_client.certificate_desk import CertificateDesk
from ocpp_client.charging_actions import ChargingActions
from ocpp_client.clock import StationClock
from ocpp_client.config import OcppConfig
from ocpp_client.connection import Dialogue, Rules, payload_of
from ocpp_client.device_actions import DeviceActions
from ocpp_client.device_model import DeviceModel, Key
from ocpp_client.ev_certificates import ev_certificate
from ocpp_client.external_limits import ExternalLimits
from ocpp_client.firmware_desk import KEY as FIRMWARE_UPDATE
from ocpp_client.firmware_desk import FirmwareDesk
from ocpp_client.firmware_update import FirmwareStatus, UpdateRules
from ocpp_client.invalid_id import InvalidIds
from ocpp_client.link import BackOff, Endpoint, Moved
from ocpp_client.log_actions import LogActions
from ocpp_client.metering import ReadingContext
from ocpp_client.network import Network, NetworkProfile
from ocpp_client.network_actions import NetworkActions
from ocpp_client.notices import notify_event
from ocpp_client.planning_desk import PlanningDesk
from ocpp_client.ports import (
    AuthorizationStatus,
    AuthorizeAnswer,
    AvailabilityChanged,
    CertificateStore,
    ChargingState,
    ConfigurationError,
    ConnectorStatus,
    ContractRules,
    CsmsOnline,
    EventSent,
    FirmwareUpdater,
    IdToken,
    Journal,
    JournalError,
    LogSource,
    OcspRequestData,
    RemoteStart,
    Report,
    ResetRequested,
    SecretStore,
    SecretStoreError,
    SecurityEvent,
    StoppedReason,
    TransactionRules,
    TransactionState,
    TriggerReason,
    TxPoint,
)
from ocpp_client.profiles import Profiles
from ocpp_client.queue import Call, RetryRules
from ocpp_client.remote_actions import RemoteActions
from ocpp_client.schedule import Supply
from ocpp_client.security_events import SecurityEvents
from ocpp_client.security_log import SecurityLog
from ocpp_client.status_desk import StatusDesk
from ocpp_client.transaction_desk import LastWord, TransactionDesk, sampled_measurands, silent
from ocpp_client.transactions import Transactions
from ocpp_client.triggers import Triggers
from ocpp_client.variables import station_variables
from ocpp_client.wire import Payload, format_time, text_at

log = logging.getLogger(__name__)

_PASSWORD = "BasicAuthPassword"
MAX_CERTIFICATE = 5500
"""Characters of AuthorizeRequest.certificate."""
_TRANSACTION_RULES = (
    ("TxCtrlr", "TxStartPoint"),
    ("TxCtrlr", "TxStopPoint"),
    ("TxCtrlr", "EVConnectionTimeOut"),
    ("AuthCtrlr", "MasterPassGroupId"),
)
"""Variables that `TransactionRules` carries to the EVSEs."""
_CONTRACT_RULES = (
    "PnCEnabled",
    "ContractCertificateInstallationEnabled",
    "CentralContractValidationAllowed",
    "RequestMeteringReceipt",
)
"""Variables that `ContractRules` carries to the EVSEs."""
MAX_OCSP = 4
"""Entries of AuthorizeRequest.iso15118CertificateHashData."""


class OcppStation:
    """`tls` is for wss; without `certificates` the CSMS cannot manage them, without `logs` it gets no diagnostics,
    without `updater` it cannot update the firmware.

    With `secrets` the BasicAuth password is kept there, else in the journal like any variable. `last_word` is asked
    about a transaction that a power cut left open.
    """

    def __init__(
        self,
        config: OcppConfig,
        journal: Journal,
        report: Report,
        *,
        tls: ssl.SSLContext | None = None,
        certificates: CertificateStore | None = None,
        logs: LogSource | None = None,
        secrets: SecretStore | None = None,
        updater: FirmwareUpdater | None = None,
        last_word: LastWord = silent,
        system_time: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._journal = journal
        self.report_fact = report
        self._tls = tls
        self._secrets = secrets
        evse_ids = self.evse_ids = tuple(EvseId(number) for number in range(1, config.evse_count + 1))
        self.clock = StationClock(system_time, time.monotonic, self._follows_csms_time)
        self._network = Network(
            NetworkProfile(config.url, config.security_profile),
            lambda: self.model.members("OCPPCommCtrlr", "NetworkConfigurationPriority"),
            lambda: int(self.model.number("OCPPCommCtrlr", "NetworkProfileConnectionAttempts")),
            lambda: self._tls is not None,
        )
        self._authorizer = Authorizer()
        core = station_variables(
            config,
            lambda: format_time(self.clock.now()),
            lambda: self._network.active_slot,
            self._network.priority_refusal,
        )
        self._block_state = BlockState(config, self._authorizer.list)
        held = certificate_variables(lambda: 0 if certificates is None else certificates.entries)
        self.model = DeviceModel([*core, *self._block_state.variables(), *held])
        self._invalid_ids = InvalidIds(self.model, report)
        self._security_log = security_log = SecurityLog(journal)
        self._security = SecurityEvents(
            security_log,
            self.clock.now,
            lambda *entry: self._dialogue.spawn(security_log.append(*entry)),
            lambda *notice: self._dialogue.spawn(self._dialogue.store_notice(*notice)),
        )
        self._logs = LogActions(config.identity, security_log, logs, self.clock.now, self._send_later)
        self._transactions = Transactions(
            lambda: str(uuid.uuid4()), lambda: sampled_measurands(self.model), config.phases
        )
        supply = Supply(
            config.phases, config.nominal_voltage_v, config.max_current_a, dc=config.dc, discharges=config.discharges
        )
        self._profiles = Profiles(config.evse_count, supply, self._transactions.on)
        self._availability = Availability(config.evse_count)
        self._desk = TransactionDesk(
            config, self.model, journal, self._transactions, self._profiles, self.clock, report, self._put, last_word
        )
        self._status = StatusDesk(
            self.model, self._availability, self._transactions, evse_ids, self.clock, self._report_status, self._put
        )
        self._firmware = self._firmware_desk(updater) if updater is not None else None
        around = Surroundings(
            self.model,
            journal,
            self._availability,
            self._transactions,
            self.clock,
            report,
            self._send_later,
            lambda: self.online,
            self._next_event_id,
            self._tell_durably,
            self._put,
            self._status.reserved,
        )
        self._blocks = Blocks(self._block_state, around)
        self._remote = RemoteActions(self, self._transactions, self._availability, config.evse_count, supply)
        self._dialogue = Dialogue(self, journal, self._handlers(certificates), self._rules(), config.boot_retry_s)
        self.limits = ExternalLimits(
            self._profiles,
            self.model,
            self._dialogue.request,
            self._dialogue.spawn,
            self.clock.now,
            time.monotonic,
            self._desk.profiles_changed,
        )
        self.planning = PlanningDesk(
            self._profiles,
            self._transactions.on,
            self._dialogue.request,
            self.clock.now,
            time.monotonic,
            report,
            self._desk.profiles_changed,
            config.schedule_wait_s,
        )
        self._certificates: CertificateDesk | None = None
        if certificates is not None:
            self._certificates = CertificateDesk(self, certificates, self._dialogue.request, self._send_later)
        sign = self._certificates.sign if self._certificates is not None else None
        self._triggers = Triggers(self, self._dialogue, self._transactions, evse_ids, sign, config.phases)
        self._boot_reason = config.boot_reason
        self._dumped_cache = self._authorizer.cache.dump()
        self._event_id = 0
        self._taken_up = False

    def _handlers(self, certificates: CertificateStore | None) -> Handlers:
        charging = ChargingActions(
            self._profiles,
            self.clock.now,
            self._desk.profiles_changed,
            lambda evse_id: self.planning.profile_set(evse_id),
            self._send_later,
        )
        device = DeviceActions(self.model, self.clock.now, self._variables_changed, self._send_later)
        local = AuthorizationActions(
            self._authorizer,
            self._authorization_rules,
            self._cache_changed,
            self.clock.now,
            self._send_later,
            self._config.iso15118_vendor,
        )
        table = {**charging.handlers(), **device.handlers(), **self._remote.handlers(), **self._blocks.handlers()}
        network = NetworkActions(self._network, certificates, self._network_changed)
        table |= {**local.handlers(), **self._logs.handlers(), **network.handlers()}
        if self._firmware is not None:
            table |= self._firmware.handlers()
        if certificates is not None:
            table |= CertificateActions(certificates, self.security_event, self._certificate_taken).handlers()
        return table

    def _firmware_desk(self, updater: FirmwareUpdater) -> FirmwareDesk:
        rules = UpdateRules(
            busy=lambda: self._status.busy(None),
            allow_new_sessions=lambda: self.model.flag("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate"),
            stops_transactions=self._config.update_stops_transactions,
        )
        unsigned = self._config.allow_unsigned_firmware
        return FirmwareDesk(self, updater, rules, self.clock.now, allow_unsigned=unsigned)

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
        profile = self._network.active
        password = self.model.text("SecurityCtrlr", "BasicAuthPassword") if profile.security_profile < 3 else ""
        tls = self._tls if profile.url.startswith("wss://") else None
        return Endpoint(profile.url, self._config.identity, password, tls)

    def _follows_csms_time(self) -> bool:
        return self.model.members("ClockCtrlr", "TimeSource")[:1] == ("Heartbeat",)

    # --- Life ---

    async def take_up(self) -> None:
        """Take up what the journal holds, and tell of the transactions that may go on. Raises ConfigurationError."""
        self._taken_up = True
        await self._restore()
        await self._restore_password()
        self._override()
        self._report_rules()
        await self._desk.take_up()

    async def start(self) -> None:
        """`take_up`, unless that was done before; end what a power cut left open, and connect."""
        self._loop = asyncio.get_running_loop()
        if not self._taken_up:
            await self.take_up()
        self.model.on_change("OCPPCommCtrlr", "WebSocketPingInterval", self._ping_changed)
        self.model.on_change("OCPPCommCtrlr", "HeartbeatInterval", self._heartbeat_changed)
        self.model.on_change("SecurityCtrlr", "BasicAuthPassword", self._password_changed)
        for component, variable in _TRANSACTION_RULES:
            self.model.on_change(component, variable, lambda _value: self._report_rules())
        for variable in _CONTRACT_RULES:
            self.model.on_change("ISO15118Ctrlr", variable, lambda _value: self._report_contract_rules())
        self._report_contract_rules()
        await self._security.open()
        self._dialogue.start()
        self._security.started(f"{self._boot_reason}, firmware {self._config.firmware}")
        await self._desk.start(self._dialogue)
        self._status.start(self._dialogue)
        if self._firmware is not None:
            self._firmware.start()
        self._blocks.start()

    async def stop(self) -> None:
        """Close the link. Transactions stay open in the journal: a station that stops has its power cut."""
        self._desk.stop()
        self._blocks.stop()
        if self._certificates is not None:
            self._certificates.stop()
        await self._logs.stop()
        if self._firmware is not None:
            await self._firmware.stop()
        await self._dialogue.stop()

    async def _restore(self) -> None:
        takers: dict[str, Callable[[str], object]] = {
            "network": self._network.restore,
            "variables": self.model.restore,
            "profiles": self._profiles.restore,
            "availability": self._availability.restore,
            "auth_cache": self._authorizer.cache.restore,
            "boot_reason": self._take_boot_reason,
            **self._blocks.takers(),
        }
        if self._firmware is not None:
            takers[FIRMWARE_UPDATE] = self._firmware.restore
        try:
            stored = {key: await self._journal.get(key) for key in takers}
            if stored["boot_reason"] is not None:
                await self._journal.put("boot_reason", None)
        except JournalError as error:
            log.error("what the CSMS had set cannot be read, starting without: %s", error)
            return
        for key, text in stored.items():
            try:
                if text is not None:
                    takers[key](text)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.error("the stored %s cannot be read, starting without: %s", key, error)

    def _override(self) -> None:
        for override in self._config.overrides:
            if (reason := self.model.override(override)) is not None:
                raise ConfigurationError(f"{override} = {override.value!r}: {reason}")

    async def _restore_password(self) -> None:
        """The kept one before the configuration's. One from a journal that still held it is kept from now on."""
        if self._secrets is None:
            return
        try:
            kept = await self._secrets.get(_PASSWORD)
            if kept is not None:
                self.model.assign("SecurityCtrlr", _PASSWORD, kept)
            elif (stored := self.model.text("SecurityCtrlr", _PASSWORD)) != self._config.password:
                await self._secrets.put(_PASSWORD, stored)
        except SecretStoreError as error:
            log.error("the BasicAuth password cannot be kept or read: %s", error)

    def _take_boot_reason(self, reason: str) -> None:
        self._boot_reason = reason

    # --- What firmware tells: authorization ---

    @property
    def online(self) -> bool:
        return self._dialogue.online

    @property
    def counts(self) -> dict[str, int]:
        """What was dropped, refused or failed, by reason."""
        return self._dialogue.all_counts()

    async def authorize(
        self,
        token: IdToken,
        certificate_pem: str | None = None,
        ocsp: Sequence[OcspRequestData] = (),
        *,
        central: bool = False,
    ) -> AuthorizeAnswer:
        """Ask the CSMS (C01, C07), or the cache and the offline rules when it gives no answer (C10-C15).

        A contract that the CSMS is to verify (`central`) has no say but the CSMS's.
        """
        known = self._authorizer.before_asking(token, self.clock.now(), self._authorization_rules())
        if known is not None:
            return self._told(token, known, self._authorizer.list.find(token, self.clock.now()))
        if self.model.flag("AuthCtrlr", "DisableRemoteAuthorization") and token.kind != "eMAID":
            return self._told(token, self._authorizer.unanswered(token, self.clock.now(), self._authorization_rules()))
        payload: Payload = {"idToken": {"idToken": token.id_token, "type": token.kind}}
        # Without hash data the chain is all the CSMS can judge by.
        shows = central or not ocsp or self.model.flag("ISO15118Ctrlr", "CentralContractValidationAllowed")
        if shows and certificate_pem is not None and len(certificate_pem) <= MAX_CERTIFICATE:
            payload["certificate"] = certificate_pem
        if ocsp and not central:
            payload["iso15118CertificateHashData"] = [_ocsp(item) for item in ocsp[:MAX_OCSP]]
        if central and "certificate" not in payload:
            log.error("a contract of %d characters is too long to be verified by the CSMS", len(certificate_pem or ""))
            return AuthorizeAnswer(None)
        response = await self._dialogue.request("Authorize", payload)
        now, rules = self.clock.now(), self._authorization_rules()
        if response is None:
            return (
                AuthorizeAnswer(None) if central else self._told(token, self._authorizer.unanswered(token, now, rules))
            )
        answer = self._authorizer.answered(token, response, now, rules)
        self._cache_changed()
        return self._told(token, answer, response.get("idTokenInfo"))

    def _told(self, token: IdToken, answer: AuthorizeAnswer, info: object = None) -> AuthorizeAnswer:
        """Tell the driver what comes with an accepted token, where the CSMS said anything (`info`)."""
        if answer.status is AuthorizationStatus.ACCEPTED:
            self._desk.note_group(token, answer.group_id)
        if answer.status is AuthorizationStatus.ACCEPTED and info is not None:
            self._blocks.authorized(token, info)
        return answer

    def is_master_pass(self, answer: AuthorizeAnswer) -> bool:
        """Whether the token is one that ends every transaction of the station and starts none (C16)."""
        master = self.model.text("AuthCtrlr", "MasterPassGroupId")
        return bool(master) and answer.status is AuthorizationStatus.ACCEPTED and answer.group_id == master

    async def ev_certificate(self, schema: str, action: str, exi_request: bytes) -> bytes | None:
        """Ask for a vehicle's contract certificate (M01, M02): the EXI response, or None."""
        envelope = self._config.iso15118_vendor
        return await ev_certificate(self._dialogue.request, schema, action, exi_request, envelope)

    # --- Certificates of the station itself ---

    def use_tls(self, tls: ssl.SSLContext | None) -> None:
        """For the connections to come; the one there is stays."""
        self._tls = tls

    def sign_certificate(self, use: str) -> None:
        """Ask the CSMS to sign a fresh key (A02), unless it was asked already. `use`: CertificateSigningUseEnumType."""
        if self._certificates is not None and self.may_sign(use) and not self._certificates.asked_for(use):
            self._certificates.sign(use)

    def may_sign(self, use: str) -> bool:
        """Whether the CSMS lets certificates of that use be renewed."""
        return use != "V2GCertificate" or self.model.flag("ISO15118Ctrlr", "V2GCertificateInstallationEnabled")

    async def certificate_status(self, certificate: OcspRequestData) -> bytes | None:
        """The OCSP response (DER) of a certificate, through the CSMS (M06); None if there is none to be had now."""
        return None if self._certificates is None else await self._certificates.status(certificate)

    def signing_waits(self) -> tuple[float, int]:
        wait_s = self.model.number("SecurityCtrlr", "CertSigningWaitMinimum")
        return wait_s, int(self.model.number("SecurityCtrlr", "CertSigningRepeatTimes"))

    def cut_link(self, cut: bool) -> None:
        """Simulate that the network is gone, or back."""
        self._dialogue.link.cut(cut)

    def needs_client_certificate(self) -> bool:
        return self._network.active.security_profile == 3

    async def move_link(self, tls: ssl.SSLContext) -> Moved:
        moved = await self._dialogue.link.move(replace(self._endpoint(), tls=tls))
        if moved is Moved.DONE:
            self._tls = tls
        return moved

    def _certificate_taken(self, use: str) -> None:
        self._security.report(SecurityEvent.RECONFIGURATION_OF_SECURITY_PARAMETERS, f"{use} signed")
        if self._certificates is not None:
            self._certificates.came(use)
            self._dialogue.spawn(self._certificates.try_candidate())

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
        transaction_id: str = "",
    ) -> str:
        """Started; returns the transaction id, the one given where one is.

        From here on Updated events with meter values follow by themselves.
        """
        transaction_id = await self._desk.started(
            evse_id, id_token, trigger, charging_state, meter, v2g_session_id, remote_start_id, transaction_id
        )
        self._blocks.transaction_changed(evse_id, with_token=True)
        return transaction_id

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
        await self._desk.updated(evse_id, trigger, charging_state, meter, id_token, remote_start_id, context)
        self._blocks.transaction_changed(evse_id, with_token=id_token is not None)

    async def transaction_ended(
        self,
        evse_id: EvseId,
        trigger: TriggerReason,
        stopped_reason: StoppedReason,
        meter: MeterReading | None = None,
        id_token: IdToken | None = None,
    ) -> None:
        """Ended; without `meter` the latest reading stands."""
        state = self._transactions.on(evse_id)
        await self._desk.ended(evse_id, trigger, stopped_reason, meter, id_token)
        self._transaction_over(evse_id, state)

    async def transaction_resumed(
        self, evse_id: EvseId, charging_state: ChargingState, meter: MeterReading | None = None
    ) -> None:
        """The one that `TransactionLeftOpen` told of goes on."""
        await self._desk.resumed(evse_id, charging_state, meter)
        self._blocks.transaction_changed(evse_id, with_token=True)

    async def transaction_given_up(self, evse_id: EvseId) -> None:
        """The one that `TransactionLeftOpen` told of ends by PowerLoss."""
        state = self._transactions.on(evse_id)
        await self._desk.given_up(evse_id)
        self._transaction_over(evse_id, state)

    def _transaction_over(self, evse_id: EvseId, state: TransactionState | None) -> None:
        self._invalid_ids.transaction_ended(evse_id)
        self._status.transaction_ended()
        if self._firmware is not None:
            self._firmware.transaction_ended()
        if state is not None:
            self._blocks.transaction_ended(state.transaction_id, offline=not self.online)

    def reservation_used(self, evse_id: EvseId, reservation_id: int, token: IdToken) -> None:
        """Its holder was authorised at this EVSE: the event with the token names it (H03)."""
        self._desk.name_reservation(evse_id, reservation_id, token)
        self._blocks.reservations.used(reservation_id)

    async def meter_sampled(self, evse_id: EvseId, reading: MeterReading) -> None:
        """A reading, as often as the board gives them; written down now and then for the case of a power cut."""
        self._invalid_ids.sampled(evse_id, reading)
        self._blocks.meter_sampled(evse_id, reading)
        await self._desk.meter_sampled(evse_id, reading)

    # --- What firmware tells: status and events ---

    def connector_status(self, evse_id: EvseId, status: ConnectorStatus) -> None:
        """The connector's own status; what the CSMS hears follows from it and from availability."""
        self._status.connector_status(evse_id, status)
        self._blocks.evses_changed()

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
        transaction_id: str = "",
    ) -> None:
        """NotifyEvent of a hard-wired monitor (N07): a fault that began or cleared, or a value. Kept while offline."""
        payload = notify_event(
            self._next_event_id(),
            self.clock.now(),
            component,
            variable,
            value,
            evse_id=evse_id,
            connector_id=connector_id,
            texts={"techCode": tech_code, "techInfo": tech_info, "transactionId": transaction_id},
            cleared=cleared,
            monitor_id=self._blocks.problem(component, variable, evse_id, value),
        )
        self._dialogue.spawn(self._dialogue.store_notice("NotifyEvent", payload))

    def _next_event_id(self) -> int:
        self._event_id += 1
        return self._event_id

    def security_event(self, kind: str, tech_info: str = "") -> None:
        """SecurityEventNotification of a critical event (A04): kept until the CSMS has it, and in the security log."""
        self._security.report(kind, tech_info)

    async def security_log(self) -> list[str]:
        """The station's own log of security events, a line of JSON each, chained. Raises JournalError."""
        return (await self._security_log.read(None, None)).decode().splitlines()

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

    def connection_failed(self, reason: str, event: SecurityEvent | None) -> None:
        self._security.attempt_failed(event, reason)
        if self._network.failed():
            log.warning("trying the CSMS of network profile %s", self._network.active_slot)

    def connected(self) -> None:
        self._network.connected()
        self._security.connected()
        self.model.assign("SecurityCtrlr", "SecurityProfile", str(self._network.active.security_profile))

    def went_online(self) -> None:
        self.report_fact(CsmsOnline(True, "registered"))
        self._status.went_online()
        self.limits.tell()
        if self._certificates is not None:
            self._dialogue.spawn(self._certificates.try_candidate())

    def went_offline(self, reason: str) -> None:
        self._status.went_offline()
        self.report_fact(CsmsOnline(False, reason))

    def frame_refused(self, reason: str) -> None:
        self._security.frame_refused(reason)

    def boot_answered(self, response: Payload) -> None:
        self.heartbeat_answered(response)
        interval = response.get("interval")
        if response.get("status") == "Accepted" and isinstance(interval, int) and interval > 0:
            self.model.assign("OCPPCommCtrlr", "HeartbeatInterval", str(interval))

    def heartbeat_answered(self, response: Payload) -> None:
        before = self.clock.now()
        if self.clock.csms_says(text_at(response, "currentTime")):
            self._security.time_told(before)

    def before_sending(self, payload_json: str) -> str:
        return self.clock.corrected(payload_json)

    def durable_answered(self, call: Call, response: Payload) -> None:
        if call.action == "TransactionEvent":
            self._event_answered(payload_of(call), response)

    def _event_answered(self, sent: Payload, response: Payload) -> None:
        transaction_id = sent["transactionInfo"]["transactionId"]
        self.report_fact(
            EventSent(transaction_id, sent["eventType"], sent["seqNo"], sent["triggerReason"], sent["offline"])
        )
        self._blocks.event_answered(transaction_id, response, ended=sent["eventType"] == "Ended")
        status = text_at(response, "idTokenInfo", "status")
        if status is None:
            return
        if (token := sent.get("idToken")) is not None:
            rules = self._authorization_rules()
            known = IdToken(token["idToken"], token["type"])
            self._authorizer.cache.learn(known, response["idTokenInfo"], self.clock.now(), rules)
            self._cache_changed()
        state = self._transactions.find(transaction_id)
        if status != AuthorizationStatus.ACCEPTED and state is not None:
            self._dialogue.spawn(self._desk.refused(transaction_id))
            self._invalid_ids.refused(state, status)

    def durable_given_up(self, call: Call) -> None:
        log.error("the CSMS never took %s of transaction %s", call.action, call.transaction_id)

    def events_thinned(self, count: int) -> None:
        self._security.report(SecurityEvent.MEMORY_EXHAUSTION, f"{count} TransactionEvents Updated left out")

    # --- What the handlers ask ---

    def availability_changed(self, evse_id: int) -> None:
        self._status.availability_changed(evse_id)
        self._blocks.evses_changed()

    def store_availability(self) -> None:
        self._status.store_availability()

    def reserved_for_others(self, evse_id: EvseId, token: IdToken, group_id: str | None) -> bool:
        return self._blocks.reservations.refuses(evse_id, token, group_id)

    def keep_profile(self, remote_start_id: int, profile: Payload) -> None:
        self._desk.keep_profile(remote_start_id, profile)

    def remote_start(self, fact: RemoteStart) -> None:
        self._desk.note_group(fact.id_token, fact.group_id)
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

    def _report_status(self, fact: AvailabilityChanged | ResetRequested) -> None:
        if isinstance(fact, ResetRequested) and fact.evse_id is None:
            self._security.report(SecurityEvent.RESET_OR_REBOOT, "asked for by the CSMS")
        self.report_fact(fact)

    def reset_requested(self, evse_id: EvseId | None, immediate: bool) -> None:
        self._status.reset_requested(evse_id, immediate)

    async def messages_wait(self, transaction_id: str | None) -> bool:
        return await self._dialogue.spool.waiting(transaction_id)

    def can_trigger(self, message: str, evse_id: EvseId | None) -> str:
        return self._triggers.can(message, evse_id)

    def trigger(self, message: str, evse_id: EvseId | None) -> None:
        self._triggers.send(message, evse_id)

    def connector_status_payload(self, evse_id: EvseId) -> Payload:
        return self._status.payload(evse_id)

    def log_status_payload(self) -> Payload:
        return self._logs.status_payload()

    def firmware_status_payload(self) -> Payload:
        return {"status": FirmwareStatus.IDLE.value} if self._firmware is None else self._firmware.status_payload()

    def hold_evses(self, hold: bool) -> None:
        self._status.hold(hold)

    def end_transactions(self) -> None:
        for state in self._transactions.all_open():
            self.report_fact(ResetRequested(state.evse_id, immediate=True))

    async def store_notice(self, action: str, payload: Payload) -> None:
        await self._dialogue.store_notice(action, payload)

    def latest_meter(self, evse_id: EvseId) -> MeterReading | None:
        return self._desk.latest_meter(evse_id)

    # --- Inside ---

    def _tell_durably(self, action: str, payload: Payload) -> None:
        self._dialogue.spawn(self._dialogue.store_notice(action, payload))

    def _send_later(self, action: str, payload: Payload) -> None:
        self._dialogue.send_later(action, payload)

    def _authorization_rules(self) -> OfflineRules:
        flag = self.model.flag
        return OfflineRules(
            cache_enabled=flag("AuthCacheCtrlr", "Enabled"),
            cache_lifetime_s=self.model.number("AuthCacheCtrlr", "LifeTime"),
            authorize_offline=flag("AuthCtrlr", "LocalAuthorizeOffline"),
            pre_authorize=flag("AuthCtrlr", "LocalPreAuthorize"),
            post_authorize=not flag("AuthCacheCtrlr", "DisablePostAuthorize"),
            unknown_offline=flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled"),
            contract_offline=flag("ISO15118Ctrlr", "ContractValidationOffline"),
            list_enabled=flag("LocalAuthListCtrlr", "Enabled"),
            list_post_authorize=not flag("LocalAuthListCtrlr", "DisablePostAuthorize"),
        )

    def _cache_changed(self) -> None:
        dumped = self._authorizer.cache.dump()
        if dumped != self._dumped_cache:
            self._dumped_cache = dumped
            self._put("auth_cache", dumped)

    def set_variables(self, wanted: Mapping[Key, str]) -> dict[Key, tuple[str, str]]:
        """A technician's word on variables, all of it or nothing: SetVariableStatus and reason of each."""
        answers = self.model.set_all(wanted)
        if all(status in ("Accepted", "RebootRequired") for status, _ in answers.values()):
            self._variables_changed()
            self.model.tell_changes()
        return answers

    def watch_frames(self, watcher: Callable[[str, str], None]) -> None:
        """`watcher` hears every OCPP-J frame with `sent` or `received` before it, on the station's loop."""
        self._dialogue.link.watcher = watcher

    def _variables_changed(self) -> None:
        self._put("variables", self.model.dump(secrets=self._secrets is None))

    def _report_rules(self) -> None:
        def points(variable: str) -> frozenset[TxPoint]:
            return frozenset(TxPoint(name) for name in self.model.members("TxCtrlr", variable))

        self.report_fact(
            TransactionRules(
                points("TxStartPoint"),
                points("TxStopPoint"),
                self.model.number("TxCtrlr", "EVConnectionTimeOut"),
                self.model.text("AuthCtrlr", "MasterPassGroupId"),
            )
        )

    def _report_contract_rules(self) -> None:
        self.report_fact(ContractRules(*(self.model.flag("ISO15118Ctrlr", variable) for variable in _CONTRACT_RULES)))

    def _network_changed(self) -> None:
        self._put("network", self._network.dump())
        self._security.report(SecurityEvent.RECONFIGURATION_OF_SECURITY_PARAMETERS, "network profile")

    def _ping_changed(self, value: str) -> None:
        self._dialogue.link.set_ping_interval(float(value))

    def _heartbeat_changed(self, value: str) -> None:
        self._dialogue.registrar.set_heartbeat(float(value), self._loop.time())

    def _password_changed(self, value: str) -> None:
        self._security.report(SecurityEvent.RECONFIGURATION_OF_SECURITY_PARAMETERS, _PASSWORD)
        self._dialogue.spawn(self._take_password(value))

    async def _take_password(self, value: str) -> None:
        """A01.FR.02: the new password holds from the next connection on, which is made now."""
        try:
            if self._secrets is not None:
                await self._secrets.put(_PASSWORD, value)
        except SecretStoreError as error:
            log.error("the new BasicAuth password is lost with the next restart: %s", error)
        await self._dialogue.link.drop("password changed")

    def _put(self, key: str, value: str | None) -> None:
        self._dialogue.spawn(self.put_now(key, value))

    async def put_now(self, key: str, value: str | None) -> None:
        try:
            await self._journal.put(key, value)
        except JournalError as error:
            log.error("%s is not durable: %s", key, error)


def _ocsp(item: OcspRequestData) -> Payload:
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": item.issuer_name_hash,
        "issuerKeyHash": item.issuer_key_hash,
        "serialNumber": item.serial_number,
        "responderURL": item.responder_url,
    }
