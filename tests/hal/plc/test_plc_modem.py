"""Conversations with a modem: found, keyed, watched, lost and found again, in virtual time."""

import itertools

import pytest

from hal.plc import mme, vendor_mme
from hal.plc.frame import parse_header
from hal.plc.mme import SetKeyReq, network_id
from hal.plc.modem import (
    NOT_OUR_MODEM,
    KeyGone,
    KeySet,
    LinkChanged,
    Modem,
    ModemState,
    ModemTrouble,
    Trouble,
)
from hal.plc.vendor_mme import Vendor
from sim.plc.powerline import DEFAULT_NMK, Powerline, Role, SetKey, VirtualModem
from tests.hal.plc.plc_talk import EVSE, MODEM

PEER = bytes.fromhex("00b052aa0002")


class Desk:
    """A host, its virtual modem, and a second modem on the line that may take the same key."""

    def __init__(self, vendor: Vendor = Vendor.QUALCOMM, set_key: SetKey = SetKey.NORMAL) -> None:
        self.now = 50.0
        keys = itertools.count(1)
        self.host = Modem(EVSE, lambda: next(keys).to_bytes(16, "big"))
        self.modem = VirtualModem("evse", Role.EVSE, MODEM, vendor=vendor, set_key=set_key)
        self.peer = VirtualModem("ev", Role.EV, PEER, vendor=vendor)
        self.line = Powerline([self.modem, self.peer], join_delay_s=0.2)
        self.events: list[object] = []
        self.mute: set[int] = set()
        """MMTYPEs that the modem does not answer with."""
        self.sent: list[int] = []

    def up(self) -> None:
        self.host.interface_up(self.now)
        self.pump()

    def pump(self) -> None:
        while frames := self.host.take_frames():
            for frame in frames:
                self.sent.append(parse_header(frame).mmtype)
                self.take(self.line.from_host(self.modem, frame, self.now))
        self.events += self.host.take_events()

    def take(self, deliveries: list[tuple[VirtualModem, bytes]]) -> None:
        for modem, frame in deliveries:
            header = parse_header(frame)
            if modem is self.modem and header.mmtype not in self.mute:
                self.host.feed(frame, self.now, header)

    def wait(self, seconds: float) -> list[object]:
        """Let time pass; what the host had to say in it."""
        end, begun = self.now + seconds, len(self.events)
        while True:
            due = [d for d in (self.host.deadline, self.line.deadline) if d is not None and d <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            self.take(self.line.tick(self.now))
            self.host.tick(self.now)
            self.pump()
        self.now = end
        return self.events[begun:]

    def join_peer(self) -> None:
        self.peer.nmk, self.peer.keyed_at = self.modem.nmk, self.now

    def keys_agree(self) -> bool:
        keys = [event.nmk for event in self.events if isinstance(event, KeySet)]
        return self.host.state is ModemState.READY and keys[-1] == self.modem.nmk


SW_VER_CNF, OP_ATTR_CNF, NW_INFO_CNF, GET_KEY_CNF, SET_KEY_CNF = 0xA001, 0xA069, 0xA039, 0x600D, 0x6009


@pytest.mark.parametrize("vendor", list(Vendor))
def test_a_modem_is_found_and_keyed(vendor: Vendor):
    desk = Desk(vendor)
    desk.up()
    desk.wait(0.5)
    assert desk.keys_agree()
    assert desk.host.info is not None
    assert (desk.host.info.vendor, desk.host.info.mac) == (vendor, MODEM)
    assert desk.events == [KeySet((1).to_bytes(16, "big"))]


def test_a_qualcomm_modem_is_ready_without_any_wait():
    desk = Desk()
    desk.up()
    assert desk.keys_agree()
    assert desk.host.info is not None
    assert (desk.host.info.firmware, desk.host.info.hardware, desk.host.info.slac_mode) == ("1.2.5.3207", "QCA7005", 2)


def test_an_older_modem_is_known_by_its_version_alone():
    desk = Desk()
    desk.mute = {OP_ATTR_CNF}
    desk.up()
    desk.wait(0.2)
    assert desk.keys_agree()
    assert desk.host.info is not None
    assert desk.host.info.firmware.startswith("MAC-QCA7005")


def test_a_modem_in_the_vehicles_role_is_told_of(caplog: pytest.LogCaptureFixture):
    desk = Desk()
    desk.modem.role = Role.EV
    desk.up()
    assert desk.host.info is not None
    assert desk.host.info.slac_mode == 1
    assert "not in EVSE role" in caplog.text


@pytest.mark.parametrize("mode", [SetKey.OTHER_RESULT, SetKey.REFUSE_ONCE, SetKey.LATE])
@pytest.mark.parametrize("vendor", list(Vendor))
def test_whatever_the_result_says_the_network_id_decides(vendor: Vendor, mode: SetKey):
    desk = Desk(vendor, mode)
    desk.up()
    desk.wait(3)
    assert desk.keys_agree()


def test_the_network_id_is_asked_for_in_another_way():
    desk = Desk()
    desk.mute = {NW_INFO_CNF}
    desk.up()
    desk.wait(0.2)
    assert desk.keys_agree()


@pytest.mark.parametrize("vendor", list(Vendor))
def test_without_a_network_id_the_vendors_own_success_counts(vendor: Vendor):
    desk = Desk(vendor)
    desk.mute = {NW_INFO_CNF, GET_KEY_CNF}
    desk.up()
    desk.wait(0.6)
    assert desk.keys_agree()
    desk.wait(20)
    assert desk.keys_agree()


def test_without_a_network_id_another_result_is_a_refusal():
    desk = Desk(set_key=SetKey.OTHER_RESULT)
    desk.mute = {NW_INFO_CNF, GET_KEY_CNF}
    desk.up()
    assert Trouble(ModemTrouble.KEY_REFUSED, active=True) in desk.wait(3)


def test_a_silent_modem_is_a_fault_and_is_asked_for_ever():
    desk = Desk()
    desk.modem.deaf_until = float("inf")
    desk.up()
    desk.wait(0.5)
    assert desk.events == [Trouble(ModemTrouble.SILENT, active=True)]
    asked = len(desk.sent)
    desk.wait(600)
    assert desk.events == [Trouble(ModemTrouble.SILENT, active=True)]
    assert 15 < (len(desk.sent) - asked) / 3 < 30
    desk.modem.deaf_until = desk.now
    assert desk.wait(31) == [Trouble(ModemTrouble.SILENT, active=False), KeySet(desk.modem.nmk)]


def test_a_key_never_answered_is_a_fault_until_it_is():
    desk = Desk(set_key=SetKey.NEVER)
    desk.up()
    desk.wait(1)
    assert desk.events == [Trouble(ModemTrouble.KEY_REFUSED, active=True)]
    assert desk.sent.count(0xA01C) == 1
    desk.wait(20)
    assert desk.sent.count(0xA01C) >= 2
    assert desk.events == [Trouble(ModemTrouble.KEY_REFUSED, active=True)]
    desk.modem.set_key = SetKey.NORMAL
    assert desk.wait(31) == [Trouble(ModemTrouble.KEY_REFUSED, active=False), KeySet(desk.modem.nmk)]


def test_a_lumissil_modem_is_reset_its_own_way():
    desk = Desk(Vendor.LUMISSIL, SetKey.NEVER)
    desk.up()
    desk.wait(2)
    assert 0xAC70 in desk.sent


def test_a_new_key_for_each_vehicle():
    desk = Desk()
    desk.up()
    first = desk.modem.nmk
    desk.host.renew_key(desk.now)
    desk.pump()
    assert desk.events[1:] == [KeyGone(), KeySet(desk.modem.nmk)]
    assert desk.modem.nmk not in (first, DEFAULT_NMK)


def test_a_key_wanted_while_one_is_being_set_is_that_one():
    desk = Desk(set_key=SetKey.LATE)
    desk.modem.late_s = 0.2
    desk.up()
    desk.host.renew_key(desk.now)
    desk.wait(1)
    assert desk.sent.count(0x6008) == 1
    assert [type(event) for event in desk.events] == [KeySet]


def test_the_link_is_told_of_when_it_changes():
    desk = Desk()
    desk.up()
    desk.host.expect_join(desk.now)
    desk.join_peer()
    assert desk.wait(0.35) == [LinkChanged(True)]
    assert desk.wait(5) == []
    desk.peer.nmk = DEFAULT_NMK
    assert desk.wait(1.0) == [LinkChanged(False)]
    assert desk.wait(5) == []


def test_a_lumissil_link_is_watched_too():
    desk = Desk(Vendor.LUMISSIL)
    desk.up()
    desk.wait(0.5)
    desk.host.expect_join(desk.now)
    desk.join_peer()
    assert desk.wait(0.5) == [LinkChanged(True)]


def test_a_modem_that_restarts_by_itself_gets_a_key_again():
    desk = Desk()
    desk.up()
    desk.modem.restart(0.1, desk.now)
    desk.wait(3)
    assert [type(event) for event in desk.events] == [KeySet, KeyGone, KeySet]
    assert desk.keys_agree()


def test_a_modem_that_goes_silent_is_found_again():
    desk = Desk()
    desk.up()
    desk.modem.restart(10, desk.now)
    desk.wait(5)
    assert desk.events[1:] == [KeyGone(), Trouble(ModemTrouble.SILENT, active=True)]
    desk.wait(30)
    assert desk.events[3:] == [Trouble(ModemTrouble.SILENT, active=False), KeySet(desk.modem.nmk)]


def test_a_lost_poll_is_no_matter():
    desk = Desk()
    desk.up()
    desk.modem.deaf_until = desk.now + 2.5
    assert desk.wait(10) == []


def test_the_interface_goes_and_comes():
    desk = Desk()
    desk.up()
    desk.host.interface_down()
    desk.pump()
    assert desk.events[1:] == [KeyGone(), Trouble(ModemTrouble.INTERFACE_DOWN, active=True)]
    assert desk.host.deadline is None
    desk.up()
    assert desk.events[3:] == [Trouble(ModemTrouble.INTERFACE_DOWN, active=False), KeySet(desk.modem.nmk)]
    desk.up()
    assert len(desk.events) == 5


def test_one_trouble_takes_the_others_place():
    desk = Desk()
    desk.host.interface_down()
    desk.modem.deaf_until = float("inf")
    desk.up()
    desk.wait(1)
    assert desk.events == [
        Trouble(ModemTrouble.INTERFACE_DOWN, active=True),
        Trouble(ModemTrouble.INTERFACE_DOWN, active=False),
        Trouble(ModemTrouble.SILENT, active=True),
    ]


def test_answers_nobody_asked_for_change_nothing():
    desk = Desk()
    desk.up()
    before = desk.host.state, desk.host.info, desk.host.deadline
    for message in (
        vendor_mme.SwVerCnf(0, 0x22, "other"),
        vendor_mme.OpAttributesCnf(0, 99, "x", "y", (0, 0, 0, 0), "", ""),
        vendor_mme.LumissilVersionCnf((0, 0, 0, 0)),
        vendor_mme.RsDevCnf(0),
        vendor_mme.NwInfoCnf(()),
        vendor_mme.ReadPibCnf(0, 7, b"\x01"),
    ):
        frame = vendor_mme.encode(EVSE, MODEM, message)
        assert desk.host.feed(frame, desk.now, parse_header(frame)) is None
    assert (desk.host.state, desk.host.info, desk.host.deadline) == before


def test_before_the_interface_is_up_nothing_is_acted_on():
    desk = Desk()
    for message in (vendor_mme.LinkStatusCnf(0, True), vendor_mme.ReadPibCnf(0, 0x1653, b"\x01")):
        frame = vendor_mme.encode(EVSE, MODEM, message)
        desk.host.feed(frame, desk.now, parse_header(frame))
    desk.host.tick(desk.now)
    desk.host.expect_join(desk.now)
    desk.host.renew_key(desk.now)
    assert desk.host.state is ModemState.DOWN
    assert desk.host.take_events() == []
    assert desk.host.take_frames() == []


@pytest.mark.parametrize("polled", [False, True])
def test_nobody_else_speaks_for_the_modem(polled: bool):
    desk = Desk()
    desk.up()
    if polled:
        desk.mute = {NW_INFO_CNF}
        desk.wait(2.05)
    lie = mme.GetKeyCnf(0, b"another")
    for source, destination, reason in [
        (PEER, EVSE, NOT_OUR_MODEM),
        (MODEM, b"\xff" * 6, NOT_OUR_MODEM),
        (MODEM, EVSE, None),
    ]:
        frame = mme.encode(destination, source, lie)
        assert desk.host.feed(frame, desk.now, parse_header(frame)) == reason
    desk.pump()
    assert desk.host.state is ModemState.READY
    desk.mute = set()
    assert desk.wait(5) == []


def test_malformed_answers_are_named():
    desk = Desk()
    desk.up()
    frame = vendor_mme.encode(EVSE, MODEM, vendor_mme.LinkStatusCnf(0, True))[:20]
    assert desk.host.feed(frame, desk.now, parse_header(frame)) == "frame too short"


def test_the_key_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture):
    caplog.set_level(0)
    desk = Desk(set_key=SetKey.REFUSE_ONCE)
    desk.up()
    desk.wait(3)
    text = caplog.text + repr(desk.events) + repr(desk.host.info)
    assert desk.modem.nmk.hex() not in text
    assert repr(desk.modem.nmk) not in text
    assert SetKeyReq(nid=network_id(desk.modem.nmk), new_key=desk.modem.nmk).new_key == desk.modem.nmk
