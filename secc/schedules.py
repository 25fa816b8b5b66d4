"""What the operator offers a vehicle to plan with, what the vehicle needs, and what it chose.

Moments are monotonic, as everywhere between firmware and the SECC; a protocol writes them relative to its response.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum


@dataclass(frozen=True, slots=True)
class LimitPeriod:
    """From this moment on, this will be the limit, as far as is known now."""

    from_s: float
    limit_a: float
    """Of AC, per phase. With DC it is `power_w` that counts."""
    power_w: float | None = None
    """Of DC."""


class CostKind(StrEnum):
    """costKindType of ISO 15118-2 table 98."""

    RELATIVE_PRICE_PERCENTAGE = "relativePricePercentage"
    RENEWABLE_GENERATION_PERCENTAGE = "RenewableGenerationPercentage"
    CARBON_DIOXIDE_EMISSION = "CarbonDioxideEmission"


@dataclass(frozen=True, slots=True)
class Cost:
    """`amount` times ten to the power of `multiplier`, which is -3 to 3."""

    kind: CostKind
    amount: int
    multiplier: int = 0


@dataclass(frozen=True, slots=True)
class ConsumptionCost:
    """What it costs to draw this power and more; one to three costs."""

    from_w: float
    costs: tuple[Cost, ...]


@dataclass(frozen=True, slots=True)
class TariffEntry:
    from_s: float
    price_level: int | None = None
    """0 is the best, up to the tariff's `price_levels`."""
    consumption: tuple[ConsumptionCost, ...] = ()
    """At most three."""


@dataclass(frozen=True, slots=True)
class SalesTariff:
    """Prices over time, by the station's own hand: unsigned (ISO 15118-2 clause 8.5.2.16).

    Entries ascend; what has begun counts from now on.
    """

    tariff_id: int
    """1 to 255."""
    entries: tuple[TariffEntry, ...]
    """1 to 1024."""
    description: str = ""
    """32 characters at most are sent."""
    price_levels: int | None = None
    """0 to 255; how many EPriceLevels the entries tell apart."""


@dataclass(frozen=True, slots=True)
class SignedTariff:
    """A SalesTariff as the mobility operator wrote and signed it: the element as an EXI fragment of ISO 15118-2.

    It is sent to the very octet, or not at all. Its times count from the response that carries it.
    """

    exi: bytes


class PriceAlgorithm(StrEnum):
    """Of ISO 15118-20 clause 8.3.5.3.49."""  # unverified: clause

    POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
    PEAK_POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:2-PeakPower"
    STACKED_ENERGY = "urn:iso:std:iso:15118:-20:PriceAlgorithm:3-StackedEnergy"


@dataclass(frozen=True, slots=True)
class PriceRule:
    """Of one range of power, from `from_w` to the next rule's. Fees are in the schedule's currency."""

    from_w: float
    energy_fee: Decimal
    """Per kWh."""
    parking_fee: Decimal | None = None
    parking_fee_period_s: int | None = None
    carbon_dioxide_g_per_kwh: int | None = None
    renewable_percent: int | None = None


@dataclass(frozen=True, slots=True)
class PriceRuleStack:
    """The rules of one stretch of time, which begins where the stack before it ends; one to eight."""

    duration_s: int
    rules: tuple[PriceRule, ...]


@dataclass(frozen=True, slots=True)
class TaxRule:
    rule_id: int
    rate_percent: Decimal
    name: str = ""
    included_in_price: bool | None = None
    energy_fee: bool = True
    parking_fee: bool = False
    overstay_fee: bool = False
    minimum_maximum_cost: bool = False


@dataclass(frozen=True, slots=True)
class AbsolutePrices:
    """AbsolutePriceSchedule of ISO 15118-20: what energy and parking cost, from the response on."""

    schedule_id: int
    currency: str
    """ISO 4217."""
    language: str
    """ISO 639, three letters at most."""
    algorithm: PriceAlgorithm
    stacks: tuple[PriceRuleStack, ...]
    """1 to 1024."""
    description: str = ""
    minimum_cost: Decimal | None = None
    maximum_cost: Decimal | None = None
    taxes: tuple[TaxRule, ...] = ()
    """At most ten."""


@dataclass(frozen=True, slots=True)
class PriceLevel:
    duration_s: int
    level: int
    """0 is the best."""


@dataclass(frozen=True, slots=True)
class PriceLevels:
    """PriceLevelSchedule of ISO 15118-20: which times are better than others, from the response on."""

    schedule_id: int
    levels: int
    entries: tuple[PriceLevel, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class ChargingSchedule:
    """One schedule a vehicle may choose, SAScheduleTuple or ScheduleTuple. The station's limits cut it further."""

    tuple_id: int
    """1 to 255, each its own."""
    periods: tuple[LimitPeriod, ...]
    """Ascending. Before the first, and without any, the station's limits alone hold."""
    tariff: SalesTariff | SignedTariff | None = None
    """Of ISO 15118-2. The price levels of an unsigned one serve ISO 15118-20 too where there are no `prices`."""
    prices: AbsolutePrices | PriceLevels | None = None
    """Of ISO 15118-20."""


MAX_SCHEDULES = 3
"""Of ISO 15118-2, ISO 15118-20 and OCPP 2.0.1 alike."""


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """The operator's answer to the `EnergyRequested` of the same `request_id`; no schedules: it has none to offer."""

    request_id: str
    schedules: tuple[ChargingSchedule, ...] = ()
    """`MAX_SCHEDULES` at most; the vehicle gets the first ones if it takes fewer."""
    signature: bytes = b""
    """Over all signed tariffs among them: the Signature element as an EXI fragment of the xmldsig schema."""


class Pricing(IntEnum):
    """Which prices the station can tell a vehicle of ISO 15118-20: the parameter of that name."""

    NONE = 0
    ABSOLUTE = 1
    LEVELS = 2


@dataclass(frozen=True, slots=True)
class MobilityNeeds:
    """What the station knows of the driver's needs, by an app or a reservation; the vehicle may leave it at that."""

    departure_s: float | None = None
    """When, monotonic."""
    target_soc_percent: int | None = None
    minimum_soc_percent: int | None = None


# --- What the vehicle says ---


@dataclass(frozen=True, slots=True)
class EnergyRequested:
    """What the vehicle said of its needs in ChargeParameterDiscoveryReq or ScheduleExchangeReq.

    What it left out is None. Powers are of all phases.
    """

    energy_transfer_mode: str
    energy_wh: float | None
    departure_s: float | None
    """From now on."""
    max_current_a: float
    """AC: per phase."""
    min_current_a: float
    request_id: str = ""
    """Not empty where the vehicle waits for a `ScheduleAnswer` of this id."""
    dynamic: bool = False
    """Dynamic control of ISO 15118-20: the station plans, the vehicle follows."""
    max_schedules: int = 1
    max_voltage_v: float | None = None
    max_power_w: float | None = None
    min_power_w: float | None = None
    max_discharge_power_w: float | None = None
    max_energy_wh: float | None = None
    min_energy_wh: float | None = None
    capacity_wh: float | None = None
    soc_percent: int | None = None
    full_soc_percent: int | None = None
    bulk_soc_percent: int | None = None
    target_soc_percent: int | None = None
    minimum_soc_percent: int | None = None


@dataclass(frozen=True, slots=True)
class ProfilePeriod:
    """From this many seconds after the vehicle's choice on, it means to draw this much in all phases."""

    start_s: float
    power_w: float
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSelected:
    """The schedule the vehicle has chosen, and its plan within it; empty if it told none."""

    tuple_id: int
    profile: tuple[ProfilePeriod, ...]


@dataclass(frozen=True, slots=True)
class TariffLeftOut:
    """A tariff of the operator's that a vehicle could not have verified, or read. The schedule was offered without."""

    tuple_id: int
    why: str
