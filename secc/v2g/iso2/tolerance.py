"""Values real vehicles send that the schema or the message models refuse, turned into what was meant.

Each repair works on the decoded elements before a model sees them. Captures of 88 sessions of 18 brands hold each of
these; refused, they would cost the vehicle its charge.
"""

from collections.abc import Callable, Mapping
from typing import cast

Elements = dict[str, object]

MAX_PHASES = 3

_SECONDS = {"h": 3600, "m": 60}
_MULTIPLIERS = (0, 1, 2, 3)
_MAX_VALUE = 32767


def repaired(name: str, elements: Mapping[str, object]) -> Mapping[str, object]:
    """`elements` of the request `name`, repaired where a repair is known. The original is left as it was."""
    repair = _REPAIRS.get(name)
    return repair(dict(elements)) if repair else elements


def _times_in_seconds(elements: Elements) -> Elements:
    """RemainingTimeToFullSoC in minutes: BYD Atto 3, MG4, XPENG P7."""
    for name in ("RemainingTimeToFullSoC", "RemainingTimeToBulkSoC"):
        value = elements.get(name)
        if isinstance(value, dict) and value.get("Unit") in _SECONDS:
            elements[name] = _in_seconds(cast(dict[str, int | str], value))
    return elements


def _in_seconds(value: dict[str, int | str]) -> dict[str, int | str] | None:
    total = int(value["Value"]) * 10.0 ** int(value["Multiplier"]) * _SECONDS[str(value["Unit"])]
    for multiplier in _MULTIPLIERS:
        digits = round(total / 10**multiplier)
        if 0 <= digits <= _MAX_VALUE:
            return {"Multiplier": multiplier, "Unit": "s", "Value": digits}
    # Only an estimate for a display: none is better than no charge.
    return None


def _phases_within_three(elements: Elements) -> Elements:
    """ChargingProfileEntryMaxNumberOfPhasesInUse above 3: Seres."""
    profile = elements.get("ChargingProfile")
    if isinstance(profile, dict) and isinstance(profile.get("ProfileEntry"), list):
        elements["ChargingProfile"] = {
            **profile,
            "ProfileEntry": [_clamped(entry) for entry in profile["ProfileEntry"]],
        }
    return elements


def _clamped(entry: Elements) -> Elements:
    phases = entry.get("ChargingProfileEntryMaxNumberOfPhasesInUse")
    if isinstance(phases, int) and phases > MAX_PHASES:
        return {**entry, "ChargingProfileEntryMaxNumberOfPhasesInUse": MAX_PHASES}
    return entry


_REPAIRS: dict[str, Callable[[Elements], Elements]] = {
    "CurrentDemandReq": _times_in_seconds,
    "PowerDeliveryReq": _phases_within_three,
}
