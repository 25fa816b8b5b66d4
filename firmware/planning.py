"""What vehicles and the operator say to each other of energy, each in the other's words (OCPP K15-K17). Pure."""

from collections.abc import Sequence
from math import inf

from ocpp_client.ports import ChargingNeeds, PlannedSchedule, Tariff, TariffCost
from secc.schedules import (
    ChargingSchedule,
    ConsumptionCost,
    Cost,
    CostKind,
    EnergyRequested,
    LimitPeriod,
    SalesTariff,
    ScheduleAnswer,
    TariffEntry,
)

_COSTS = {
    "CarbonDioxideEmission": CostKind.CARBON_DIOXIDE_EMISSION,
    "RelativePricePercentage": CostKind.RELATIVE_PRICE_PERCENTAGE,
    "RenewableGenerationPercentage": CostKind.RENEWABLE_GENERATION_PERCENTAGE,
}


def charging_needs(said: EnergyRequested, phases: int) -> ChargingNeeds:
    return ChargingNeeds(
        mode=_mode(said.energy_transfer_mode, phases),
        max_schedules=said.max_schedules,
        max_current_a=said.max_current_a,
        min_current_a=said.min_current_a,
        max_voltage_v=said.max_voltage_v or 0.0,
        energy_wh=said.energy_wh,
        departure_s=said.departure_s,
        max_power_w=said.max_power_w,
        soc_percent=said.soc_percent,
        capacity_wh=said.capacity_wh,
        full_soc_percent=said.full_soc_percent,
        bulk_soc_percent=said.bulk_soc_percent,
    )


def _mode(energy_transfer_mode: str, phases: int) -> str:
    """OCPP EnergyTransferModeEnumType for DIN, ISO 15118-2 (AC_single_phase_core ...) and -20 (AC, DC_BPT ...)."""
    if energy_transfer_mode.startswith("DC"):
        return "DC"
    return "AC_single_phase" if phases == 1 or "single" in energy_transfer_mode else "AC_three_phase"


def schedule_answer(request_id: str, planned: Sequence[PlannedSchedule]) -> ScheduleAnswer:
    """Numbered from 1 in the operator's order: its own numbers may be beyond what ISO 15118 can say."""
    return ScheduleAnswer(
        request_id,
        tuple(
            ChargingSchedule(
                number,
                tuple(
                    LimitPeriod(period.from_s, _most(period.limit_a), _most(period.power_w))
                    for period in schedule.periods
                ),
                None if schedule.tariff is None else _tariff(number, schedule.tariff),
            )
            for number, schedule in enumerate(planned, 1)
        ),
    )


def _most(limit: float | None) -> float:
    return inf if limit is None else max(limit, 0.0)


def _tariff(number: int, tariff: Tariff) -> SalesTariff:
    entries = tuple(
        TariffEntry(
            entry.from_s,
            entry.price_level,
            tuple(ConsumptionCost(from_w, tuple(map(_cost, costs))) for from_w, costs in entry.consumption),
        )
        for entry in tariff.entries
    )
    return SalesTariff(number, entries, tariff.description, tariff.price_levels)


def _cost(cost: TariffCost) -> Cost:
    return Cost(_COSTS[cost.kind], cost.amount, cost.multiplier)
