"""What the `field` profile forgives, how many runs there may be, and what is remembered of them."""

from hal.plc import mme
from hal.plc.run import Verdict
from hal.plc.runs import RECORDED_RUNS
from hal.plc.slac_events import Begun, Drop, Failed, SlacFailure, SlacState
from hal.plc.timings import MAX_RUNS, Profile, Timings
from tests.hal.plc.plc_talk import EV, EVSE, NMK, OTHER_EV, RUN, Talk


def field(**options: object) -> Talk:
    return Talk(Profile.FIELD, **options)


def test_a_sound_stands_for_lost_start_atten_chars():
    talk = field()
    talk.parm_req()
    talk.sound()
    for _ in range(9):
        talk.profile()
    (ind,) = talk.profile()
    assert ind.num_sounds == 10


def test_a_vehicle_that_is_slow_to_sound_is_waited_for():
    talk = field()
    talk.parm_req()
    talk.wait(1.1)
    talk.start()
    for _ in range(9):
        talk.profile()
    assert len(talk.profile()) == 1


def test_odd_parameters_of_start_atten_char_are_taken():
    talk = field()
    talk.parm_req()
    talk.start(num_sounds=3, time_out=8, resp_type=0, forwarding_sta=bytes(6))
    talk.profile()
    talk.profile()
    (ind,) = talk.profile()
    assert ind.num_sounds == 3


def test_more_sounds_than_asked_for_do_not_delay():
    talk = field()
    talk.parm_req()
    talk.start(num_sounds=200)
    for _ in range(9):
        talk.profile()
    assert len(talk.profile()) == 1


def test_a_match_may_come_long_after_all_responses_were_lost():
    talk = field()
    talk.until_reported()
    assert len(talk.wait(5)) == 2
    assert len(talk.match_req()) == 1


def test_but_not_for_ever():
    talk = field()
    talk.until_reported()
    talk.wait(10.1)
    assert talk.match_req() == []
    assert talk.evse.records[-1].verdict is Verdict.NOT_CHOSEN


def test_a_match_length_in_the_wrong_order_is_taken():
    talk = field()
    talk.until_choosing()
    assert len(talk.match_req(mvf_length=0x3E00)) == 1


def test_a_response_with_an_odd_source_address_is_taken():
    talk = field()
    talk.until_reported()
    talk.rsp(source_address=bytes(6))
    assert talk.wait(1) == []


def test_a_flood_of_requests_does_not_displace_a_run_that_sounds():
    talk = field()
    talk.until_sounding()
    for n in range(5000):
        talk.say(mme.SlacParmReq(run_id=n.to_bytes(8, "big")), source=OTHER_EV)
    for _ in range(9):
        talk.profile()
    assert len(talk.profile()) == 1
    assert len(talk.match_req()) == 1


def test_no_more_runs_than_the_cap_may_sound():
    talk = field()
    for n in range(MAX_RUNS):
        talk.run = n.to_bytes(8, "big")
        talk.until_sounding()
    talk.run = RUN
    assert talk.parm_req() == []
    assert talk.dropped() == {Drop.TOO_MANY_RUNS: 1}
    talk.wait(0.7)
    assert len(talk.parm_req()) == 1


def test_profiles_go_to_the_vehicles_latest_run():
    talk = field()
    talk.until_sounding()
    talk.profile()
    talk.wait(0.1)
    talk.run = bytes(8)
    talk.until_sounding()
    for _ in range(9):
        talk.profile()
    (ind,) = talk.profile()
    assert (ind.run_id, ind.num_sounds) == (bytes(8), 10)


def test_foreign_and_own_runs_are_told_apart_by_the_match():
    talk = field()
    talk.until_choosing()
    talk.ev = OTHER_EV
    talk.until_choosing()
    talk.match_req()
    assert talk.evse.matched_mac == OTHER_EV
    assert talk.evse.key_given_away


def test_a_run_is_remembered_with_its_figures():
    talk = field()
    talk.parm_req()
    talk.wait(0.02)
    talk.start()
    for n in range(10):
        talk.profile(aag=[10 + n] * 57 + [40])
        talk.wait(0.02)
    talk.rsp()
    talk.wait(0.5)
    talk.match_req()
    (record,) = talk.evse.records
    assert (record.ev_mac, record.run_id, record.verdict, record.sounds) == (EV, RUN, Verdict.MATCHED, 10)
    assert round(record.mean_db, 2) == round((57 * 14.5 + 40) / 58, 2)
    assert record.worst_db == 40
    assert [round(t, 2) for t in (record.sounding_s, record.reported_s, record.ended_s)] == [0.02, 0.2, 0.72]


def test_only_the_last_runs_are_remembered():
    talk = field()
    for n in range(RECORDED_RUNS + 5):
        talk.parm_req(run_id=n.to_bytes(8, "big"))
        talk.wait(1.2)
    assert len(talk.evse.records) == RECORDED_RUNS
    assert talk.evse.records[-1].run_id == (RECORDED_RUNS + 4).to_bytes(8, "big")


def test_a_short_init_time_serves_plain_ac_vehicles():
    talk = field(timings=Timings(slac_init_s=10))
    talk.wait(10.1)
    assert talk.events() == [Failed(SlacFailure.NO_PARM_REQ, rekey=False)]


def test_a_foreign_request_does_not_shorten_the_wait_for_the_own_vehicle():
    talk = field()
    talk.wait(1)
    talk.say(mme.SlacParmReq(run_id=RUN), source=OTHER_EV)
    talk.wait(40)
    assert talk.events() == []
    assert talk.begun == [Begun(OTHER_EV)], "told once: somebody speaks SLAC"
    talk.wait(10)
    assert talk.events() == [Failed(SlacFailure.NOT_MATCHED, rekey=False)]


def test_a_run_in_progress_may_end_after_the_time_for_matching():
    talk = field(timings=Timings(slac_init_s=1))
    talk.wait(0.9)
    talk.parm_req()
    talk.wait(9.9)
    talk.parm_req()
    talk.start()
    talk.profile()
    talk.wait(0.6)
    talk.rsp()
    assert len(talk.match_req()) == 1
    assert all(not isinstance(event, Failed) for event in talk.events())


def test_unplugging_ends_all_runs_and_replugging_matches():
    talk = field()
    talk.until_choosing()
    talk.evse.disconnect(talk.now)
    assert talk.evse.deadline is None
    assert talk.evse.records[-1].verdict is Verdict.ABANDONED
    talk.evse.connect(talk.now)
    talk.until_matched()
    assert talk.evse.state is SlacState.JOINING


def test_a_new_key_is_the_one_that_is_given():
    talk = field()
    talk.until_matched()
    talk.evse.set_key(b"0123456789abcdef", talk.now)
    assert not talk.evse.key_given_away
    talk.until_choosing()
    (cnf,) = talk.match_req()
    assert cnf.nmk == b"0123456789abcdef" != NMK
    assert cnf.nid == mme.network_id(cnf.nmk)


def test_a_malformed_frame_is_counted_by_its_fault():
    talk = field()
    talk.raw(mme.encode(EVSE, EV, mme.SlacParmReq(run_id=RUN))[:25])
    talk.raw(bytes(60))
    assert talk.dropped() == {"frame too short": 1, "not HomePlug AV": 1}
