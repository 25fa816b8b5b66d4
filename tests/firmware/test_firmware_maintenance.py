"""Maintenance as conversations in virtual time: who gets in, what may be tried, and what is left behind."""

import random
from collections.abc import Callable

import pytest

from firmware import effects as e
from firmware.facts import AuthorizationAnswered, Fact
from firmware.maintenance import (
    CONTACTOR_TRIAL_S,
    MaintenanceBegun,
    MaintenanceOver,
    Over,
    Trial,
    TrialPilot,
    TrialWanted,
)
from hal import ports as hal
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from secc import ports as secc
from tests.firmware.test_firmware_session import (
    ANYTHING,
    CARD,
    MAC,
    YES,
    Talk,
    closed,
    fault,
    link_ready,
    opened,
    plugged_in,
    slac_failed,
    swipe,
    unplugged,
)

OVER = MaintenanceOver(Over.ASKED)
X2 = Trial(TrialPilot.X2, 10.0)
EVSE = EvseId(1)


def begun(talk: Talk, *, for_s: float = 600.0, forced: bool = False) -> list[e.Effect]:
    return talk.hears(MaintenanceBegun("uid 7", for_s, forced))


CONTACTOR = TrialWanted(X2, CONTACTOR_TRIAL_S)


def test_nobody_is_served_and_the_operator_sees_it() -> None:
    talk = Talk()
    assert begun(talk) == [e.ReportStatus("Unavailable")]
    assert talk.hears(plugged_in, link_ready, swipe, ocpp.RemoteStart(None, CARD, 7)) == []
    assert talk.hears(secc.PowerWanted(True), AuthorizationAnswered(CARD, YES)) == []
    assert talk.hears(OVER) == [e.OfferHlc(), e.ConnectVehicle(True), e.ReportStatus("Occupied")]
    assert talk.hears(link_ready) == [e.OpenSecc(MAC)], "whoever was plugged in meanwhile is a vehicle now"


def test_not_during_a_transaction_and_not_with_a_vehicle_unless_forced() -> None:
    talk = Talk().charges_by_card()
    begun(talk, forced=True)
    assert talk.session.state.maintenance is None
    talk = Talk()
    talk.hears(plugged_in)
    assert begun(talk) == []
    assert begun(talk, forced=True) == [e.OfferNothing(), e.ConnectVehicle(False), e.ReportStatus("Unavailable")]
    assert begun(talk) == [], "one at a time"


def test_a_link_that_stands_is_left_and_found_again() -> None:
    talk = Talk()
    talk.hears(plugged_in, link_ready)
    assert begun(talk, forced=True) == [
        e.OfferNothing(),
        e.CloseSecc(),
        e.ConnectVehicle(False),
        e.ReportStatus("Unavailable"),
        e.TerminateLink(),
    ]
    assert talk.hears(secc.V2GEnded("AB", secc.EndReason.PAUSED, "")) == []
    assert talk.hears(OVER) == [e.OfferHlc(), e.ConnectVehicle(True), e.ReportStatus("Occupied")]


def test_it_times_out() -> None:
    talk = Talk()
    begun(talk, for_s=600)
    talk.hears(TrialWanted(Trial(TrialPilot.F, lock=True)))
    assert talk.waits(599) == []
    assert talk.waits(1) == [e.OfferNothing(), e.LockConnector(False), e.ReportStatus("Available")]


def test_pilot_and_lock_as_wanted_and_as_the_session_says_afterwards() -> None:
    talk = Talk()
    begun(talk)
    assert talk.hears(TrialWanted(X2)) == [e.OfferCurrent(10.0)]
    assert talk.hears(TrialWanted(Trial(TrialPilot.X2, 80.0))) == [e.OfferCurrent(32.0)], "no more than the limits"
    assert talk.hears(TrialWanted(Trial(TrialPilot.F, lock=True))) == [e.SignalError(), e.LockConnector(True)]
    assert talk.hears(OVER) == [e.OfferNothing(), e.LockConnector(False), e.ReportStatus("Available")]
    assert talk.hears(TrialWanted(X2)) == [], "only in maintenance"
    assert talk.hears(OVER) == []


def test_the_contactor_on_an_adapter_for_five_seconds() -> None:
    talk = Talk()
    begun(talk)
    assert e.PermitPower(True) not in talk.hears(CONTACTOR), "nothing is plugged in"
    assert talk.hears(plugged_in) == [e.PermitPower(True)]
    assert talk.hears(closed) == [e.LockConnector(True)]
    assert talk.waits(CONTACTOR_TRIAL_S) == [e.PermitPower(False)]
    assert talk.hears(opened) == [e.LockConnector(False)]
    assert not talk.session.state.transaction_open


@pytest.mark.parametrize(
    "ends",
    [
        lambda talk: talk.hears(OVER),
        lambda talk: talk.hears(TrialWanted(Trial())),
        lambda talk: talk.hears(unplugged),
        lambda talk: talk.hears(fault(hal.Fault.RESIDUAL_CURRENT, hal.Severity.EMERGENCY)),
        lambda talk: talk.hears(fault(hal.Fault.PILOT_FAULT, hal.Severity.STOP)),
        lambda talk: talk.hears(TrialWanted(Trial(TrialPilot.X1), 5.0)),
        lambda talk: talk.hears(TrialWanted(Trial(TrialPilot.F), 5.0)),
        lambda talk: talk.hears(ocpp.CsmsLimit(EVSE, 4.0, 0.0)) + talk.waits(CONTACTOR_TRIAL_S),
    ],
)
def test_what_ends_a_contactor_trial(ends: Callable[[Talk], list[e.Effect]]) -> None:
    talk = Talk()
    begun(talk)
    talk.hears(plugged_in, CONTACTOR, closed)
    assert e.PermitPower(False) in ends(talk)


def test_a_vehicle_that_was_there_before_is_never_energised() -> None:
    talk = Talk()
    talk.hears(plugged_in, slac_failed)
    begun(talk, forced=True)
    assert e.PermitPower(True) not in talk.hears(CONTACTOR, closed, plugged_in)
    talk.hears(unplugged)
    assert e.PermitPower(True) in talk.hears(plugged_in, CONTACTOR), "something else is there now"


def test_whatever_comes_nothing_of_maintenance_outlives_it() -> None:
    """20,000 random facts: in maintenance no record, no V2G, power on a trial alone; afterwards none of it."""
    rng = random.Random(61851)
    talk = Talk(slac_retries=1)
    permitted, times = False, 0
    for _ in range(20_000):
        own: list[Fact] = [
            MaintenanceBegun("uid 7", 60, rng.random() < 0.5),
            OVER,
            CONTACTOR,
            TrialWanted(Trial(rng.choice(list(TrialPilot)), 16.0, rng.choice((None, True, False)))),
        ]
        came = talk.hears(rng.choice(own if rng.random() < 0.2 else ANYTHING)) + talk.waits(rng.choice((0.0, 0.1, 3.0)))
        state = talk.session.state
        for effect in came:
            if isinstance(effect, e.PermitPower):
                permitted = effect.permit
        if state.maintenance is None:
            assert not permitted or state.authorized
            continue
        times += 1
        assert not any(isinstance(effect, e.StartTransaction | e.OpenSecc | e.Authorize) for effect in came)
        assert not state.transaction_open
        if permitted:
            assert state.plugged
            assert not state.maintenance.vehicle_here
            assert not state.stopped
            assert state.maintenance.contactor_until_s is not None
            assert state.maintenance.trial.pilot is TrialPilot.X2
    assert times > 1000
    for name in hal.Fault:
        talk.hears(fault(name, hal.Severity.STOP, active=False))
    talk.hears(OVER, unplugged, ocpp.AvailabilityChanged(None, True), hal.ModemReady(0))
    talk.waits(100)
    talk.charges_by_contract()
    assert talk.session.state.charging_state == "Charging"
