"""Monitors in virtual time: what is accepted, when they speak, what outlives a restart."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpp_client.device_model import DataType, DeviceModel, Mutability, Variable
from ocpp_client.monitors import FIRST_CUSTOM, MAX_MONITORS, Event, Monitors

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
Payload = dict[str, Any]


class Bench:
    """A device model with a variable of each kind, and its monitors."""

    def __init__(self) -> None:
        self.temperature = "20"
        self.running = False
        self.said: list[Event] = []
        self.model = DeviceModel(
            [
                Variable("EVSE", "Power", DataType.DECIMAL, "0", highest=22000, evse_id=1),
                Variable("EVSE", "State", DataType.OPTION_LIST, "Idle", choices=("Idle", "Busy"), evse_id=1),
                Variable("EVSE", "Problem", DataType.BOOLEAN, "false", evse_id=1),
                Variable(
                    "Station", "Level", DataType.INTEGER, "50", None, Mutability.READ_WRITE, lowest=0, highest=100
                ),
                Variable("Station", "Model", DataType.STRING, "X", constant=True),
                Variable("Station", "Password", DataType.STRING, "old-secret", None, Mutability.WRITE_ONLY),
                Variable("Station", "Temperature", DataType.DECIMAL, computed=lambda: self.temperature),
            ]
        )
        self.model.watcher = lambda key, value: self.said.extend(self.monitors.changed(key, value))
        self.monitors = Monitors(lambda: self.model, lambda _evse: self.running)
        self.monitors.hard_wire(*named("EVSE", "Problem", 1), 2)

    def set(self, kind: str, value: float, component: str = "EVSE", variable: str = "Power", **more: Any) -> str:
        status: str = self.result(kind, value, component, variable, **more)["status"]
        return status

    def result(self, kind: str, value: float, component: str, variable: str, **more: Any) -> Payload:
        at_evse, at_variable = named(component, variable, 1 if component == "EVSE" else None)
        item = {"type": kind, "value": value, "severity": 5, "component": at_evse, "variable": at_variable} | more
        result, said = self.monitors.set(item, NOON)
        self.said += said
        return result

    def power(self, *watts: float) -> list[tuple[str, str, bool | None]]:
        """What is said while the power takes these values."""
        self.said = []
        for value in watts:
            self.model.assign("EVSE", "Power", str(value), 1)
        return told(self.said)


def told(events: list[Event]) -> list[tuple[str, str, bool | None]]:
    return [(event.trigger, event.value, event.cleared) for event in events]


def named(component: str, variable: str, evse: int | None = None) -> tuple[Payload, Payload]:
    made: Payload = {"name": component}
    return made | ({"evse": {"id": evse}} if evse else {}), {"name": variable}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_upper_threshold_speaks_at_both_edges_once(bench: Bench) -> None:
    assert bench.set("UpperThreshold", 11000) == "Accepted"
    assert bench.power(5000, 11000, 11001, 12000, 11001, 11000, 4000) == [
        ("Alerting", "11001", False),
        ("Alerting", "11000", True),
    ]


def test_a_lower_threshold(bench: Bench) -> None:
    bench.power(5000)
    assert bench.set("LowerThreshold", 1000) == "Accepted"
    assert bench.power(1000, 999, 0, 2000) == [("Alerting", "999", False), ("Alerting", "2000", True)]


def test_a_threshold_that_is_passed_already_speaks_at_once(bench: Bench) -> None:
    bench.power(12000)
    assert bench.set("UpperThreshold", 11000) == "Accepted"
    assert told(bench.said) == [("Alerting", "12000", False)]


def test_a_delta_counts_from_where_it_spoke(bench: Bench) -> None:
    assert bench.set("Delta", 1000) == "Accepted"
    assert bench.power(900, 1000, 1500, 1999, 2000, 1001, 999) == [
        ("Delta", "1000", None),
        ("Delta", "2000", None),
        ("Delta", "999", None),
    ]


def test_a_delta_of_what_is_no_number_is_every_change(bench: Bench) -> None:
    assert bench.set("Delta", 1, variable="State") == "Accepted"
    for value in ("Idle", "Busy", "Busy", "Idle"):
        bench.model.assign("EVSE", "State", value, 1)
    assert [event.value for event in bench.said] == ["Busy", "Idle"]


def test_what_is_write_only_is_seen_and_not_told(bench: Bench) -> None:
    assert bench.set("Delta", 1, "Station", "Password") == "Accepted"
    bench.model.assign("Station", "Password", "new-secret")
    assert told(bench.said) == [("Delta", "", None)]
    assert "secret" not in bench.monitors.dump()


def test_a_variable_that_is_asked_for_anew(bench: Bench) -> None:
    assert not bench.monitors.polls
    assert bench.set("UpperThreshold", 60, "Station", "Temperature") == "Accepted"
    assert bench.monitors.polls
    bench.temperature = "61.5"
    assert told(bench.monitors.poll()) == [("Alerting", "61.5", False)]
    assert bench.monitors.poll() == []


def test_periodic(bench: Bench) -> None:
    assert bench.set("Periodic", 30) == "Accepted"
    assert bench.monitors.next_due() == NOON + timedelta(seconds=30)
    assert bench.monitors.tick(NOON + timedelta(seconds=29)) == []
    bench.power(777)
    assert told(bench.monitors.tick(NOON + timedelta(seconds=30))) == [("Periodic", "777", None)]
    assert bench.monitors.next_due() == NOON + timedelta(seconds=60)


def test_periodic_by_the_wall_clock(bench: Bench) -> None:
    assert bench.set("PeriodicClockAligned", 900) == "Accepted"
    assert bench.monitors.next_due() == NOON + timedelta(minutes=15)
    late = NOON + timedelta(minutes=47)
    assert len(bench.monitors.tick(late)) == 1, "what was missed is not made up for"
    assert bench.monitors.next_due() == NOON + timedelta(minutes=60)


def test_only_within_a_transaction(bench: Bench) -> None:
    assert bench.set("UpperThreshold", 100, transaction=True) == "Accepted"
    assert bench.set("Periodic", 10, transaction=True) == "Accepted"
    assert bench.power(200) == []
    assert bench.monitors.tick(NOON + timedelta(seconds=10)) == []
    bench.running = True
    assert bench.power(300) == [("Alerting", "300", False)]
    assert len(bench.monitors.tick(NOON + timedelta(seconds=20))) == 1


@pytest.mark.parametrize(
    ("kind", "value", "component", "variable", "more", "status"),
    [
        ("Delta", 1, "Nowhere", "Power", {}, "UnknownComponent"),
        ("Delta", 1, "EVSE", "Nothing", {}, "UnknownVariable"),
        ("UpperThreshold", 1, "EVSE", "State", {}, "UnsupportedMonitorType"),
        ("UpperThreshold", 22001, "EVSE", "Power", {}, "Rejected"),
        ("LowerThreshold", -1, "Station", "Level", {}, "Rejected"),
        ("Delta", -1, "EVSE", "Power", {}, "Rejected"),
        ("Delta", 101, "Station", "Level", {}, "Rejected"),
        ("Periodic", 0, "EVSE", "Power", {}, "Rejected"),
        ("PeriodicClockAligned", 2.0**63, "EVSE", "Power", {}, "Rejected"),
        ("Periodic", 5, "Station", "Model", {}, "Rejected"),
        ("Delta", 1, "EVSE", "Power", {"severity": 10}, "Rejected"),
        ("Delta", 1, "EVSE", "Power", {"severity": -1}, "Rejected"),
        ("Delta", 1, "EVSE", "Power", {"id": 4711}, "Rejected"),
        ("Delta", 1, "EVSE", "Problem", {"id": 1}, "Rejected"),
    ],
)
def test_what_cannot_be(
    bench: Bench, kind: str, value: float, component: str, variable: str, more: Payload, status: str
) -> None:
    assert bench.set(kind, value, component, variable, **more) == status
    assert len(bench.monitors) == 0


def test_one_of_a_type_and_severity(bench: Bench) -> None:
    assert bench.set("Delta", 1) == "Accepted"
    assert bench.set("Delta", 2) == "Duplicate"
    assert bench.set("Delta", 2, severity=6) == "Accepted"
    assert bench.set("Periodic", 2) == "Accepted"


def test_a_monitor_is_replaced_by_its_id(bench: Bench) -> None:
    number = bench.result("UpperThreshold", 11000, "EVSE", "Power")["id"]
    assert number == FIRST_CUSTOM
    assert bench.result("UpperThreshold", 5000, "EVSE", "Power", id=number)["id"] == number
    assert bench.set("UpperThreshold", 5000, variable="State", id=number) == "Rejected"
    assert len(bench.monitors) == 1
    assert bench.power(6000) == [("Alerting", "6000", False)]


def test_so_many_and_no_more(bench: Bench) -> None:
    for severity in range(10):
        for kind in ("UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned"):
            for component, variable in (("EVSE", "Power"), ("Station", "Temperature")):
                assert bench.set(kind, 5, component, variable, severity=severity) == "Accepted"
    assert len(bench.monitors) == MAX_MONITORS
    assert bench.set("Delta", 1, "EVSE", "State") == "Rejected"


def test_cleared(bench: Bench) -> None:
    number = bench.result("Delta", 1, "EVSE", "Power")["id"]
    assert [bench.monitors.clear(one) for one in (number, number, 1)] == ["Accepted", "NotFound", "Rejected"]
    assert bench.power(9000) == []


@pytest.mark.parametrize("base", ["All", "FactoryDefault", "HardWiredOnly"])
def test_the_base(bench: Bench, base: str) -> None:
    bench.set("Delta", 1)
    bench.monitors.set_base(base)
    assert len(bench.monitors) == (1 if base == "All" else 0)
    assert bench.monitors.find((), ())[0]["variable"]["name"] == "Problem"


def test_found_by_type_and_place(bench: Bench) -> None:
    bench.set("Delta", 1)
    bench.set("UpperThreshold", 5)
    bench.set("Periodic", 5, "Station", "Level")

    def count(*criteria: str, wanted: tuple[str, str] | None = None) -> int:
        at = [] if wanted is None else [{"component": {"name": wanted[0]}, "variable": {"name": wanted[1]}}]
        return sum(len(entry["variableMonitoring"]) for entry in bench.monitors.find(criteria, at))

    assert count() == 4
    assert count("ThresholdMonitoring") == 1
    assert count("DeltaMonitoring") == 2
    assert count("PeriodicMonitoring", "ThresholdMonitoring") == 2
    assert count(wanted=("EVSE", "Power")) == 2
    assert count("DeltaMonitoring", wanted=("EVSE", "Power")) == 1
    assert count(wanted=("Station", "Model")) == 0


def restarted(bench: Bench) -> Bench:
    again = Bench()
    again.monitors.restore(bench.monitors.dump(), NOON)
    return again


def test_they_outlive_a_restart(bench: Bench) -> None:
    number = bench.result("UpperThreshold", 11000, "EVSE", "Power")["id"]
    bench.set("Periodic", 30, transaction=True)
    bench.monitors.level = 4
    again = restarted(bench)
    assert again.monitors.find((), ()) == bench.monitors.find((), ())
    assert (again.monitors.level, again.monitors.next_due()) == (4, NOON + timedelta(seconds=30))
    assert again.monitors.begin() == []
    assert again.power(12000)[0] == ("Alerting", "12000", False)
    assert again.result("Delta", 1, "EVSE", "Power")["id"] > number + 1


def test_a_threshold_that_a_restart_took_away_is_cleared(bench: Bench) -> None:
    bench.set("UpperThreshold", 11000)
    bench.power(12000)
    again = restarted(bench)
    assert told(again.monitors.begin()) == [("Alerting", "0", True)]
    assert again.monitors.begin() == []


def test_a_delta_begins_anew_after_a_restart(bench: Bench) -> None:
    bench.set("Delta", 1000)
    bench.power(5000)
    again = restarted(bench)
    assert again.monitors.begin() == []
    assert again.power(900) == []


@pytest.mark.parametrize(
    "text", ["x", "[]", "{}", '{"base": "All", "level": 1, "next": 1, "monitors": [{}]}', '{"base": 1, "level": "x"}']
)
def test_rubbish_on_the_disk_is_said(bench: Bench, text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        bench.monitors.restore(text, NOON)


def test_severity_and_level(bench: Bench) -> None:
    bench.set("Delta", 1, severity=5)
    bench.power(9)
    for level, heard in ((9, True), (5, True), (4, False)):
        bench.monitors.level = level
        assert bench.monitors.heard(bench.said[0]) is heard


def test_whatever_the_power_does_a_threshold_tells_each_crossing() -> None:
    source, bench = random.Random(4), Bench()
    bench.set("UpperThreshold", 11000)
    bench.set("LowerThreshold", 3000)
    values = [float(source.randrange(0, 22000, 500)) for _ in range(2000)]
    bench.power(0.0)
    for above, limit in ((True, 11000), (False, 3000)):
        alarmed = not above  # At 0 W the lower one speaks first.
        wanted = []
        for value in values:
            passed = value > limit if above else value < limit
            if passed != alarmed:
                wanted.append((str(value), not passed))
            alarmed = passed
        told_by = [event for event in run(bench, values) if event.monitor.value == limit]
        assert [(event.value, event.cleared) for event in told_by] == wanted


def run(bench: Bench, values: list[float]) -> list[Event]:
    """The same walk again, from 0 W."""
    bench.power(0.0)
    bench.power(*values)
    return list(bench.said)
