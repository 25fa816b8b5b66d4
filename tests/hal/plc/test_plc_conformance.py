"""The EVSE's side by the letter, after the purposes of ISO 15118-5: parameters, foreign runs, types, repeats, timeouts.

All in the `strict` profile. A message that fails a check gets no answer, changes nothing and is counted.
"""

import pytest

from hal.plc import mme
from hal.plc.frame import MmeFault
from hal.plc.run import Verdict
from hal.plc.slac_events import Drop, Failed, Joined, Left, MapAsked, Matched, SlacFailure, SlacState
from tests.hal.plc.plc_talk import EV, EVSE, MODEM, NMK, OTHER_EV, OTHER_EVSE, OTHER_RUN, RUN, Talk

WRONG = {
    "application type": {"application_type": 1},
    "security type": {"security_type": 1},
    "both types": {"application_type": 0xFF, "security_type": 0xFF},
}


@pytest.fixture
def talk() -> Talk:
    return Talk()


class TestSlacParm:
    def test_parameters(self, talk: Talk):
        (cnf,) = talk.parm_req()
        assert cnf == mme.SlacParmCnf(forwarding_sta=EV, run_id=RUN)
        assert (cnf.msound_target, cnf.num_sounds, cnf.time_out, cnf.resp_type) == (b"\xff" * 6, 10, 6, 1)
        assert (cnf.application_type, cnf.security_type) == (0, 0)

    def test_is_unicast_from_the_evse(self, talk: Talk):
        talk.evse.feed(mme.encode(b"\xff" * 6, EV, mme.SlacParmReq(run_id=RUN)), talk.now)
        (frame,) = talk.evse.take_frames()
        assert frame[:12] == EV + EVSE

    @pytest.mark.parametrize("wrong", WRONG)
    def test_wrong_type(self, talk: Talk, wrong: str):
        assert talk.parm_req(**WRONG[wrong]) == []
        assert talk.dropped() == {Drop.BAD_TYPE: 1}
        assert talk.evse.state is SlacState.WAITING

    def test_repeated(self, talk: Talk):
        assert talk.parm_req() == talk.parm_req()

    def test_repeated_restarts_the_run(self, talk: Talk):
        talk.until_sounding()
        talk.profile()
        talk.parm_req()
        talk.start()
        for _ in range(9):
            assert talk.profile() == []
        (ind,) = talk.profile()
        assert ind.num_sounds == 10

    def test_of_two_vehicles(self, talk: Talk):
        (mine,) = talk.parm_req()
        (other,) = talk.say(mme.SlacParmReq(run_id=OTHER_RUN), source=OTHER_EV)
        assert (mine.run_id, other.run_id, other.forwarding_sta) == (RUN, OTHER_RUN, OTHER_EV)

    def test_to_another_evse(self, talk: Talk):
        assert talk.say(mme.SlacParmReq(run_id=RUN), to=OTHER_EVSE) == []
        assert talk.dropped() == {Drop.NOT_FOR_US: 1}

    def test_without_a_vehicle_connected(self):
        talk = Talk(armed=False)
        talk.evse.set_key(NMK, talk.now)
        assert talk.parm_req() == []
        assert talk.dropped() == {Drop.NOT_ARMED: 1}

    def test_without_a_key(self):
        talk = Talk(armed=False)
        talk.evse.connect(talk.now)
        assert talk.parm_req() == []
        assert talk.dropped() == {Drop.NOT_ARMED: 1}

    def test_none_within_slac_init(self, talk: Talk):
        assert talk.wait(49.9) == []
        assert talk.events() == []
        talk.wait(0.2)
        assert talk.events() == [Failed(SlacFailure.NO_PARM_REQ, rekey=False)]

    def test_after_slac_init(self, talk: Talk):
        talk.wait(60)
        assert len(talk.parm_req()) == 1
        assert talk.evse.state is SlacState.MATCHING

    def test_another_try_after_slac_init(self, talk: Talk):
        talk.wait(60)
        talk.evse.connect(talk.now)
        assert talk.evse.state is SlacState.WAITING
        talk.events()
        talk.wait(50)
        assert talk.events() == [Failed(SlacFailure.NO_PARM_REQ, rekey=False)]


class TestStartAttenChar:
    @pytest.mark.parametrize("wrong", WRONG)
    def test_wrong_type(self, talk: Talk, wrong: str):
        talk.parm_req()
        talk.start(**WRONG[wrong])
        assert talk.dropped() == {Drop.BAD_TYPE: 1}
        assert talk.profile() == []
        assert talk.dropped()[Drop.FOREIGN_RUN] == 1

    @pytest.mark.parametrize(
        "wrong",
        [{"num_sounds": 9}, {"time_out": 7}, {"resp_type": 0}, {"forwarding_sta": OTHER_EV}],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_wrong_parameter(self, talk: Talk, wrong: dict[str, object]):
        talk.parm_req()
        talk.start(**wrong)
        assert talk.dropped() == {Drop.BAD_FIELD: 1}

    def test_foreign_run_id(self, talk: Talk):
        talk.parm_req()
        talk.start(run_id=OTHER_RUN)
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_foreign_vehicle(self, talk: Talk):
        talk.parm_req()
        talk.say(mme.StartAttenChar(num_sounds=10, time_out=6, forwarding_sta=EV, run_id=RUN), source=OTHER_EV)
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_before_parm_req(self, talk: Talk):
        talk.start()
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_none_within_match_sequence(self, talk: Talk):
        talk.parm_req()
        talk.wait(0.4)
        assert [record.verdict for record in talk.evse.records] == [Verdict.NOT_STARTED]
        talk.start()
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_the_window_opens_at_the_first_of_three(self, talk: Talk):
        talk.parm_req()
        for _ in range(3):
            talk.start()
            talk.wait(0.05)
        talk.profile()
        assert talk.wait(0.449 - 0.0) == []
        (ind,) = talk.wait(0.002)
        assert ind.num_sounds == 1


class TestSounds:
    @pytest.mark.parametrize("wrong", WRONG)
    def test_wrong_type(self, talk: Talk, wrong: str):
        talk.until_sounding()
        talk.sound(**WRONG[wrong])
        assert talk.dropped() == {Drop.BAD_TYPE: 1}

    def test_foreign_run_id(self, talk: Talk):
        talk.until_sounding()
        talk.sound(run_id=OTHER_RUN)
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_before_start_atten_char(self, talk: Talk):
        talk.parm_req()
        talk.sound()
        assert talk.dropped() == {Drop.WRONG_STATE: 1}

    def test_profile_of_another_vehicle(self, talk: Talk):
        talk.until_sounding()
        talk.profile(pev_mac=OTHER_EV)
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_profile_with_too_few_groups(self, talk: Talk):
        talk.until_sounding()
        talk.profile(aag=[10] * 57, num_groups=57)
        assert talk.dropped() == {Drop.BAD_FIELD: 1}

    def test_none_in_the_window(self, talk: Talk):
        talk.until_sounding()
        assert talk.wait(0.7) == []
        assert [record.verdict for record in talk.evse.records] == [Verdict.NO_SOUNDS]

    @pytest.mark.parametrize("heard", range(1, 10))
    def test_some_in_the_window(self, talk: Talk, heard: int):
        talk.until_sounding()
        for _ in range(heard):
            assert talk.profile() == []
        (ind,) = talk.wait(0.6)
        assert ind.num_sounds == heard

    def test_after_the_window(self, talk: Talk):
        talk.until_sounding()
        talk.profile()
        talk.wait(0.6)
        assert talk.profile() == []
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}


class TestAttenChar:
    def test_parameters(self, talk: Talk):
        talk.until_sounding()
        for db in (10, 12, 10, 12, 10, 12, 10, 12, 10):
            talk.profile(db)
        (ind,) = talk.profile(15)
        assert ind == mme.AttenChar(source_address=EV, run_id=RUN, num_sounds=10, num_groups=58, aag=[11] * 58)

    def test_each_group_has_its_own_mean(self, talk: Talk):
        talk.until_sounding()
        for _ in range(9):
            talk.profile(aag=list(range(58)))
        (ind,) = talk.profile(aag=list(range(58)))
        assert ind.aag == list(range(58))

    def test_offset_of_the_evse(self):
        talk = Talk(attenuation_offset_db=-12)
        talk.until_sounding()
        for _ in range(9):
            talk.profile(15)
        (ind,) = talk.profile(15)
        assert ind.aag == [3] * 58

    def test_repeated_twice_without_response(self, talk: Talk):
        talk.until_sounding()
        for _ in range(9):
            talk.profile()
        (ind,) = talk.profile()
        assert talk.wait(0.19) == []
        assert talk.wait(0.02) == [ind]
        assert talk.wait(0.2) == [ind]
        assert talk.wait(1.0) == []
        assert talk.evse.records[-1].verdict is Verdict.NO_RESPONSE

    @pytest.mark.parametrize("wrong", WRONG)
    def test_response_of_wrong_type(self, talk: Talk, wrong: str):
        talk.until_reported()
        talk.rsp(**WRONG[wrong])
        assert talk.dropped() == {Drop.BAD_TYPE: 1}
        assert len(talk.wait(0.2)) == 1

    def test_response_with_foreign_run_id(self, talk: Talk):
        talk.until_reported()
        talk.rsp(run_id=OTHER_RUN)
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_response_with_wrong_source_address(self, talk: Talk):
        talk.until_reported()
        talk.rsp(source_address=OTHER_EV)
        assert talk.dropped() == {Drop.BAD_FIELD: 1}

    def test_response_without_success(self, talk: Talk):
        talk.until_reported()
        talk.rsp(result=1)
        assert talk.dropped() == {Drop.BAD_RESULT: 1}
        assert len(talk.wait(0.2)) == 1

    def test_response_before_the_indication(self, talk: Talk):
        talk.until_sounding()
        talk.rsp()
        assert talk.dropped() == {Drop.WRONG_STATE: 1}

    def test_response_stops_the_repetition(self, talk: Talk):
        talk.until_choosing()
        assert talk.wait(5) == []


class TestValidate:
    def test_failure_where_toggles_cannot_be_counted(self, talk: Talk):
        talk.until_choosing()
        assert talk.validate_req() == [mme.ValidateCnf(0, 0, 3)]
        assert len(talk.match_req()) == 1

    def test_two_steps_and_the_count(self):
        talk = Talk(counts_toggles=True)
        talk.until_choosing()
        talk.evse.pilot_toggled()
        assert talk.validate_req() == [mme.ValidateCnf(0, 0, 1)]
        assert talk.validate_req(timer=9) == []
        talk.evse.pilot_toggled()
        talk.evse.pilot_toggled()
        assert talk.wait(0.99) == []
        assert talk.wait(0.02) == [mme.ValidateCnf(0, 2, 2)]
        assert len(talk.match_req()) == 1

    def test_repeated_in_the_count(self):
        talk = Talk(counts_toggles=True)
        talk.until_choosing()
        talk.validate_req()
        talk.validate_req(timer=9)
        assert talk.validate_req(timer=9) == []
        assert len(talk.wait(1.1)) == 1

    def test_no_second_step_within_vald_toggle(self):
        talk = Talk(counts_toggles=True)
        talk.until_choosing()
        talk.validate_req()
        assert talk.wait(3.6) == []
        assert talk.validate_req() == [mme.ValidateCnf(0, 0, 1)]

    def test_one_pilot_one_validation(self):
        talk = Talk(counts_toggles=True)
        talk.until_choosing()
        talk.validate_req()
        talk.ev, talk.run = OTHER_EV, OTHER_RUN
        talk.until_choosing()
        assert talk.validate_req() == [mme.ValidateCnf(0, 0, 0)]

    def test_before_any_run(self, talk: Talk):
        assert talk.validate_req() == []
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_while_sounding(self, talk: Talk):
        talk.until_sounding()
        assert talk.validate_req() == []
        assert talk.dropped() == {Drop.WRONG_STATE: 1}

    def test_unknown_signal_type(self, talk: Talk):
        talk.until_choosing()
        assert talk.validate_req(signal_type=1) == []
        assert talk.dropped() == {Drop.BAD_FIELD: 1}


class TestSlacMatch:
    def test_parameters(self, talk: Talk):
        talk.until_choosing()
        (cnf,) = talk.match_req()
        nid = mme.network_id(NMK)
        assert cnf == mme.MatchCnf(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=nid, nmk=NMK, mvf_length=0x56)

    def test_is_told(self, talk: Talk):
        talk.until_matched()
        assert talk.events() == [Matched(EV, RUN, 10.0, 10, 0.0)]
        assert talk.evse.state is SlacState.JOINING

    @pytest.mark.parametrize("wrong", WRONG)
    def test_wrong_type(self, talk: Talk, wrong: str):
        talk.until_choosing()
        assert talk.match_req(**WRONG[wrong]) == []
        assert talk.dropped() == {Drop.BAD_TYPE: 1}

    @pytest.mark.parametrize(
        "wrong",
        [{"evse_mac": OTHER_EVSE}, {"pev_mac": OTHER_EV}, {"mvf_length": 0x56}, {"mvf_length": 0x3E00}],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_wrong_parameter(self, talk: Talk, wrong: dict[str, object]):
        talk.until_choosing()
        assert talk.match_req(**wrong) == []
        assert talk.dropped() == {Drop.BAD_FIELD: 1}
        assert len(talk.match_req()) == 1

    def test_foreign_run_id(self, talk: Talk):
        talk.until_choosing()
        assert talk.match_req(run_id=OTHER_RUN) == []
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}

    def test_while_sounding(self, talk: Talk):
        talk.until_sounding()
        assert talk.match_req() == []
        assert talk.dropped() == {Drop.WRONG_STATE: 1}

    def test_instead_of_a_response(self, talk: Talk):
        talk.until_reported()
        assert len(talk.match_req()) == 1

    def test_repeated_while_joining(self, talk: Talk):
        talk.until_choosing()
        first = talk.match_req()
        talk.wait(0.2)
        assert talk.match_req() == first
        assert len(talk.events()) == 1

    def test_repeated_while_linked(self, talk: Talk):
        talk.until_choosing()
        first = talk.match_req()
        talk.evse.link_changed(True, talk.now)
        assert talk.match_req() == first

    def test_none_within_match_session(self, talk: Talk):
        talk.until_choosing()
        talk.wait(10)
        assert talk.match_req() == []
        assert talk.evse.records[-1].verdict is Verdict.NOT_CHOSEN

    def test_of_another_vehicle_after_the_match(self, talk: Talk):
        talk.until_choosing()
        talk.ev, talk.run = OTHER_EV, OTHER_RUN
        talk.until_choosing()
        talk.ev, talk.run = EV, RUN
        talk.match_req()
        talk.ev, talk.run = OTHER_EV, OTHER_RUN
        assert talk.match_req() == []
        assert talk.dropped() == {Drop.FOREIGN_RUN: 1}
        assert {record.verdict for record in talk.evse.records} == {Verdict.MATCHED, Verdict.OTHER_MATCHED}

    def test_parm_req_of_another_vehicle_after_the_match(self, talk: Talk):
        talk.until_matched()
        assert talk.say(mme.SlacParmReq(run_id=OTHER_RUN), source=OTHER_EV) == []
        assert talk.dropped() == {Drop.LINKED: 1}

    def test_parm_req_of_the_same_vehicle_while_joining(self, talk: Talk):
        talk.until_matched()
        assert len(talk.parm_req(run_id=OTHER_RUN)) == 1
        assert talk.evse.state is SlacState.MATCHING

    def test_no_match_in_time(self, talk: Talk):
        talk.parm_req()
        talk.wait(50.1)
        assert talk.events() == [Failed(SlacFailure.NOT_MATCHED, rekey=False)]

    def test_foreign_requests_cannot_put_the_failure_off_for_ever(self, talk: Talk):
        for n in range(700):
            talk.parm_req(run_id=n.to_bytes(8, "big"))
            talk.wait(0.1)
        assert talk.events()[0] == Failed(SlacFailure.NOT_MATCHED, rekey=False)


class TestAmpMap:
    def test_after_the_match(self, talk: Talk):
        talk.until_matched()
        talk.events()
        assert talk.amp_map() == []
        assert talk.events() == [MapAsked(EV, mme.AmpMap(4, b"\x11\x11"))], "the modem is asked first"

    def test_while_linked(self, talk: Talk):
        talk.until_linked()
        talk.events()
        talk.amp_map()
        assert talk.events() == [MapAsked(EV, mme.AmpMap(4, b"\x11\x11"))]

    def test_of_no_carriers(self, talk: Talk):
        talk.until_linked()
        talk.events()
        assert talk.raw(mme.encode(EVSE, EV, mme.AmpMap(1, b"\x01")).replace(b"\1\0\1", b"\0\0\1")) == []
        assert talk.dropped() == {MmeFault.BAD_FIELD: 1}
        assert talk.events() == []

    def test_before_the_match(self, talk: Talk):
        talk.until_choosing()
        assert talk.amp_map() == []
        assert talk.dropped() == {Drop.WRONG_STATE: 1}

    def test_of_another_vehicle(self, talk: Talk):
        talk.until_linked()
        talk.ev = OTHER_EV
        assert talk.amp_map() == []
        assert talk.dropped() == {Drop.WRONG_STATE: 1}


class TestLinkStatus:
    def test_up(self, talk: Talk):
        talk.until_matched()
        talk.events()
        talk.evse.link_changed(True, talk.now)
        assert talk.events() == [Joined(EV)]
        assert talk.evse.state is SlacState.LINKED
        assert talk.evse.matched_mac == EV

    def test_up_before_the_match_means_nothing(self, talk: Talk):
        talk.until_choosing()
        talk.evse.link_changed(True, talk.now)
        assert talk.events() == []

    def test_not_up_within_match_join(self, talk: Talk):
        talk.until_matched()
        talk.events()
        talk.wait(12.1)
        assert talk.events() == [Failed(SlacFailure.NOT_JOINED, rekey=True)]
        assert talk.evse.state is SlacState.UNARMED

    def test_lost(self, talk: Talk):
        talk.until_linked()
        talk.events()
        talk.evse.link_changed(False, talk.now)
        assert talk.events() == [Left()]
        assert talk.evse.state is SlacState.UNARMED

    def test_silent_to_parm_req_while_linked(self, talk: Talk):
        talk.until_linked()
        assert talk.parm_req() == []
        assert talk.dropped() == {Drop.LINKED: 1}

    def test_unplugged(self, talk: Talk):
        talk.until_linked()
        talk.evse.disconnect(talk.now)
        assert talk.evse.state is SlacState.UNARMED
        assert talk.parm_req() == []

    def test_paused_and_resumed_with_the_same_key(self, talk: Talk):
        talk.until_linked()
        talk.events()
        assert talk.evse.pause()
        talk.evse.link_changed(False, talk.now)
        assert talk.events() == []
        assert talk.evse.resume(talk.now)
        talk.evse.link_changed(True, talk.now)
        assert talk.events() == [Joined(EV)]

    def test_paused_and_not_resumed_in_time(self, talk: Talk):
        talk.until_linked()
        talk.evse.pause()
        talk.evse.resume(talk.now)
        talk.events()
        talk.wait(6.1)
        assert talk.events() == [Failed(SlacFailure.NOT_JOINED, rekey=True)]

    def test_paused_and_matched_anew(self, talk: Talk):
        talk.until_linked()
        talk.evse.pause()
        assert len(talk.parm_req(run_id=OTHER_RUN)) == 1

    def test_there_is_nothing_to_pause_or_resume(self, talk: Talk):
        assert not talk.evse.pause()
        assert not talk.evse.resume(talk.now)


class TestOtherMessages:
    @pytest.mark.parametrize(
        "message",
        [
            mme.SlacParmCnf(forwarding_sta=EV, run_id=RUN),
            mme.AttenChar(source_address=EV, run_id=RUN, num_sounds=1, num_groups=58, aag=[1] * 58),
            mme.MatchCnf(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=b"n" * 7, nmk=b"k" * 16),
            mme.ValidateCnf(0, 0, 0),
            mme.AmpMapCnf(0),
            mme.SetKeyReq(nid=b"n" * 7, new_key=b"k" * 16),
        ],
        ids=lambda message: type(message).__name__,
    )
    def test_of_an_evse_or_host(self, talk: Talk, message: mme.Message):
        talk.until_choosing()
        assert talk.say(message, to=EVSE) == []
        assert talk.dropped() == {Drop.NOT_FOR_EVSE: 1}
        assert len(talk.match_req()) == 1

    def test_from_the_modem_between(self, talk: Talk):
        talk.until_sounding()
        assert talk.say(mme.ValidateCnf(0, 0, 0), source=MODEM, to=EVSE) == []
        assert talk.profile() == []
