"""`evse grid` and `evse tpm`: what they ask, and what they print."""

from typing import Any

import pytest

from firmware.cli import grid, main, tpm

SHOWN = {"limits_a": {"energy_manager": 12.5, "dimming": 6.09}, "dimmed_by": ["control"], "power_w": 4180.0}
ENTRY = {"at": "2026-11-21T05:00:00.000+00:00", "event": "ordered", "by": "contact", "limit_w": 4200.0, "power_w": None}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    calls: list[tuple[str, dict[str, Any]]] = []

    def ask(_args: object, method: str, **params: object) -> dict[str, Any]:
        calls.append((method, params))
        return {"entries": [ENTRY]} if method == "Grid.DimmingLog" else SHOWN

    monkeypatch.setattr(grid, "ask", ask)
    return calls


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("show", ("Grid.Show", {})),
        ("limit 12.5", ("Grid.Limit", {"limit_ma": 12500})),
        ("limit", ("Grid.Limit", {"limit_ma": None})),
        ("dim on", ("Grid.Dim", {"active": True})),
        ("dim off", ("Grid.Dim", {"active": False})),
    ],
)
def test_each_action_asks_and_shows(
    asked: list[object], words: str, call: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grid", *words.split()]) == 0
    said = capsys.readouterr().out
    assert asked == [call]
    assert "energy_manager 12.5 A, dimming 6.09 A" in said
    assert "4.2 kW" in said


def test_the_dimming_log(asked: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", "log", "--limit", "5"]) == 0
    assert asked == [("Grid.DimmingLog", {"limit": 5})]
    head, line = capsys.readouterr().out.splitlines()
    assert head.split("\t") == ["TIME", "EVENT", "LIMIT", "POWER", "BY"]
    assert line.split("\t")[1:] == ["ordered", "4.2 kW", "-", "contact"]


def test_json_is_what_was_told(asked: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", "log", "--json"]) == 0
    assert main(["grid", "show", "--json"]) == 0
    assert '"by": "contact"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("trouble", "locked", "code", "words"),
    [
        (None, False, 0, "good"),
        (None, True, 1, "locked out after too many wrong passwords"),
        ("no answer for 20 s", False, 1, "no answer for 20 s"),
    ],
)
def test_the_chip(
    trouble: str | None,
    locked: bool,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {
        "manufacturer": "IBM",
        "firmware": "2019.1",
        "curves": ["P-256", "P-384"],
        "persistent_free": 3,
        "lockout_counter": 0,
        "locked_out": locked,
        "trouble": trouble,
        "operations": 12,
        "recovered": 1,
        "slowest_sign_s": 0.212,
        "fault_counts": {"timeout": 2},
    }
    monkeypatch.setattr(tpm, "ask", lambda _args, _method: {"tpm": told})
    assert main(["tpm"]) == code
    said = capsys.readouterr().out
    for expected in (words, "IBM 2019.1", "P-256, P-384", "212 ms", "timeout: 2"):
        assert expected in said
    assert main(["tpm", "--json"]) == code
