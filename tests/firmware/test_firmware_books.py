"""The books: consumption over twelve months, uptime by month; over restarts, clock changes and broken files."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware import consumption
from firmware.consumption import Charged, Consumption
from firmware.ledger import Ledger, charged_of, condition_of
from firmware.uptime import MONTHS, Condition, Uptime
from hal import ports as hal
from hal.quantities import EvseId
from tests.firmware.control_bench import Bench, bench, charges, connected
from tests.firmware.test_firmware_cli import evse

START = datetime(2026, 1, 31, 23, 0, tzinfo=UTC)
ONE, TWO = EvseId(1), EvseId(2)
UP, OUTAGE, EXCLUDED = Condition.UP, Condition.OUTAGE, Condition.EXCLUDED


def after(hours: float) -> datetime:
    return START + timedelta(hours=hours)


# --- Uptime ---


def test_counted_by_month_and_by_evse() -> None:
    uptime = Uptime()
    uptime.count({ONE: UP, TWO: UP}, START)
    uptime.count({ONE: UP, TWO: OUTAGE}, after(2))
    uptime.count({ONE: EXCLUDED, TWO: UP}, after(3))
    january, february = uptime.months[ONE]["2026-01"], uptime.months[ONE]["2026-02"]
    assert (january.up_s, february.up_s, february.excluded_s) == (3600, 3600, 3600)
    assert uptime.year(ONE).percent == 100.0, "what is excluded is no outage"
    assert uptime.year(TWO).percent == pytest.approx(100 / 3)
    assert uptime.year(EvseId(9)).percent is None


def test_a_restart_is_an_outage_and_nothing_is_lost() -> None:
    uptime = Uptime()
    uptime.count({ONE: UP}, START)
    uptime.count({ONE: UP}, after(96))
    again = Uptime.restored(uptime.text())
    again.slept([ONE], after(100))
    again.count({ONE: UP}, after(100))
    assert again.year(ONE).percent == pytest.approx(96.0)


def test_thirteen_months_are_kept_and_twelve_are_told() -> None:
    uptime = Uptime()
    uptime.count({ONE: OUTAGE}, datetime(2020, 1, 15, tzinfo=UTC))
    for month in range(1, 80):
        year, rest = divmod(month, 12)
        uptime.count({ONE: OUTAGE if month < 60 else UP}, datetime(2020 + year, rest + 1, 15, tzinfo=UTC))
    assert len(uptime.months[ONE]) == MONTHS
    assert uptime.year(ONE).percent == 100.0


def test_a_gap_of_years_costs_no_more_than_what_is_kept() -> None:
    uptime = Uptime()
    uptime.count({ONE: UP}, datetime(1970, 1, 1, tzinfo=UTC))
    uptime.slept([ONE], datetime(2026, 5, 5, tzinfo=UTC))
    assert len(uptime.months[ONE]) == MONTHS
    assert uptime.year(ONE).percent == 0.0


def test_a_clock_set_back_counts_nothing_twice() -> None:
    uptime = Uptime()
    uptime.count({ONE: UP}, after(10))
    uptime.count({ONE: OUTAGE}, after(1))
    uptime.count({ONE: OUTAGE}, after(9))
    uptime.count({ONE: UP}, after(11))
    assert uptime.year(ONE).up_s == 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "counted_to": "x", "months": {}}',
        '{"format": 1, "counted_to": "2026-01-01T00:00:00", "months": {}}',
        '{"format": 1, "counted_to": null, "months": {"1": {"2026-01": ["a"]}}}',
        '{"format": 1, "counted_to": null, "months": {"1": {"2026-01": [1, 2, 3, 4]}}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_uptime(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Uptime.restored(text)


# --- Consumption ---


def charged(number: int, began: datetime = START, **more: object) -> Charged:
    values: dict[str, object] = {"transaction_id": f"tx-{number}", "evse": 1, "began": began, "ended": None}
    return Charged(**{**values, "energy_wh": 100.0, **more})  # type: ignore[arg-type]


def test_a_transaction_is_one_row_and_the_year_is_kept(tmp_path: Path) -> None:
    books = Consumption(tmp_path / "c.sqlite")
    books.put(charged(1))
    books.put(charged(1, ended=after(1), energy_wh=5000.0))
    books.put(charged(2, began=START - timedelta(days=401)))
    books.put(charged(3, began=START - timedelta(days=365)))
    assert books.prune(START) == 1
    found = books.since(START - timedelta(days=366), 10)
    assert [row.transaction_id for row in found] == ["tx-3", "tx-1"]
    assert (found[1].energy_wh, found[1].ended) == (5000.0, after(1))
    assert [row.transaction_id for row in books.since(START - timedelta(days=366), 1)] == ["tx-1"], "the latest"


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumption, "MAX_ROWS", 5)
    books = Consumption(tmp_path / "c.sqlite")
    for number in range(8):
        books.put(charged(number, began=after(number)))
    assert books.prune(after(9)) == 3
    assert [row.transaction_id for row in books.since(START, 100)] == [f"tx-{number}" for number in range(3, 8)]


def test_every_row_is_on_disk_when_put_returns(tmp_path: Path) -> None:
    Consumption(tmp_path / "c.sqlite").put(charged(1))
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as other:
        assert other.execute("SELECT count(*) FROM charged").fetchone() == (1,)


# --- The ledger ---


def ledger(made: Bench) -> Ledger:
    books = Ledger(made.path.parent, made.station.evses, made.visits)
    fields = {name: getattr(made.station, name) for name in made.station.__slots__ if name != "ledger"}
    made.dispatcher._station = type(made.station)(**fields, ledger=books)
    return books


async def test_what_an_evse_is_up_for() -> None:
    async with bench() as made:
        made.evse._turned_at_s = made.evse._clock()
        assert condition_of(made.evse) is UP
        made.board.levels = None
        assert condition_of(made.evse) is OUTAGE
        made.evse.state.operative = False
        assert condition_of(made.evse) is EXCLUDED, "the operator's own wish"


async def test_charged_and_told(tmp_path: Path) -> None:
    async with bench() as made:
        books = ledger(made)
        charges(made)
        (row,) = charged_of(made.visits.all[-1])
        assert (row.transaction_id, row.energy_wh, row.ended) == ("tx-1234", 500.0, None)
        code, written, _ = await evse(made.path, "history", "--csv")
        assert code == 0
        head, line = written.splitlines()
        assert head == "transaction_id,evse,began,ended,energy_wh"
        assert line.startswith("tx-1234,1,")
        made.hears(hal.Unplugged(0.0))
        await books.write()
        code, written, _ = await evse(made.path, "history", "--all")
        assert "\t0.500\ttx-1234" in written
        assert "runs" not in written
        code, written, _ = await evse(made.path, "history")
        assert written.splitlines()[1].split("\t")[1:] == ["1", "1", "0.500"]
        code, written, _ = await evse(made.path, "history", "--json")
        assert json.loads(written)["energy_wh"] == 500.0


async def test_uptime_is_told_and_below_97_percent_exits_with_1() -> None:
    async with bench() as made:
        books = ledger(made)
        assert (await evse(made.path, "uptime"))[0] == 0
        books.uptime.months[ONE] = {"2026-01": (month := Uptime().year(ONE))}
        month.up_s, month.outage_s = 960_000.0, 40_000.0
        code, written, _ = await evse(made.path, "uptime", "--months")
        assert code == 1
        assert "1\tyear\t96.0" in written
        assert "2026-01" in written


async def test_without_books_that_is_said() -> None:
    async with bench() as made, connected(made.path) as line:
        assert await line.error("Consumption.List") == -32003
        assert await line.error("Uptime.Show") == -32003


async def test_over_a_restart_and_with_a_broken_file(caplog: pytest.LogCaptureFixture) -> None:
    async with bench() as made:
        books = ledger(made)
        await books.write()
        await books.write()
        again = ledger(made)
        again._restore()
        assert again.uptime.counted_to is not None
        (made.path.parent / "uptime.json").write_text("nonsense")
        broken = ledger(made)
        broken._restore()
        assert "uptime begins anew" in caplog.text
        assert (made.path.parent / "uptime.bad").exists()
        fresh = ledger(made)
        fresh._restore()
        assert fresh.uptime.counted_to is None


async def test_a_disk_that_refuses_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with bench() as made:
        books = ledger(made)
        charges(made)
        books._file = Path("/nowhere/uptime.json")
        books.consumption = Consumption(Path("/nowhere/c.sqlite"))
        await books.write()
        assert "uptime is not written" in caplog.text
        assert "consumption history is not written" in caplog.text
        async with connected(made.path) as line:
            assert await line.error("Consumption.List") == -32003


async def test_the_ledger_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.ledger.PERIOD_S", 0.02)
    async with bench() as made:
        first = ledger(made)
        await first.write()
        books = ledger(made)
        charges(made)
        books.consumption.put(charged(9, began=datetime(2020, 1, 1, tzinfo=UTC)))
        running = asyncio.create_task(books.run())
        while (
            not books.uptime.months or books.consumption.since(datetime(2019, 1, 1, tzinfo=UTC), 9)[0].energy_wh < 500
        ):
            await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (row,) = books.consumption.since(datetime(2019, 1, 1, tzinfo=UTC), 9)
        assert row.transaction_id == "tx-1234", "what is older than 400 days has gone"
