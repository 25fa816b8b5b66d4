"""A session as one picture: SVG without script, light and dark, readable at arm's length. Pure: JSON in, text out.

One line of time over lanes: pilot; offered limit, who set it, and current in both directions; power; energy and state
of charge; what was said over V2G and OCPP.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

WIDE, LEFT, RIGHT = 1200, 130, 30
LANE_GAP = 36
EVENT_ROWS = 4
MAX_EVENTS = 14
"""A lane of events names so many; more are strokes without words."""
LEAST_S = 1.0

Told = dict[str, Any]

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#6b7280;--paper:#fff;--grid:#e5e7eb;--offer:#b45309;--draw:#1d4ed8;
--energy:#15803d;--soc:#7e22ce;--A:#d1d5db;--B:#fde68a;--C:#86efac;--D:#86efac;--board:#0f766e;--v2g:#1d4ed8;--ocpp:#b91c1c}
@media (prefers-color-scheme:dark){:root{--ink:#e5e7eb;--faint:#9ca3af;--paper:#111827;--grid:#374151;--offer:#fbbf24;
--draw:#60a5fa;--energy:#4ade80;--soc:#c084fc;--A:#4b5563;--B:#a16207;--C:#15803d;--D:#15803d;--board:#2dd4bf;
--v2g:#60a5fa;--ocpp:#f87171}}
svg{background:var(--paper)}
text{font:18px system-ui,sans-serif;fill:var(--ink)}
.title{font-size:24px;font-weight:600}.small{font-size:15px;fill:var(--faint)}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:var(--grid);stroke-width:1}.zero{stroke:var(--faint);stroke-width:1}
.line{fill:none;stroke-width:3;stroke-linejoin:round}
.offer{stroke:var(--offer)}.draw{stroke:var(--draw)}.energy{stroke:var(--energy)}
.soc{stroke:var(--soc);stroke-dasharray:8 5}
.t-offer{fill:var(--offer)}.t-draw{fill:var(--draw)}.t-energy{fill:var(--energy)}.t-soc{fill:var(--soc)}
.A{fill:var(--A)}.B{fill:var(--B)}.C{fill:var(--C)}.D{fill:var(--D)}
.board{stroke:var(--board)}.v2g{stroke:var(--v2g)}.ocpp{stroke:var(--ocpp)}
"""


class Axis:
    """Seconds to x."""

    def __init__(self, last_s: float) -> None:
        self.last_s = max(last_s, LEAST_S)
        self.tick_s = _nice(self.last_s / 8)

    def x(self, after_s: float) -> float:
        share = min(max(after_s / self.last_s, 0.0), 1.0)
        return round(LEFT + share * (WIDE - LEFT - RIGHT), 1)

    def ticks(self) -> Iterator[float]:
        count = math.floor(self.last_s / self.tick_s)
        return (number * self.tick_s for number in range(count + 1))


def svg(session: Told) -> str:
    """`session` is the result of Session.Show."""
    series = session["series"]
    axis = Axis(_length(session))
    parts: list[str] = []
    y = 96.0
    for lane in (_pilot, _current, _power, _energy):
        drawn, high = lane(series, axis, y)
        if drawn:
            parts += drawn
            y += high + LANE_GAP
    for source, name in (("board", "board"), ("v2g", "V2G"), ("ocpp", "OCPP")):
        parts += _events(session["entries"], source, name, axis, y)
        y += EVENT_ROWS * 20 + LANE_GAP
    parts += _time(axis, y)
    high = y + 44
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high:.0f}" width="{WIDE}" height="{high:.0f}" '
        f'role="img" aria-label="{escape(_title(session))}">\n<style>{STYLE}</style>\n'
        + "\n".join([*_head(session), *parts])
        + "\n</svg>\n"
    )


def _length(session: Told) -> float:
    series = session["series"]
    ends = [*series["after_s"][-1:], *(step["after_s"] for step in series["pilot"][-1:])]
    during = [entry["after_s"] for entry in session["entries"]] if session["ended"] is None else []
    return float(max([*ends, *during], default=LEAST_S))


def _title(session: Told) -> str:
    ids = " ".join([*session["v2g_session_ids"], *(known[:8] for known in session["transaction_ids"])])
    return f"Session {session['session']} at EVSE {session['evse']}  {ids}"


def _head(session: Told) -> list[str]:
    energy = "" if session["energy_wh"] is None else f"{session['energy_wh'] / 1000:.3f} kWh"
    said = [f"began {session['began'][:19].replace('T', ' ')}", energy, session["stopped_by"]]
    return [
        _words(LEFT, 34, _title(session), "title"),
        _words(LEFT, 62, " · ".join(filter(None, said))),
    ]


# --- Lanes: what is drawn, and how high it is ---


def _pilot(series: Told, axis: Axis, y: float) -> tuple[list[str], float]:
    steps = series["pilot"]
    parts = [_words(LEFT - 12, y + 24, "pilot", "end")]
    ends = [*(later["after_s"] for later in steps[1:]), axis.last_s]
    for step, end_s in zip(steps, ends, strict=False):
        x, wide = axis.x(step["after_s"]), axis.x(end_s) - axis.x(step["after_s"])
        parts.append(f'<rect x="{x}" y="{y}" width="{wide:.1f}" height="34" class="{escape(step["state"])}"/>')
        if wide > 24:
            parts.append(_words(x + wide / 2, y + 24, step["state"], "mid"))
    return parts, 34


def _current(series: Told, axis: Axis, y: float) -> tuple[list[str], float]:
    offers = [(step["after_s"], step["offer_a"]) for step in series["offers"]]
    drawn = list(zip(series["after_s"], series["current_a"], strict=True))
    values = [value for _, value in (*offers, *drawn)]
    if not values:
        return [], 0
    scale = _Scale(min(0.0, *values), max(6.0, *values), y, 150)
    parts = [*scale.grid("A"), *_legend(y, ("offered", "offer"), ("drawn", "draw"))]
    parts.append(_line(_stairs(offers, axis.last_s), axis, scale, "offer"))
    parts.append(_line(drawn, axis, scale, "draw"))
    room_x = -1e9
    for step in series["offers"]:
        x = axis.x(step["after_s"])
        if step["by"] and x - room_x > 60:
            parts.append(_words(x + 4, scale.y(step["offer_a"]) - 8, step["by"], "small"))
            room_x = x
    return parts, 150


def _power(series: Told, axis: Axis, y: float) -> tuple[list[str], float]:
    drawn = [(at, watts / 1000) for at, watts in zip(series["after_s"], series["power_w"], strict=True)]
    if not drawn:
        return [], 0
    values = [value for _, value in drawn]
    scale = _Scale(min(0.0, *values), max(1.0, *values), y, 110)
    return [*scale.grid("kW"), *_legend(y, ("power", "draw")), _line(drawn, axis, scale, "draw")], 110


def _energy(series: Told, axis: Axis, y: float) -> tuple[list[str], float]:
    energy = [(at, wh / 1000) for at, wh in zip(series["after_s"], series["energy_wh"], strict=True)]
    if not energy:
        return [], 0
    values = [value for _, value in energy]
    scale = _Scale(min(0.0, *values), max(0.01, *values), y, 90)
    parts = [*scale.grid("kWh"), _line(energy, axis, scale, "energy")]
    charge = [
        (at, percent)
        for at, percent in zip(series["after_s"], series["soc_percent"], strict=True)
        if percent is not None
    ]
    if charge:
        percents = _Scale(0.0, 100.0, y, 90)
        parts.append(_line(charge, axis, percents, "soc"))
    told = [(f"state of charge {charge[-1][1]:g} %", "soc")] if charge else []
    return [*parts, *_legend(y, ("energy", "energy"), *told)], 90


def _events(entries: Sequence[Told], source: str, name: str, axis: Axis, y: float) -> list[str]:
    mine = [entry for entry in entries if entry["source"] == source]
    parts = [_words(LEFT - 12, y + 16, name, "end"), _rule(y + EVENT_ROWS * 20)]
    ends = [0.0] * EVENT_ROWS
    named = 0
    for entry in mine:
        x = axis.x(entry["after_s"])
        words = _label(entry)
        wide = 9.2 * len(words)
        left = x + 4 if x + 4 + wide < WIDE - RIGHT else x - 6 - wide
        row = next((row for row in range(EVENT_ROWS) if ends[row] < left), None)
        foot = y + EVENT_ROWS * 20
        top = foot - 14 if row is None or named >= MAX_EVENTS else y + row * 20
        parts.append(f'<path d="M{x} {top:.0f}V{foot:.0f}" class="{source}" stroke-width="2"/>')
        if row is not None and named < MAX_EVENTS:
            parts.append(f'<text x="{left:.1f}" y="{y + row * 20 + 15:.0f}" class="small">{escape(words)}</text>')
            ends[row] = left + wide + 8
            named += 1
    return parts


_TELLING = ("request", "trigger_reason", "duty_percent", "contactor", "limit_a", "state", "reason", "fault")
"""Of an event's fields the one that says most, where it has one of them."""


def _label(entry: Told) -> str:
    said = next((str(entry["data"][name]) for name in _TELLING if entry["data"].get(name) not in (None, "")), "")
    words = said.removesuffix("Req") if entry["event"] == "MessageAnswered" else f"{entry['event']} {said[:24]}".strip()
    return words + (f" x{entry['count']}" if entry["count"] > 1 else "")


def _time(axis: Axis, y: float) -> list[str]:
    parts = [f'<path d="M{LEFT} {y:.0f}H{WIDE - RIGHT}" class="zero"/>']
    for tick_s in axis.ticks():
        x = axis.x(tick_s)
        parts += [f'<path d="M{x} {y:.0f}v7" class="zero"/>', _words(x, y + 28, _clock(tick_s), "mid")]
    return parts


# --- Strokes ---


class _Scale:
    """Values to y, in a lane `high` from `top`."""

    def __init__(self, low: float, high: float, top: float, lane: float) -> None:
        self._step = _nice((high - low) / 3)
        self._low = math.floor(low / self._step) * self._step
        self._high = math.ceil(high / self._step) * self._step
        self._top, self._lane = top, lane

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(self._top + self._lane * (1 - share), 1)

    def grid(self, unit: str) -> Iterator[str]:
        count = round((self._high - self._low) / self._step)
        for number in range(count + 1):
            value = self._low + number * self._step
            kind = "zero" if abs(value) < self._step / 100 else "grid"
            yield f'<path d="M{LEFT} {self.y(value)}H{WIDE - RIGHT}" class="{kind}"/>'
            yield _words(LEFT - 12, self.y(value) + 6, f"{value:.6g} {unit}", "small end")


def _line(points: Sequence[tuple[float, float]], axis: Axis, scale: _Scale, kind: str) -> str:
    path = "L".join(f"{axis.x(at)} {scale.y(value)}" for at, value in points)
    return f'<path d="M{path}" class="line {kind}"/>' if path else ""


def _stairs(steps: Sequence[tuple[float, float]], last_s: float) -> list[tuple[float, float]]:
    corners: list[tuple[float, float]] = []
    for at, value in steps:
        if corners:
            corners.append((at, corners[-1][1]))
        corners.append((at, value))
    return [*corners, (last_s, corners[-1][1])] if corners else []


def _legend(y: float, *entries: tuple[str, str]) -> Iterator[str]:
    """Above the lane, from the right."""
    x = float(WIDE - RIGHT)
    for words, kind in reversed(entries):
        yield _words(x, y - 6, words, f"end t-{kind}")
        x -= 10 * len(words) + 24


def _words(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(words)}</text>'


def _rule(y: float) -> str:
    return f'<path d="M{LEFT} {y:.0f}H{WIDE - RIGHT}" class="grid"/>'


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


_NICE_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def _nice(step: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten, and of seconds those of a clock."""
    if step > 5:
        for nice in _NICE_S:
            if nice >= step:
                return float(nice)
    power = 10.0 ** math.floor(math.log10(max(step, 1e-9)))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= step * 0.999)
