"""The local list: updates that hold whole or not at all, versions, and its word before the cache's."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpp_client import local_list
from ocpp_client.authorization import Authorizer, OfflineRules
from ocpp_client.local_list import ListRefused, LocalList, dump
from ocpp_client.ports import AuthorizationStatus, IdToken
from sim.csms.server import CallRefused

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD, OTHER = IdToken("04AABB", "ISO14443"), IdToken("04CCDD", "ISO14443")
RULES = OfflineRules(
    cache_enabled=True,
    cache_lifetime_s=3600.0,
    authorize_offline=True,
    pre_authorize=True,
    post_authorize=True,
    unknown_offline=False,
    contract_offline=False,
    list_enabled=True,
)
Payload = dict[str, Any]


def entry(token: IdToken = CARD, status: str | None = "Accepted", **info: Any) -> Payload:
    item: Payload = {"idToken": {"idToken": token.id_token, "type": token.kind}}
    return item if status is None else item | {"idTokenInfo": {"status": status} | info}


def request(version: int, *entries: Payload, update: str = "Full") -> Payload:
    payload: Payload = {"versionNumber": version, "updateType": update}
    return payload | ({"localAuthorizationList": list(entries)} if entries else {})


def listed(*entries: Payload, version: int = 1) -> LocalList:
    tokens = LocalList()
    tokens.take(tokens.prepare(request(version, *entries)))
    return tokens


def refusal(tokens: LocalList, payload: Payload) -> str:
    before = tokens.version, len(tokens)
    with pytest.raises(ListRefused) as refused:
        tokens.prepare(payload)
    assert (tokens.version, len(tokens)) == before
    return refused.value.status


def test_a_full_list_replaces_and_an_empty_one_clears() -> None:
    tokens = listed(entry(), entry(OTHER))
    tokens.take(tokens.prepare(request(1, entry(OTHER, "Blocked"))))
    assert (tokens.version, len(tokens), tokens.find(CARD, NOON)) == (1, 1, None)
    assert (tokens.find(OTHER, NOON) or {})["status"] == "Blocked"
    tokens.take(tokens.prepare(request(9)))
    assert (tokens.version, len(tokens)) == (9, 0)


def test_a_difference_adds_changes_and_removes() -> None:
    tokens = listed(entry(), entry(OTHER))
    third = IdToken("04EE", "ISO14443")
    tokens.take(
        tokens.prepare(request(2, entry(CARD, "Invalid"), entry(OTHER, None), entry(third), update="Differential"))
    )
    assert (tokens.version, len(tokens)) == (2, 2)
    assert (tokens.find(CARD, NOON) or {})["status"] == "Invalid"
    assert tokens.find(OTHER, NOON) is None
    tokens.take(tokens.prepare(request(3, update="Differential")))
    assert (tokens.version, len(tokens)) == (3, 2)


@pytest.mark.parametrize("version", [4, 5])
def test_a_difference_needs_a_higher_version(version: int) -> None:
    tokens = listed(entry(), version=5)
    assert refusal(tokens, request(version, entry(OTHER), update="Differential")) == "VersionMismatch"


@pytest.mark.parametrize("update", ["Full", "Differential"])
@pytest.mark.parametrize("version", [0, -3])
def test_a_version_is_above_zero(version: int, update: str) -> None:
    assert refusal(listed(entry()), request(version, entry(OTHER), update=update)) == "Failed"


def test_what_is_wrong_fails_whole() -> None:
    tokens = listed(entry())
    twice = IdToken("04ccdd", "ISO14443")
    assert refusal(tokens, request(2, entry(OTHER), entry(twice), update="Differential")) == "Failed"
    assert refusal(tokens, request(2, entry(OTHER, None))) == "Failed"


def test_there_is_room_for_so_many() -> None:
    tokens = LocalList()
    for start in range(0, local_list.MAX_ENTRIES, 100):
        items = [entry(IdToken(f"T{number}", "Central")) for number in range(start, start + 100)]
        tokens.take(tokens.prepare(request(start + 1, *items, update="Differential")))
    assert len(tokens) == local_list.MAX_ENTRIES
    assert refusal(tokens, request(5000, entry(), update="Differential")) == "Failed"


def test_tokens_are_compared_without_case_but_with_their_kind() -> None:
    tokens = listed(entry())
    assert tokens.find(IdToken("04aabb", "ISO14443"), NOON) is not None
    assert tokens.find(IdToken("04AABB", "ISO15693"), NOON) is None


def test_an_entry_expires() -> None:
    tokens = listed(entry(cacheExpiryDateTime="2026-05-01T12:10:00Z"))
    assert (tokens.find(CARD, NOON) or {})["status"] == "Accepted"
    assert (tokens.find(CARD, NOON + timedelta(minutes=10)) or {})["status"] == "Expired"


def test_it_outlives_a_restart() -> None:
    tokens, again = LocalList(), LocalList()
    update = tokens.prepare(
        request(7, entry(groupIdToken={"idToken": "fleet", "type": "Central"}), entry(OTHER, "Blocked"))
    )
    again.restore(dump(update))
    tokens.take(update)
    assert again.version == 7
    for token in (CARD, OTHER):
        assert again.find(token, NOON) == tokens.find(token, NOON)


@pytest.mark.parametrize("text", ["[]", "[1]", "[1, 2]", "{}", "[1, [[1]]]", "x", '[1, [["a", "b", "c"]]]'])
def test_rubbish_on_the_disk_is_said(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        LocalList().restore(text)


def both(list_status: str, cache_status: str) -> Authorizer:
    authorizer = Authorizer()
    authorizer.list.take(authorizer.list.prepare(request(1, entry(CARD, list_status))))
    authorizer.answered(CARD, {"idTokenInfo": {"status": cache_status}}, NOON, RULES)
    return authorizer


def test_the_list_speaks_before_the_cache() -> None:
    assert both("Blocked", "Accepted").unanswered(CARD, NOON, RULES).status is AuthorizationStatus.BLOCKED
    assert both("Accepted", "Blocked").unanswered(CARD, NOON, RULES).status is AuthorizationStatus.ACCEPTED
    off = replace(RULES, list_enabled=False)
    assert both("Blocked", "Accepted").unanswered(CARD, NOON, off).status is AuthorizationStatus.ACCEPTED


@pytest.mark.parametrize(
    ("status", "rules", "known"),
    [
        ("Accepted", {}, "Accepted"),
        ("Accepted", {"pre_authorize": False}, None),
        ("Blocked", {}, None),
        ("Blocked", {"post_authorize": False}, None),
        ("Blocked", {"list_post_authorize": False}, "Blocked"),
    ],
)
def test_when_the_csms_need_not_be_asked(status: str, rules: Payload, known: str | None) -> None:
    answer = both(status, "Invalid").before_asking(CARD, NOON, replace(RULES, **rules))
    assert (answer and answer.status) == known


def test_a_group_of_the_list() -> None:
    authorizer = Authorizer()
    fleet = {"idToken": "fleet", "type": "Central"}
    authorizer.list.take(authorizer.list.prepare(request(1, entry(groupIdToken=fleet))))
    assert authorizer.unanswered(CARD, NOON, RULES).group_id == "fleet"


# --- Over the wire ---


async def test_a_list_that_cannot_be_stored_is_not_accepted(bench: Any) -> None:
    await bench.station()
    assert (await bench.csms.call("SendLocalList", request(1, entry())))["status"] == "Accepted"
    bench.journal.failing = True
    assert (await bench.csms.call("SendLocalList", request(2, entry(OTHER))))["status"] == "Failed"
    bench.journal.failing = False
    assert await bench.csms.call("GetLocalListVersion", {}) == {"versionNumber": 1}


async def test_a_message_has_its_limits(bench: Any) -> None:
    await bench.station()
    items = [entry(IdToken(f"T{number}", "Central")) for number in range(local_list.ITEMS_PER_MESSAGE + 1)]
    with pytest.raises(CallRefused, match="OccurrenceConstraintViolation"):
        await bench.csms.call("SendLocalList", request(1, *items))
    text = {"format": "UTF8", "content": "x" * 512}
    big = [entry(IdToken(f"T{n}", "Central"), personalMessage=text) for n in range(local_list.ITEMS_PER_MESSAGE)]
    with pytest.raises(CallRefused, match="FormatViolation"):
        await bench.csms.call("SendLocalList", request(1, *big))
    assert await bench.csms.call("GetLocalListVersion", {}) == {"versionNumber": 0}


async def test_two_updates_at_once_do_not_mix(bench: Any) -> None:
    await bench.station()
    updates = [request(n, entry(IdToken(f"T{n}", "Central")), update="Differential") for n in range(1, 9)]
    answers = await asyncio.gather(*(bench.csms.call("SendLocalList", update) for update in updates))
    assert [answer["status"] for answer in answers] == ["Accepted"] * 8
    assert len(json.loads(bench.journal.values["local_list"])[1]) == 8


def test_whatever_is_sent_the_list_stays_whole() -> None:
    source, tokens = random.Random(5), LocalList()
    names = [f"T{number}" for number in range(12)]
    for _ in range(2000):
        items = [
            entry(IdToken(name, "Central"), source.choice(["Accepted", "Blocked", None]))
            for name in source.choices(names, k=source.randrange(6))
        ]
        payload = request(source.randrange(-2, 60), *items, update=source.choice(["Full", "Differential"]))
        before, held = tokens.version, [name for name in names if tokens.find(IdToken(name, "Central"), NOON)]
        try:
            update = tokens.prepare(payload)
        except ListRefused:
            assert (tokens.version, len(tokens)) == (before, len(held))
            continue
        assert payload["updateType"] == "Full" or update.version > before
        again = LocalList()
        again.restore(dump(update))
        tokens.take(update)
        for name in names:
            assert again.find(IdToken(name, "Central"), NOON) == tokens.find(IdToken(name, "Central"), NOON)
