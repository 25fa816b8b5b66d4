"""One ISO 15118-2 session by the iso15118 package's own EVCC: SDP, TLS and the whole conversation are its work."""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from iso15118.evcc import EVCCHandler, evcc_settings
from iso15118.evcc.comm_session_handler import EVCCCommunicationSession
from iso15118.evcc.evcc_config import EVCCConfig
from iso15118.shared.exceptions import SDPFailedError
from iso15118.shared.iexi_codec import IEXICodec
from iso15118.shared.messages.enums import AuthEnum
from iso15118.shared.messages.iso15118_2.datatypes import ChargingSession
from iso15118.shared.notifications import StopNotification
from iso15118.shared.settings import SettingKey, load_shared_settings, shared_settings

from sim.vehicle.controller import ChargeGoal, VehicleController
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from sim.vehicle.stream import FramedReader
from sim.vehicle.tap import Body, TappedCodec, quantity

log = logging.getLogger(__name__)

ONGOING_PAUSE_S = 0.2
REPEATED_WHILE_ONGOING = ("AuthorizationReq", "ChargeParameterDiscoveryReq")


class Ending(Enum):
    """How a session ended."""

    STOPPED = "SessionStopRes OK"
    REFUSED = "negative response code"
    NOT_DISCOVERED = "no usable SDP response"
    NOT_CONNECTED = "no TCP or TLS connection"
    NOT_OFFERED = "Plug & Charge is not offered"
    LOST = "connection lost"


@dataclass(frozen=True, slots=True)
class SessionEnd:
    ending: Ending
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EvccOptions:
    """What the vehicle wants of its session."""

    interface: str
    pki: Path
    """Laid out as iso15118.shared.security.CertPath and KeyPath say."""
    tls: bool
    contract: bool
    """Plug & Charge or nothing; otherwise external payment, offered or not."""
    goal: ChargeGoal
    loop_delay_s: float
    emaid: str | None = None
    """Sent instead of the contract certificate's common name."""


async def charge(options: EvccOptions, codec: IEXICodec, charger: OnboardCharger, events: EventLog) -> SessionEnd:
    """Runs one session to its end. Cancel it to break off."""
    load_shared_settings()
    shared_settings[SettingKey.PKI_PATH] = str(options.pki)
    shared_settings[SettingKey.MESSAGE_LOG_JSON] = False
    # The package prefers Plug & Charge whenever TLS and the station allow it; only its memory of a paused session
    # makes it pay otherwise.
    resumed = None if options.contract else AuthEnum.EIM_V2
    evcc_settings.RESUME_SELECTED_AUTH_OPTION = resumed  # type: ignore[assignment]
    config = _config(options, charger)
    controller = VehicleController(config, charger, options.goal, options.loop_delay_s)
    session = _Session(options, config, codec, controller, charger, events)
    try:
        return await session.run()
    finally:
        controller.detach()
        await session.close()


def _config(options: EvccOptions, charger: OnboardCharger) -> EVCCConfig:
    config = EVCCConfig.parse_obj(
        {
            "supportedProtocols": ["ISO_15118_2"],
            "supportedEnergyServices": ["AC"],
            "energyTransferMode": "AC_single_phase_core" if charger.demand.phases == 1 else "AC_three_phase_core",
            "useTls": options.tls,
            "enforceTls": options.tls,
            "isCertInstallNeeded": False,
            "sdpRetryCycles": 1,
        }
    )
    config.load_raw_values()  # type: ignore[no-untyped-call]
    return config


class _Session(EVCCHandler):
    """The package's session handler, made to say how it ended: by itself it waits for ever after any failure."""

    def __init__(
        self,
        options: EvccOptions,
        config: EVCCConfig,
        codec: IEXICodec,
        controller: VehicleController,
        charger: OnboardCharger,
        events: EventLog,
    ) -> None:
        tap = TappedCodec(codec, self._sent, self._received, options.emaid)
        super().__init__(config, options.interface, tap, controller)
        self._options = options
        self._charger = charger
        self._events = events
        self._end: asyncio.Future[SessionEnd] = asyncio.get_running_loop().create_future()
        self._last_sent = ""
        self._repeats = False
        self._session: EVCCCommunicationSession | None = None
        self._handler: asyncio.Task[None] | None = None

    async def run(self) -> SessionEnd:
        self._handler = asyncio.create_task(self.start())  # type: ignore[no-untyped-call]
        first: set[asyncio.Future[Any]] = {self._handler, self._end}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        self._ended(Ending.LOST, "the EVCC gave up")
        return self._end.result()

    async def close(self) -> None:
        """Closes the connection, which the package would keep for five seconds more."""
        if self._session is not None:
            self._session.writer.close()
        # The package never closes it.
        if (transport := getattr(self.udp_client, "_transport", None)) is not None:
            transport.close()
        if self._handler is None or self._handler.done():
            return
        if self._session is None:
            self._handler.cancel()
        else:
            self._rcv_queue.put_nowait(StopNotification(True, "session over"))
        await asyncio.wait({self._handler}, timeout=1.0)

    async def restart_sdp(self, new_sdp_cycle: bool) -> None:
        try:
            await super().restart_sdp(new_sdp_cycle)
        except SDPFailedError as error:
            # Reached after 50 unanswered requests, or when a session has failed and the one cycle is used up.
            self._ended(*self._failure(str(error)))
            raise

    async def start_comm_session(self, host: IPv6Address, port: int, is_tls: bool) -> None:
        self._events.write("sdp", address=str(host), port=port, tls=is_tls)
        await super().start_comm_session(host, port, is_tls)
        session = self.comm_session[0]
        if not isinstance(session, EVCCCommunicationSession):
            self._ended(Ending.NOT_CONNECTED, f"{host} port {port}")
            return
        self._session = session
        # Safe here: the session's task has been created but has not run yet.
        framed = FramedReader(session.reader, self._pause_s, self._connection_lost)
        session.reader = framed  # type: ignore[assignment]

    def _failure(self, reason: str) -> tuple[Ending, str]:
        if self._session is None:
            return Ending.NOT_DISCOVERED, reason
        return Ending.LOST, f"no valid answer to {self._last_sent}"

    def _note_connection(self) -> None:
        writer = self.tcp_client.writer
        assert writer is not None
        tls = writer.get_extra_info("ssl_object")
        if tls is None:
            self._events.write("tcp")
        else:
            self._events.write("tls", version=tls.version(), cipher=tls.cipher()[0])

    def _pause_s(self) -> float:
        return ONGOING_PAUSE_S if self._repeats else 0.0

    def _connection_lost(self, why: str) -> None:
        self._ended(Ending.LOST, f"{why} after {self._last_sent}")

    def _ended(self, ending: Ending, detail: str = "") -> None:
        if not self._end.done():
            self._end.set_result(SessionEnd(ending, detail))

    def _sent(self, name: str, body: Body, _session_id: str) -> None:
        self._repeats = name == self._last_sent and name in REPEATED_WHILE_ONGOING
        self._last_sent = name
        if name == "supportedAppProtocolReq":
            # The first the package says after it has connected, before start_comm_session returns.
            self._note_connection()
        self._events.write("message", name=name, sent=True)
        match name:
            case "PaymentServiceSelectionReq":
                self._payment_selected(body["SelectedPaymentOption"])
            case "PaymentDetailsReq":
                self._events.write("contract", emaid=body["eMAID"])
            case "MeteringReceiptReq":
                self._events.write("receipt", meter_reading_wh=body["MeterInfo"].get("MeterReading"))
            case "PowerDeliveryReq" if body["ChargeProgress"] == "Stop":
                self._power_delivery_stop()

    def _payment_selected(self, option: str) -> None:
        self._events.write("payment", option=option)
        if self._options.contract and option != "Contract":
            self._ended(Ending.NOT_OFFERED)

    def _power_delivery_stop(self) -> None:
        self._charger.stop()
        self._events.write("stopped", energy_wh=round(self._charger.energy_wh, 3))
        # Where MeteringReceiptRes asks to stop, the package forgets this and goes on with ChargingStatusReq.
        if self._session is not None:
            self._session.charging_session_stop_v2 = ChargingSession.TERMINATE

    def _received(self, name: str, body: Body, session_id: str) -> None:
        self._events.write("message", name=name, sent=False)
        code = str(body.get("ResponseCode", ""))
        if not code.startswith("OK"):
            self._events.write("response_code", name=name, code=code)
            self._ended(Ending.REFUSED, f"{name} {code}")
            return
        match name:
            case "SessionSetupRes":
                self._events.write("session", session_id=session_id, evse_id=body["EVSEID"])
            case "ChargeParameterDiscoveryRes":
                self._read_limits(body.get("AC_EVSEChargeParameter", {}))
            case "ChargingStatusRes":
                self._read_limits(body)
            case "SessionStopRes":
                self._ended(Ending.STOPPED)

    def _read_limits(self, body: Body) -> None:
        if "EVSEMaxCurrent" in body:
            self._charger.limit(quantity(body["EVSEMaxCurrent"]))
        notification = body.get("AC_EVSEStatus", {}).get("EVSENotification", "None")
        if notification != "None":
            self._events.write("notification", evse_notification=notification)
