"""The picture of a session, and the bounded series it is drawn from."""

import json
import random
import re
import xml.etree.ElementTree as ET  # our own output
from datetime import UTC, datetime
from typing import Any

import pytest

from firmware.cli.plot import Axis, _nice, svg
from firmware.series import MAX_POINTS, MAX_STEPS, Series, Steps
from hal.quantities import MeterReading

SVG = "{http://www.w3.org/2000/svg}"


def reading(power_w: float, energy_wh: float, current_a: float = 16.0, soc: float | None = None) -> MeterReading:
    wall = datetime(2026, 1, 1, tzinfo=UTC)
    return MeterReading(energy_wh, power_w, (current_a, 0, 0), (230, 230, 230), 0.0, wall, soc_percent=soc)


def session(series: Series, **more: Any) -> dict[str, Any]:
    entry = {"source": "v2g", "event": "MessageAnswered", "after_s": 2.0, "count": 3, "data": {"request": "LoopReq"}}
    told: dict[str, Any] = {
        "session": 7,
        "evse": 1,
        "began": "2026-01-01T10:00:00.000+00:00",
        "ended": "2026-01-01T11:00:00.000+00:00",
        "v2g_session_ids": ["AB12"],
        "transaction_ids": ["0123456789abcdef"],
        "energy_wh": 1234.0,
        "stopped_by": "<EVDeparted>",
        "entries": [entry, {**entry, "source": "ocpp", "event": "<script>", "data": {}}],
        "series": json.loads(json.dumps(series.shown())),
    }
    return {**told, **more}


def hour(direction: float = 1.0) -> Series:
    made = Series()
    made.pilot.put(0.0, "B")
    made.offers.put(0.0, 32.0, "board")
    for second in range(3600):
        made.sample(float(second), reading(direction * 11_000, 500 + direction * second * 3, soc=second / 36))
    made.pilot.put(400.0, "C")
    made.offers.put(1800.0, 10.0, "profile")
    made.pilot.put(3600.0, "A")
    return made


def words(drawn: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawn).iter(f"{SVG}text")]


def test_everything_is_on_one_line_of_time() -> None:
    drawn = svg(session(hour()))
    root = ET.fromstring(drawn)
    assert {"pilot", "offered", "drawn", "power", "energy", "board", "V2G", "OCPP"} <= set(words(drawn))
    assert {"B", "C", "profile", "Loop x3", "1:00:00"} <= set(words(drawn))
    assert any(text.startswith("state of charge 9") for text in words(drawn))
    lines = {path.get("class"): path.get("d") or "" for path in root.iter(f"{SVG}path")}
    assert {"line offer", "line draw", "line energy", "line soc"} <= set(lines)
    xs = [float(x) for path in lines.values() for x in re.findall(r"[ML]([\d.]+) ", path)]
    assert 130 <= min(xs) <= max(xs) <= 1170


def test_no_script_and_nothing_a_vehicle_says_is_markup() -> None:
    drawn = svg(session(hour()))
    assert "<script" not in drawn
    assert "&lt;EVDeparted&gt;" in drawn
    assert not re.search(r"\son\w+=|href|url\(|@import", drawn)
    assert {element.tag.removeprefix(SVG) for element in ET.fromstring(drawn).iter()} == {
        "svg",
        "style",
        "text",
        "rect",
        "path",
    }


def test_both_directions() -> None:
    drawn = svg(session(hour(-1.0)))
    assert any(text.startswith("-") and text.endswith("kW") for text in words(drawn))
    assert hour(-1.0).points[-1].current_a == -16.0


def test_light_and_dark_and_letters_to_be_read_at_arms_length() -> None:
    drawn = svg(session(hour()))
    assert "prefers-color-scheme:dark" in drawn
    assert min(int(size) for size in re.findall(r"(?:font:|font-size:)\D*?(\d+)px", drawn)) >= 15


@pytest.mark.parametrize("ended", [None, "2026-01-01T11:00:00.000+00:00"])
def test_a_session_of_which_little_is_known(ended: str | None) -> None:
    drawn = svg(session(Series(), ended=ended, entries=[], energy_wh=None, stopped_by=""))
    assert "pilot" in words(drawn)


def test_whatever_was_seen_it_can_be_drawn() -> None:
    rng = random.Random(20)
    for _ in range(200):
        made = Series()
        at = 0.0
        for _ in range(rng.randrange(20)):
            at += rng.choice((0.0, 0.5, 100.0, 1e5))
            made.sample(at, reading(rng.uniform(-2e5, 2e5), rng.uniform(0, 1e9), rng.uniform(-500, 500)))
            made.offers.put(at, rng.uniform(-80, 80), rng.choice(("", "site")))
            made.pilot.put(at, rng.choice("ABCD"))
        ET.fromstring(svg(session(made)))


def test_a_day_of_readings_is_bounded_and_keeps_its_shape() -> None:
    made = Series()
    for second in range(86_400):
        made.sample(float(second), reading(1000.0, float(second)))
        made.offers.put(float(second), float(second % 7), "site")
    assert MAX_POINTS / 2 <= len(made.points) <= MAX_POINTS
    gaps = {late.after_s - early.after_s for early, late in zip(made.points, made.points[1:], strict=False)}
    assert max(gaps) <= 4 * min(gaps)
    assert made.points[-1].after_s > 86_000
    assert len(made.offers.values) == MAX_STEPS
    assert made.offers.values[0][0] == 0.0


def test_a_level_that_stays_is_one_step() -> None:
    steps = Steps()
    for at in range(5):
        steps.put(float(at), "C")
    assert steps.values == [(0.0, ("C",))]


@pytest.mark.parametrize(("step", "nice"), [(0.013, 0.02), (1, 1), (3, 5), (7, 10), (61, 120), (200_000, 200_000)])
def test_round_numbers(step: float, nice: float) -> None:
    assert _nice(step) == pytest.approx(nice)
    assert len(list(Axis(step * 8).ticks())) <= 10
