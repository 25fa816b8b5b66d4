"""The machine of a firmware update: conversations in virtual time."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_client.firmware_update import (
    DEFAULT_RETRIES,
    ENDS,
    MAX_ATTEMPTS,
    MAX_RETRY_INTERVAL_S,
    Activate,
    AwaitOutcome,
    Discard,
    Download,
    Effects,
    FirmwareStatus,
    FirmwareUpdate,
    Hold,
    Install,
    MakeIdle,
    Tell,
    TellSecurity,
    UpdateRequest,
    UpdateRules,
    Verify,
    request_of,
)
from ocpp_client.ports import FirmwareFault, UpdateOutcome

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
S = FirmwareStatus


def request(number: int = 1, **more: Any) -> UpdateRequest:
    fields: dict[str, Any] = {
        "request_id": number,
        "location": "http://host/image",
        "retrieve_at": "2026-05-01T12:00:00.000Z",
        "install_at": None,
        "signing_certificate": "PEM",
        "signature": "c2ln",
        "attempts": 2,
        "retry_interval_s": 60.0,
    }
    return UpdateRequest(**fields | more)


@dataclass
class Bench:
    busy: bool = False
    allow: bool = False
    stops: bool = False
    update: FirmwareUpdate = field(init=False)

    def __post_init__(self) -> None:
        self.update = self.fresh()

    def fresh(self) -> FirmwareUpdate:
        return FirmwareUpdate(UpdateRules(lambda: self.busy, lambda: self.allow, self.stops))

    def to(self, status: FirmwareStatus, wanted: UpdateRequest | None = None) -> FirmwareUpdate:
        """Straight on until that status."""
        update = self.update
        update.begin(wanted or request(), NOON)
        if update.status is not status:
            update.download_ended(True, NOON)
        if update.status is not status:
            update.verified(True, NOON)
        if update.status is not status:
            update.install_ended(None)
        assert update.status is status
        return update

    def cut(self) -> FirmwareUpdate:
        """Power off and on."""
        dumped = self.update.dump()
        self.update = self.fresh()
        if dumped is not None:
            self.update.restore(dumped)
        return self.update


def told(effects: Effects) -> list[FirmwareStatus]:
    return [effect.status for effect in effects if isinstance(effect, Tell)]


def test_the_straight_way() -> None:
    update, wanted = Bench().update, request()
    assert update.begin(wanted, NOON) == [Discard(), Tell(S.DOWNLOADING, 1), Download(wanted)]
    assert update.download_ended(True, NOON) == [Tell(S.DOWNLOADED, 1), Verify(wanted)]
    assert update.verified(True, NOON) == [
        Tell(S.SIGNATURE_VERIFIED, 1),
        Hold(True),
        Tell(S.INSTALLING, 1),
        Install(wanted),
    ]
    assert update.install_ended(None) == [Tell(S.INSTALL_REBOOTING, 1), Activate(), AwaitOutcome()]
    assert update.outcome(UpdateOutcome.GOOD) == [
        Tell(S.INSTALLED, 1),
        Hold(False),
        Discard(),
        TellSecurity("FirmwareUpdated", wanted.location),
    ]
    assert update.payload() == {"status": "Idle"}


def test_nothing_happens_without_a_request() -> None:
    update = Bench().update
    assert update.tick(NOON) == update.resume(NOON) == update.download_ended(True, NOON) == []
    assert update.verified(True, NOON) == update.install_ended(None) == update.outcome(UpdateOutcome.GOOD) == []
    assert update.deadline() is None
    assert update.dump() is None


def test_a_download_waits_for_its_time() -> None:
    update = Bench().update
    later = request(retrieve_at="2026-05-01T13:00:00.000Z")
    assert update.begin(later, NOON) == [Discard(), Tell(S.DOWNLOAD_SCHEDULED, 1)]
    assert update.deadline() == NOON + timedelta(hours=1)
    assert update.tick(NOON + timedelta(minutes=59)) == []
    assert update.tick(NOON + timedelta(hours=1)) == [Tell(S.DOWNLOADING, 1), Download(later)]
    assert update.deadline() is None


def test_a_download_is_tried_again_and_given_up() -> None:
    update = Bench().to(S.DOWNLOADING)
    assert told(update.download_ended(False, NOON)) == [S.DOWNLOAD_PAUSED]
    assert update.deadline() == NOON + timedelta(seconds=60)
    assert update.tick(NOON + timedelta(seconds=59)) == []
    assert told(update.tick(NOON + timedelta(seconds=60))) == [S.DOWNLOADING]
    assert update.download_ended(False, NOON) == [Tell(S.DOWNLOAD_FAILED, 1), Discard()]
    assert not update.under_way


def test_a_clock_set_back_does_not_prolong_a_pause() -> None:
    update = Bench().to(S.DOWNLOADING)
    update.download_ended(False, NOON)
    assert told(update.tick(NOON - timedelta(days=1))) == [S.DOWNLOADING]


def test_a_pause_ends_with_a_restart() -> None:
    bench = Bench()
    bench.to(S.DOWNLOADING).download_ended(False, NOON)
    assert told(bench.cut().resume(NOON)) == [S.DOWNLOADING]


def test_a_transaction_is_waited_for() -> None:
    bench = Bench(busy=True)
    update = bench.to(S.DOWNLOADED)
    assert update.verified(True, NOON) == [
        Tell(S.SIGNATURE_VERIFIED, 1),
        Tell(S.INSTALL_SCHEDULED, 1),
        Hold(True),
    ]
    assert update.tick(NOON) == []
    assert update.deadline() is None
    bench.busy = False
    assert update.tick(NOON) == [Tell(S.INSTALLING, 1), Install(request())]


def test_new_transactions_may_begin_meanwhile_where_allowed() -> None:
    bench = Bench(busy=True, allow=True)
    update = bench.to(S.DOWNLOADED)
    assert Hold(True) not in update.verified(True, NOON)
    bench.busy = False
    assert update.tick(NOON) == [Hold(True), Tell(S.INSTALLING, 1), Install(request())]


def test_transactions_are_ended_where_configured() -> None:
    assert Bench(busy=True, stops=True).to(S.DOWNLOADED).verified(True, NOON)[-2:] == [Hold(True), MakeIdle()]


def test_a_scheduled_installation_holds_nothing_until_its_time() -> None:
    bench = Bench(busy=True)
    at_one = request(install_at="2026-05-01T13:00:00.000Z")
    update = bench.to(S.DOWNLOADED, at_one)
    assert told(update.verified(True, NOON)) == [S.SIGNATURE_VERIFIED, S.INSTALL_SCHEDULED]
    assert update.deadline() == NOON + timedelta(hours=1)
    assert update.tick(NOON + timedelta(hours=1)) == [Hold(True)]


def test_a_wrong_signature_ends_it() -> None:
    effects = Bench().to(S.DOWNLOADED).verified(False, NOON)
    assert told(effects) == [S.INVALID_SIGNATURE]
    assert effects[-1] == TellSecurity("InvalidFirmwareSignature", "http://host/image")
    assert Discard() in effects


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FirmwareFault.VERIFICATION, S.INSTALL_VERIFICATION_FAILED),
        (FirmwareFault.INSTALLATION, S.INSTALLATION_FAILED),
    ],
)
def test_a_failed_installation_frees_the_evses(fault: FirmwareFault, status: FirmwareStatus) -> None:
    assert Bench().to(S.INSTALLING).install_ended(fault) == [Tell(status, 1), Hold(False), Discard()]


def test_the_old_firmware_back_is_a_failed_installation() -> None:
    bench = Bench()
    bench.to(S.INSTALL_REBOOTING)
    update = bench.cut()
    assert update.resume(NOON) == [AwaitOutcome()]
    assert update.outcome(UpdateOutcome.FELL_BACK) == [Tell(S.INSTALLATION_FAILED, 1), Discard()]


def test_a_new_request_takes_the_place_until_installing() -> None:
    bench = Bench(busy=True)
    update = bench.to(S.INSTALL_SCHEDULED)
    assert update.cancellable
    second = request(2)
    assert update.begin(second, NOON) == [Hold(False), Discard(), Tell(S.DOWNLOADING, 2), Download(second)]
    bench = Bench()
    assert not bench.to(S.INSTALLING).cancellable
    bench.update.install_ended(None)
    assert not bench.update.cancellable


@pytest.mark.parametrize("status", [S.DOWNLOADED, S.INSTALL_SCHEDULED])
def test_what_lay_on_the_disk_is_verified_anew(status: FirmwareStatus) -> None:
    bench = Bench(busy=True)
    bench.to(status)
    bench.busy = False
    update = bench.cut()
    assert update.resume(NOON) == [Verify(request())]
    assert told(update.verified(True, NOON))[-1] is S.INSTALLING
    bench.to(S.INSTALLING)


def test_an_interrupted_installation_is_begun_twice() -> None:
    bench = Bench()
    bench.to(S.INSTALLING)
    update = bench.cut()
    assert update.resume(NOON) == [Verify(request())]
    assert told(update.verified(True, NOON)) == [S.INSTALLING]
    assert bench.cut().resume(NOON) == [Tell(S.INSTALLATION_FAILED, 1), Discard()]


def test_a_download_goes_on_after_a_restart() -> None:
    bench = Bench()
    bench.to(S.DOWNLOADING)
    assert bench.cut().resume(NOON) == [Download(request())]


def test_numbers_beyond_reason_are_brought_within_bounds() -> None:
    firmware = {"location": "http://host/image", "retrieveDateTime": "2026-05-01T14:00:00+02:00"}
    plain = request_of({"requestId": 3, "firmware": firmware})
    assert plain.retrieve_at == "2026-05-01T12:00:00.000Z"
    assert (plain.attempts, plain.install_at) == (1 + DEFAULT_RETRIES, None)
    wild = request_of({"requestId": 3, "retries": 10**9, "retryInterval": 10**9, "firmware": firmware})
    assert (wild.attempts, wild.retry_interval_s) == (MAX_ATTEMPTS, MAX_RETRY_INTERVAL_S)
    negative = request_of({"requestId": 3, "retries": -1, "retryInterval": -1, "firmware": firmware})
    assert (negative.attempts, negative.retry_interval_s) == (1, 0.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "Odd", "request": {}}', '{"request": {"request_id": 1}}'])
def test_what_was_never_dumped_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Bench().update.restore(text)


@given(st.lists(st.sampled_from("tdDvVifgbBrc"), max_size=40))
def test_any_order_of_events_keeps_the_rules(events: list[str]) -> None:
    """Nothing is installed unverified or while a transaction runs, and a held EVSE is freed with the update's end."""
    bench, now, number, held, good = Bench(), NOON, 0, False, False
    for event in events:
        now += timedelta(seconds=61)
        update = bench.update
        match event:
            case "t":
                effects = update.tick(now)
            case "d" | "D":
                effects = update.download_ended(event == "D", now)
            case "v" | "V":
                good = good or (event == "V" and update.status is S.DOWNLOADED)
                effects = update.verified(event == "V", now)
            case "i" | "f":
                effects = update.install_ended(None if event == "i" else FirmwareFault.INSTALLATION)
            case "g":
                effects = update.outcome(UpdateOutcome.GOOD)
            case "b" | "B":
                bench.busy, effects = event == "B", []
            case "r":
                number += update.cancellable
                effects = update.begin(request(number), now) if update.cancellable else []
                good = good and not update.cancellable
            case _:
                effects, held = bench.cut().resume(now), False
        for effect in effects:
            held = effect.on if isinstance(effect, Hold) else held
            if isinstance(effect, Install):
                assert good
                assert held
                assert not bench.busy
            if isinstance(effect, Tell):
                assert effect.request_id == number
        if bench.update.status in ENDS:
            assert not held
        dumped = bench.update.dump()
        assert dumped is None or json.loads(dumped)["status"] == bench.update.status.value
