"""The virtual line and its modems: who hears what, who shares a network, how each fault shows."""

import pytest

from hal.plc import mme, vendor_mme
from hal.plc.frame import BROADCAST, LOCAL_MODEM, parse_header
from hal.plc.vendor_mme import Vendor
from sim.plc.__main__ import _modem, main, obey
from sim.plc.powerline import DEFAULT_NMK, Faults, Powerline, Role, SetKey, VirtualModem

EVSE_HOST = bytes.fromhex("020000000101")
EV_HOST = bytes.fromhex("020000000201")
KEY = b"k" * 16
RUN = bytes(8)
SOUND = mme.encode(BROADCAST, EV_HOST, mme.MnbcSound(cnt=1, run_id=RUN))
START = mme.encode(
    BROADCAST, EV_HOST, mme.StartAttenChar(num_sounds=10, time_out=6, forwarding_sta=EV_HOST, run_id=RUN)
)
PARM = mme.encode(BROADCAST, EV_HOST, mme.SlacParmReq(run_id=RUN))
DATA = BROADCAST + EV_HOST + b"\x86\xdd" + bytes(50)


class Bay:
    """One station's and one vehicle's modem."""

    def __init__(self, **options: object) -> None:
        self.evse = VirtualModem("evse", Role.EVSE, bytes.fromhex("00b052aa0001"))
        self.ev = VirtualModem("ev", Role.EV, bytes.fromhex("00b052aa0002"))
        self.line = Powerline([self.evse, self.ev], join_delay_s=1.0, **options)
        self.from_evse(PARM.replace(EV_HOST, EVSE_HOST), 0.0)

    def from_ev(self, frame: bytes, now: float = 0.0) -> list[tuple[VirtualModem, bytes]]:
        return self.line.from_host(self.ev, frame, now)

    def from_evse(self, frame: bytes, now: float = 0.0) -> list[tuple[VirtualModem, bytes]]:
        return self.line.from_host(self.evse, frame, now)

    def set_key(self, modem: VirtualModem, now: float, key: bytes = KEY) -> list[tuple[VirtualModem, bytes]]:
        host = EVSE_HOST if modem is self.evse else EV_HOST
        req = mme.SetKeyReq(nid=mme.network_id(key), new_key=key)
        return self.line.from_host(modem, mme.encode(LOCAL_MODEM, host, req), now)

    def ask(self, message: vendor_mme.VendorMessage, now: float = 0.0) -> vendor_mme.VendorMessage | None:
        answers = self.from_evse(vendor_mme.encode(LOCAL_MODEM, EVSE_HOST, message), now)
        assert all(modem is self.evse for modem, _ in answers)
        return vendor_mme.decode(answers[0][1]).message if answers else None


def kinds(deliveries: list[tuple[VirtualModem, bytes]]) -> list[int]:
    return [parse_header(frame).mmtype for _, frame in deliveries]


def test_management_messages_cross_whatever_the_keys():
    bay = Bay()
    assert bay.from_ev(PARM) == [(bay.evse, PARM)]


def test_a_unicast_message_reaches_its_host_only():
    bay = Bay()
    mine = mme.encode(EVSE_HOST, EV_HOST, mme.SlacParmReq(run_id=RUN))
    other = mme.encode(bytes(6), EV_HOST, mme.SlacParmReq(run_id=RUN))
    assert bay.from_ev(mine) == [(bay.evse, mine)]
    assert bay.from_ev(other) == []


def test_out_of_range_nothing_crosses():
    bay = Bay(attenuation_db={frozenset(("evse", "ev")): 70})
    assert bay.from_ev(PARM) == []


def test_a_sound_is_measured_by_the_evses_modem_and_told_twice():
    bay = Bay()
    deliveries = bay.from_ev(SOUND)
    assert kinds(deliveries) == [0x6076, 0x6086, 0xA14E]
    profile = mme.decode(deliveries[1][1])
    assert (profile.destination, profile.source) == (EVSE_HOST, bay.evse.mac)
    assert (profile.message.pev_mac, profile.message.aag) == (EV_HOST, [8] * 58)
    bay.evse.tells_attenuation_twice = False
    assert kinds(bay.from_ev(SOUND)) == [0x6076, 0x6086]


def test_a_vehicles_modem_measures_nothing():
    bay = Bay()
    assert kinds(bay.from_evse(SOUND)) == [0x6076]


def test_data_crosses_between_equal_keys_after_a_while():
    bay = Bay()
    assert bay.from_ev(DATA, 5.0) == []
    bay.set_key(bay.evse, 10.0)
    assert bay.from_ev(DATA, 20.0) == []
    bay.set_key(bay.ev, 30.0)
    assert bay.from_ev(DATA, 30.9) == []
    assert bay.from_ev(DATA, 31.0) == [(bay.evse, DATA)]
    bay.set_key(bay.evse, 40.0, b"x" * 16)
    assert bay.from_ev(DATA, 50.0) == []


def test_the_key_of_the_factory_makes_no_network():
    bay = Bay()
    assert bay.evse.nmk == bay.ev.nmk == DEFAULT_NMK
    assert bay.from_ev(DATA, 100.0) == []


def test_the_link_status_and_the_network_tell_of_the_peer():
    bay = Bay()
    bay.from_ev(PARM)
    bay.set_key(bay.evse, 1.0)
    bay.set_key(bay.ev, 2.0)
    assert bay.ask(vendor_mme.LinkStatusReq(), 2.5) == vendor_mme.LinkStatusCnf(0, False)
    assert bay.ask(vendor_mme.LinkStatusReq(), 3.0) == vendor_mme.LinkStatusCnf(0, True)
    network = bay.ask(vendor_mme.NwInfoReq(), 3.0).networks[0]
    assert (network.nid, network.role) == (mme.network_id(KEY), vendor_mme.StationRole.COORDINATOR)
    assert [(s.mac, s.bridged) for s in network.stations] == [(bay.ev.mac, EV_HOST)]


@pytest.mark.parametrize(
    ("vendor", "mode", "results"),
    [
        (Vendor.QUALCOMM, SetKey.NORMAL, [1]),
        (Vendor.LUMISSIL, SetKey.NORMAL, [0]),
        (Vendor.QUALCOMM, SetKey.OTHER_RESULT, [0]),
        (Vendor.QUALCOMM, SetKey.NEVER, []),
        (Vendor.QUALCOMM, SetKey.LATE, []),
    ],
)
def test_a_key_is_taken_as_told(vendor: Vendor, mode: SetKey, results: list[int]):
    bay = Bay()
    bay.evse.vendor, bay.evse.set_key = vendor, mode
    answers = bay.set_key(bay.evse, 1.0)
    assert [mme.decode(frame).message.result for _, frame in answers] == results
    assert (bay.evse.nmk == KEY) == bool(results)


def test_a_late_answer_comes():
    bay = Bay()
    bay.evse.set_key = SetKey.LATE
    bay.set_key(bay.evse, 1.0)
    assert bay.line.deadline == 1.5
    assert bay.line.tick(1.4) == []
    assert kinds(bay.line.tick(1.5)) == [0x6009]
    assert bay.evse.nmk == KEY


def test_a_refusal_happens_once():
    bay = Bay()
    bay.evse.set_key = SetKey.REFUSE_ONCE
    bay.set_key(bay.evse, 1.0)
    assert bay.evse.nmk == DEFAULT_NMK
    bay.set_key(bay.evse, 2.0)
    assert bay.evse.nmk == KEY


def test_the_key_in_use_can_be_asked_for():
    bay = Bay()
    ((_, frame),) = bay.from_evse(mme.encode(LOCAL_MODEM, EVSE_HOST, mme.GetKeyReq(bytes(7))))
    assert mme.decode(frame).message.nid == mme.network_id(DEFAULT_NMK)


def test_a_restart_is_deaf_and_forgets():
    bay = Bay()
    bay.set_key(bay.evse, 1.0)
    assert bay.ask(vendor_mme.RsDevReq(), 2.0) == vendor_mme.RsDevCnf(0)
    assert bay.ask(vendor_mme.SwVerReq(), 2.9) is None
    assert bay.from_ev(PARM, 2.9) == []
    assert isinstance(bay.ask(vendor_mme.SwVerReq(), 3.0), vendor_mme.SwVerCnf)
    assert bay.evse.nmk == DEFAULT_NMK


def test_each_vendor_answers_its_own_questions():
    bay = Bay()
    assert bay.ask(vendor_mme.LumissilVersionReq()) is None
    bay.evse.vendor = Vendor.LUMISSIL
    assert bay.ask(vendor_mme.SwVerReq()) is None
    assert bay.ask(vendor_mme.LumissilVersionReq()) == vendor_mme.LumissilVersionCnf((1, 8, 2, 4))
    assert bay.ask(vendor_mme.LumissilLinkStatusReq()) == vendor_mme.LumissilLinkStatusCnf(False)
    assert bay.ask(vendor_mme.LumissilResetReq()) is None
    assert bay.evse.is_deaf(0.5)


def test_the_parameter_block_tells_the_role():
    bay = Bay()
    assert bay.ask(vendor_mme.ReadPibReq(0x1653, 1)) == vendor_mme.ReadPibCnf(0, 0x1653, b"\x02")
    bay.evse.role = Role.EV
    assert bay.ask(vendor_mme.ReadPibReq(0x1653, 1)) == vendor_mme.ReadPibCnf(0, 0x1653, b"\x01")


def test_what_a_modem_does_not_know_it_does_not_answer():
    bay = Bay()
    for frame in (
        LOCAL_MODEM + EVSE_HOST + b"\x88\xe1\x00\x0c\xa0" + bytes(43),
        LOCAL_MODEM + EVSE_HOST + b"\x88\xe1\x01\x64\x60" + bytes(43),
        vendor_mme.encode(LOCAL_MODEM, EVSE_HOST, vendor_mme.RsDevCnf(0)),
    ):
        assert bay.from_evse(frame) == []


def test_a_malformed_frame_crosses_as_it_is():
    bay = Bay()
    frame = BROADCAST + EV_HOST + b"\x88\xe1"
    assert bay.from_ev(frame) == [(bay.evse, frame)]


def test_single_messages_are_dropped_by_number():
    bay = Bay(faults=Faults(drop={0x6064: {2, 4}, 0x6086: {1}}))
    assert [len(bay.from_ev(PARM)) for _ in range(4)] == [0, 1, 0, 1]
    assert kinds(bay.from_ev(SOUND)) == [0x6076, 0xA14E]


def test_losses_are_seeded():
    def crossed(seed: int) -> list[int]:
        bay = Bay(faults=Faults(loss=0.3), seed=seed)
        return [len(bay.from_ev(PARM)) for _ in range(200)]

    assert crossed(1) == crossed(1) != crossed(2)
    assert 110 < sum(crossed(1)) < 170


def test_of_three_start_messages_one_may_be_all():
    bay = Bay(faults=Faults(one_start_only=True))
    assert [len(bay.from_ev(START)) for _ in range(6)] == [1, 0, 0, 1, 0, 0]


def test_commands_change_the_line():
    bay = Bay()
    for words in (
        "deaf ev 5",
        "set-key evse late",
        "drop 0x6064 1",
        "loss 0.5",
        "attenuation evse ev 20",
        "join-delay 2",
    ):
        obey(bay.line, words.split(), 10.0)
    assert bay.ev.deaf_until == 15.0
    assert bay.evse.set_key is SetKey.LATE
    assert bay.line.faults.drop == {0x6064: {2}}
    assert bay.line.faults.loss == 0.5
    assert bay.line.attenuation(bay.ev, bay.evse) == 20
    assert bay.line.join_delay_s == 2
    bay.set_key(bay.evse, 1.0)
    obey(bay.line, ["restart", "evse", "3"], 10.0)
    assert bay.evse.is_deaf(12.9)


@pytest.mark.parametrize("words", ["", "nothing", "deaf", "deaf nobody 1", "loss much", "set-key evse sometimes"])
def test_a_command_that_is_not_understood_is_an_error(words: str):
    with pytest.raises((KeyError, ValueError, TypeError, IndexError)):
        obey(Bay().line, words.split(), 0.0)


def test_modems_are_named_on_the_command_line(capsys: pytest.CaptureFixture[str]):
    modem, interface = _modem("evse1:m-evse1:evse:lumissil", 3)
    assert (modem.name, modem.role, modem.vendor, interface) == ("evse1", Role.EVSE, Vendor.LUMISSIL, "m-evse1")
    assert modem.mac.hex() == "0016e8aa0003"
    with pytest.raises(SystemExit):
        main(["--modem", "evse1"])
    assert "a modem is NAME:INTERFACE:evse|ev" in capsys.readouterr().err
