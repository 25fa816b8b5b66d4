"""What an EVSE needs from the two middle floors, as firmware sees them through their loops' threads.

Every method may be called from the main loop and returns at once. What comes of a call comes back as a fact.
"""

from pathlib import Path
from typing import Protocol

from firmware.problems import Cause
from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import (
    ChargingState,
    ConnectorStatus,
    IdToken,
    StoppedReason,
    TriggerReason,
)
from secc.ports import CertificateRequested, Contract, PausedSession
from secc.schedules import EnergyRequested, ScheduleSelected


class SeccControl(Protocol):
    """One EVSE's SECC."""

    def open(self, ev_mac: bytes) -> None:
        """D-LINK ready: answer SDP from now on."""
        ...

    def close(self) -> None:
        """Take the V2G connection down, answer nothing."""
        ...

    def view_changed(self) -> None:
        """A request that waits for the station may look again."""
        ...

    async def log_keys(self, file: Path, duration_s: float) -> None:
        """Write TLS session secrets for a technician. Raises TlsUnavailable, OSError, TimeoutError."""
        ...


class Operator(Protocol):
    """The operator's side. Calls of one EVSE keep their order."""

    def authorize(self, evse: EvseId, token: IdToken, contract: Contract | None) -> None:
        """Answers with AuthorizationAnswered."""
        ...

    def fetch_certificate(self, evse: EvseId, request: CertificateRequested) -> None:
        """Answers with secc.ports.CertificateAnswer."""
        ...

    def plan(self, evse: EvseId, needs: EnergyRequested, phases: int, *, anew: bool) -> None:
        """Answers with secc.schedules.ScheduleAnswer. `phases` are the EVSE's.

        `anew`: with the schedules there are; the CSMS is not asked.
        """
        ...

    def tell_plan(self, evse: EvseId, chosen: ScheduleSelected) -> None: ...

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
        """Answers with TransactionOpened."""
        ...

    def update_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState,
        token: IdToken | None,
        meter: MeterReading | None,
        remote_start_id: int | None,
    ) -> None: ...

    def end_transaction(
        self,
        evse: EvseId,
        trigger: TriggerReason,
        reason: StoppedReason,
        meter: MeterReading | None,
        token: IdToken | None,
    ) -> None: ...

    def resume_transaction(self, evse: EvseId, charging_state: ChargingState, meter: MeterReading | None) -> None:
        """The one a power cut had left open goes on."""
        ...

    def give_up_transaction(self, evse: EvseId) -> None:
        """The one a power cut had left open ends by it."""
        ...

    def reservation_used(self, evse: EvseId, reservation_id: int, token: IdToken) -> None:
        """Before the transaction's event that follows from it."""
        ...

    def meter_sampled(self, evse: EvseId, reading: MeterReading) -> None: ...

    def connector_status(self, evse: EvseId, status: ConnectorStatus) -> None: ...

    def remember_pause(self, evse: EvseId, paused: PausedSession) -> None:
        """Keep, over a power cut, what lets the vehicle join its session again."""
        ...

    def unlock_result(self, evse: EvseId, unlocked: bool) -> None: ...

    def problem(self, evse: EvseId, cause: Cause) -> None: ...
