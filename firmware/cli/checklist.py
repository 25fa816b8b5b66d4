"""The steps of `evse commission`: what each looks at, what it asks the technician, and when it passes.

A step measures through the daemon what the daemon can measure, and asks for what only a person on site can see. It
returns a verdict: passed, failed, or fitted not at all (`absent`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from firmware.cli import out
from firmware.cli.client import FAILED, Client, Failure, Told

PASSED, FAILED_, ABSENT = "passed", "failed", "absent"

EVSE_ID = re.compile(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}")
"""ISO 15118-2 Annex H."""
MAINS_V = (207.0, 253.0)
ATTENUATION_DB = (0.0, 30.0)
"""8 to 27 dB are normal with a vehicle in place; more says a bad joint or a long way through other wiring."""
CLOCK_S = 60.0
ENDS_SOON_DAYS = 30.0
LOAD_S = 120.0
METER_S = 5.0
LEAST_LOAD_W = 500.0


@dataclass(slots=True)
class Result:
    verdict: str
    detail: str
    measured: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """What a step works with. `ask` puts a question and returns the answer; `tell` shows a line."""

    client: Client
    evse: int
    ask: Callable[[str, str], str]
    tell: Callable[[str], None]

    def status(self) -> Told:
        return self.client.call("Station.Status")

    def one(self) -> Told:
        found: Told = next(evse for evse in self.status()["evses"] if evse["evse"] == self.evse)
        return found

    def agrees(self, question: str) -> bool:
        return self.ask(question, "y/n").strip().lower() in ("y", "yes")


Step = Callable[[Site], Result]


def _identity(site: Site) -> Result:
    told = site.status()
    station, evse = told["station"], next(one for one in told["evses"] if one["evse"] == site.evse)
    measured = {name: station[name] for name in ("identity", "vendor", "model", "serial", "version")}
    measured["evse_id"] = evse["evse_id"]
    for name, value in measured.items():
        site.tell(f"  {name:<10} {value}")
    if not EVSE_ID.fullmatch(evse["evse_id"]):
        return Result(FAILED_, f"{evse['evse_id']} is no EVSE ID by ISO 15118-2 Annex H", measured)
    if not site.agrees("Are serial number and EVSE ID those on the nameplate?"):
        return Result(FAILED_, "not what the nameplate says", measured)
    return Result(PASSED, "as on the nameplate", measured)


def _time(site: Site) -> Result:
    wall = datetime.fromisoformat(site.status()["station"]["wall_time"])
    off_s = (wall - datetime.now(UTC)).total_seconds()
    site.tell(f"  the station's time is {wall:%Y-%m-%d %H:%M:%S} UTC")
    measured: dict[str, object] = {"wall_time": wall.isoformat(), "off_s": round(off_s, 1)}
    if abs(off_s) > CLOCK_S:
        return Result(FAILED_, f"{off_s:+.0f} s from this terminal's clock", measured)
    if not site.agrees("Is that right by your own watch, to the minute?"):
        return Result(FAILED_, "wrong by the technician's watch", measured)
    return Result(PASSED, "right to the minute", measured)


def _meter(site: Site) -> Told | None:
    """A reading, though the meter may just have been asked for the first time."""
    deadline_s = time.monotonic() + METER_S
    while (meter := site.one()["meter"]) is None and time.monotonic() < deadline_s:
        time.sleep(0.2)
    found: Told | None = meter
    return found


def _mains(site: Site) -> Result:
    meter = _meter(site)
    if meter is None:
        return Result(FAILED_, "no fresh meter reading")
    wired = [volts for volts in meter["voltage_v"] if volts > 1.0]
    measured: dict[str, object] = {f"u{number}_v": volts for number, volts in enumerate(meter["voltage_v"], 1)}
    site.tell("  " + "  ".join(f"L{number} {volts:.1f} V" for number, volts in enumerate(meter["voltage_v"], 1)))
    rotation = site.ask(
        "Phase rotation at the terminals by your tester (right, left, one for a single phase)?", "r/l/1"
    )
    measured["rotation"] = {"r": "right", "l": "left", "1": "single phase"}.get(rotation.strip().lower()[:1], rotation)
    if not wired or not all(MAINS_V[0] <= volts <= MAINS_V[1] for volts in wired):
        return Result(FAILED_, f"a phase is not within {MAINS_V[0]:g} to {MAINS_V[1]:g} V", measured)
    if measured["rotation"] == "left":
        return Result(
            FAILED_, "the phases turn left: exchange two of them, or note it where the site is balanced", measured
        )
    if (len(wired) == 1) is not (measured["rotation"] == "single phase"):
        return Result(FAILED_, f"{len(wired)} phases are live, and the tester says {measured['rotation']}", measured)
    return Result(PASSED, f"{len(wired)} phases, rotation {measured['rotation']}", measured)


def _hardware(test: str) -> Step:
    def run(site: Site) -> Result:
        if test == "contactor":
            site.tell("  plug the test adapter in within 20 s and set it to state C")
        found = site.client.call("Selftest.Run", evse=site.evse, test=test)
        verdict = {"passed": PASSED, "unsupported": ABSENT}.get(found["verdict"], FAILED_)
        return Result(verdict, found["detail"], found["measured"])

    return run


def _proximity(site: Site) -> Result:
    if site.agrees("Is the cable fixed to the station?"):
        return Result(ABSENT, "a fixed cable: its rating is cable_current_a in the configuration")
    site.ask("Plug a cable of known rating in (the station's end).", "Enter")
    told = site.client.call("Board.Measure", evse=site.evse)["pp"]["ampacity_a"]
    rating = site.ask("What is its rating in ampere (13, 20, 32 or 63)?", "A").strip().removesuffix("A")
    measured: dict[str, object] = {"ampacity_a": told, "rating_a": rating}
    if told is None:
        return Result(FAILED_, "the proximity pilot reads no cable", measured)
    good = rating.isdecimal() and int(rating) == round(told)
    return Result(PASSED if good else FAILED_, f"reads {told:g} A, the cable is of {rating} A", measured)


def _meter_direction(site: Site) -> Result:
    """Under a real load: energy must rise, and power and currents be positive."""
    first = _meter(site)
    site.tell(f"  charge a vehicle or a load now; waiting up to {LOAD_S:g} s for {LEAST_LOAD_W:g} W")
    deadline_s = time.monotonic() + LOAD_S
    while time.monotonic() < deadline_s:
        meter = site.one()["meter"]
        if first and meter and abs(meter["power_import_w"]) >= LEAST_LOAD_W:
            time.sleep(3.0)
            last = site.one()["meter"] or meter
            return _direction(first, last)
        time.sleep(0.5)
    return Result(FAILED_, "no load came")


def _direction(first: Told, last: Told) -> Result:
    rise_wh = last["energy_import_wh"] - first["energy_import_wh"]
    measured = {"power_w": last["power_import_w"], "rise_wh": round(rise_wh, 1), "current_a": last["current_a"]}
    if last["power_import_w"] < 0 or rise_wh < 0:
        return Result(FAILED_, "counts backwards: current transformers or terminals are exchanged", measured)
    if rise_wh == 0:
        return Result(FAILED_, "shows power, and its register does not rise", measured)
    if last["power_import_w"] < 0.8 * sum(u * i for u, i in zip(last["voltage_v"], last["current_a"], strict=True)):
        return Result(FAILED_, "one phase counts against the others, or the load is far from ohmic", measured)
    return Result(PASSED, "rises under load, all phases the same way", measured)


def _slac(site: Site) -> Result:
    try:
        told = site.client.call("Slac.Last", evse=site.evse, limit=5)
    except Failure as failure:
        if failure.exit_code != FAILED:
            raise
        return Result(ABSENT, str(failure))
    matched = [run for run in told["evses"][0]["runs"] if run["verdict"] == "matched"]
    if not matched:
        return Result(FAILED_, "no vehicle has matched yet: plug one in that speaks ISO 15118, then do this step again")
    level = matched[0]["mean_db"]
    measured: dict[str, object] = {"attenuation_db": level, "sounds": matched[0]["sounds"]}
    good = ATTENUATION_DB[0] <= level <= ATTENUATION_DB[1]
    low, high = ATTENUATION_DB
    return Result(PASSED if good else FAILED_, f"{level:g} dB; {low:g} to {high:g} dB are good", measured)


def _csms(site: Site) -> Result:
    told, certs = site.client.call("Ocpp.Status"), site.client.call("Certs.List")["certificates"]
    leaves = [info for info in certs if info["role"] == "leaf"]
    measured: dict[str, object] = {"url": told["url"], "security_profile": told["security_profile"]}
    measured |= {f"{info['use']}_days": info["days_left"] for info in leaves}
    if not told["online"]:
        return Result(FAILED_, "the CSMS cannot be reached", measured)
    if soon := [info["use"] for info in leaves if info["days_left"] < ENDS_SOON_DAYS]:
        return Result(FAILED_, f"ends within {ENDS_SOON_DAYS:g} days: {', '.join(soon)}", measured)
    return Result(PASSED, "registered; certificates good", measured)


def _firmware(site: Site) -> Result:
    try:
        told = site.client.call("Firmware.Status")
    except Failure as failure:
        if failure.exit_code != FAILED:
            raise
        return Result(ABSENT, str(failure))
    measured = {slot["bootname"]: slot["version"] for slot in told["slots"]}
    bad = [slot["bootname"] for slot in told["slots"] if not slot["good"]]
    if len(told["slots"]) < 2:
        return Result(FAILED_, "there is no other slot to update into", measured)
    return Result(FAILED_ if bad else PASSED, f"not good: {', '.join(bad)}" if bad else "every slot is good", measured)


STEPS: dict[str, tuple[str, Step, bool]] = {
    "identity": ("Identity", _identity, False),
    "time": ("Time", _time, False),
    "mains": ("Mains and phase rotation", _mains, False),
    "cp": ("Control pilot levels", _hardware("cp"), True),
    "pp": ("Proximity pilot", _proximity, False),
    "rcd": ("Residual current device", _hardware("rcd"), True),
    "lock": ("Connector lock", _hardware("lock"), True),
    "contactor": ("Contactor timing", _hardware("contactor"), True),
    "meter": ("Meter direction", _meter_direction, False),
    "slac": ("SLAC attenuation", _slac, False),
    "csms": ("CSMS link and certificates", _csms, False),
    "firmware": ("Firmware slots", _firmware, False),
}
"""Title, the step, and whether it is done in maintenance."""


def words(result: Result) -> str:
    measured = out.fields({name: value for name, value in result.measured.items() if value is not None})
    return f"{result.detail}{'; ' if measured else ''}{measured}"
