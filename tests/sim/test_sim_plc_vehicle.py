"""The vehicle's side of SLAC: whom it chooses, what it repeats, when it gives up."""

import pytest

from hal.plc import mme
from hal.plc.timings import Profile
from sim.plc.powerline import Faults, SetKey
from sim.plc.vehicle import HABITS, TT_MATCHING_REPETITION_S, EvSlac, EvState
from tests.hal.plc.plc_rig import Rig

EVSE = bytes.fromhex("020000000101")


def test_it_chooses_the_evse_that_hears_it_best():
    rig = Rig(3, 1, own_db=9, cross_db=12)
    rig.boot()
    for station in rig.stations:
        station.vehicle_connected(True, rig.now)
    rig.vehicle.start(rig.now)
    assert rig.run(20, rig.is_linked)
    assert rig.vehicle.result is not None
    assert rig.vehicle.result.evse_mac == rig.station.matching.evse_mac
    assert rig.vehicle.result.attenuation_db == 9


@pytest.mark.parametrize(
    ("habits", "least_s", "most_s"),
    [
        ("fast", 0.25, 0.3),
        ("audi_q4", 0.4, 0.6),
        ("ioniq", 1.2, 1.3),
        ("tesla_y", 1.2, 1.3),
        ("polestar2", 1.5, 1.6),
    ],
)
def test_cars_take_their_time(habits: str, least_s: float, most_s: float):
    rig = Rig(habits=HABITS[habits])
    rig.boot()
    rig.plug()
    assert rig.run(20, rig.is_linked)
    assert rig.vehicle.result is not None
    assert least_s < rig.vehicle.result.took_s < most_s


def test_nobody_answers():
    rig = Rig()
    rig.vehicle.start(rig.now)
    begun = rig.now
    assert rig.run(60, lambda: rig.vehicle.state is EvState.FAILED)
    assert TT_MATCHING_REPETITION_S < rig.now - begun < TT_MATCHING_REPETITION_S + 2
    assert rig.vehicle.attempts == 11
    assert rig.vehicle.deadline is None


def test_nobody_confirms():
    rig = Rig(faults=Faults(drop={0x607D: set(range(1, 99))}))
    rig.boot()
    rig.plug()
    assert rig.run(60, lambda: rig.vehicle.state is EvState.FAILED)
    assert rig.line.seen[0x607C] == 3 * rig.vehicle.attempts


def test_nobody_reports():
    rig = Rig(faults=Faults(drop={0x606E: set(range(1, 999))}))
    rig.boot()
    rig.plug()
    assert rig.run(60, lambda: rig.vehicle.state is EvState.FAILED)
    assert rig.vehicle.attempts > 3


def test_its_own_modem_is_silent():
    rig = Rig(profile=Profile.STRICT)
    rig.boot()
    rig.plug()
    assert rig.run(5, lambda: rig.vehicle.state is EvState.SOUNDING)
    rig.ev_modems[0].set_key = SetKey.NEVER
    assert rig.run(5, lambda: rig.vehicle.state is EvState.KEYING)
    assert rig.run(20, lambda: rig.vehicle.state is EvState.FAILED)
    assert rig.vehicle.result is None


def test_repeated_results_are_answered_again():
    ev = EvSlac(bytes.fromhex("020000000201"), seed=1)
    ev.start(0.0)
    run_id = mme.decode(ev.take_frames()[0]).message.run_id
    ev.feed(mme.encode(ev.mac, EVSE, mme.SlacParmCnf(forwarding_sta=ev.mac, run_id=run_id)), 0.0)
    now = 0.0
    while ev.state in (EvState.ASKING, EvState.SOUNDING):
        now = ev.deadline
        ev.tick(now)
    ev.take_frames()
    ind = mme.AttenChar(source_address=ev.mac, run_id=run_id, num_sounds=10, num_groups=58, aag=[9] * 58)
    for _ in range(2):
        ev.feed(mme.encode(ev.mac, EVSE, ind), now)
        assert isinstance(mme.decode(ev.take_frames()[0]).message, mme.AttenCharRsp)
        ev.tick(now)
        ev.take_frames()
    assert ev.state is EvState.MATCHING


def test_results_without_sounds_and_strangers_are_passed_over():
    ev = EvSlac(bytes.fromhex("020000000201"), seed=1)
    ev.start(0.0)
    ev.take_frames()
    for frame in (b"", mme.encode(ev.mac, EVSE, mme.SlacParmCnf(forwarding_sta=ev.mac, run_id=bytes(8)))):
        ev.feed(frame, 0.0)
    assert ev.state is EvState.ASKING
    ev.tick(0.1)
    assert ev.take_frames() == []


def test_the_key_given_is_the_one_it_sets():
    rig = Rig()
    rig.boot()
    rig.plug()
    assert rig.run(20, rig.is_linked)
    assert rig.vehicle.result is not None
    assert rig.ev_modems[0].nmk == rig.vehicle.result.nmk
    assert rig.vehicle.result.nmk.hex() not in repr(rig.vehicle.result)
    assert rig.vehicle.result.nid == mme.network_id(rig.vehicle.result.nmk)
