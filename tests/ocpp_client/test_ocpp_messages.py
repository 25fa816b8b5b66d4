"""Display messages and costs: what is shown when, in virtual time."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hal.ports import DisplayMessage
from hal.quantities import EvseId
from ocpp_client.costs import GREETING_S, LANGUAGES, MAX_TOKENS, TOTAL_S, Costs, TariffRules
from ocpp_client.messages import MAX_MESSAGES, Messages, message_of, station_states
from ocpp_client.ports import IdToken
from ocpp_client.wire import format_time

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDLE = frozenset({"Idle"})
Payload = dict[str, Any]


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def info(number: int = 1, priority: str = "NormalCycle", **more: Any) -> Payload:
    text = more.pop("text", f"M{number}")
    made: Payload = {"id": number, "priority": priority, "message": {"format": "UTF8", "content": text}}
    for name in ("startDateTime", "endDateTime"):
        if name in more:
            more[name] = format_time(at(more[name]))
    return made | more


def holding(*infos: Payload) -> Messages:
    messages = Messages()
    for one in infos:
        assert messages.set(message_of(one), {"T"}, NOON)[0] == "Accepted", one
    return messages


def shown(messages: Messages, minutes: float = 0.0, *states: str) -> list[str]:
    return [one.text for one in messages.shown(frozenset(states) or IDLE, at(minutes), [])]


def test_priorities() -> None:
    messages = holding(info(1), info(2, "InFront"), info(3), info(4, "InFront"))
    assert shown(messages) == ["M2", "M4"]
    own = [DisplayMessage("1.20 EUR")]
    assert [one.text for one in messages.shown(IDLE, NOON, own)] == ["1.20 EUR", "M2", "M4"]
    assert messages.set(message_of(info(5, "AlwaysFront")), (), NOON)[0] == "Accepted"
    assert [one.text for one in messages.shown(IDLE, NOON, own)] == ["M5"]
    for number in (2, 4, 5):
        assert messages.clear(number)
    assert shown(messages) == ["M1", "M3"]


def test_an_always_front_message_that_is_not_its_time_leaves_room() -> None:
    messages = holding(info(1, "AlwaysFront", startDateTime=5), info(2, "InFront"))
    assert shown(messages) == ["M2"]
    assert shown(messages, 5) == ["M1"]


def test_times() -> None:
    messages = holding(info(1, startDateTime=5, endDateTime=10))
    assert [bool(shown(messages, minutes)) for minutes in (4.99, 5, 9.99, 10)] == [False, True, True, False]
    assert messages.next_change(NOON) == at(5)
    assert messages.next_change(at(5)) == at(10)
    assert messages.next_change(at(10)) is None
    assert not messages.expire(at(9.99))
    assert messages.expire(at(10))
    assert len(messages) == 0


@pytest.mark.parametrize(
    ("charging", "faulted", "unavailable", "states"),
    [
        (False, False, False, {"Idle"}),
        (True, False, False, {"Charging"}),
        (True, True, False, {"Charging", "Faulted"}),
        (False, False, True, {"Unavailable"}),
    ],
)
def test_states(charging: bool, faulted: bool, unavailable: bool, states: set[str]) -> None:
    assert station_states(charging, faulted, unavailable) == states
    names = ("Charging", "Faulted", "Idle", "Unavailable")
    messages = holding(*(info(number, state=name, text=name) for number, name in enumerate(names)))
    assert set(shown(messages, 0, *states)) == states


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"message": {"format": "HTML", "content": "x"}}, "NotSupportedMessageFormat"),
        ({"transactionId": "other"}, "UnknownTransaction"),
        ({"display": {"name": "Other"}}, "Rejected"),
        ({"endDateTime": 0}, "Rejected"),
        ({"startDateTime": 9, "endDateTime": 9}, "Rejected"),
    ],
)
def test_what_is_refused_changes_nothing(changes: Payload, status: str) -> None:
    messages = holding(info(1))
    assert messages.set(message_of(info(1, "InFront", **changes)), {"T"}, NOON)[0] == status
    assert messages.find((), None, None) == [info(1)]


def test_so_many_and_no_more() -> None:
    messages = holding(*(info(number) for number in range(MAX_MESSAGES)))
    assert messages.set(message_of(info(MAX_MESSAGES)), (), NOON)[0] == "Rejected"
    assert messages.set(message_of(info(3, text="new")), (), NOON)[0] == "Accepted"


def test_they_outlive_a_restart_but_for_a_transactions() -> None:
    messages, again = holding(info(1, state="Idle", endDateTime=9), info(2, transactionId="T")), Messages()
    again.restore(messages.dump())
    assert again.find((), None, None) == [info(1, state="Idle", endDateTime=9)]
    assert messages.transaction_ended("T")
    assert not messages.transaction_ended("T")


@pytest.mark.parametrize("text", ["x", "[1]", "[{}]", '[{"id": 1, "priority": "Loud"}]'])
def test_rubbish_on_the_disk_is_said(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Messages().restore(text)


def test_whatever_is_set_what_is_shown_follows_the_rules() -> None:
    source, messages = random.Random(9), Messages()
    for _ in range(1500):
        number = source.randrange(8)
        changes: Payload = {}
        if source.random() < 0.5:
            changes["state"] = source.choice(["Charging", "Idle", "Faulted", "Unavailable"])
        if source.random() < 0.5:
            changes["startDateTime"] = source.randrange(-5, 15)
        if source.random() < 0.5:
            changes["endDateTime"] = source.randrange(-5, 15)
        priority = source.choice(["AlwaysFront", "InFront", "NormalCycle"])
        messages.set(message_of(info(number, priority, **changes)), (), NOON)
        minute = source.randrange(20)
        held = messages.find((), None, None)
        assert sum(one["priority"] == "AlwaysFront" for one in held) <= 1
        active = [
            one
            for one in held
            if one.get("state", "Idle") == "Idle"
            and one.get("startDateTime", "") <= format_time(at(minute))
            and one.get("endDateTime", "9") > format_time(at(minute))
        ]
        best = min((("AlwaysFront", "InFront", "NormalCycle").index(one["priority"]) for one in active), default=None)
        wanted = [
            f"M{one['id']}"
            for one in active
            if ("AlwaysFront", "InFront", "NormalCycle").index(one["priority"]) == best
        ]
        assert shown(messages, minute) == wanted


# --- Costs ---

RULES = TariffRules(tariff=True, cost=True, currency="EUR", tariff_fallback="", total_fallback="")
ONE, TWO = EvseId(1), EvseId(2)
CARD, OTHER = IdToken("04AA", "ISO14443"), IdToken("04BB", "ISO14443")


def told(costs: Costs, now: float = 0.0, rules: TariffRules = RULES) -> list[str]:
    return [one.text for one in costs.shown(now, rules)]


def info_of(tariff: str, language: str = "en") -> Payload:
    return {"status": "Accepted", "language1": language, "personalMessage": {"format": "UTF8", "content": tariff}}


def test_a_driver_is_greeted_with_the_tariff() -> None:
    costs = Costs()
    costs.authorized(CARD, info_of("0.50/kWh", "nl"), 0.0)
    assert costs.shown(0.0, RULES) == [DisplayMessage("0.50/kWh", "nl")]
    assert costs.next_change() == GREETING_S
    assert told(costs, GREETING_S) == []
    costs.began(ONE, "T", IdToken("04aa", "ISO14443"))
    assert costs.shown(GREETING_S, RULES) == [DisplayMessage("0.50/kWh", "nl", ONE)]
    assert costs.next_change() is None


def test_a_driver_the_csms_says_nothing_of() -> None:
    costs = Costs()
    rules = TariffRules(True, True, "EUR", "0.79/kWh", "see your bill")
    costs.authorized(CARD, None, 0.0)
    assert told(costs, 0.0, rules) == ["0.79/kWh"]
    costs.began(ONE, "T", CARD)
    assert told(costs, 0.0, rules) == ["0.79/kWh"]
    costs.ended("T", 10.0, rules.total_fallback)
    assert told(costs, 10.0, rules) == ["see your bill"]
    assert told(costs, 10.0 + TOTAL_S, rules) == []


def test_cost_so_far_and_total() -> None:
    costs = Costs()
    costs.authorized(CARD, info_of("", "sv-SE"), 0.0)
    costs.began(ONE, "T", CARD)
    costs.updated("T", 1.005)
    assert told(costs) == ["Kostnad hittills: 1.00 EUR"]
    costs.answered("T", {"totalCost": 12.345}, ended=False, now=5.0, currency="EUR")
    assert told(costs) == ["Kostnad hittills: 12.34 EUR"]
    costs.ended("T", 6.0, "")
    costs.updated("T", 99.0)
    costs.answered("T", {"totalCost": 20}, ended=True, now=7.0, currency="EUR")
    assert told(costs, 7.0) == ["Total kostnad: 20.00 EUR"]
    assert costs.next_change() == 7.0 + TOTAL_S


def test_the_next_driver_does_not_see_the_last_ones_total() -> None:
    costs = Costs()
    costs.began(ONE, "T", CARD)
    costs.began(TWO, "U", OTHER)
    for transaction_id in ("T", "U"):
        costs.answered(transaction_id, {"totalCost": 3}, ended=True, now=0.0, currency="EUR")
    costs.began(ONE, "V", None)
    assert [(one.text, one.evse) for one in costs.shown(0.0, RULES)] == [("Total cost: 3.00 EUR", TWO)]


def test_another_tariff() -> None:
    costs = Costs()
    costs.began(ONE, "T", CARD)
    answer = {"idTokenInfo": info_of("cheap")}
    costs.answered("T", answer, ended=False, now=0.0, currency="EUR")
    assert told(costs) == ["cheap"]
    later = {"updatedPersonalMessage": {"format": "UTF8", "content": "dear"}}
    costs.answered("T", answer | later, ended=False, now=0.0, currency="EUR")
    assert told(costs) == ["dear"]


def test_another_token_of_the_group_does_not_reset_the_cost() -> None:
    costs = Costs()
    costs.began(ONE, "T", None)
    costs.updated("T", 2)
    costs.authorized(CARD, info_of("0.50/kWh"), 0.0)
    costs.began(ONE, "T", CARD)
    assert told(costs) == ["0.50/kWh", "Cost so far: 2.00 EUR"]
    costs.authorized(OTHER, info_of("0.99/kWh"), 0.0)
    costs.began(ONE, "T", OTHER)
    assert told(costs) == ["0.50/kWh", "Cost so far: 2.00 EUR"]


@pytest.mark.parametrize("response", [{"totalCost": "1"}, {"totalCost": True}, {"idTokenInfo": 3}, {"totalCost": None}])
def test_rubbish_in_an_answer(response: Payload) -> None:
    costs = Costs()
    costs.began(ONE, "T", CARD)
    costs.answered("T", response, ended=True, now=0.0, currency="EUR")
    costs.answered("unknown", {"totalCost": 1}, ended=True, now=0.0, currency="EUR")
    costs.ended("unknown", 0.0, "x")
    assert told(costs) == []


@pytest.mark.parametrize("language", [*LANGUAGES, "de-AT", "DE", "xx", ""])
def test_every_language_has_its_words(language: str) -> None:
    costs = Costs()
    costs.authorized(CARD, info_of("", language), 0.0)
    costs.began(ONE, "T", CARD)
    costs.updated("T", 1)
    (message,) = costs.shown(0.0, RULES)
    assert message.text.endswith(": 1.00 EUR")
    assert message.text.startswith("Kosten bisher") is language.lower().startswith("de")


def test_of_drivers_without_number_the_latest_are_remembered() -> None:
    costs = Costs()
    for number in range(MAX_TOKENS + 1):
        costs.authorized(IdToken(f"T{number}", "Central"), info_of(f"tariff {number}"), 0.0)
    costs.began(ONE, "T", IdToken("T0", "Central"))
    assert told(costs) == []
    costs.began(ONE, "U", IdToken("T1", "Central"))
    assert told(costs) == ["tariff 1"]
