"""The operator's schedules: waited for, offered with their tariffs within the station's limits, chosen from."""

from decimal import Decimal

import pytest

from secc.exi import Namespace, decode, encode
from secc.ports import StationView
from secc.schedules import (
    AbsolutePrices,
    ChargingSchedule,
    ConsumptionCost,
    Cost,
    CostKind,
    EnergyRequested,
    LimitPeriod,
    MobilityNeeds,
    PriceAlgorithm,
    PriceLevel,
    PriceLevels,
    PriceRule,
    PriceRuleStack,
    Pricing,
    ProfilePeriod,
    SalesTariff,
    ScheduleAnswer,
    ScheduleSelected,
    SignedTariff,
    TariffEntry,
    TariffLeftOut,
    TaxRule,
)
from secc.v2g.session import State
from tests.secc.support import (
    CHARGE_PARAMETERS,
    DC_CHARGE_PARAMETERS,
    DC_VIEW,
    ENTROPY,
    VIEW,
    Response,
    Talk,
    amount,
    make_key,
    power,
    signature_of,
)
from tests.secc.v2g.talk20 import DYNAMIC, SCHEDULED, Talk20, entry, number, power20, select

REQUEST_ID = ENTROPY.hex().upper()
HOUR_S = 3600.0


def limits(talk: Talk, *steps: tuple[float, float]) -> tuple[LimitPeriod, ...]:
    """Steps are (seconds from now, amperes)."""
    return tuple(LimitPeriod(talk.now + at_s, limit_a) for at_s, limit_a in steps)


def answered(talk: Talk, *schedules: ChargingSchedule, signature: bytes = b"") -> None:
    talk.station(schedule_answer=ScheduleAnswer(REQUEST_ID, schedules, signature))


def asking(view: StationView = VIEW) -> Talk:
    """A vehicle that has named its needs, and waits."""
    talk = Talk(view=view).authorized()
    talk.station(asks_for_schedules=True)
    parameters = DC_CHARGE_PARAMETERS if view.dc else CHARGE_PARAMETERS
    assert talk.ask("ChargeParameterDiscoveryReq", parameters) is None
    return talk


def told(talk: Talk) -> Response:
    (payload,) = talk.tick()
    return Response.of(payload)


def tuples(response: Response) -> list[dict]:
    return response.elements["SAScheduleList"]["SAScheduleTuple"]


def entries(schedule: dict) -> list[tuple[int, int]]:
    return [
        (step["RelativeTimeInterval"]["start"], step["PMax"]["Value"] * 10 ** step["PMax"]["Multiplier"])
        for step in schedule["PMaxSchedule"]["PMaxScheduleEntry"]
    ]


# --- Waiting for the operator ---


def test_the_operator_is_asked_once_and_the_vehicle_waits() -> None:
    talk = asking()
    (needs,) = talk.facts_of(EnergyRequested)
    assert (needs.request_id, needs.energy_wh, needs.max_schedules) == (REQUEST_ID, 20_000.0, 3)
    ongoing = talk.wait(0.3)
    assert (ongoing.code, ongoing.elements["EVSEProcessing"]) == ("OK", "Ongoing")
    assert "SAScheduleList" not in ongoing.elements
    assert talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS) is None
    answered(talk, ChargingSchedule(5, limits(talk, (0, 10.0))))
    finished = told(talk)
    assert finished.elements["EVSEProcessing"] == "Finished"
    assert [offer["SAScheduleTupleID"] for offer in tuples(finished)] == [5]
    assert len(talk.facts_of(EnergyRequested)) == 1
    assert talk.state is State.POWER_DELIVERY


def test_an_operator_who_never_answers_costs_no_charge() -> None:
    talk = asking()
    waited_s = 0.0
    while (response := talk.wait(0.3)).elements["EVSEProcessing"] == "Ongoing":
        assert talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS) is None
        waited_s += 0.3
        assert waited_s < 60
    assert entries(tuples(response)[0]) == [(0, 11_040)]
    assert waited_s > 54


def test_an_answer_to_earlier_needs_is_not_taken() -> None:
    talk = asking()
    talk.station(schedule_answer=ScheduleAnswer("ANOTHER", (ChargingSchedule(9, ()),)))
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing"


def test_an_operator_without_a_plan_leaves_the_limits() -> None:
    talk = asking()
    answered(talk)
    assert entries(tuples(told(talk))[0]) == [(0, 11_040)]


def test_a_stop_while_waiting() -> None:
    talk = asking()
    talk.wait(0.3)
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"


# --- What is offered ---


def test_several_schedules_within_what_the_station_can() -> None:
    talk = asking()
    night = ChargingSchedule(1, limits(talk, (-60, 6.0), (HOUR_S, 32.0)))
    day = ChargingSchedule(2, limits(talk, (HOUR_S, 10.0)))
    talk.station(schedule=limits(talk, (2 * HOUR_S, 8.0)))
    answered(talk, night, day)
    offered = tuples(told(talk))
    assert [entries(offer) for offer in offered] == [
        [(0, 4_140), (3600, 11_040), (7200, 5_520)],
        [(0, 11_040), (3600, 6_900), (7200, 5_520)],
    ]
    last = offered[0]["PMaxSchedule"]["PMaxScheduleEntry"][-1]
    assert last["RelativeTimeInterval"]["duration"] == 86_400


def test_no_more_than_three() -> None:
    talk = asking()
    answered(talk, *(ChargingSchedule(number, ()) for number in range(1, 6)))
    assert [offer["SAScheduleTupleID"] for offer in tuples(told(talk))] == [1, 2, 3]


def test_a_dc_schedule_is_of_power() -> None:
    talk = asking(DC_VIEW)
    (needs,) = talk.facts_of(EnergyRequested)
    assert (needs.max_voltage_v, needs.soc_percent) == (400.0, 50)
    answered(talk, ChargingSchedule(1, (LimitPeriod(talk.now + 60, 0.0, 20_000.0),)))
    assert entries(tuples(told(talk))[0]) == [(0, 50_000), (60, 20_000)]
    assert talk.state is State.CABLE_CHECK


# --- What the vehicle chooses ---


def choosing() -> Talk:
    talk = asking()
    answered(talk, ChargingSchedule(1, limits(talk, (0, 6.0))), ChargingSchedule(7, limits(talk, (0, 10.0))))
    assert told(talk).code == "OK"
    talk.station(contactor_closed=True)
    return talk


def test_the_vehicle_s_choice_and_plan_reach_the_operator() -> None:
    talk = choosing()
    plan = power("Start", amount(6_900, "W"), amount(3, "W", 3), tuple_id=7, phases=3)
    assert talk.ask("PowerDeliveryReq", plan) is None
    assert told(talk).code == "OK"
    (selected,) = talk.facts_of(ScheduleSelected)
    assert selected == ScheduleSelected(7, (ProfilePeriod(0.0, 6_900.0, 3), ProfilePeriod(900.0, 3_000.0, 3)))
    assert talk.ask("ChargingStatusReq").elements["SAScheduleTupleID"] == 7


@pytest.mark.parametrize(
    ("tuple_id", "watts", "code"),
    [
        (1, 4_140, None),
        (1, 4_141, "FAILED_ChargingProfileInvalid"),
        (7, 6_901, "FAILED_ChargingProfileInvalid"),
        (2, 1, "FAILED_TariffSelectionInvalid"),
    ],
)
def test_a_plan_is_held_against_the_schedule_it_is_for(tuple_id: int, watts: int, code: str | None) -> None:
    talk = choosing()
    response = talk.ask("PowerDeliveryReq", power("Start", amount(watts, "W"), tuple_id=tuple_id))
    assert (response.code if response else None) == code
    assert bool(talk.facts_of(ScheduleSelected)) is False


# --- Renegotiation ---


def test_the_operator_sends_the_vehicle_for_another_schedule() -> None:
    talk = choosing()
    talk.ask("PowerDeliveryReq", power("Start"))
    talk.tick()
    status = talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]
    assert status["EVSENotification"] == "None", "a plan below the limit is the operator's wish"
    talk.station(renegotiation_id="2")
    status = talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]
    assert status["EVSENotification"] == "ReNegotiation"
    assert talk.ask("PowerDeliveryReq", power("Renegotiate")).code == "OK"
    assert talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS) is None
    assert len(talk.facts_of(EnergyRequested)) == 2
    answered(talk, ChargingSchedule(3, limits(talk, (0, 16.0))))
    assert [offer["SAScheduleTupleID"] for offer in tuples(told(talk))] == [3]
    talk.ask("PowerDeliveryReq", power("Start", tuple_id=3))
    talk.tick()
    status = talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]
    assert status["EVSENotification"] == "None"


# --- Tariffs of ISO 15118-2 ---


def tariff(talk: Talk, **changes: object) -> SalesTariff:
    price = Cost(CostKind.RELATIVE_PRICE_PERCENTAGE, 100)
    carbon = Cost(CostKind.CARBON_DIOXIDE_EMISSION, 5, 1)
    consumption = (ConsumptionCost(0.0, (price,)), ConsumptionCost(3_000.0, (carbon,)))
    steps = (TariffEntry(talk.now - 60, 3), TariffEntry(talk.now + HOUR_S, 1, consumption))
    values = {"tariff_id": 1, "entries": steps, "description": "green", "price_levels": 3}
    return SalesTariff(**{**values, **changes})


def test_a_tariff() -> None:
    talk = asking()
    answered(talk, ChargingSchedule(1, (), tariff(talk)))
    (offer,) = tuples(told(talk))
    assert offer["SalesTariff"] == {
        "SalesTariffID": 1,
        "SalesTariffDescription": "green",
        "NumEPriceLevels": 3,
        "SalesTariffEntry": [
            {"RelativeTimeInterval": {"start": 0}, "EPriceLevel": 3},
            {
                "RelativeTimeInterval": {"start": 3600, "duration": 86_400},
                "EPriceLevel": 1,
                "ConsumptionCost": [
                    {
                        "startValue": amount(0, "W"),
                        "Cost": [{"costKind": "relativePricePercentage", "amount": 100, "amountMultiplier": 0}],
                    },
                    {
                        "startValue": amount(3000, "W"),
                        "Cost": [{"costKind": "CarbonDioxideEmission", "amount": 5, "amountMultiplier": 1}],
                    },
                ],
            },
        ],
    }
    assert not talk.facts_of(TariffLeftOut)


def test_a_tariff_the_schema_has_no_room_for_is_left_out_and_told() -> None:
    talk = asking()
    answered(talk, ChargingSchedule(1, (), tariff(talk, tariff_id=70_000)))
    (offer,) = tuples(told(talk))
    assert "SalesTariff" not in offer
    (left_out,) = talk.facts_of(TariffLeftOut)
    assert left_out.tuple_id == 1
    assert left_out.why.startswith("not as the schema has it")


def test_a_tariff_longer_than_the_vehicle_takes() -> None:
    talk = Talk().authorized()
    talk.station(asks_for_schedules=True)
    talk.ask("ChargeParameterDiscoveryReq", {**CHARGE_PARAMETERS, "MaxEntriesSAScheduleTuple": 1})
    answered(talk, ChargingSchedule(1, (), tariff(talk)))
    told(talk)
    assert talk.facts_of(TariffLeftOut) == [TariffLeftOut(1, "more entries than the vehicle takes")]


MO_KEY = make_key()
SIGNED_TARIFF = {
    "Id": "tariff1",
    "SalesTariffID": 10,
    "SalesTariffEntry": [{"RelativeTimeInterval": {"start": 0, "duration": 86_400}, "EPriceLevel": 1}],
}


def fragment(name: str, element: dict, namespace: Namespace = Namespace.ISO_2) -> bytes:
    return encode(namespace, {name: element}, fragment=True)


SIGNATURE = signature_of("SalesTariff", SIGNED_TARIFF, MO_KEY)
SIGNED = SignedTariff(fragment("SalesTariff", SIGNED_TARIFF))
SIGNATURE_OCTETS = fragment("Signature", SIGNATURE, Namespace.XMLDSIG)


def test_a_signed_tariff_arrives_to_the_octet_with_its_signature() -> None:
    talk = asking()
    answered(talk, ChargingSchedule(1, (), SIGNED), ChargingSchedule(2, ()), signature=SIGNATURE_OCTETS)
    (payload,) = talk.tick()
    message = decode(Namespace.ISO_2, payload)["V2G_Message"]
    (offer, other) = tuples(Response.of(payload))
    assert fragment("SalesTariff", offer["SalesTariff"]) == SIGNED.exi
    assert message["Header"]["Signature"] == SIGNATURE
    assert "SalesTariff" not in other


@pytest.mark.parametrize(
    ("signed", "signature", "why"),
    [
        (SIGNED, b"", "no signature that could be sent"),
        (SIGNED, b"\x80\x00garbage", "no signature that could be sent"),
        (SIGNED, SIGNATURE_OCTETS + b"\0", "no signature that could be sent"),
        (SignedTariff(SIGNED.exi + b"\0"), SIGNATURE_OCTETS, "would be sent in other octets than were signed"),
        (SignedTariff(b"\x80"), SIGNATURE_OCTETS, "no EXI of ISO 15118-2"),
        (
            SignedTariff(fragment("SalesTariff", {**SIGNED_TARIFF, "SalesTariffID": 11})),
            SIGNATURE_OCTETS,
            "the signature does not cover it",
        ),
        (
            SignedTariff(fragment("SalesTariff", {**SIGNED_TARIFF, "Id": "tariff2"})),
            SIGNATURE_OCTETS,
            "the signature does not cover it",
        ),
    ],
    ids=["none", "garbage", "longer", "other octets", "no EXI", "changed", "another"],
)
def test_a_signed_tariff_that_a_vehicle_could_not_verify_is_left_out(
    signed: SignedTariff, signature: bytes, why: str
) -> None:
    talk = asking()
    answered(talk, ChargingSchedule(1, (), signed), signature=signature)
    (payload,) = talk.tick()
    (offer,) = tuples(Response.of(payload))
    assert "SalesTariff" not in offer
    assert "Signature" not in decode(Namespace.ISO_2, payload)["V2G_Message"]["Header"]
    (left_out,) = talk.facts_of(TariffLeftOut)
    assert left_out.why.startswith(why)


# --- ISO 15118-20 ---


def asking20(*, parameter_set: int, wish: dict, **changes: object) -> Talk20:
    talk = Talk20()
    talk.station(**changes)
    talk.discovered()
    assert talk.ask("ServiceSelectionReq", select(1, parameter_set)).code == "OK"
    assert talk.ask("AC_ChargeParameterDiscoveryReq", talk.parameter_request).code == "OK"
    talk.station(asks_for_schedules=True)
    assert talk.ask("ScheduleExchangeReq", wish) is None
    return talk


def told20(talk: Talk20) -> Response:
    (response,) = talk.tick20()
    return response


def test_the_operator_s_schedules_in_iso_15118_20() -> None:
    talk = asking20(parameter_set=1, wish=SCHEDULED)
    ongoing = talk.wait(0.3)
    assert ongoing.elements["EVSEProcessing"] == "Ongoing"
    assert talk.state is State.SCHEDULE_EXCHANGE
    assert talk.ask("ScheduleExchangeReq", SCHEDULED) is None
    answered(talk, ChargingSchedule(1, limits(talk, (0, 6.0))), ChargingSchedule(4, limits(talk, (60, 10.0))))
    finished = told20(talk).elements
    offered = finished["Scheduled_SEResControlMode"]["ScheduleTuple"]
    assert [offer["ScheduleTupleID"] for offer in offered] == [1, 4]
    steps = offered[1]["ChargingSchedule"]["PowerSchedule"]["PowerScheduleEntries"]["PowerScheduleEntry"]
    assert [(step["Duration"], number(step["Power"])) for step in steps] == [(60, 3680.0), (86_340, 2300.0)]
    assert talk.ask("PowerDeliveryReq", power20("Start", entry(6_900), tuple_id=4)) is None
    talk.station(contactor_closed=True)
    assert told20(talk).code == "OK"
    assert talk.facts_of(ScheduleSelected) == [ScheduleSelected(4, (ProfilePeriod(0.0, 6_900.0),))]


@pytest.mark.parametrize(
    ("tuple_id", "watts", "code"),
    [(1, 4_142, "FAILED_EVPowerProfileInvalid"), (9, 1, "FAILED_ScheduleSelectionInvalid")],
)
def test_a_plan_outside_every_schedule(tuple_id: int, watts: int, code: str) -> None:
    talk = asking20(parameter_set=1, wish=SCHEDULED)
    answered(talk, ChargingSchedule(1, limits(talk, (0, 6.0))), ChargingSchedule(4, ()))
    told20(talk)
    assert talk.ask("PowerDeliveryReq", power20("Start", entry(watts), tuple_id=tuple_id)).code == code


def absolute(**changes: object) -> AbsolutePrices:
    rules = (
        PriceRule(0.0, Decimal("0.25"), Decimal("1.5"), 3600, 120, 60),
        PriceRule(11_000.0, Decimal("0.39")),
    )
    values = {
        "schedule_id": 1,
        "currency": "EUR",
        "language": "eng",
        "algorithm": PriceAlgorithm.POWER,
        "stacks": (PriceRuleStack(86_400, rules),),
        "description": "day and night",
        "minimum_cost": Decimal(1),
        "maximum_cost": Decimal(60),
        "taxes": (TaxRule(1, Decimal(19), "VAT", included_in_price=True, parking_fee=True),),
    }
    return AbsolutePrices(**{**values, **changes})


@pytest.mark.parametrize(("parameter_set", "wish"), [(4, SCHEDULED), (5, DYNAMIC)], ids=["scheduled", "dynamic"])
def test_absolute_prices(parameter_set: int, wish: dict) -> None:
    talk = asking20(parameter_set=parameter_set, wish=wish, pricing=Pricing.ABSOLUTE)
    answered(talk, ChargingSchedule(1, (), prices=absolute()))
    elements = told20(talk).elements
    if parameter_set == 4:
        prices = elements["Scheduled_SEResControlMode"]["ScheduleTuple"][0]["ChargingSchedule"]
    else:
        prices = elements["Dynamic_SEResControlMode"]
    schedule = prices["AbsolutePriceSchedule"]
    assert (schedule["Currency"], schedule["PriceAlgorithm"]) == ("EUR", PriceAlgorithm.POWER.value)
    (stack,) = schedule["PriceRuleStacks"]["PriceRuleStack"]
    assert [number(rule["EnergyFee"]) for rule in stack["PriceRule"]] == [0.25, 0.39]
    assert [number(rule["PowerRangeStart"]) for rule in stack["PriceRule"]] == [0.0, 11_000.0]
    assert number(schedule["TaxRules"]["TaxRule"][0]["TaxRate"]) == 19.0


def test_price_levels_of_their_own_and_those_of_a_tariff() -> None:
    talk = asking20(parameter_set=4, wish=SCHEDULED, pricing=Pricing.LEVELS)
    own = PriceLevels(8, 2, (PriceLevel(3600, 0), PriceLevel(7200, 2)), "own")
    unlevelled = SalesTariff(2, (TariffEntry(talk.now),))
    answered(
        talk,
        ChargingSchedule(1, (), prices=own),
        ChargingSchedule(2, (), tariff(talk)),
        ChargingSchedule(3, (), unlevelled),
    )
    offered = told20(talk).elements["Scheduled_SEResControlMode"]["ScheduleTuple"]
    first, second, third = (offer["ChargingSchedule"] for offer in offered)
    assert first["PriceLevelSchedule"]["PriceScheduleDescription"] == "own"
    listed = second["PriceLevelSchedule"]["PriceLevelScheduleEntries"]["PriceLevelScheduleEntry"]
    assert listed == [{"Duration": 3600, "PriceLevel": 3}, {"Duration": 82_800, "PriceLevel": 1}]
    assert "PriceLevelSchedule" not in third


def test_prices_are_sent_as_was_agreed_only() -> None:
    talk = asking20(parameter_set=1, wish=SCHEDULED, pricing=Pricing.ABSOLUTE)
    answered(talk, ChargingSchedule(1, (), prices=absolute()))
    schedule = told20(talk).elements["Scheduled_SEResControlMode"]["ScheduleTuple"][0]["ChargingSchedule"]
    assert "AbsolutePriceSchedule" not in schedule


def test_prices_without_room_or_sense_are_left_out_and_told() -> None:
    talk = asking20(parameter_set=4, wish={**SCHEDULED, "MaximumSupportingPoints": 12}, pricing=Pricing.ABSOLUTE)
    long = absolute(stacks=absolute().stacks * 13)
    answered(talk, ChargingSchedule(1, (), prices=long), ChargingSchedule(2, (), prices=absolute(currency="EURO")))
    told20(talk)
    first, second = talk.facts_of(TariffLeftOut)
    assert first == TariffLeftOut(1, "more entries than the vehicle takes")
    assert second.why.startswith("not as the schema has it")


def test_needs_the_station_knows_better() -> None:
    needs = MobilityNeeds(departure_s=1000.0 + 7200, target_soc_percent=80, minimum_soc_percent=30)
    talk = asking20(parameter_set=3, wish=DYNAMIC, mobility_needs=needs)
    answered(talk)
    said = told20(talk).elements["Dynamic_SEResControlMode"]
    assert (said["TargetSOC"], said["MinimumSOC"]) == (80, 30)
    assert 7000 < said["DepartureTime"] <= 7200


def test_without_such_knowledge_the_mode_is_not_offered() -> None:
    talk = Talk20().discovered()
    listed = talk.ask("ServiceDetailReq", {"ServiceID": 1}).elements["ServiceParameterList"]["ParameterSet"]
    assert [one["ParameterSetID"] for one in listed] == [1, 2]
    assert talk.ask("ServiceSelectionReq", select(1, 3)).code == "FAILED_ServiceSelectionInvalid"


def test_every_way_to_plan_is_told_by_its_parameters() -> None:
    talk = Talk20()
    talk.station(mobility_needs=MobilityNeeds(), pricing=Pricing.LEVELS)
    talk.discovered()
    listed = talk.ask("ServiceDetailReq", {"ServiceID": 1}).elements["ServiceParameterList"]["ParameterSet"]
    values = {
        one["ParameterSetID"]: {parameter["Name"]: parameter["intValue"] for parameter in one["Parameter"]}
        for one in listed
    }
    assert {
        number: (own["ControlMode"], own["MobilityNeedsMode"], own["Pricing"]) for number, own in values.items()
    } == {1: (1, 1, 0), 2: (2, 1, 0), 3: (2, 2, 0), 4: (1, 1, 2), 5: (2, 1, 2)}
