"""The e-mobility account identifier: its forms, and when two of them are the same account.

Country (2 letters), provider (3), instance (9), and an optional check digit: 14 or 15 characters, in certificates often
with hyphens between the parts, in either case. ISO 15118-2 8.5.2, "eMAID"; # unverified: Annex H.1 of -2
"""

import re

_PATTERN = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[A-Z0-9]{9}[A-Z0-9]?", re.ASCII)
_HYPHENS = re.compile(r"[A-Z]{2}-[A-Z0-9]{3}-[A-Z0-9]{9}(-[A-Z0-9])?", re.ASCII)
WITHOUT_CHECK_DIGIT = 14


def normalised(text: str) -> str | None:
    """The identifier in upper case without hyphens, or None if it is none."""
    upper = text.upper() if text.isascii() else text
    if _HYPHENS.fullmatch(upper):
        return upper.replace("-", "")
    return upper if _PATTERN.fullmatch(upper) else None


def same_account(first: str, second: str) -> bool:
    """Equal but for hyphens, case, and a check digit that only one of the two carries."""
    a, b = normalised(first), normalised(second)
    if a is None or b is None:
        return False
    if len(a) != len(b):
        a, b = a[:WITHOUT_CHECK_DIGIT], b[:WITHOUT_CHECK_DIGIT]
    return a == b
