"""Vehicles that plan (ISO 15118): their needs, the operator's schedules and their choice, as OCPP has them (K15-K17).

Pure. `to_monotonic` turns Unix time into the monotonic time the other floors go by.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hal.quantities import EvseId
from ocpp_client.composite import spans
from ocpp_client.ports import (
    ChargingNeeds,
    PlannedSchedule,
    SchedulePeriod,
    Tariff,
    TariffCost,
    TariffEntry,
    TransactionState,
)
from ocpp_client.profiles import Installed, Profiles
from ocpp_client.schedule import unix
from ocpp_client.wire import Payload, format_time, parse_time

HORIZON_S = 86_400
MAX_PERIODS = 1024
"""Of a schedule a vehicle is offered (ISO 15118-2) and of one it tells (OCPP)."""


def needs_payload(evse_id: EvseId, needs: ChargingNeeds, now: datetime) -> Payload:
    """NotifyEVChargingNeedsRequest. OCPP counts in whole units; what a vehicle did not say of AC is told as 0."""
    said: Payload = {"requestedEnergyTransfer": needs.mode}
    if needs.departure_s is not None:
        said["departureTime"] = format_time(now + timedelta(seconds=needs.departure_s))
    if needs.mode == "DC":
        said["dcChargingParameters"] = _dc(needs)
    else:
        said["acChargingParameters"] = {
            "energyAmount": round(needs.energy_wh or 0.0),
            "evMinCurrent": round(needs.min_current_a),
            "evMaxCurrent": round(needs.max_current_a),
            "evMaxVoltage": round(needs.max_voltage_v),
        }
    return {"evseId": int(evse_id), "maxScheduleTuples": needs.max_schedules, "chargingNeeds": said}


def _dc(needs: ChargingNeeds) -> Payload:
    values = {
        "evMaxCurrent": needs.max_current_a,
        "evMaxVoltage": needs.max_voltage_v,
        "energyAmount": needs.energy_wh,
        "evMaxPower": needs.max_power_w,
        "stateOfCharge": needs.soc_percent,
        "evEnergyCapacity": needs.capacity_wh,
        "fullSoC": needs.full_soc_percent,
        "bulkSoC": needs.bulk_soc_percent,
    }
    return {name: round(value) for name, value in values.items() if value is not None}


def planned(
    profiles: Profiles, profile: Installed, transaction: TransactionState, now: datetime, to_monotonic: float
) -> tuple[PlannedSchedule, ...]:
    """The profile's schedules, each as it would hold with all else that limits the EVSE, over a day at most."""
    return tuple(
        PlannedSchedule(
            schedule["id"],
            _periods(profiles, profile, schedule["id"], unix(now), to_monotonic),
            _tariff(schedule, _start(profile, schedule, transaction, now) + to_monotonic),
        )
        for schedule in profile.profile["chargingSchedule"]
    )


def _periods(
    profiles: Profiles, profile: Installed, number: int, now: int, to_monotonic: float
) -> tuple[SchedulePeriod, ...]:
    periods = list[SchedulePeriod]()
    with profiles.as_if_chosen(profile.profile["id"], number):
        for span in spans(profiles, profile.evse_id, now):
            if span.start >= now + HORIZON_S or len(periods) == MAX_PERIODS:
                break
            limit_a = span.allowance.limit_a(profiles.supply)
            if not periods or periods[-1].limit_a != limit_a:
                power_w = span.allowance.limit_w(profiles.supply)
                periods.append(SchedulePeriod(span.start + to_monotonic, limit_a, power_w))
    return tuple(periods)


def _start(profile: Installed, schedule: Payload, transaction: TransactionState, now: datetime) -> float:
    """Unix time of the run of the schedule that is on: what its tariff counts from."""
    if profile.calculable.relative:
        return transaction.started_at.timestamp()
    start = parse_time(schedule["startSchedule"]).timestamp()
    recurrence_s = profile.calculable.recurrence_s
    if recurrence_s is not None and now.timestamp() > start:
        start += (now.timestamp() - start) // recurrence_s * recurrence_s
    return start


def _tariff(schedule: Payload, start_s: float) -> Tariff | None:
    said = schedule.get("salesTariff")
    if said is None:
        return None
    entries = tuple(
        TariffEntry(
            start_s + entry["relativeTimeInterval"]["start"],
            entry.get("ePriceLevel"),
            tuple(
                (float(step["startValue"]), tuple(_cost(cost) for cost in step["cost"]))
                for step in entry.get("consumptionCost", ())
            ),
        )
        for entry in said["salesTariffEntry"]
    )
    return Tariff(said["id"], entries, said.get("salesTariffDescription", ""), said.get("numEPriceLevels"))


def _cost(cost: Payload) -> TariffCost:
    return TariffCost(cost["costKind"], cost["amount"], cost.get("amountMultiplier", 0))


def expected(profiles: Profiles, evse_id: EvseId, now: datetime) -> list[tuple[float, float, int | None]]:
    """What may be drawn at most, as a vehicle's plan would say it."""
    start, supply = unix(now), profiles.supply
    rating_w = supply.power_w(supply.max_current_a)
    plan = list[tuple[float, float, int | None]]()
    for span in spans(profiles, int(evse_id), start):
        if span.start >= start + HORIZON_S or len(plan) == MAX_PERIODS:
            break
        limit_w = span.allowance.limit_w(supply)
        power_w = rating_w if limit_w is None else min(limit_w, rating_w)
        if not plan or plan[-1][1] != power_w:
            plan.append((float(span.start - start), power_w, span.allowance.phases))
    return plan


def choice_payload(
    evse_id: EvseId, number: int, profile_w: Sequence[tuple[float, float, int | None]], now: datetime
) -> Payload:
    """NotifyEVChargingScheduleRequest: (start in s from now, power in W, phases) of the vehicle's own plan."""
    periods = [
        {"startPeriod": round(start_s), "limit": round(power_w, 1)} | ({"numberPhases": phases} if phases else {})
        for start_s, power_w, phases in profile_w[:MAX_PERIODS]
    ]
    schedule: Payload = {
        "id": number,
        "startSchedule": format_time(now),
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": periods,
    }
    return {"evseId": int(evse_id), "timeBase": format_time(now), "chargingSchedule": schedule}
