"""What a vehicle does, step by step, whoever carries it out: a generator that is sent the reply to each request."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

Elements = Mapping[str, Any]
"""Decoded EXI: the element's content by name, whatever the schema has there."""


@dataclass(frozen=True, slots=True)
class Ask:
    name: str
    elements: Elements
    signature: Elements | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    name: str
    session_id: bytes
    elements: Elements

    @property
    def code(self) -> str:
        return str(self.elements.get("ResponseCode", ""))

    @property
    def ongoing(self) -> bool:
        return str(self.elements.get("EVSEProcessing", "Finished")) != "Finished"


class Power(Enum):
    """The vehicle's own side of the power path: state C and its contactors."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Step = Ask | Power | Pause
Script = Generator[Step, Reply | None, None]
Asking = Generator[Step, Reply | None, Reply]


class Refused(Exception):
    """A reply that ends the session."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.name} {reply.code}")
        self.reply = reply


def ask(name: str, elements: Elements | None = None, signature: Elements | None = None) -> Asking:
    """The reply, whatever its code. `Refused` for a FAILED one."""
    reply = yield Ask(name, elements or {}, signature)
    assert reply is not None
    if reply.code.startswith(("FAILED", "Failed")):
        raise Refused(reply)
    return reply


def ask_until_finished(
    name: str, elements: Elements | None = None, signature: Elements | None = None, pace_s: float = 0.0
) -> Asking:
    """Again and again while EVSEProcessing is Ongoing."""
    while (reply := (yield from ask(name, elements, signature))).ongoing:
        if pace_s:
            yield Pause(pace_s)
    return reply
