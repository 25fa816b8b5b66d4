"""SAScheduleList: offers and tariffs as ISO 15118-2 writes them (clauses 8.5.2.12 to 8.5.2.19)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from secc.exi import ExiError, Namespace, decode, encode
from secc.schedules import ConsumptionCost, SalesTariff, ScheduleAnswer, SignedTariff, TariffLeftOut
from secc.v2g import signature
from secc.v2g.elements import Elements, child
from secc.v2g.offers import MAX_ENTRIES, SCHEDULE_DURATION_S
from secc.v2g.quantities import physical_value
from secc.v2g.session import Offer, OfferEntry

MAX_DESCRIPTION = 32


@dataclass(frozen=True, slots=True)
class Written:
    """SAScheduleList, the signature its tariffs need in the header, and which tariffs are not in it."""

    elements: Elements
    signature: Elements | None
    left_out: tuple[TariffLeftOut, ...]


def sa_schedule_list(offers: Sequence[Offer], answer: ScheduleAnswer, most_entries: int | None, now: float) -> Written:
    """Tariffs that a vehicle could not take or verify are left out; it can still plan by the power."""
    signed = _signature(answer.signature)
    schedules = {schedule.tuple_id: schedule for schedule in answer.schedules}
    left_out: list[TariffLeftOut] = []
    tuples: list[Elements] = []
    sent_signature: Elements | None = None
    for offer in offers:
        entries = [_entry(entry, last=entry is offer.entries[-1]) for entry in offer.entries]
        written: dict[str, object] = {
            "SAScheduleTupleID": offer.tuple_id,
            "PMaxSchedule": {"PMaxScheduleEntry": entries},
        }
        schedule = schedules.get(offer.tuple_id)
        tariff = schedule.tariff if schedule else None
        if tariff is not None:
            said = _tariff(tariff, signed, min(most_entries or MAX_ENTRIES, MAX_ENTRIES), now)
            if isinstance(said, str):
                left_out.append(TariffLeftOut(offer.tuple_id, said))
            else:
                written["SalesTariff"] = said
                sent_signature = signed if isinstance(tariff, SignedTariff) else sent_signature
        tuples.append(written)
    return Written({"SAScheduleTuple": tuples}, sent_signature, tuple(left_out))


def _entry(entry: OfferEntry, *, last: bool) -> Elements:
    interval = {"start": entry.start_s, **({"duration": SCHEDULE_DURATION_S} if last else {})}
    return {"RelativeTimeInterval": interval, "PMax": physical_value(entry.p_max_w, "W")}


def _tariff(tariff: SalesTariff | SignedTariff, signed: Elements | None, room: int, now: float) -> Elements | str:
    """SalesTariff, or why there is none."""
    if isinstance(tariff, SignedTariff):
        return _signed_tariff(tariff, signed, room)
    written = sales_tariff(tariff, now)
    if len(cast(Sequence[object], written["SalesTariffEntry"])) > room:
        return "more entries than the vehicle takes"
    try:
        encode(Namespace.ISO_2, {"SalesTariff": written}, fragment=True)
    except ExiError as error:
        return f"not as the schema has it: {error}"
    return written


def sales_tariff(tariff: SalesTariff, now: float) -> Elements:
    begun = [entry for entry in tariff.entries if entry.from_s <= now][-1:]
    ahead = [entry for entry in tariff.entries if entry.from_s > now]
    entries: list[Elements] = []
    for entry in [*begun, *ahead]:
        interval: dict[str, int] = {"start": max(0, round(entry.from_s - now))}
        if entry is (ahead or begun)[-1]:
            interval["duration"] = SCHEDULE_DURATION_S
        written: dict[str, object] = {"RelativeTimeInterval": interval}
        if entry.price_level is not None:
            written["EPriceLevel"] = entry.price_level
        if entry.consumption:
            written["ConsumptionCost"] = [_consumption(cost) for cost in entry.consumption]
        entries.append(written)
    whole: dict[str, object] = {"SalesTariffID": tariff.tariff_id, "SalesTariffEntry": entries}
    if tariff.description:
        whole["SalesTariffDescription"] = tariff.description[:MAX_DESCRIPTION]
    if tariff.price_levels is not None:
        whole["NumEPriceLevels"] = tariff.price_levels
    return whole


def _consumption(consumption: ConsumptionCost) -> Elements:
    costs = [
        {"costKind": cost.kind.value, "amount": cost.amount, "amountMultiplier": cost.multiplier}
        for cost in consumption.costs
    ]
    return {"startValue": physical_value(Decimal(repr(consumption.from_w)), "W"), "Cost": costs}


def _signature(octets: bytes) -> Elements | None:
    """The Signature element; None if it would not be sent as it came."""
    if not octets:
        return None
    try:
        document = decode(Namespace.XMLDSIG, octets, fragment=True)
        if encode(Namespace.XMLDSIG, document, fragment=True) != octets:
            return None
        return cast(Mapping[str, Elements], document).get("Signature")
    except ExiError:
        return None


def _signed_tariff(tariff: SignedTariff, signed: Elements | None, room: int) -> Elements | str:
    """Only what a vehicle will find unchanged, and its digest in the signature, is worth sending."""
    if signed is None:
        return "no signature that could be sent"
    try:
        document = decode(Namespace.ISO_2, tariff.exi, fragment=True)
        if encode(Namespace.ISO_2, document, fragment=True) != tariff.exi:
            return "would be sent in other octets than were signed"
    except ExiError as error:
        return f"no EXI of ISO 15118-2: {error}"
    element = child(document, "SalesTariff")
    if not signature.refers_to(signed, element, tariff.exi):
        return "the signature does not cover it"
    if len(cast(Sequence[object], element["SalesTariffEntry"])) > room:
        return "more entries than the vehicle takes"
    return element
