"""What every handler of a CSMS's CALL has in common.

A handler takes the request's payload (valid by its schema) and when it was read, and returns an `Answer`. What must
happen only after the answer is on its way is the answer's `then`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ocpp_client.wire import Payload


class ActionRefused(Exception):
    """Answer with a CALLERROR of `code`."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    payload: Payload
    then: Callable[[], None] | None = None


Handler = Callable[[Payload, float], Awaitable[Answer]]
Handlers = Mapping[str, Handler]

SendLater = Callable[[str, Payload], None]
"""Queue a request of ours that the CSMS asked for: allowed while Pending."""


def accepted(then: Callable[[], None] | None = None) -> Answer:
    return Answer({"status": "Accepted"}, then)


def status(value: str, reason_code: str = "", info: str = "") -> Answer:
    """A response with `status` and, where there is a reason, a StatusInfoType."""
    payload: Payload = {"status": value}
    if reason_code:
        payload["statusInfo"] = {"reasonCode": reason_code[:20]}
        if info:
            payload["statusInfo"]["additionalInfo"] = info[:512]
    return Answer(payload)
