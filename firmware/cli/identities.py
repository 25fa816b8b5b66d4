"""Who is in a bundle, made unrecognisable: the same one by the same word in every file, and the word says nothing.

Found by the names of JSON fields that hold identities, and by their form (MAC addresses, contract ids) in any text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

NAMES = frozenset(
    {"id_token", "idtoken", "emaid", "group_id", "ev_mac", "mac", "evcc_id", "pcid", "identity", "serial", "evse_id"}
    | {"subject", "issuer"}
)
_MAC = re.compile(r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b")
_EMAID = re.compile(r"\b[A-Z]{2}-?[A-Z0-9]{3}-?C?[A-Z0-9]{8,9}-?[A-Z0-9]?\b")
"""ISO 15118-2 Annex H: country, provider, instance, check digit."""
SHORTEST = 4


class Identities:
    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def learn(self, value: object) -> None:
        """Every identity in a JSON value."""
        for found in _named(value):
            for part in {found, found.replace("*", "")}:
                self._word(part)

    def struck_out(self, text: str) -> str:
        """The longest first: one may be part of another."""
        for found in {*_MAC.findall(text), *_EMAID.findall(text)}:
            if any(sign.isdigit() for sign in found):
                self._word(found)
        for known in sorted(self._words, key=len, reverse=True):
            text = re.sub(re.escape(known), self._words[known], text, flags=re.IGNORECASE)
        return text

    def _word(self, found: str) -> str:
        return self._words.setdefault(found, f"id~{secrets.token_hex(3)}")


def _named(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(inner, str(key).lower())
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, name)
    elif isinstance(value, str) and name in NAMES and len(value) >= SHORTEST:
        yield value
