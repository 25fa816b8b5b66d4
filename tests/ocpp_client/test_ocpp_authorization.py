"""Who may charge offline; then the same over a WebSocket."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hal.quantities import EvseId
from ocpp_client.authorization import MAX_ENTRIES, AuthorizationCache, Authorizer, OfflineRules, at_evse
from ocpp_client.ports import AuthorizationStatus, ChargingState, IdToken, TransactionRules, TriggerReason, TxPoint

EVSE = EvseId(1)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULES = OfflineRules(
    cache_enabled=True,
    cache_lifetime_s=3600.0,
    authorize_offline=True,
    pre_authorize=False,
    post_authorize=True,
    unknown_offline=False,
    contract_offline=False,
)
SWIPE, CONTRACT = IdToken("04AABB", "ISO14443"), IdToken("DE8EVSC12345678", "eMAID")
ACCEPTED, BLOCKED = AuthorizationStatus.ACCEPTED, AuthorizationStatus.BLOCKED


def knowing(token: IdToken = SWIPE, **info: Any) -> Authorizer:
    authorizer = Authorizer()
    authorizer.answered(token, {"idTokenInfo": {"status": "Accepted"} | info}, NOON, RULES)
    return authorizer


def test_offline_the_cache_has_the_word() -> None:
    answer = knowing(groupIdToken={"idToken": "fleet", "type": "Central"}).unanswered(SWIPE, NOON, RULES)
    assert (answer.status, answer.group_id, answer.offline) == (ACCEPTED, "fleet", True)
    assert knowing(status="Blocked").unanswered(SWIPE, NOON, RULES).status is BLOCKED
    assert Authorizer().unanswered(SWIPE, NOON, RULES).status is None


def test_tokens_are_compared_without_case_but_with_their_kind() -> None:
    authorizer = knowing()
    assert authorizer.unanswered(IdToken("04aabb", "ISO14443"), NOON, RULES).status is ACCEPTED
    assert authorizer.unanswered(IdToken("04AABB", "ISO15693"), NOON, RULES).status is None


@pytest.mark.parametrize(
    ("rules", "known", "unknown"),
    [
        ({}, ACCEPTED, None),
        ({"authorize_offline": False}, None, None),
        ({"cache_enabled": False}, None, None),
        ({"unknown_offline": True}, ACCEPTED, ACCEPTED),
        ({"authorize_offline": False, "unknown_offline": True}, ACCEPTED, ACCEPTED),
    ],
)
def test_the_offline_rules(
    rules: dict[str, bool], known: AuthorizationStatus | None, unknown: AuthorizationStatus | None
) -> None:
    now_rules = replace(RULES, **rules)
    assert knowing().unanswered(SWIPE, NOON, now_rules).status is known
    assert Authorizer().unanswered(SWIPE, NOON, now_rules).status is unknown


def test_who_is_known_to_be_blocked_is_not_unknown() -> None:
    rules = replace(RULES, authorize_offline=False, unknown_offline=True)
    assert knowing(status="Blocked").unanswered(SWIPE, NOON, rules).status is None


def test_a_token_of_some_evses_is_not_of_the_others() -> None:
    answer = knowing(evseId=[2, 3]).unanswered(SWIPE, NOON, RULES)
    assert answer.evse_ids == (2, 3)
    assert at_evse(answer, 3) is answer
    assert at_evse(answer, 1).status is AuthorizationStatus.NOT_ALLOWED_TYPE_EVSE
    everywhere = knowing().unanswered(SWIPE, NOON, RULES)
    assert at_evse(everywhere, 1) is everywhere
    refused = knowing(status="Blocked", evseId=[2]).unanswered(SWIPE, NOON, RULES)
    assert at_evse(refused, 1).status is BLOCKED


@pytest.mark.parametrize("rubbish", [7, "2", {"a": 1}, ["2"], [], None])
def test_rubbish_for_evses_limits_nothing(rubbish: Any) -> None:
    assert knowing(evseId=rubbish).unanswered(SWIPE, NOON, RULES).evse_ids == ()


def test_a_cache_without_evses_is_read() -> None:
    cache = AuthorizationCache()
    cache.restore('[["04aabb", "ISO14443", "Accepted", "2026-05-01T13:00:00.000Z", null]]')
    entry = cache.find(SWIPE, NOON)
    assert entry is not None
    assert entry.evse_ids == ()
    again = AuthorizationCache()
    again.restore(knowing(evseId=[2]).cache.dump())
    found = again.find(SWIPE, NOON)
    assert found is not None
    assert found.evse_ids == (2,)


def test_a_contract_is_accepted_offline_only_where_told() -> None:
    authorizer = knowing(CONTRACT)
    assert authorizer.unanswered(CONTRACT, NOON, RULES).status is None
    assert authorizer.unanswered(CONTRACT, NOON, replace(RULES, contract_offline=True)).status is ACCEPTED


def test_entries_expire_by_the_csms_or_by_the_station() -> None:
    early = knowing(cacheExpiryDateTime="2026-05-01T12:10:00Z")
    assert early.unanswered(SWIPE, NOON + timedelta(minutes=9), RULES).status is ACCEPTED
    assert early.unanswered(SWIPE, NOON + timedelta(minutes=10), RULES).status is None
    assert len(early.cache) == 0
    unreadable = knowing(cacheExpiryDateTime="some day")
    assert unreadable.unanswered(SWIPE, NOON + timedelta(minutes=59), RULES).status is ACCEPTED
    assert unreadable.unanswered(SWIPE, NOON + timedelta(minutes=60), RULES).status is None


def test_pre_authorization_spares_the_question_for_accepted_tokens_only() -> None:
    rules = replace(RULES, pre_authorize=True)
    answer = knowing().before_asking(SWIPE, NOON, rules)
    assert answer is not None
    assert (answer.status, answer.offline) == (ACCEPTED, False)
    assert knowing().before_asking(SWIPE, NOON, RULES) is None
    assert knowing(status="Blocked").before_asking(SWIPE, NOON, rules) is None
    assert knowing(CONTRACT).before_asking(CONTRACT, NOON, rules) is None, "a contract is always asked about"


def test_no_authorization_needs_no_question() -> None:
    answer = Authorizer().before_asking(IdToken("", "NoAuthorization"), NOON, RULES)
    assert answer is not None
    assert answer.status is ACCEPTED


def test_the_cache_is_bounded_and_forgets_the_least_used() -> None:
    cache = AuthorizationCache()
    info = {"status": "Accepted"}
    for number in range(MAX_ENTRIES):
        cache.learn(IdToken(str(number), "Local"), info, NOON, RULES)
    assert cache.find(IdToken("0", "Local"), NOON) is not None
    cache.learn(SWIPE, info, NOON, RULES)
    assert len(cache) == MAX_ENTRIES
    assert cache.find(IdToken("0", "Local"), NOON) is not None
    assert cache.find(IdToken("1", "Local"), NOON) is None


def test_the_cache_outlives_a_restart() -> None:
    first = knowing(groupIdToken={"idToken": "fleet", "type": "Central"}).cache
    again = AuthorizationCache()
    again.restore(first.dump())
    assert again.dump() == first.dump()
    assert again.find(SWIPE, NOON) == first.find(SWIPE, NOON)
    first.clear()
    assert len(first) == 0


@pytest.mark.parametrize("info", [None, [], {}, {"status": 5}])
def test_an_answer_without_a_status_teaches_nothing(info: object) -> None:
    cache = AuthorizationCache()
    cache.learn(SWIPE, info, NOON, RULES)
    assert len(cache) == 0


# --- Over a WebSocket ---


async def test_the_cache_serves_offline_and_after_a_restart(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    bench.csms.answers.policy.statuses["FF"] = "Blocked"
    assert (await station.authorize(SWIPE)).status is ACCEPTED
    assert (await station.authorize(IdToken("FF", "ISO14443"))).status is BLOCKED
    await wait_until(lambda: "FF".lower() in bench.journal.values.get("auth_cache", ""))
    await station.stop()
    await bench.csms.stop()
    station = await bench.station(wait=False)
    answer = await station.authorize(SWIPE)
    assert (answer.status, answer.offline) == (ACCEPTED, True)
    assert (await station.authorize(IdToken("FF", "ISO14443"))).status is BLOCKED
    assert (await station.authorize(IdToken("00", "ISO14443"))).status is None
    await bench.csms.start()


async def test_the_csms_clears_the_cache(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    await station.authorize(SWIPE)
    assert (await bench.csms.call("ClearCache", {}))["status"] == "Accepted"
    item = {
        "component": {"name": "AuthCacheCtrlr"},
        "variable": {"name": "Enabled"},
        "attributeValue": "false",
    }
    await bench.csms.call("SetVariables", {"setVariableData": [item]})
    assert (await bench.csms.call("ClearCache", {}))["status"] == "Rejected"
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    assert (await station.authorize(SWIPE)).status is None
    await bench.csms.start()


async def test_a_refusal_in_a_transactions_answer_is_learnt(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    await station.authorize(SWIPE)
    bench.csms.answers.policy.statuses["04AABB"] = "Expired"
    await station.transaction_started(EVSE, SWIPE, TriggerReason.AUTHORIZED, ChargingState.CHARGING, None)
    await wait_until(lambda: "Expired" in bench.journal.values.get("auth_cache", ""))
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    assert (await station.authorize(SWIPE)).status is AuthorizationStatus.EXPIRED
    await bench.csms.start()


async def test_the_rules_of_transactions_are_told_at_start_and_when_they_change(bench: Any) -> None:
    await bench.station()
    first = bench.facts_of(TransactionRules)
    assert [(rules.start_points, rules.master_pass_group_id) for rules in first] == [({TxPoint.POWER_PATH_CLOSED}, "")]
    items = [
        {"component": {"name": "TxCtrlr"}, "variable": {"name": name}, "attributeValue": value}
        for name, value in {
            "TxStartPoint": "Authorized,EVConnected",
            "TxStopPoint": "EnergyTransfer",
            "EVConnectionTimeOut": "7",
        }.items()
    ]
    items.append(
        {
            "component": {"name": "AuthCtrlr"},
            "variable": {"name": "MasterPassGroupId"},
            "attributeValue": "master",
        }
    )
    await bench.csms.call("SetVariables", {"setVariableData": items})
    assert bench.facts_of(TransactionRules)[-1] == TransactionRules(
        frozenset({TxPoint.AUTHORIZED, TxPoint.EV_CONNECTED}), frozenset({TxPoint.ENERGY_TRANSFER}), 7.0, "master"
    )


async def test_an_answer_names_the_tokens_group(bench: Any) -> None:
    bench.csms.answers.policy.group_of["04AABB"] = "fleet"
    station = await bench.station()
    assert (await station.authorize(SWIPE)).group_id == "fleet"


async def test_a_station_that_wakes_in_1970_sends_no_such_time(bench: Any, wait_until: Callable[..., Any]) -> None:
    awake = datetime.now(UTC)
    bench.csms.answers.policy.registration = ["Pending", "Accepted"]
    bench.csms.answers.policy.boot_interval_s = 1
    station = await bench.station(
        wait=False, system_time=lambda: datetime(1970, 1, 1, tzinfo=UTC) + (datetime.now(UTC) - awake)
    )
    station.security_event("StartupOfTheDevice")
    await station.transaction_started(EVSE, SWIPE, TriggerReason.AUTHORIZED, ChargingState.CHARGING, None)
    event = await bench.csms.until_received("TransactionEvent")
    assert abs(datetime.fromisoformat(event["timestamp"]) - datetime.now(UTC)) < timedelta(seconds=5)
