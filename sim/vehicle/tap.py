"""Reads along what the EVCC sends and receives, at the only place that sees every message: its EXI codec."""

import json
from collections.abc import Callable
from typing import Any

from iso15118.shared.iexi_codec import IEXICodec

Body = dict[str, Any]
"""A message's body as JSON has it, by the names of the XSD."""
Listener = Callable[[str, Body, str], None]
"""Takes a message's name, body and SessionID (upper-case hex, empty for SupportedAppProtocol)."""


class TappedCodec(IEXICodec):
    """An EXI codec that tells listeners of each message.

    EXI fragments, encoded only to be hashed and signed, are no messages and are not told.
    `emaid` replaces the eMAID in PaymentDetailsReq. The EVCC always takes it from its contract certificate, so a
    vehicle that sends another one can only be made here.
    """

    def __init__(self, codec: IEXICodec, sent: Listener, received: Listener, emaid: str | None = None) -> None:
        self._codec = codec
        self._sent = sent
        self._received = received
        self._emaid = emaid

    def encode(self, message: str, namespace: str) -> bytes:
        document = json.loads(message)
        if self._emaid is not None and _replace_emaid(document, self._emaid):
            message = json.dumps(document)
        stream = self._codec.encode(message, namespace)
        _tell(self._sent, document)
        return stream

    def decode(self, stream: bytes, namespace: str) -> str:
        message = self._codec.decode(stream, namespace)
        _tell(self._received, json.loads(message))
        return message

    def get_version(self) -> str:
        return str(self._codec.get_version())


def quantity(value: Body) -> float:
    """A PhysicalValueType in its base unit, ISO 15118-2 8.5.2.7."""
    return float(value["Value"]) * 10.0 ** int(value["Multiplier"])


def _replace_emaid(document: Body, emaid: str) -> bool:
    request = document.get("V2G_Message", {}).get("Body", {}).get("PaymentDetailsReq")
    if request is None:
        return False
    request["eMAID"] = emaid
    return True


def _tell(listener: Listener, document: Body) -> None:
    if "V2G_Message" in document:
        message = document["V2G_Message"]
        name, body = next(iter(message["Body"].items()))
        listener(name, body, message["Header"].get("SessionID", ""))
    elif name := next((name for name in document if name.startswith("supportedAppProtocol")), ""):
        listener(name, document[name], "")
