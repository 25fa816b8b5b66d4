"""AbsolutePriceSchedule and PriceLevelSchedule (clauses 8.3.5.3.49 to 8.3.5.3.62)."""  # unverified: clauses

from decimal import Decimal

from secc.exi import ExiError, Namespace, encode
from secc.schedules import (
    AbsolutePrices,
    ChargingSchedule,
    PriceLevel,
    PriceLevels,
    PriceRule,
    Pricing,
    SalesTariff,
    TaxRule,
)
from secc.v2g.elements import Elements
from secc.v2g.offers import SCHEDULE_DURATION_S
from secc.v2g.quantities import rational_number

MAX_DESCRIPTION = 160
MAX_NAME = 80


def price_schedule(
    schedule: ChargingSchedule | None, pricing: Pricing, unix_time: int, most_entries: int, now: float
) -> Elements | str:
    """The element of the kind agreed on, under its name; empty if there is none; or why it is left out."""
    prices = _of_kind(schedule, pricing, now) if schedule else None
    if prices is None:
        return {}
    if isinstance(prices, AbsolutePrices):
        name, entries, written = "AbsolutePriceSchedule", len(prices.stacks), _absolute(prices)
    else:
        name, entries, written = "PriceLevelSchedule", len(prices.entries), _levels(prices)
    if entries > most_entries:
        return "more entries than the vehicle takes"
    whole = {"TimeAnchor": unix_time, **written}
    try:
        # Alone it is a fragment only where it may be signed; a level schedule is tried inside a whole control mode.
        encode(Namespace.ISO_20_COMMON, _tried({name: whole}))
    except ExiError as error:
        return f"not as the schema has it: {error}"
    return {name: whole}


def _tried(prices: Elements) -> Elements:
    header = {"SessionID": bytes(8), "TimeStamp": 0}
    response = {"Header": header, "ResponseCode": "OK", "EVSEProcessing": "Finished"}
    return {"ScheduleExchangeRes": {**response, "Dynamic_SEResControlMode": prices}}


def _of_kind(schedule: ChargingSchedule, pricing: Pricing, now: float) -> AbsolutePrices | PriceLevels | None:
    if pricing is Pricing.ABSOLUTE:
        return schedule.prices if isinstance(schedule.prices, AbsolutePrices) else None
    if pricing is Pricing.LEVELS:
        if isinstance(schedule.prices, PriceLevels):
            return schedule.prices
        return price_levels(schedule.tariff, now) if isinstance(schedule.tariff, SalesTariff) else None
    return None


def price_levels(tariff: SalesTariff, now: float) -> PriceLevels | None:
    """The EPriceLevels of a tariff of ISO 15118-2; None if an entry has none."""
    begun = [entry for entry in tariff.entries if entry.from_s <= now][-1:]
    entries = [*begun, *(entry for entry in tariff.entries if entry.from_s > now)]
    starts = [max(0, round(entry.from_s - now)) for entry in entries]
    ends = [*starts[1:], max(SCHEDULE_DURATION_S, *starts)] if starts else []
    levels = [
        PriceLevel(end - start, entry.price_level)
        for entry, start, end in zip(entries, starts, ends, strict=True)
        if entry.price_level is not None
    ]
    if not levels or len(levels) < len(entries):
        return None
    most = tariff.price_levels if tariff.price_levels is not None else max(level.level for level in levels)
    return PriceLevels(tariff.tariff_id, most, tuple(levels), tariff.description)


def _head(prices: AbsolutePrices | PriceLevels) -> dict[str, object]:
    described = {"PriceScheduleDescription": prices.description[:MAX_DESCRIPTION]} if prices.description else {}
    return {"PriceScheduleID": prices.schedule_id, **described}


def _levels(prices: PriceLevels) -> Elements:
    entries = [{"Duration": entry.duration_s, "PriceLevel": entry.level} for entry in prices.entries]
    return {
        **_head(prices),
        "NumberOfPriceLevels": prices.levels,
        "PriceLevelScheduleEntries": {"PriceLevelScheduleEntry": entries},
    }


def _absolute(prices: AbsolutePrices) -> Elements:
    stacks = [
        {"Duration": stack.duration_s, "PriceRule": [_rule(rule) for rule in stack.rules]} for stack in prices.stacks
    ]
    written: dict[str, object] = {
        **_head(prices),
        "Currency": prices.currency,
        "Language": prices.language,
        "PriceAlgorithm": prices.algorithm.value,
        "PriceRuleStacks": {"PriceRuleStack": stacks},
    }
    written |= _money("MinimumCost", prices.minimum_cost) | _money("MaximumCost", prices.maximum_cost)
    if prices.taxes:
        written["TaxRules"] = {"TaxRule": [_tax(tax) for tax in prices.taxes]}
    return written


def _money(name: str, amount: Decimal | None) -> dict[str, object]:
    return {} if amount is None else {name: rational_number(amount)}


def _rule(rule: PriceRule) -> Elements:
    said = {
        "ParkingFeePeriod": rule.parking_fee_period_s,
        "CarbonDioxideEmission": rule.carbon_dioxide_g_per_kwh,
        "RenewableGenerationPercentage": rule.renewable_percent,
    }
    return {
        "EnergyFee": rational_number(rule.energy_fee),
        "PowerRangeStart": rational_number(Decimal(repr(rule.from_w))),
        **_money("ParkingFee", rule.parking_fee),
        **{name: value for name, value in said.items() if value is not None},
    }


def _tax(tax: TaxRule) -> Elements:
    written: dict[str, object] = {
        "TaxRuleID": tax.rule_id,
        "TaxRate": rational_number(tax.rate_percent),
        "AppliesToEnergyFee": tax.energy_fee,
        "AppliesToParkingFee": tax.parking_fee,
        "AppliesToOverstayFee": tax.overstay_fee,
        "AppliesMinimumMaximumCost": tax.minimum_maximum_cost,
    }
    if tax.name:
        written["TaxRuleName"] = tax.name[:MAX_NAME]
    if tax.included_in_price is not None:
        written["TaxIncludedInPrice"] = tax.included_in_price
    return written
