"""The order of sending, in virtual time."""

import pytest

from ocpp_client.ports import QueuedMessage
from ocpp_client.queue import Call, Outbox, Outcome, Registration, RetryRules, Verdict


def outbox(registration: Registration = Registration.ACCEPTED, attempts: int = 3) -> Outbox:
    box = Outbox(RetryRules(attempts=attempts, interval_s=10.0), max_beside=3)
    box.registration = registration
    return box


def event(order: int, attempts: int = 0) -> QueuedMessage:
    return QueuedMessage(order, "TransactionEvent", f'{{"n":{order}}}', "tx", attempts)


def notice(order: int) -> QueuedMessage:
    return QueuedMessage(order, "SecurityEventNotification", "{}", None, 0)


def deliver_all(box: Outbox, now: float = 0.0) -> list[str | int]:
    sent: list[str | int] = []
    while (call := box.next(now)) is not None:
        sent.append(call.order or call.action)
        box.settle(Outcome.DELIVERED, now)
    return sent


def test_boot_goes_first_and_alone_until_accepted() -> None:
    box = outbox(Registration.NONE)
    box.load(event(1))
    box.load(notice(2))
    box.add(Call("StatusNotification", "{}"))
    box.boot(Call("BootNotification", "{}"))
    assert deliver_all(box) == ["BootNotification"]
    box.registration = Registration.ACCEPTED
    assert deliver_all(box) == ["StatusNotification", 2, 1]


def test_pending_lets_pass_what_the_csms_asked_for() -> None:
    box = outbox(Registration.PENDING)
    box.load(event(1))
    box.add(Call("Authorize", "{}"))
    box.add(Call("NotifyReport", "{}", asked_by_csms=True))
    assert deliver_all(box) == ["NotifyReport"]


def test_rejected_lets_nothing_pass() -> None:
    box = outbox(Registration.REJECTED)
    box.load(event(1))
    box.add(Call("NotifyReport", "{}", asked_by_csms=True))
    assert deliver_all(box) == []


def test_one_at_a_time() -> None:
    box = outbox()
    box.load(event(1))
    box.load(event(2))
    assert box.next(0.0) is not None
    assert box.next(0.0) is None
    box.settle(Outcome.DELIVERED, 0.0)
    assert box.next(0.0) == Call("TransactionEvent", '{"n":2}', order=2, transaction_id="tx")


def test_a_failed_event_holds_back_those_behind_it_but_nothing_beside() -> None:
    box = outbox()
    box.load(event(1))
    box.load(event(2))
    box.load(notice(3))
    box.next(0.0)  # the notice
    box.settle(Outcome.DELIVERED, 0.0)
    box.next(0.0)
    call, verdict = box.settle(Outcome.FAILED, 100.0)
    assert call is not None
    assert (call.order, verdict) == (1, Verdict.COUNT_ATTEMPT)
    box.add(Call("Authorize", "{}"))
    box.load(notice(4))
    assert deliver_all(box, 100.0) == ["Authorize", 4]
    assert box.deadline(100.0) == 110.0
    assert deliver_all(box, 110.0) == [1, 2]


def test_the_wait_grows_with_the_attempts_and_after_the_last_the_event_is_given_up() -> None:
    box = outbox(attempts=3)
    box.load(event(1))
    box.load(event(2))
    now = 0.0
    for wait_s in (10.0, 20.0):
        box.next(now)
        assert box.settle(Outcome.FAILED, now)[1] is Verdict.COUNT_ATTEMPT
        assert box.next(now + wait_s - 0.1) is None
        now += wait_s
    box.next(now)
    assert box.settle(Outcome.FAILED, now)[1] is Verdict.GIVE_UP
    assert box.counts == {"given up": 1}
    assert deliver_all(box, now) == [2]


def test_attempts_from_before_a_restart_count() -> None:
    box = outbox(attempts=3)
    box.load(event(1, attempts=2))
    box.next(0.0)
    assert box.settle(Outcome.FAILED, 0.0)[1] is Verdict.GIVE_UP


def test_a_lost_link_is_no_attempt() -> None:
    box = outbox(attempts=1)
    box.load(event(1))
    for _ in range(5):
        box.next(0.0)
        assert box.settle(Outcome.LINK_LOST, 0.0)[1] is Verdict.NONE
    assert deliver_all(box) == [1]


def test_what_lives_with_the_link_dies_with_it() -> None:
    box = outbox()
    waiting = Call("Authorize", "{}")
    box.add(waiting)
    box.load(event(1))
    assert box.link_lost() == [waiting]
    assert deliver_all(box) == [1]


def test_the_lane_beside_is_bounded() -> None:
    box = outbox(Registration.REJECTED)
    assert [box.add(Call("Heartbeat", "{}")) for _ in range(4)] == [True, True, True, False]
    assert box.counts == {"beside full": 1}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_settling_nothing_is_nothing(outcome: Outcome) -> None:
    assert outbox().settle(outcome, 0.0) == (None, Verdict.NONE)
