"""The scenarios of the scoreboard, in virtual time: tests assert on them, the bench counts them."""

import time
from collections.abc import Mapping
from random import Random

from hal.plc.timings import Profile
from sim.plc.powerline import Faults
from sim.plc.vehicle import HABITS
from tests.hal.plc.plc_pair import Pair
from tests.hal.plc.plc_rig import Rig

# The message that is lost, and which of them.
SINGLE_LOSSES: Mapping[str, dict[int, set[int]]] = {
    "CM_SLAC_PARM.REQ": {0x6064: {1}},
    "CM_SLAC_PARM.CNF": {0x6065: {1}},
    "CM_START_ATTEN_CHAR.IND": {0x606A: {1, 2}},
    "CM_MNBC_SOUND.IND": {0x6076: {4}},
    "CM_ATTEN_PROFILE.IND": {0x6086: {7}},
    "CM_ATTEN_PROFILE.IND, 8 of 10": {0x6086: set(range(2, 10))},
    "CM_ATTEN_CHAR.IND": {0x606E: {1}},
    "CM_ATTEN_CHAR.RSP": {0x606F: {1}},
    "CM_SLAC_MATCH.REQ": {0x607C: {1}},
    "CM_SLAC_MATCH.CNF": {0x607D: {1}},
}
PATIENCE_S = 20.0


def survives_loss(lost: str, profile: Profile, habits: str = "fast") -> bool:
    """Whether one vehicle still reaches a confirmed link."""
    faults = Faults(drop={mmtype: set(which) for mmtype, which in SINGLE_LOSSES[lost].items()})
    rig = Rig(profile=profile, habits=HABITS[habits], faults=faults)
    rig.boot()
    rig.plug()
    return rig.run(PATIENCE_S, rig.is_linked) and all(rig.line.seen[mmtype] for mmtype in faults.drop)


def crosstalk(seed: int, profile: Profile = Profile.FIELD) -> int:
    """Three vehicles plugged in within 60 ms, each hearing every EVSE: how many reach their own."""
    rig = Rig(3, 3, profile=profile, own_db=8, cross_db=30, seed=seed)
    rig.boot()
    delays = sorted((Random(seed).uniform(0, 0.06), n) for n in (1, 2, 3))
    begun = rig.now
    for delay, number in delays:
        rig.run(begun + delay - rig.now)
        rig.plug(number)
    rig.run(PATIENCE_S, rig.all_linked)
    return sum(rig.is_linked(n) for n in (1, 2, 3))


def random_loss(seed: int, loss: float = 0.03, profile: Profile = Profile.FIELD) -> bool:
    rig = Rig(faults=Faults(loss=loss), profile=profile, seed=seed)
    rig.boot()
    rig.plug()
    return rig.run(PATIENCE_S, rig.is_linked)


def foreign_delay_s() -> float:
    """By how much a foreign vehicle that stops after sounding delays the own one."""

    def took_s(disturbed: bool) -> float:
        rig = Rig(1, 2)
        rig.boot()
        if disturbed:
            rig.vehicles[1].stops_after_sounding = True
            rig.vehicles[1].start(rig.now)
        rig.run(0.05)
        rig.plug(1)
        begun = rig.now
        assert rig.run(PATIENCE_S, rig.is_linked)
        return rig.now - begun

    return took_s(True) - took_s(False)


def sessions_per_s(sessions: int, loss: float) -> tuple[float, int]:
    """Sessions a second of processor time, and how many ended with the vehicle holding the EVSE's key."""
    pair, keyed = Pair(seed=1, loss=loss), 0
    begun = time.process_time()
    for _ in range(sessions):
        pair.plug()
        keyed += pair.run() and pair.vehicles_key() == pair.nmk
        pair.unplug()
    return sessions / (time.process_time() - begun), keyed
