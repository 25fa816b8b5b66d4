"""Our EXI codec behind the interface that iso15118's EVCC asks for, which passes messages as JSON text."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

from iso15118.shared.iexi_codec import IEXICodec

from secc.exi import ExiEncodeError, Namespace, Reason, decode, encode
from secc.exi.binaries import convert
from secc.exi.bridge import is_fragment


class ExiCodec(IEXICodec):
    """Starts no JVM. Fragments are told from their name and namespace, as the interface has no say for them."""

    def encode(self, message: str, namespace: str) -> bytes:
        """The octets of a JSON message {root name: content}. Raises ExiError."""
        try:
            content: Any = json.loads(message)
        except ValueError as error:
            raise ExiEncodeError(Reason.TYPE, f"no JSON: {error}") from error
        if not isinstance(content, dict) or len(content) != 1:
            raise ExiEncodeError(Reason.ROOT, "a JSON object of one key, the root's name, is needed")
        fragment = is_fragment(namespace, next(iter(content)))
        content = convert(namespace, content, fragment=fragment, hexadecimal=bytes.fromhex, base64=_from_base64)
        return encode(namespace, content, fragment=fragment)

    def decode(self, stream: bytes, namespace: str) -> str:
        """The JSON text of a message; hexBinary as upper-case hexadecimal, base64Binary as base64. Raises ExiError."""
        fragment = namespace == Namespace.XMLDSIG
        message = decode(namespace, stream, fragment=fragment)
        return json.dumps(
            convert(namespace, message, fragment=fragment, hexadecimal=_to_hexadecimal, base64=_to_base64)
        )

    def get_version(self) -> str:
        return "evsed"


def _from_base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _to_base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def _to_hexadecimal(octets: bytes) -> str:
    return octets.hex().upper()
