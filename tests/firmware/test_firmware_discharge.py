"""Feeding back: what allows it, what stops it, and ten minutes of it by a set-point that changes each second."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from firmware import effects
from firmware.discharge import RETURN_S, Feeding, GridGuard
from firmware.facts import AuthorizationAnswered, LimitSource, LocalLimit
from firmware.limits import Limits
from firmware.session import Session
from hal import ports as hal
from hal.quantities import EvseId, MeterReading
from ocpp_client import ports as ocpp
from ocpp_client.limit_watch import LimitWatch
from ocpp_client.metering import Measurand, ReadingContext, meter_value
from ocpp_client.ports import CsmsLimit, TransactionState
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import Supply
from ocpp_client.wire import format_time
from secc import ports as secc
from secc.schedules import EnergyRequested
from secc.v2g.elements import Elements
from tests.secc.support import VIEW
from tests.secc.v2g.talk20 import AC_BPT_DYNAMIC_LOOP, DC_BPT_VIEW, Talk20, dc_dynamic_loop, number

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FEEDING = Feeding(limit_a=20.0, reserve_percent=30.0)
CARD = ocpp.IdToken("04AABBCC", "ISO14443")
YES = ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED)


def reading(volts: float = 230.0, hertz: float | None = 50.0, soc: float | None = None) -> MeterReading:
    return MeterReading(0.0, 0.0, (0.0,) * 3, (volts,) * 3, 0.0, NOON, soc_percent=soc, frequency_hz=hertz)


# --- The grid and the battery ---


@pytest.mark.parametrize(
    ("bad", "allowed"),
    [
        (reading(), True),
        (reading(183.0), False),
        (reading(265.0), False),
        (reading(hertz=47.4), False),
        (reading(hertz=51.6), False),
        (reading(hertz=None), True),
        (reading(soc=30.0), False),
        (reading(soc=31.0), True),
    ],
)
def test_the_grid_and_the_reserve_decide(bad: MeterReading, allowed: bool) -> None:
    guard = GridGuard(FEEDING)
    assert not guard.allows, "nothing is fed before a reading"
    assert guard.measured(bad, bad.soc_percent, 0.0) is allowed


def test_it_comes_back_after_a_minute_within_the_narrower_band() -> None:
    guard = GridGuard(FEEDING)
    guard.measured(reading(hertz=51.6), None, 0.0)
    assert not guard.measured(reading(hertz=50.3), None, 10.0), "sound enough to stay, not to come back"
    assert not guard.measured(reading(), None, 20.0)
    assert not guard.measured(reading(volts=190.0), None, 50.0)
    assert not guard.measured(reading(), None, 60.0)
    assert not guard.measured(reading(), None, 60.0 + RETURN_S - 1)
    assert guard.measured(reading(), None, 60.0 + RETURN_S)
    assert guard.measured(reading(hertz=50.3), None, 200.0)


def test_a_dip_on_one_phase_is_enough() -> None:
    dip = replace(reading(), voltage_v=(230.0, 180.0, 230.0))
    assert not GridGuard(FEEDING).measured(dip, None, 0.0)
    assert GridGuard(replace(FEEDING, phases=1)).measured(dip, None, 0.0)


def test_of_a_dc_output_only_the_reserve_counts() -> None:
    output = replace(reading(), voltage_v=(400.0, 0.0, 0.0), dc=True)
    assert GridGuard(FEEDING).measured(output, None, 0.0)
    assert not GridGuard(FEEDING).measured(output, 25.0, 0.0)


# --- The session ---


NEEDS = EnergyRequested("AC_BPT", 20_000.0, 7200.0, 16.0, 6.0, dynamic=True, max_discharge_power_w=6900.0)


def limit(limit_a: float | None) -> CsmsLimit:
    return CsmsLimit(EvseId(1), limit_a, 0.0)


def charging(needs: EnergyRequested = NEEDS, feeding: Feeding = FEEDING) -> Session:
    session = Session(Limits(32.0), has_plc=True, feeding=feeding)
    facts = (
        hal.ModemReady(0.0),
        hal.PluggedIn(0.0),
        hal.LinkReady(bytes(6), 0.0),
        secc.SessionSetUp("AB", "02", "-20"),
        hal.TokenPresented(CARD.id_token, CARD.kind, 0.0),
        AuthorizationAnswered(CARD, YES),
        needs,
        secc.PowerWanted(True),
        hal.ContactorChanged(hal.Contactor.CLOSED, 0.0),
        hal.MeterSampled(reading()),
    )
    for fact in facts:
        session.feed(fact, 0.0)
    return session


def test_a_limit_below_zero_feeds_back_what_all_sides_bear() -> None:
    session = charging()
    assert session.state.discharge_a == 0.0
    done = session.feed(limit(-8.0), 1.0)
    assert session.state.discharge_a == 8.0
    assert effects.LimitCurrent(8.0) in done, "the board supervises what flows, whichever way"
    assert any(isinstance(effect, effects.UpdateTransaction) for effect in done)
    session.feed(limit(-15.0), 2.0)
    assert session.state.discharge_a == 10.0, "6.9 kW is the vehicle's most"
    assert charging(replace(NEEDS, max_discharge_power_w=22_000.0)).state.ev_feeds_a > 30
    session.feed(hal.MeterSampled(reading(hertz=51.9)), 3.0)
    assert session.state.discharge_a == 0.0
    session.feed(limit(3.0), 4.0)
    assert session.state.offer_a == 3.0, "a set-point below 6 A is followed"


def test_the_pilot_stays_at_five_percent_while_it_feeds() -> None:
    session = charging()
    done = session.feed(limit(-8.0), 1.0)
    assert not [effect for effect in done if isinstance(effect, effects.OfferNothing | effects.OfferCurrent)]


def test_a_vehicle_that_cannot_feed_back_pauses() -> None:
    session = charging(replace(NEEDS, max_discharge_power_w=None))
    done = session.feed(limit(-8.0), 1.0)
    assert session.state.discharge_a == session.state.offer_a == 0.0
    assert effects.LimitCurrent(0.0) in done


def test_a_dc_vehicle_feeds_back_the_set_point_at_the_voltage_that_is_there() -> None:
    talk = Talk20(DC_BPT_VIEW, service=6, dynamic=True).charging()
    talk.output(present_voltage_v=400.0, discharge_power_w=8000.0)
    answer = talk.ask("DC_ChargeLoopReq", dc_dynamic_loop("BPT_"))
    assert answer is not None
    assert talk.facts_of(secc.DcTarget)[-1].current_a == pytest.approx(-20.0)
    talk.output(discharge_power_w=19_000.0)
    talk.ask("DC_ChargeLoopReq", dc_dynamic_loop("BPT_"))
    assert talk.facts_of(secc.DcTarget)[-1].current_a == pytest.approx(-27.5), "11 kW is the vehicle's most"
    talk.output(discharge_power_w=0.0)
    talk.ask("DC_ChargeLoopReq", dc_dynamic_loop("BPT_"))
    assert talk.facts_of(secc.DcTarget)[-1].current_a > 0


def test_one_that_is_to_end_feeds_no_more() -> None:
    session = charging()
    session.feed(limit(-8.0), 1.0)
    session.feed(ocpp.RemoteStop(EvseId(1), session.state.transaction_id), 2.0)
    assert session.state.discharge_a == 0.0


def test_energy_of_both_directions_is_told_apart() -> None:
    both = replace(reading(), energy_import_wh=500.0, energy_export_wh=120.0, power_import_w=-2300.0)
    told = meter_value(both, ReadingContext.SAMPLE_PERIODIC, tuple(Measurand), 1)
    assert told is not None
    values = {sample["measurand"]: sample["value"] for sample in told["sampledValue"]}
    assert values["Energy.Active.Import.Register"] == 500.0
    assert values["Energy.Active.Export.Register"] == 120.0
    assert (values["Power.Active.Import"], values["Power.Active.Export"]) == (0.0, 2300.0)
    one_way = meter_value(reading(), ReadingContext.SAMPLE_PERIODIC, tuple(Measurand), 1)
    assert one_way is not None
    assert not [sample for sample in one_way["sampledValue"] if "Export" in sample["measurand"]]


# --- Ten minutes by a set-point that changes each second ---


class Grid2Battery:
    """CSMS profile, limit watch, session, SECC and vehicle in one second's turn, and a meter that counts both ways."""

    def __init__(self) -> None:
        started = TransactionState("tx-1", EvseId(1), 1, None, "Charging", NOON, NOON, None, "")
        supply = Supply(3, 230.0, 32.0, discharges=True)
        self._profiles = Profiles(1, supply, {EvseId(1): started}.get)
        self._watch = LimitWatch(self._profiles, (1,))
        self.session = charging(replace(NEEDS, max_discharge_power_w=11_000.0))
        self.session.feed(LocalLimit(LimitSource.SITE, 32.0), 0.0)
        view = replace(VIEW, discharge_limit_a=20.0, limit_a=0.0, board_limit_a=32.0)
        self.vehicle = Talk20(view, service=5, dynamic=True).charging()
        self.imported_wh = self.exported_wh = 0.0
        self.power_w = 0.0

    def second(self, at: int, setpoint_w: float) -> Elements:
        """The operator's set-point comes, the next loop carries it, the vehicle draws or feeds it for a second."""
        now = NOON + timedelta(seconds=at)
        self._profiles.set(1, profile(now, setpoint_w))
        for fact in self._watch.refresh(now, float(at)):
            self.session.feed(fact, float(at))
        state = self.session.state
        self.vehicle.station(limit_a=state.offer_a, discharge_a=state.discharge_a, meter=self.meter(float(at)))
        response = self.vehicle.ask("AC_ChargeLoopReq", AC_BPT_DYNAMIC_LOOP | {"MeterInfoRequested": True})
        assert response is not None
        said = response.elements["BPT_Dynamic_AC_CLResControlMode"]
        names = ("EVSETargetActivePower", "EVSETargetActivePower_L2", "EVSETargetActivePower_L3")
        self.power_w = sum(number(said[name]) for name in names)
        self.imported_wh += max(self.power_w, 0.0) / 3600
        self.exported_wh += max(-self.power_w, 0.0) / 3600
        self.session.feed(hal.MeterSampled(self.meter(float(at))), float(at))
        info: Elements = response.elements["MeterInfo"]  # type: ignore[assignment]
        return info

    def meter(self, at_s: float) -> MeterReading:
        amps = abs(self.power_w) / 690
        return MeterReading(
            self.imported_wh,
            self.power_w,
            (amps,) * 3,
            (230.0,) * 3,
            at_s,
            NOON + timedelta(seconds=at_s),
            energy_export_wh=self.exported_wh,
            frequency_hz=50.0,
        )


def profile(now: datetime, setpoint_w: float) -> dict[str, Any]:
    return {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "transactionId": "tx-1",
        "chargingSchedule": [
            {
                "id": 1,
                "startSchedule": format_time(now),
                "chargingRateUnit": "W",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": setpoint_w}],
            }
        ],
    }


def test_a_set_point_that_changes_each_second_is_followed_for_ten_minutes() -> None:
    run = Grid2Battery()
    wanted_in_wh = wanted_out_wh = worst_w = 0.0
    for at in range(600):
        setpoint_w = round(9000.0 * math.sin(at / 7.0) + 1500.0 * math.sin(at / 1.3), 1)
        info = run.second(at, setpoint_w)
        worst_w = max(worst_w, abs(run.power_w - setpoint_w))
        wanted_in_wh += max(setpoint_w, 0.0) / 3600
        wanted_out_wh += max(-setpoint_w, 0.0) / 3600
    assert worst_w <= 10.0, "a thousandth of the range"
    assert run.imported_wh == pytest.approx(wanted_in_wh, rel=1e-3)
    assert run.exported_wh == pytest.approx(wanted_out_wh, rel=1e-3)
    assert wanted_in_wh > 300
    assert wanted_out_wh > 300
    assert abs(info["ChargedEnergyReadingWh"] - run.imported_wh) < 5  # type: ignore[operator]
    assert abs(info["BPT_DischargedEnergyReadingWh"] - run.exported_wh) < 5  # type: ignore[operator]
