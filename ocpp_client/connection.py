"""The dialogue with the CSMS: link, RPC core, outbox, spool and registration on one event loop.

One reader that never waits for a handler: each CALL of the CSMS gets a task. One CALL of ours at a time: `_pump` gives
the next one out whenever something changed, and arms one timer for the earliest deadline of the machines.
"""

import asyncio
import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ocpp_client.actions import ActionRefused, Answer, Handler, status
from ocpp_client.link import BackOff, Endpoint, Link
from ocpp_client.ports import Journal, SecurityEvent, TransactionState
from ocpp_client.queue import Call, Outbox, Outcome, Registration, RetryRules, Verdict
from ocpp_client.registration import Due, Registrar
from ocpp_client.rpc import CallFailed, CallReceived, Failure, ResultReceived, RpcCore, RpcEvent, SendFrame
from ocpp_client.schema import SchemaViolation
from ocpp_client.spool import Spool
from ocpp_client.wire import (
    ErrorCode,
    InvalidOutgoing,
    Payload,
    actions,
    check_request,
    check_response,
    encode_request,
    encode_response,
    text_at,
)

log = logging.getLogger(__name__)

MAX_DEVIATIONS_LOGGED = 100
_STOP_TIMEOUT_S = 2.0
_NOT_WHILE_PENDING = ("RequestStartTransaction", "RequestStopTransaction")
_VALID_ALL_THE_SAME = ("unknown action", "unsupported action", "too many calls")
"""Refused, but no sign of a peer that means harm."""
_STATUS_OF = {status.value: status for status in Registration if status is not Registration.NONE}


@dataclass(frozen=True, slots=True)
class Rules:
    """The device model's word on the dialogue, asked anew at each use."""

    endpoint: Callable[[], Endpoint]
    back_off: Callable[[], BackOff]
    ping_s: Callable[[], float]
    message_timeout_s: Callable[[], float]
    retry: Callable[[], RetryRules]


class DialogueUser(Protocol):
    """Called on the loop; each must be quick."""

    def boot_payload(self) -> Payload: ...

    def connected(self) -> None:
        """The link is up; nothing has been said yet."""
        ...

    def connection_failed(self, reason: str, event: SecurityEvent | None) -> None: ...

    def frame_refused(self, reason: str) -> None:
        """The CSMS sent what is no valid message."""
        ...

    def went_online(self) -> None:
        """The registration is Accepted and the link is up."""
        ...

    def went_offline(self, reason: str) -> None: ...

    def boot_answered(self, response: Payload) -> None: ...

    def heartbeat_answered(self, response: Payload) -> None: ...

    def before_sending(self, payload_json: str) -> str:
        """A last look at a durable message that may be old."""
        ...

    def durable_answered(self, call: Call, response: Payload) -> None: ...

    def durable_given_up(self, call: Call) -> None: ...

    def events_thinned(self, count: int) -> None: ...


class Dialogue:
    def __init__(
        self,
        user: DialogueUser,
        journal: Journal,
        handlers: Mapping[str, Handler],
        rules: Rules,
        boot_retry_s: float,
    ) -> None:
        self._user = user
        self._handlers = handlers
        self._rules = rules
        self.registrar = Registrar(boot_retry_s)
        self._rpc = RpcCore(check_request, actions(), frozenset(handlers))
        self._outbox = Outbox(rules.retry())
        self.spool = Spool(journal, self._outbox, user.events_thinned)
        self.link = Link(self, rules.endpoint, rules.back_off, rules.ping_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._link_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._online = False
        self._stopped = False
        self._deviations: set[str] = set()
        # Random once, then counted: unique as the standard wants it, without asking the kernel for every message.
        self._id_prefix = uuid.uuid4().hex[:20]
        self._sent = 0
        self.counts: Counter[str] = Counter()

    @property
    def online(self) -> bool:
        return self._online

    def all_counts(self) -> dict[str, int]:
        """What was dropped, refused or failed, by reason."""
        parts = (self.counts, self._rpc.counts, self._outbox.counts, self.spool.counts, self.link.counts)
        return dict(sum(parts, Counter()))

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._link_task = self._loop.create_task(self.link.run())
        self._pump()

    async def stop(self) -> None:
        """Close the link; what was handed to the journal is finished first."""
        if self._link_task is not None:
            self._link_task.cancel()
            await asyncio.gather(self._link_task, return_exceptions=True)
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the dialogue; kept until done."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["task failed"] += 1
            log.error("a task of the dialogue failed", exc_info=error)

    # --- Sending ---

    async def request(self, action: str, payload: Payload) -> Payload | None:
        """Send and wait; None when offline, refused, or without an answer within MessageTimeout of asking."""
        if not self._online:
            return None
        waiting: asyncio.Future[Payload | None] = self._loop.create_future()
        if not self._offer(action, payload, waiting, asked_by_csms=False):
            return None
        try:
            return await asyncio.wait_for(waiting, self._rules.message_timeout_s())
        except TimeoutError:
            return None

    async def tell(self, action: str, payload: Payload) -> None:
        """Send when online, without need of the answer."""
        await self.request(action, payload)

    def send_later(self, action: str, payload: Payload) -> None:
        """Send because the CSMS asked for it; nobody waits for the answer."""
        self._offer(action, payload, None, asked_by_csms=True)

    def _offer(
        self, action: str, payload: Payload, waiting: "asyncio.Future[Payload | None] | None", *, asked_by_csms: bool
    ) -> bool:
        text = self._encode(action, payload)
        if text is None or not self._outbox.add(Call(action, text, token=waiting, asked_by_csms=asked_by_csms)):
            return False
        self._pump()
        return True

    async def store(
        self, action: str, payload: Payload, transaction: TransactionState | None = None, *, ended: bool = False
    ) -> bool:
        """Write to the journal, then send in its turn. False when the payload is not valid: known before any wait."""
        text = self._encode(action, payload)
        if text is None:
            return False
        await self.spool.store(action, text, transaction, ended=ended)
        self._pump()
        return True

    async def store_notice(self, action: str, payload: Payload) -> None:
        """`store` of what belongs to no transaction."""
        await self.store(action, payload)

    def _encode(self, action: str, payload: Payload) -> str | None:
        try:
            return encode_request(action, payload)
        except InvalidOutgoing as error:
            self.counts["invalid outgoing"] += 1
            log.error("not sent: %s", error)
            return None

    def boot_now(self) -> None:
        """A BootNotification the CSMS asked for."""
        text = self._encode("BootNotification", self._user.boot_payload() | {"reason": "Triggered"})
        if text is not None:
            self._outbox.boot(Call("BootNotification", text))
            self._pump()

    def heartbeat_now(self) -> None:
        self._outbox.add(Call("Heartbeat", "{}", asked_by_csms=True))
        self._pump()

    def _pump(self) -> None:
        now = self._loop.time()
        self._handle(self._rpc.tick(now))
        self._register(self.registrar.tick(now))
        self._outbox.rules = self._rules.retry()
        while self.link.up and self._rpc.idle and (call := self._outbox.next(now)) is not None:
            if isinstance(call.token, asyncio.Future) and call.token.done():
                self._outbox.settle(Outcome.LINK_LOST, now)
                continue
            self._sent += 1
            text = call.payload_json if call.order is None else self._user.before_sending(call.payload_json)
            timeout_s = self._rules.message_timeout_s()
            self.link.send(self._rpc.call(f"{self._id_prefix}-{self._sent}", call.action, text, now, timeout_s))
        if self.spool.wants_refill:
            self.spawn(self._refill())
        self._arm(now)

    async def _refill(self) -> None:
        await self.spool.refill()
        # A journal that cannot be read must not be asked again without pause.
        if not self.spool.wants_refill:
            self._pump()

    def _register(self, due: Due | None) -> None:
        if due is Due.BOOT:
            text = self._encode("BootNotification", self._user.boot_payload())
            if text is not None:
                self._outbox.boot(Call("BootNotification", text))
        elif due is Due.HEARTBEAT:
            self._outbox.add(Call("Heartbeat", "{}"))

    def _arm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._stopped:
            return
        deadlines = (self._rpc.deadline, self.registrar.deadline, self._outbox.deadline(now))
        earliest = min((at for at in deadlines if at is not None), default=None)
        self._timer = None if earliest is None else self._loop.call_at(max(earliest, now), self._pump)

    # --- The link ---

    def link_up(self) -> None:
        log.info("connected to the CSMS")
        self._user.connected()
        self._outbox.registration = self.registrar.status
        self.registrar.link_up(self._loop.time())
        self._check_online("link up")
        self._pump()

    def link_down(self, reason: str) -> None:
        log.warning("link to the CSMS lost: %s", reason)
        self.registrar.link_down()
        self._handle(self._rpc.link_lost())
        for call in self._outbox.link_lost():
            _settle_future(call, None)
        self._check_online(reason)
        self._pump()

    def connect_failed(self, reason: str, attempts: int, event: SecurityEvent | None) -> None:
        # Once, then every tenth time: a station may be without its CSMS for days.
        if attempts % 10 == 1:
            log.warning("no connection to the CSMS (attempt %s): %s", attempts, reason)
        self._user.connection_failed(reason, event)

    def frame_received(self, frame: str | bytes) -> None:
        self._handle(self._rpc.feed(frame, self._loop.time()))
        self._pump()

    def _check_online(self, reason: str) -> None:
        online = self.registrar.online
        if online == self._online:
            return
        self._online = online
        if online:
            self._user.went_online()
        else:
            self._user.went_offline(reason)

    # --- What the RPC core says ---

    def _handle(self, events: list[RpcEvent]) -> None:
        for event in events:
            match event:
                case SendFrame(frame, reason):
                    self.link.send(frame)
                    if reason not in _VALID_ALL_THE_SAME:
                        self._user.frame_refused(reason)
                case CallReceived():
                    self.spawn(self._serve(event))
                case ResultReceived(_, payload):
                    self._succeeded(payload)
                case CallFailed():
                    self._failed(event)

    async def _serve(self, event: CallReceived) -> None:
        frame: str | None
        answer: Answer | None = None
        try:
            self._check_registered()
            answer = self._refusal_while_pending(event.action)
            answer = answer or await self._handlers[event.action](event.payload, event.at_s)
            frame = self._rpc.answer(event.message_id, encode_response(event.action, answer.payload))
        except ActionRefused as refused:
            frame = self._rpc.refuse(event.message_id, refused.code, str(refused))
        except InvalidOutgoing as error:
            self.counts["invalid outgoing"] += 1
            log.error("answer not sent: %s", error)
            frame = self._rpc.refuse(event.message_id, ErrorCode.INTERNAL_ERROR, "the answer is not valid")
        except Exception:
            self._refuse_after_defect(event)
            raise
        if frame is not None:
            self.link.send(frame)
        if answer is not None and answer.then is not None:
            answer.then()

    def _check_registered(self) -> None:
        """B03: a station that is not even Pending does nothing for anybody. Raises ActionRefused."""
        if self.registrar.status in (Registration.NONE, Registration.REJECTED):
            self.counts["before registration"] += 1
            raise ActionRefused(ErrorCode.SECURITY_ERROR, "the station is not registered")

    def _refusal_while_pending(self, action: str) -> Answer | None:
        """B02.FR.05: no remote start or stop while Pending."""
        if self.registrar.status is Registration.PENDING and action in _NOT_WHILE_PENDING:
            return status("Rejected", "NotEnabled", "the registration is pending")
        return None

    def _refuse_after_defect(self, event: CallReceived) -> None:
        """A handler's defect is ours: the CSMS hears of it, the log has it, and the dialogue goes on."""
        frame = self._rpc.refuse(event.message_id, ErrorCode.INTERNAL_ERROR, "the station failed to process it")
        if frame is not None:
            self.link.send(frame)

    def _succeeded(self, response: Payload) -> None:
        call, verdict = self._outbox.settle(Outcome.DELIVERED, self._loop.time())
        if call is None:
            return
        self._note_deviation(call.action, response)
        _settle_future(call, response)
        if call.action == "BootNotification":
            self._boot_answered(response)
        elif call.action == "Heartbeat":
            self._user.heartbeat_answered(response)
        elif call.order is not None:
            self._user.durable_answered(call, response)
            self.spawn(self.spool.settle(call, verdict))

    def _note_deviation(self, action: str, response: Payload) -> None:
        try:
            check_response(action, response)
        except SchemaViolation as violation:
            self.counts["deviating response"] += 1
            text = f"{action}: {violation}"
            if text not in self._deviations and len(self._deviations) < MAX_DEVIATIONS_LOGGED:
                self._deviations.add(text)
                log.warning("the CSMS's response deviates from the standard, taken as far as it goes: %s", text)

    def _boot_answered(self, response: Payload) -> None:
        now = self._loop.time()
        registration = _STATUS_OF.get(text_at(response, "status") or "")
        if registration is None:
            self.registrar.unanswered(now)
            return
        interval = response.get("interval")
        seconds = float(interval) if isinstance(interval, int | float) and not isinstance(interval, bool) else 0.0
        log.info("BootNotification %s, interval %s s", registration.value, seconds)
        self.registrar.answered(registration, seconds, now)
        self._outbox.registration = registration
        self._user.boot_answered(response)
        self._check_online(f"registration {registration.value}")

    def _failed(self, event: CallFailed) -> None:
        outcome = Outcome.LINK_LOST if event.failure is Failure.LINK_LOST else Outcome.FAILED
        call, verdict = self._outbox.settle(outcome, self._loop.time())
        if call is None:
            return
        if outcome is Outcome.FAILED:
            log.warning("%s failed: %s %s %s", call.action, event.failure, event.code, event.description)
        _settle_future(call, None)
        if call.action == "BootNotification":
            self.registrar.unanswered(self._loop.time())
        elif call.order is not None:
            if verdict is Verdict.GIVE_UP:
                log.error("%s given up after %s attempts: %s", call.action, call.attempts + 1, call.payload_json)
                self._user.durable_given_up(call)
            self.spawn(self.spool.settle(call, verdict))


def _settle_future(call: Call, response: Payload | None) -> None:
    if isinstance(call.token, asyncio.Future) and not call.token.done():
        call.token.set_result(response)


def payload_of(call: Call) -> Payload:
    """What was sent, decoded."""
    payload: Payload = json.loads(call.payload_json)
    return payload
