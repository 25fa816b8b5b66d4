"""Spans of time on the command line, as in 90, 90s, 10m, 2h or 1d."""

from __future__ import annotations

import argparse
import re

UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smhd]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time as in 90s or 10m")
    return int(found[1]) * UNITS_S[found[2]]
