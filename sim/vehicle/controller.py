"""The vehicle's side of the iso15118 package's EVControllerInterface, for ISO 15118-2 AC."""

from dataclasses import dataclass

from iso15118.evcc.controller.interface import ChargeParamsV2
from iso15118.evcc.controller.simulator import SimEVController
from iso15118.evcc.evcc_config import EVCCConfig
from iso15118.shared.messages.enums import Protocol
from iso15118.shared.messages.iso15118_2.datatypes import (
    ACEVChargeParameter,
    ChargeProgress,
    ChargingProfile,
    SAScheduleTuple,
)

from sim.vehicle.current import MIN_CURRENT_A, PowerSchedule
from sim.vehicle.onboard import OnboardCharger

WANTED_ENERGY_WH = 20_000
"""EAmount of a vehicle that charges by time."""


@dataclass(frozen=True, slots=True)
class ChargeGoal:
    """When the vehicle has enough: whichever comes first."""

    charge_s: float
    energy_wh: float | None = None

    def reached(self, charger: OnboardCharger) -> bool:
        if charger.charging_s >= self.charge_s:
            return True
        return self.energy_wh is not None and charger.energy_wh >= self.energy_wh


class VehicleController(SimEVController):
    """Ties the EVCC's questions to the on-board charger. What AC charging by ISO 15118-2 does not ask is inherited."""

    def __init__(self, config: EVCCConfig, charger: OnboardCharger, goal: ChargeGoal, loop_delay_s: float) -> None:
        super().__init__(config)
        self._charger = charger
        self._goal = goal
        self._loop_delay_s = loop_delay_s
        self._detached = False

    def detach(self) -> None:
        """From now on the EVCC moves nothing: it speaks up seconds after a session's end."""
        self._detached = True

    async def get_charge_params_v2(self, protocol: Protocol) -> ChargeParamsV2:
        # The package's models are filled by their XSD names.
        energy_wh = min(round(self._goal.energy_wh or WANTED_ENERGY_WH), 32767)
        ac_parameters = ACEVChargeParameter.parse_obj(
            {
                "DepartureTime": 0,
                "EAmount": {"Multiplier": 0, "Value": energy_wh, "Unit": "Wh"},
                "EVMaxVoltage": {"Multiplier": 0, "Value": 400, "Unit": "V"},
                "EVMaxCurrent": {
                    "Multiplier": -1,
                    "Value": round(self._charger.demand.vehicle_max_a * 10),
                    "Unit": "A",
                },
                "EVMinCurrent": {"Multiplier": 0, "Value": round(MIN_CURRENT_A), "Unit": "A"},
            }
        )
        return ChargeParamsV2(await self.get_energy_transfer_mode(protocol), ac_parameters, None)

    async def process_sa_schedules_v2(
        self, sa_schedules: list[SAScheduleTuple]
    ) -> tuple[ChargeProgress, int, ChargingProfile]:
        chosen = sa_schedules[0]
        entries = chosen.p_max_schedule.schedule_entries
        steps = tuple((float(entry.time_interval.start), entry.p_max.get_decimal_value()) for entry in entries)
        self._charger.schedule(PowerSchedule(steps))
        progress, tuple_id, profile = await super().process_sa_schedules_v2([chosen])
        return progress, tuple_id, profile

    async def enable_charging(self, enabled: bool) -> None:
        """Called just before PowerDeliveryReq Start is sent: state C is due no later than 250 ms after it.

        [V2G2-847] # unverified: clause
        """
        if self._detached:
            return
        if enabled:
            await self._charger.start()
        else:
            await self._charger.stopped()

    async def continue_charging(self) -> bool:
        return not self._goal.reached(self._charger)

    async def charge_loop_delay(self) -> float:  # type: ignore[override]
        """Seconds between ChargingStatusReq; the package only hands it to asyncio.sleep, so a fraction is fine."""
        return self._loop_delay_s
