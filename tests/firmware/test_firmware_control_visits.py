"""Visits and the memory of events: what belongs to which vehicle, what repeats, and that all of it is bounded."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from firmware.evse import Observation
from firmware.facts import AuthorizationAnswered, Fact, LimitSource, LocalLimit, TransactionOpened
from firmware.history import MAX_EVENTS, MAX_FAULTS, MAX_TEXT, History
from firmware.visits import AFTER_S, BEFORE_S, MAX_ENTRIES, MAX_VISITS, Visit, Visits
from hal import ports as hal
from hal.quantities import EvseId, MeterReading
from ocpp_client import ports as ocpp
from secc import ports as secc

START = datetime(2026, 1, 1, tzinfo=UTC)
CARD = ocpp.IdToken("04A2B3C4", "ISO14443")
ANSWER = AuthorizationAnswered(CARD, ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED))


class Station:
    def __init__(self) -> None:
        self.now = 0.0
        self.history = History(lambda evse: {"evse": evse})
        self.visits = Visits()
        self.history.followers.append(self.visits)

    def hears(self, *facts: Fact, evse: int = 1, after_s: float = 0.0) -> None:
        self.now += after_s
        for fact in facts:
            wall = START + timedelta(seconds=self.now)
            self.history(Observation(EvseId(evse), fact, "", "tx-before", self.now, wall))

    def visit(self) -> Visit:
        return self.visits.all[-1]

    def names(self) -> list[str]:
        return [entry.event.name for entry in self.visit().entries]


def sent(transaction: str, kind: str, reason: str = "MeterValuePeriodic", number: int = 1) -> ocpp.EventSent:
    return ocpp.EventSent(transaction, kind, number, reason, False)


def meter(energy_wh: float) -> hal.MeterSampled:
    return hal.MeterSampled(MeterReading(energy_wh, 0, (0, 0, 0), (230, 230, 230), 0, START))


def test_a_visit_from_plug_to_unplug_with_what_comes_after() -> None:
    station = Station()
    station.hears(meter(100.0), hal.PluggedIn(0))
    station.hears(TransactionOpened("tx-1"), meter(150.0), hal.Unplugged(0), after_s=5)
    station.hears(hal.LinkLost("unplugged", 0), meter(170.0), after_s=AFTER_S / 2)
    station.hears(hal.ModemReady(0), after_s=AFTER_S)
    station.hears(sent("tx-1", "Ended", "EVDeparted"), sent("tx-other", "Ended"), after_s=3600)
    assert station.names() == ["PluggedIn", "TransactionOpened", "Unplugged", "LinkLost", "EventSent"]
    visit = station.visit()
    assert (visit.energy_wh, visit.stopped_by) == (50.0, "EVDeparted")
    assert visit.entries[0].event.transaction_id == "", "the id of the session before is not this one's"
    assert visit.entries[-1].event.transaction_id == "tx-1"


def test_a_card_before_the_plug_belongs_to_the_visit_unless_long_ago_or_elsewhere() -> None:
    station = Station()
    station.hears(ANSWER)
    station.hears(ANSWER, evse=2, after_s=BEFORE_S)
    station.hears(hal.TokenPresented("04", "ISO14443", 0), ANSWER)
    station.hears(hal.PluggedIn(0), after_s=1)
    assert station.names() == ["TokenPresented", "AuthorizationAnswered", "PluggedIn"]
    station.hears(hal.Unplugged(0), ANSWER)
    station.hears(hal.PluggedIn(0), after_s=2)
    assert station.names() == ["AuthorizationAnswered", "PluggedIn"], "a card after unplugging is the next one's"
    station.hears(hal.PluggedIn(0), evse=2)
    assert station.names() == ["AuthorizationAnswered", "PluggedIn"]


def test_a_transaction_that_opens_without_a_vehicle_begins_a_visit() -> None:
    station = Station()
    station.hears(TransactionOpened("tx-1"), meter(10.0), meter(12.5))
    assert station.visit().energy_wh == 2.5
    station.hears(hal.PluggedIn(0))
    assert len(station.visits.all) == 1, "the vehicle it waited for joins it"


def test_what_repeats_is_one_entry_with_a_count() -> None:
    station = Station()
    station.hears(hal.PluggedIn(0), TransactionOpened("tx-1"))
    for number in range(50):
        station.hears(
            secc.MessageAnswered("AB", "ChargingStatusReq", "OK", 0.001),
            secc.LimitSent("AB", 16.0, "ChargingStatusRes"),
            secc.ReceiptVerified(number),
            secc.DcTarget(400.0 + number, 10.0),
            LocalLimit(LimitSource.SITE, 16.0),
            sent("tx-1", "Updated", number=number),
            after_s=0.5,
        )
    station.hears(secc.MessageAnswered("AB", "ChargingStatusReq", "FAILED", 0.001))
    counts = [(entry.event.name, entry.count) for entry in station.visit().entries]
    assert counts[2:] == [
        ("MessageAnswered", 50),
        ("LimitSent", 50),
        ("ReceiptVerified", 50),
        ("DcTarget", 50),
        ("LocalLimit", 50),
        ("EventSent", 50),
        ("MessageAnswered", 1),
    ]
    shown = station.visit().shown(tokens=True, entries=True)["entries"]
    assert isinstance(shown, list)
    assert (shown[2]["after_s"], shown[2]["last"]) == (0.5, "2026-01-01T00:00:25.000+00:00")


def test_visits_entries_events_and_faults_are_bounded() -> None:
    station = Station()
    for _ in range(MAX_VISITS + 5):
        station.hears(hal.PluggedIn(0), hal.Unplugged(0))
    assert len(station.visits.all) == MAX_VISITS
    assert station.visits.find("1") is None
    station.hears(hal.PluggedIn(0))
    for _ in range(MAX_ENTRIES + 10):
        station.hears(hal.VehiclePaused(0))
    assert (len(station.visit().entries), station.visit().left_out) == (MAX_ENTRIES, 11)
    fault = hal.Fault.OVER_VOLTAGE
    for _ in range(MAX_EVENTS):
        for active in (True, False):
            station.hears(hal.BoardFault(fault, active, hal.Severity.STOP, "x" * 5000, 0))
    assert len(station.history.events) == MAX_EVENTS
    assert len(station.history.faults) == MAX_FAULTS
    assert station.history.events[-1].data["detail"] == "x" * MAX_TEXT


def test_either_id_finds_the_latest_that_fits() -> None:
    station = Station()
    for number in (1, 2):
        station.hears(
            hal.PluggedIn(0), secc.SessionSetUp(f"ABCD{number}", "02", "-2"), secc.SessionSetUp("ABCD0", "", "")
        )
        station.hears(secc.SessionSetUp("ABCD0", "", ""), TransactionOpened(f"tx-{number}"), hal.Unplugged(0))
    assert station.visits.find("abcd") is station.visit()
    assert station.visits.find("ABCD1") is station.visits.all[0]
    assert station.visits.find("tx-1") is station.visits.all[0]
    assert station.visits.find("abc") is None, "too short to mean one"
    assert station.visit().v2g_session_ids == ["ABCD2", "ABCD0"]


def test_the_latest_facts_about_a_vehicle_go_with_it_and_those_about_the_station_stay() -> None:
    station = Station()
    station.hears(ocpp.CsmsOnline(True, ""), ANSWER, hal.SlacFailed("before", 0), hal.PluggedIn(0))
    known = station.history.latest(EvseId(1))
    assert set(known) == {ocpp.CsmsOnline, AuthorizationAnswered, hal.PluggedIn}
    station.hears(hal.SlacFailed("now", 0), hal.ModemFault("x", True, 0), hal.Unplugged(0))
    assert set(known) == {ocpp.CsmsOnline, hal.ModemFault, hal.Unplugged}
    assert station.history.latest(EvseId(9)) == {}


@dataclass(frozen=True)
class Period:
    start_s: float
    limit_a: float


@dataclass(frozen=True)
class Plan:
    periods: tuple[Period, ...]


def test_whatever_a_fact_holds_it_is_json() -> None:
    station = Station()
    station.hears(Plan((Period(0.0, 16.00001), Period(60.0, float("inf")))))  # type: ignore[arg-type]
    shown = station.history.events[-1].shown(tokens=False)
    assert shown["data"] == {"periods": [{"start_s": 0.0, "limit_a": 16.0}, {"start_s": 60.0, "limit_a": "inf"}]}
    json.dumps(shown, allow_nan=False)


def test_a_technicians_adapter_is_no_visit() -> None:
    station = Station()
    maintained = True
    station.visits = Visits(lambda evse: maintained and evse == 1)
    station.history.followers[:] = [station.visits]
    station.hears(hal.PluggedIn(0), hal.Unplugged(0))
    station.hears(hal.PluggedIn(0), evse=2)
    assert [visit.evse for visit in station.visits.all] == [2]
    maintained = False
    station.hears(hal.PluggedIn(0))
    assert [visit.evse for visit in station.visits.all] == [2, 1]
