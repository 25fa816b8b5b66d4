"""CM_AMP_MAP: the vehicle's map reaches the station's modem, and the answer is what the modem made of it."""

import pytest

from hal.plc import mme
from hal.plc.amplitude import MODEM_TIME_S, MapOutcome
from hal.plc.frame import LOCAL_MODEM
from hal.plc.timings import TT_AMP_MAP_EXCHANGE_S
from sim.plc.powerline import TakesMap
from tests.hal.plc.plc_rig import EV_MAC, EVSE_MAC, Rig, mac

EV, STRANGER = mac(EV_MAC, 1), mac(EV_MAC, 9)
EVSE = mac(EVSE_MAC, 1)
MAP = mme.AmpMap(917, bytes(range(200)) + bytes(259))


class Vehicle:
    """A linked vehicle that speaks of amplitudes, and hears what it is told of them and when."""

    def __init__(self, takes_map: TakesMap = TakesMap.NORMAL) -> None:
        self.rig = Rig()
        self.rig.evse_modems[0].takes_map = takes_map
        self.rig.boot()
        self.rig.plug()
        assert self.rig.run(20, self.rig.is_linked)
        self.told: list[tuple[float, int]] = []
        feed = self.rig.vehicle.feed

        def heard(frame: bytes, now: float) -> None:
            message = mme.decode(frame).message
            if isinstance(message, mme.AmpMapCnf):
                self.told.append((now, message.restype))
            feed(frame, now)

        self.rig.vehicle.feed = heard
        self.begun = self.rig.now

    @property
    def modem_has(self) -> mme.AmpMap | None:
        return self.rig.evse_modems[0].amplitude_map

    @property
    def outcome(self) -> MapOutcome | None:
        return self.rig.station.amplitude.outcome

    def say(self, message: mme.Message, source: bytes = EV) -> None:
        frame = mme.encode(EVSE, source, message)
        self.rig._deliver(self.rig.line.from_host(self.rig.ev_modems[0], frame, self.rig.now))
        self.rig.pump()

    def hears(self) -> list[int]:
        """The results it has been told within TT_amp_map_exchange."""
        self.rig.run(TT_AMP_MAP_EXCHANGE_S)
        return [result for at, result in self.told if at < self.begun + TT_AMP_MAP_EXCHANGE_S]


@pytest.mark.parametrize(
    ("takes", "outcome", "result"),
    [
        (TakesMap.NORMAL, MapOutcome.TAKEN, 0),
        (TakesMap.REFUSE, MapOutcome.REFUSED, 1),
        (TakesMap.NEVER, MapOutcome.UNANSWERED, 0),
    ],
)
def test_the_modem_is_given_the_map_and_decides_the_answer(takes: TakesMap, outcome: MapOutcome, result: int):
    vehicle = Vehicle(takes)
    vehicle.say(MAP)
    assert vehicle.hears() == [result]
    assert vehicle.modem_has == (MAP if takes is TakesMap.NORMAL else None)
    assert (vehicle.outcome, vehicle.rig.station.amplitude.carriers) == (outcome, 917)
    assert vehicle.rig.is_linked(), "whatever the answer"


def test_a_modem_that_keeps_silent_costs_half_the_time_there_is():
    vehicle = Vehicle(TakesMap.NEVER)
    vehicle.say(MAP)
    assert vehicle.rig.station.deadline == vehicle.begun + MODEM_TIME_S
    vehicle.rig.run(MODEM_TIME_S / 2)
    vehicle.say(MAP)
    assert vehicle.hears() == [0], "a repetition is the same question"
    vehicle.say(MAP)
    vehicle.rig.run(1)
    assert len(vehicle.told) == 2


def test_the_next_vehicle_begins_with_every_carrier_whole():
    vehicle = Vehicle()
    vehicle.say(MAP)
    vehicle.rig.unplug()
    assert vehicle.modem_has == mme.AmpMap(917, bytes(459))
    assert vehicle.outcome is None
    assert not vehicle.rig.station.modem_drops


@pytest.mark.parametrize("takes", [TakesMap.REFUSE, TakesMap.NEVER])
def test_a_map_that_was_not_taken_need_not_be_taken_back(takes: TakesMap):
    vehicle = Vehicle(takes)
    vehicle.say(MAP)
    vehicle.hears()
    vehicle.rig.evse_modems[0].takes_map = TakesMap.NORMAL
    vehicle.rig.unplug()
    assert vehicle.modem_has is None


def test_a_vehicle_that_leaves_before_the_modem_answered_is_told_nothing():
    vehicle = Vehicle(TakesMap.NEVER)
    vehicle.say(MAP)
    vehicle.rig.unplug()
    assert vehicle.hears() == []


def test_another_vehicles_map_goes_nowhere():
    vehicle = Vehicle()
    vehicle.say(MAP, source=STRANGER)
    assert (vehicle.hears(), vehicle.modem_has, vehicle.outcome) == ([], None, None)


def test_only_our_modem_speaks_for_it():
    vehicle = Vehicle(TakesMap.NEVER)
    vehicle.say(MAP)
    vehicle.rig.station.feed(mme.encode(EVSE, STRANGER, mme.AmpMapCnf(1)), vehicle.rig.now)
    assert vehicle.rig.station.modem_drops == {"not from our modem": 1}
    assert vehicle.hears() == [0]


def test_a_short_answer_is_dropped():
    vehicle = Vehicle(TakesMap.NEVER)
    vehicle.say(MAP)
    modem = vehicle.rig.evse_modems[0].mac
    vehicle.rig.station.feed(mme.encode(EVSE, modem, mme.AmpMapCnf(0))[:19], vehicle.rig.now)
    assert vehicle.rig.station.modem_drops == {"frame too short": 1}
    vehicle.rig.station.feed(mme.encode(EVSE, LOCAL_MODEM, mme.AmpMapCnf(0)), vehicle.rig.now)
    assert vehicle.outcome is MapOutcome.TAKEN, "the address every modem has"
