"""What is sent next. Pure: it holds CALLs and gives them out one at a time; the driver owns the link and the journal.

Four lanes, in this order:
- `boot`: BootNotification, before all else until it is Accepted (B01);
- `beside`: requests that live only as long as the link (Authorize, StatusNotification, Heartbeat, reports). Before
  Accepted only those the CSMS asked for pass, and with Rejected none (B02, B03);
- `notices`: durable messages that belong to no transaction (SecurityEventNotification), in journal order;
- `transactions`: TransactionEvents, strictly in journal order, all EVSEs together.

A durable message that fails is tried again after MessageAttemptInterval times the number of attempts, MessageAttempts
times in all, then given up and counted (E13). A lost link is no attempt: the message was not refused, it was not heard.
"""

from collections import Counter, deque
from dataclasses import dataclass, replace
from enum import StrEnum

from ocpp_client.ports import QueuedMessage


class Registration(StrEnum):
    """OCPP RegistrationStatusEnumType, and NONE before any answer."""

    NONE = "None"
    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class Outcome(StrEnum):
    DELIVERED = "delivered"
    FAILED = "failed"
    LINK_LOST = "link lost"


class Verdict(StrEnum):
    """What the driver does in the journal after an outcome."""

    NONE = "none"
    FORGET = "forget"
    COUNT_ATTEMPT = "count attempt"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Call:
    """A CALL to send. `order` is the journal's for a durable one; `token` is the driver's own for the others."""

    action: str
    payload_json: str
    order: int | None = None
    token: object = None
    asked_by_csms: bool = False
    transaction_id: str | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class RetryRules:
    """MessageAttempts(TransactionEvent), MessageAttemptInterval(TransactionEvent)."""

    attempts: int = 3
    interval_s: float = 10.0


class _Lane:
    """Durable messages in order, the first of them perhaps waiting for its next attempt."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        self.not_before: float | None = None

    def ready(self, now: float) -> bool:
        return bool(self.calls) and (self.not_before is None or now >= self.not_before)


class Outbox:
    """`rules` may be replaced at any time; it holds for the next failure."""

    def __init__(self, rules: RetryRules, max_beside: int = 200) -> None:
        self.rules = rules
        self.counts: Counter[str] = Counter()
        self.registration = Registration.NONE
        self._max_beside = max_beside
        self._boot: Call | None = None
        self._beside: deque[Call] = deque()
        self._transactions = _Lane()
        self._notices = _Lane()
        self._sent: Call | None = None

    @property
    def durable(self) -> int:
        """How many durable messages are held."""
        return len(self._transactions.calls) + len(self._notices.calls)

    def deadline(self, now: float) -> float | None:
        """When a message becomes ready that is not ready now."""
        times = [lane.not_before for lane in (self._transactions, self._notices) if lane.calls and lane.not_before]
        return min((at for at in times if at > now), default=None)

    def boot(self, call: Call) -> None:
        self._boot = call

    def add(self, call: Call) -> bool:
        """A request beside the durable ones; False when the lane is full."""
        if len(self._beside) >= self._max_beside:
            self.counts["beside full"] += 1
            return False
        self._beside.append(call)
        return True

    def load(self, message: QueuedMessage) -> None:
        """A message of the journal; in ascending order, each once."""
        lane = self._transactions if message.action == "TransactionEvent" else self._notices
        lane.calls.append(
            Call(
                message.action,
                message.payload_json,
                order=message.order,
                transaction_id=message.transaction_id,
                attempts=message.attempts,
            )
        )

    def next(self, now: float) -> Call | None:
        """The CALL to send now; it counts as sent until `settle`."""
        if self._sent is None:
            self._sent = self._pick(now)
            return self._sent
        return None

    def _pick(self, now: float) -> Call | None:
        if self._boot is not None:
            call, self._boot = self._boot, None
            return call
        if (beside := self._pick_beside()) is not None:
            return beside
        if self.registration is not Registration.ACCEPTED:
            return None
        for lane in (self._notices, self._transactions):
            if lane.ready(now):
                return lane.calls[0]
        return None

    def _pick_beside(self) -> Call | None:
        if self.registration is Registration.ACCEPTED:
            return self._beside.popleft() if self._beside else None
        if self.registration is Registration.PENDING:
            for call in self._beside:
                if call.asked_by_csms:
                    self._beside.remove(call)
                    return call
        return None

    def settle(self, outcome: Outcome, now: float) -> tuple[Call | None, Verdict]:
        """The CALL given out last has its outcome."""
        call, self._sent = self._sent, None
        if call is None or call.order is None:
            return call, Verdict.NONE
        lane = self._transactions if call.action == "TransactionEvent" else self._notices
        return call, self._settle_durable(lane, call, outcome, now)

    def _settle_durable(self, lane: _Lane, call: Call, outcome: Outcome, now: float) -> Verdict:
        if outcome is Outcome.LINK_LOST:
            return Verdict.NONE
        if outcome is Outcome.DELIVERED:
            lane.calls.popleft()
            lane.not_before = None
            return Verdict.FORGET
        attempts = call.attempts + 1
        if attempts >= self.rules.attempts:
            self.counts["given up"] += 1
            lane.calls.popleft()
            lane.not_before = None
            return Verdict.GIVE_UP
        lane.calls[0] = replace(call, attempts=attempts)
        lane.not_before = now + self.rules.interval_s * attempts
        return Verdict.COUNT_ATTEMPT

    def link_lost(self) -> list[Call]:
        """Drops what lives only as long as the link, and returns it, for those who wait for an answer."""
        lost = list(self._beside)
        self._beside.clear()
        self._boot = None
        return lost
