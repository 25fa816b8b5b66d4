"""Messages the CSMS puts on the station's display (O01-O06): which there are, and which are shown now. Pure.

An AlwaysFront message is shown alone, and a newer one takes the place of the older. InFront messages, and those of the
station itself to its driver, are cycled before those of NormalCycle get a turn.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from hal.ports import DisplayMessage
from ocpp_client.wire import Payload, parse_time, text_at

MAX_MESSAGES = 50
FORMATS = ("ASCII", "UTF8")
STATES = ("Charging", "Faulted", "Idle", "Unavailable")
DISPLAY = "DisplayMessageCtrlr"
"""The only display there is, for messages that name one."""


class Priority(IntEnum):
    """OCPP MessagePriorityEnumType; the lower goes first."""

    AlwaysFront = 0
    InFront = 1
    NormalCycle = 2


@dataclass(frozen=True, slots=True)
class Message:
    """A MessageInfoType; `payload` is the CSMS's own, told back as it came."""

    id: int
    priority: Priority
    state: str | None
    begins_at: datetime | None
    ends_at: datetime | None
    transaction_id: str | None
    payload: Payload

    @property
    def shown(self) -> DisplayMessage:
        content = self.payload["message"]
        return DisplayMessage(content["content"], content.get("language", ""))


def message_of(payload: Payload) -> Message:
    """A MessageInfoType, checked by its schema."""
    return Message(
        payload["id"],
        Priority[payload["priority"]],
        payload.get("state"),
        _time(payload, "startDateTime"),
        _time(payload, "endDateTime"),
        payload.get("transactionId"),
        payload,
    )


class Messages:
    def __init__(self) -> None:
        self._held: dict[int, Message] = {}

    def __len__(self) -> int:
        return len(self._held)

    def set(self, message: Message, transactions: Collection[str], now: datetime) -> tuple[str, str]:
        """A DisplayMessageStatusEnumType and, where it is not Accepted, why. One of the same id is replaced."""
        if message.payload["message"]["format"] not in FORMATS:
            return "NotSupportedMessageFormat", f"one of {', '.join(FORMATS)}"
        if message.transaction_id is not None and message.transaction_id not in transactions:
            return "UnknownTransaction", "no such transaction is running"
        if (text_at(message.payload, "display", "name") or DISPLAY) != DISPLAY:
            return "Rejected", "no such display"
        if message.ends_at is not None and message.ends_at <= max(now, message.begins_at or now):
            return "Rejected", "its time is over"
        if message.id not in self._held and len(self) >= MAX_MESSAGES:
            return "Rejected", f"at most {MAX_MESSAGES} messages"
        if message.priority is Priority.AlwaysFront:
            self._drop(one for one in self._held.values() if one.priority is Priority.AlwaysFront)
        self._held.pop(message.id, None)
        self._held[message.id] = message
        return "Accepted", ""

    def find(self, ids: Collection[int], priority: str | None, state: str | None) -> list[Payload]:
        """The MessageInfoTypes that fit; empty `ids` are all."""
        return [
            held.payload
            for held in self._held.values()
            if (not ids or held.id in ids) and priority in (None, held.priority.name) and state in (None, held.state)
        ]

    def clear(self, message_id: int) -> bool:
        return self._held.pop(message_id, None) is not None

    def transaction_ended(self, transaction_id: str) -> bool:
        """Whether there was a message for it alone."""
        return self._drop(held for held in self._held.values() if held.transaction_id == transaction_id)

    def expire(self, now: datetime) -> bool:
        """Whether a message's time was over."""
        return self._drop(held for held in self._held.values() if held.ends_at is not None and held.ends_at <= now)

    def _drop(self, gone: Iterable[Message]) -> bool:
        ids = [held.id for held in gone]
        for message_id in ids:
            del self._held[message_id]
        return bool(ids)

    def shown(
        self, states: Collection[str], now: datetime, own: Iterable[DisplayMessage]
    ) -> tuple[DisplayMessage, ...]:
        """What the display cycles now: `states` are the station's MessageStateEnumTypes, `own` its own messages."""
        active = [held for held in self._held.values() if _is_active(held, states, now)]
        by_priority = {priority: [held.shown for held in active if held.priority is priority] for priority in Priority}
        if alone := by_priority[Priority.AlwaysFront]:
            return tuple(alone)
        front = [*own, *by_priority[Priority.InFront]]
        return tuple(front or by_priority[Priority.NormalCycle])

    def next_change(self, now: datetime) -> datetime | None:
        """When a message begins or ends by itself."""
        times = (at for held in self._held.values() for at in (held.begins_at, held.ends_at))
        return min((at for at in times if at is not None and at > now), default=None)

    def dump(self) -> str:
        return json.dumps([held.payload for held in self._held.values()])

    def restore(self, text: str) -> None:
        """Raises ValueError, KeyError, TypeError. Transactions do not outlive a restart, nor do their messages."""
        for message in map(message_of, json.loads(text)):
            if message.transaction_id is None:
                self._held[message.id] = message


def station_states(charging: bool, faulted: bool, unavailable: bool) -> frozenset[str]:
    """Which MessageStateEnumTypes hold: of one EVSE that charges and another that is faulted, both."""
    found = _named(Charging=charging, Faulted=faulted, Unavailable=unavailable)
    return frozenset(found) or frozenset({"Idle"})


def _named(**states: bool) -> Iterator[str]:
    return (name for name, holds in states.items() if holds)


def _is_active(message: Message, states: Collection[str], now: datetime) -> bool:
    begun = message.begins_at is None or message.begins_at <= now
    over = message.ends_at is not None and message.ends_at <= now
    return begun and not over and (message.state is None or message.state in states)


def _time(payload: Payload, name: str) -> datetime | None:
    text = payload.get(name)
    return None if text is None else parse_time(text)
