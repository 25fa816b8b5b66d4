"""The screen of `evse top`: from one status and some history to lines of text. Pure.

It fits 80 x 24. Without a UTF-8 terminal (a serial console) the histories are drawn in ASCII.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware.cli import out
from firmware.cli import status as words
from firmware.cli.client import Told

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", ".:-=+*#%"
SAMPLES = 30
NOMINAL_V = 230.0
SWING_V = 30.0
"""A voltage history is drawn from nominal less this to nominal and this."""


@dataclass(slots=True)
class Histories:
    """The last readings of one EVSE; None where there was no fresh one."""

    current_a: list[deque[float | None]] = field(default_factory=lambda: [_empty() for _ in range(3)])
    voltage_v: list[deque[float | None]] = field(default_factory=lambda: [_empty() for _ in range(3)])
    power_w: deque[float | None] = field(default_factory=lambda: _empty())

    def take(self, meter: Told | None) -> None:
        for phase in range(3):
            self.current_a[phase].append(meter["current_a"][phase] if meter else None)
            self.voltage_v[phase].append(meter["voltage_v"][phase] if meter else None)
        self.power_w.append(meter["power_import_w"] if meter else None)


def _empty() -> deque[float | None]:
    return deque(maxlen=SAMPLES)


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    style: str = ""


def bars(values: Sequence[float | None], low: float, high: float, signs: str) -> str:
    """One sign a value, `signs` from low to high; a blank where there was none."""
    last = len(signs) - 1

    def sign(value: float | None) -> str:
        if value is None:
            return " "
        return signs[round(last * min(max((value - low) / (high - low), 0.0), 1.0))]

    return "".join(sign(value) for value in values)


def render(told: Told, why: Told, chosen: int, histories: Histories, *, wide: int, high: int, utf8: bool) -> list[Line]:
    """At most `high` lines of at most `wide` characters for the EVSE at index `chosen`."""
    signs = BARS if utf8 else ASCII_BARS
    evse = told["evses"][chosen]
    lines = [
        *_head(told, wide),
        *_display(told),
        _evse_line(evse, len(told["evses"]), wide),
        Line(""),
        *_power_path(evse),
        Line(""),
        *_meter(evse, histories, signs),
        Line(""),
        *_talk(evse),
        Line(""),
        *_trouble(evse, why, wide),
    ]
    foot = Line("  1-9 EVSE   q quit", out.DIM)
    return [Line(out.cut(out.printable(line.text), wide), line.style) for line in [*lines[: high - 1], foot]]


def _head(told: Told, wide: int) -> list[Line]:
    station, csms, tpm = told["station"], told["csms"], told["tpm"]
    left = f" {station['identity']}  {station['version']}  up {out.span(station['uptime_s'])}"
    right = f"{out.moment(station['wall_time'], date=True)} "
    link = f" CSMS {'online' if csms['online'] else 'OFFLINE'}   queue {out.text(csms['queue_length'])}"
    certificates = words.certificate_words(told["certificates"])
    standing = "away" if tpm["trouble"] else "locked out" if tpm["locked_out"] else "good"
    keys = f"certificates {certificates}   TPM {standing} "
    soon = any(info["days_left"] < 30 for info in told["certificates"])
    style = out.YELLOW if soon or not csms["online"] or standing != "good" else ""
    return [Line(_apart(left, right, wide), out.BOLD), Line(_apart(link, keys, wide), style)]


def _display(told: Told) -> list[Line]:
    """What drivers are shown, where there is anything."""
    shown = " | ".join(words.display_words(message) for message in told["display"])
    return [Line(f" display  {shown}")] if shown else []


def _apart(left: str, right: str, wide: int) -> str:
    return left + " " * max(1, wide - len(left) - len(right)) + right


def _evse_line(evse: Told, count: int, wide: int) -> Line:
    bad = bool(evse["faults"]) or not evse["alive"] or evse["board"] is None
    number = f" EVSE {evse['evse']} of {count}  {evse['evse_id']}"
    return Line(_apart(number, f"{out.text(evse['connector_status'])} ", wide), _REVERSE + (out.RED if bad else ""))


_REVERSE = "\x1b[7m"


def _power_path(evse: Told) -> list[Line]:
    closed = evse["board"] is not None and evse["board"]["contactor"] == "closed"
    return [
        _row("pilot", words.pilot_words(evse["board"]), out.BOLD),
        _row("power path", words.path_words(evse["board"]), out.GREEN if closed else ""),
        _row("offer", words.offer_words(evse["limits"]), out.BOLD),
    ]


def _meter(evse: Told, histories: Histories, signs: str) -> list[Line]:
    meter = evse["meter"]
    if meter is None:
        return [_row("meter", "no fresh reading", out.YELLOW)]
    top_a = max(evse["limits"]["board_a"] or 0.0, 1.0)
    lines = []
    for phase in range(3):
        amps = bars(histories.current_a[phase], 0, top_a, signs)
        volts = bars(histories.voltage_v[phase], NOMINAL_V - SWING_V, NOMINAL_V + SWING_V, signs)
        row = f"{meter['current_a'][phase]:6.2f} A {amps:<24.24} {meter['voltage_v'][phase]:6.1f} V {volts:<20.20}"
        lines.append(_row(f"L{phase + 1}", row))
    power = bars(histories.power_w, 0, 3 * NOMINAL_V * top_a, signs)
    kw, kwh = meter["power_import_w"] / 1000, meter["energy_import_wh"] / 1000
    return [*lines, _row("power", f"{kw:6.2f} kW{power:<24.24} {kwh:8.3f} kWh")]


def _talk(evse: Told) -> list[Line]:
    rows = [_row("SLAC", words.slac_words(evse["slac"]) if evse["slac"] else "no modem configured")]
    rows.append(_row("V2G", words.v2g_words(evse["v2g"])))
    rows.append(_row("authorised", words.authorization_words(evse["authorization"])))
    rows.append(_row("transaction", words.transaction_words(evse["transaction"])))
    return rows


def _trouble(evse: Told, why: Told, wide: int) -> list[Line]:
    lines = [_row("fault", f"{fault['fault']}: {fault['detail']}", out.RED) for fault in evse["faults"][:2]]
    if not lines:
        lines.append(_row("faults", "none"))
    for blocker in why["blockers"][:2]:
        left = f" {'why not':<12} "
        lines += [Line(line, out.YELLOW) for line in out.wrapped(left, out.printable(blocker["what"]), wide)]
        lines += [Line(line) for line in out.wrapped(" " * 14 + "-> ", out.printable(blocker["remedy"]), wide)]
    if not why["blockers"]:
        lines.append(_row("", "charges" if why["charging"] else "is ready", out.GREEN))
    return [*lines, *(_row("note", note["what"]) for note in why["notes"])]


def _row(name: str, value: str, style: str = "") -> Line:
    return Line(f" {name:<12} {value}", style)
