"""Modem, matching and vehicle together in virtual time: the facts a session sees."""

from random import Random

import pytest

from hal.plc.slac_events import SlacState
from hal.plc.timings import Timings
from hal.ports import LinkLost, LinkReady, ModemFault, ModemReady, SlacFailed, SlacMatched
from sim.plc.powerline import DEFAULT_NMK, Faults, SetKey
from sim.plc.vehicle import EvState
from tests.hal.plc.plc_rig import EV_MAC, Rig, mac

EV1 = mac(EV_MAC, 1)


def linked(**options: object) -> Rig:
    rig = Rig(**options)
    rig.boot()
    rig.plug()
    assert rig.run(20, rig.is_linked)
    return rig


def kinds(rig: Rig) -> list[str]:
    return [type(fact).__name__ for fact in rig.facts[0]]


def test_a_session_from_plug_to_unplug():
    rig = linked()
    assert kinds(rig) == ["ModemReady", "SlacMatched", "LinkReady"]
    matched, ready = rig.facts[0][1:]
    assert (matched.ev_mac, matched.sounds, matched.attenuation_db) == (EV1, 10, 8.0)
    assert ready.ev_mac == EV1
    rig.unplug()
    assert kinds(rig)[3:] == ["LinkLost", "ModemReady"]
    assert rig.facts[0][3].reason == "vehicle unplugged"
    assert rig.evse_modems[0].nmk not in (rig.ev_modems[0].nmk, DEFAULT_NMK)


def test_twenty_sessions_have_twenty_keys():
    rig = Rig()
    rig.boot()
    keys = set()
    for _ in range(20):
        rig.plug()
        assert rig.run(20, rig.is_linked)
        keys.add(rig.evse_modems[0].nmk)
        rig.unplug()
        rig.run(2)
    assert len(keys) == 20
    assert kinds(rig).count("LinkReady") == 20
    assert kinds(rig).count("LinkLost") == 20


def test_the_link_is_not_ready_before_the_modem_says_so():
    rig = Rig(join_delay_s=3)
    rig.boot()
    rig.plug()
    rig.run(2.5)
    assert kinds(rig) == ["ModemReady", "SlacMatched"]
    assert rig.run(2, rig.is_linked)
    assert kinds(rig)[-1] == "LinkReady"


def test_a_vehicle_that_never_joins():
    rig = Rig(join_delay_s=100, timings=Timings(match_join_s=5))
    rig.boot()
    rig.plug()
    rig.run(6)
    assert kinds(rig) == ["ModemReady", "SlacMatched", "SlacFailed", "ModemReady"]
    assert rig.station.matching.state is SlacState.WAITING


def test_no_vehicle_with_high_level_communication():
    rig = Rig()
    rig.boot()
    rig.station.vehicle_connected(True, rig.now)
    rig.run(49)
    assert kinds(rig) == ["ModemReady"]
    rig.run(2)
    assert kinds(rig) == ["ModemReady", "SlacFailed"]
    rig.station.vehicle_connected(True, rig.now)
    rig.run(51)
    assert [fact.reason for fact in rig.told(SlacFailed)] == ["no CM_SLAC_PARM.REQ within TT_EVSE_SLAC_init"] * 2


def test_the_session_terminates_and_the_vehicle_may_match_anew():
    rig = linked()
    rig.station.terminate(rig.now)
    rig.pump()
    assert kinds(rig)[3:] == ["LinkLost", "ModemReady"]
    rig.vehicle.result = None
    rig.vehicle.start(rig.now)
    assert rig.run(5, rig.is_linked)
    assert kinds(rig)[5:] == ["SlacMatched", "LinkReady"]


def test_to_terminate_without_a_session_changes_nothing():
    rig = Rig()
    rig.boot()
    rig.station.terminate(rig.now)
    rig.unplug()
    assert kinds(rig) == ["ModemReady"]


def test_the_vehicles_modem_leaves():
    rig = linked()
    rig.ev_modems[0].nmk = DEFAULT_NMK
    rig.run(1.0)
    assert kinds(rig)[3:] == ["LinkLost", "ModemReady"]
    assert rig.station.matching.state is SlacState.WAITING


def test_paused_and_resumed_with_the_same_key():
    rig = linked()
    key = rig.evse_modems[0].nmk
    rig.station.pause(rig.now)
    rig.ev_modems[0].deaf_until = rig.now + 60
    rig.run(90)
    assert kinds(rig)[3:] == ["LinkLost"]
    assert rig.facts[0][3].reason == "paused"
    rig.station.resume(rig.now)
    rig.run(1)
    assert kinds(rig)[4:] == ["LinkReady"]
    assert rig.evse_modems[0].nmk == key
    rig.unplug()
    assert kinds(rig)[5:] == ["LinkLost", "ModemReady"]


def test_paused_and_never_back():
    rig = linked()
    rig.station.pause(rig.now)
    rig.ev_modems[0].deaf_until = float("inf")
    rig.station.resume(rig.now)
    rig.run(7)
    assert kinds(rig)[4:] == ["SlacFailed", "ModemReady"]


def test_unplugged_while_paused():
    rig = linked()
    rig.station.pause(rig.now)
    rig.unplug()
    assert kinds(rig)[3:] == ["LinkLost", "ModemReady"]


def test_to_pause_or_resume_without_a_link_changes_nothing():
    rig = Rig()
    rig.boot()
    rig.station.pause(rig.now)
    rig.station.resume(rig.now)
    assert kinds(rig) == ["ModemReady"]


@pytest.mark.parametrize("when", ["idle", "sounding", "joining", "linked"])
def test_the_modem_restarts_and_is_deaf_for_ten_seconds(when: str):
    rig = Rig()
    rig.boot()
    if when != "idle":
        rig.plug()
        rig.run({"sounding": 0.15, "joining": 0.4, "linked": 2}[when])
    rig.evse_modems[0].restart(10, rig.now)
    rig.run(45)
    assert [fact.active for fact in rig.told(ModemFault)] == [True, False]
    assert kinds(rig)[-1] == "ModemReady"
    assert kinds(rig).count("LinkReady") == kinds(rig).count("LinkLost") == (when == "linked")
    rig.unplug()
    rig.plug()
    assert rig.run(20, rig.is_linked)


def test_the_interface_goes_in_mid_match_and_comes_back():
    rig = Rig()
    rig.boot()
    rig.plug()
    rig.run(0.1)
    rig.station.interface_down(rig.now)
    rig.pump()
    assert kinds(rig) == ["ModemReady", "ModemFault"]
    rig.run(1)
    rig.station.interface_up(rig.now)
    rig.pump()
    assert rig.run(10, rig.is_linked)
    assert [fact.active for fact in rig.told(ModemFault)] == [True, False]


def test_a_set_key_that_is_never_answered():
    rig = Rig()
    rig.evse_modems[0].set_key = SetKey.NEVER
    rig.boot()
    rig.plug()
    rig.run(5)
    assert rig.told(ModemReady) == []
    assert rig.told(ModemFault)[0].reason == "modem does not take a key"
    assert not rig.station.is_ready
    rig.evse_modems[0].set_key = SetKey.NORMAL
    assert rig.run(60, lambda: bool(rig.told(ModemReady)))
    assert rig.told(ModemFault)[-1].active is False
    rig.vehicle.start(rig.now)
    assert rig.run(20, rig.is_linked)


def test_a_vehicle_that_is_plugged_in_before_the_modem_is_ready():
    rig = Rig()
    rig.evse_modems[0].deaf_until = rig.now + 3
    rig.boot()
    rig.plug()
    assert rig.run(20, rig.is_linked)
    assert rig.vehicle.attempts > 1


def test_a_vehicle_that_lost_its_confirmation_starts_over_at_once():
    faults = Faults(drop={0x607D: {1, 2, 3}})
    rig = Rig(faults=faults)
    rig.boot()
    rig.plug()
    assert rig.run(5, rig.is_linked)
    assert rig.vehicle.attempts == 2
    assert len(rig.told(SlacMatched)) == 2
    assert len(rig.told(LinkReady)) == 1


def test_unplugged_after_a_restart_of_matching_the_given_key_is_not_kept():
    rig = Rig(faults=Faults(drop={0x607D: {1, 2, 3, 4, 5, 6, 7, 8, 9}}))
    rig.boot()
    key = rig.evse_modems[0].nmk
    rig.plug()
    assert rig.run(5, lambda: rig.vehicle.state is EvState.ASKING and rig.vehicle.attempts == 2)
    rig.unplug()
    assert rig.evse_modems[0].nmk != key


def test_frames_of_the_vendors_are_counted_apart():
    rig = Rig()
    rig.boot()
    modem, host = rig.evse_modems[0].mac, rig.station.modem.host_mac
    rig.station.feed(host + modem + b"\x88\xe1\x00\x0d\xa0\x00\xb0\x52" + bytes(40), rig.now)
    rig.station.feed(b"short", rig.now)
    assert rig.station.modem_drops == {"MMTYPE unknown": 1}
    assert rig.station.matching.drops == {"frame too short": 1}


def test_a_flood_in_mid_match_changes_nothing_but_the_counters():
    calm = linked(seed=3)
    rig = Rig(seed=3)
    rig.boot()
    rig.plug()
    noise = Random(1)
    known = [b"\x64\x60", b"\x74\x60", b"\x76\x60", b"\x86\x60", b"\x6a\x60", b"\x7c\x60", b"\x09\x60"]
    while not rig.is_linked():
        for _ in range(25):
            kind = noise.choice([noise.randbytes(2), *known])
            source = EV1[:5] + noise.randbytes(1)
            payload = noise.randbytes(noise.randrange(100))
            rig.station.feed(b"\xff" * 6 + source + b"\x88\xe1\x01" + kind + b"\0\0" + payload, rig.now)
        rig.run(0.005)
    assert [type(fact) for fact in rig.facts[0]] == [type(fact) for fact in calm.facts[0]]
    assert abs(rig.facts[0][1].took_s - calm.facts[0][1].took_s) < 1e-6
    assert rig.facts[0][1].sounds == 10
    assert sum(rig.station.matching.drops.values()) > 1000


def test_link_lost_is_told_once():
    rig = linked()
    rig.unplug()
    rig.unplug()
    rig.station.terminate(rig.now)
    rig.run(5)
    assert len(rig.told(LinkLost)) == 1
