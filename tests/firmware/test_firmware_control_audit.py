"""The audit chain: written, cut off, changed, rolled over, flooded."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware.control import audit
from firmware.control.audit import BEGINNING, MAX_QUIET_USERS, QUIET_S, Audit, Checked, check, latest
from firmware.control.roles import Peer, Role

ROOT = Peer(10, 0, frozenset({0}))
EVE = Peer(11, 1000, frozenset({1000}))


class Desk:
    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.path = path
        self.open()

    def open(self) -> None:
        self.audit = Audit(self.path, lambda: self.now, lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def calls(self, count: int = 1) -> None:
        for number in range(count):
            self.audit.called(ROOT, Role.SERVICE, "Log.SetLevel", {"logger": "hal", "n": number}, "ok")

    def eve_tries(self, count: int = 1) -> None:
        for _ in range(count):
            self.audit.refused(EVE, Role.OBSERVER, "Audit.Show", Role.SERVICE)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "state" / "audit.jsonl")


def test_calls_and_refusals_are_lines_of_a_chain(desk: Desk) -> None:
    desk.calls()
    desk.eve_tries()
    first, second = latest(desk.path, 10)
    assert (first["number"], first["uid"], first["role"], first["outcome"]) == (1, 0, "service", "ok")
    assert json.loads(str(first["params"])) == {"logger": "hal", "n": 0}
    assert (second["number"], second["uid"], second["needed"], second["outcome"]) == (2, 1000, "service", "refused")
    assert (first["previous"], second["previous"]) == (BEGINNING, first["hash"])
    assert check(desk.path) == Checked(2, None)
    assert desk.path.stat().st_mode & 0o777 == 0o600


def test_the_chain_goes_on_after_a_restart(desk: Desk) -> None:
    desk.calls(3)
    desk.open()
    desk.calls()
    assert check(desk.path) == Checked(4, None)


def test_half_a_line_left_by_a_power_cut_is_cut_off(desk: Desk) -> None:
    desk.calls(2)
    with desk.path.open("a") as file:
        file.write('{"number": 3, "uid"')
    desk.open()
    desk.calls()
    assert check(desk.path) == Checked(3, None)


def test_a_file_of_half_a_line_begins_anew(desk: Desk) -> None:
    desk.path.parent.mkdir()
    desk.path.write_text("{")
    desk.open()
    desk.calls()
    assert check(desk.path) == Checked(1, None)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_shows(desk: Desk, line: int) -> None:
    desk.calls(3)
    lines = desk.path.read_text().splitlines()
    lines[line] = lines[line].replace('"uid": 0', '"uid": 7')
    desk.path.write_text("\n".join(lines) + "\n")
    assert check(desk.path) == Checked(line, f"audit.jsonl:{line + 1}: entry {line + 1} was changed")


def test_a_removed_line_shows_and_so_does_one_that_is_no_entry(desk: Desk) -> None:
    desk.calls(3)
    lines = desk.path.read_text().splitlines()
    desk.path.write_text(f"{lines[0]}\n{lines[2]}\n")
    assert check(desk.path) == Checked(1, "audit.jsonl:2: entry 3 does not follow entry 1")
    for broken in ("nonsense", "[]", '{"number": "x", "hash": "", "previous": ""}', "[" * 9999):
        desk.path.write_text(f"{lines[0]}\n{broken}\n")
        assert check(desk.path) == Checked(1, "audit.jsonl:2: no entry")


def test_a_full_file_is_kept_once_and_the_chain_goes_through(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_BYTES", 2000)
    desk.calls(30)
    assert desk.path.stat().st_size <= 2000
    older = desk.path.with_name("audit.jsonl.1")
    assert older.stat().st_size <= 2000
    kept = check(desk.path)
    assert kept.broken is None
    assert 4 <= kept.entries < 30
    assert latest(desk.path, 1)[0]["number"] == 30
    desk.path.write_bytes(b"")
    desk.open()
    desk.calls()
    assert check(desk.path).broken is None, "an empty new file goes on from the older one"


def test_a_flood_of_refusals_is_one_entry_a_minute(desk: Desk) -> None:
    desk.eve_tries(1000)
    desk.calls()
    desk.now += QUIET_S
    desk.eve_tries(2)
    entries = latest(desk.path, 10)
    assert [(entry["number"], entry.get("refused_before")) for entry in entries] == [(1, 0), (2, None), (3, 999)]


def test_a_flood_by_many_users_takes_bounded_memory(desk: Desk) -> None:
    for uid in range(MAX_QUIET_USERS + 10):
        desk.audit.refused(Peer(1, uid, frozenset()), Role.NOBODY, "M", Role.OBSERVER)
    assert len(desk.audit._quiet) == MAX_QUIET_USERS


def test_a_disk_that_refuses_loses_entries_and_says_how_many(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.calls()
    desk.path.rename(desk.path.with_name("aside"))
    desk.path.mkdir()
    desk.calls(2)
    assert "is lost" in caplog.text
    desk.path.rmdir()
    desk.path.with_name("aside").rename(desk.path)
    desk.calls()
    assert latest(desk.path, 1)[0]["lost_before"] == 2
    assert check(desk.path) == Checked(2, None)


def test_an_unreadable_log_begins_a_new_chain(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    Desk(tmp_path / "audit.jsonl")
    assert "a new chain begins" in caplog.text


def test_long_parameters_are_cut(desk: Desk) -> None:
    desk.audit.called(ROOT, Role.SERVICE, "M", {"x": "y" * 50_000}, "ok")
    assert len(str(latest(desk.path, 1)[0]["params"])) == audit.MAX_PARAMS
