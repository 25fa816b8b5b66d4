"""Every state of every protocol: each good request, each wrong one, another session's, silence, leaving."""

from itertools import chain

import pytest

from secc.ports import DcTarget, EndReason, PausedSession, PowerWanted
from secc.v2g.din.failures import REQUESTS as DIN_REQUESTS
from secc.v2g.iso2.failures import REQUESTS as ISO_2_REQUESTS
from secc.v2g.iso20.failures import REQUESTS as ISO_20_REQUESTS
from secc.v2g.session import State
from tests.conformance.v2g.ways import STATES, WAYS, Way
from tests.secc.support import ISO_2_WISH, SESSION_ID, Response, Talk, app_protocol_req

STOP = "SessionStopReq"
# At home in every loop, and refused there for want of anything to confirm.
UNASKED = {
    ("MeteringConfirmationReq", state): "FAILED_MeteringSignatureNotValid"
    for state in (State.AC_CHARGE_LOOP, State.DC_CHARGE_LOOP, State.STANDBY)
}


def named(value: object) -> str:
    if isinstance(value, Way):
        return value.name
    return value.value if isinstance(value, State) else str(value)


GOOD = [(way, state, name) for way, state in STATES for name in way.leads[state]]
WRONG = [(way, state, name) for way, state in STATES for name in way.requests if name not in {*way.leads[state], STOP}]


def assert_over(talk: Talk, reason: EndReason) -> None:
    """The session has ended once, without power and without output, and nothing is answered any more."""
    assert talk.end.reason is reason
    wanted = talk.facts_of(PowerWanted)
    assert not wanted or wanted[-1] == PowerWanted(False)
    targets = talk.facts_of(DcTarget)
    assert not targets or targets[-1] == DcTarget(0.0, 0.0)
    assert talk.send(b"\x80") == []


def assert_refused(talk: Talk, response: Response | None, request: str, code: str) -> None:
    assert response is not None
    assert (response.name, response.code) == (request.removesuffix("Req") + "Res", code)
    assert_over(talk, EndReason.REFUSED)


def test_every_request_of_every_protocol_is_tried() -> None:
    requests = {way.name: set(way.requests) for way in WAYS}
    assert requests["DIN"] == DIN_REQUESTS
    assert requests["-2 AC"] == requests["-2 DC"] == ISO_2_REQUESTS
    assert requests["-20 AC"] == requests["-20 DC"] == set(chain.from_iterable(ISO_20_REQUESTS.values()))


@pytest.mark.parametrize(("way", "state", "name"), GOOD, ids=named)
def test_a_good_request(way: Way, state: State, name: str) -> None:
    talk = way.reached(state)
    response = way.ask(talk, state, name)
    assert response.name == name.removesuffix("Req") + "Res"
    assert response.code.startswith("OK"), response.code
    assert talk.state is way.leads[state][name]
    assert not talk.conversation.ended


@pytest.mark.parametrize(("way", "state", "name"), WRONG, ids=named)
def test_a_wrong_request(way: Way, state: State, name: str) -> None:
    talk = way.reached(state)
    response = talk.ask(name, way.requests[name])
    assert_refused(talk, response, name, UNASKED.get((name, state), "FAILED_SequenceError"))


@pytest.mark.parametrize(("way", "state", "name"), [case for case in GOOD if case[2] != "SessionSetupReq"], ids=named)
def test_another_session_s_id(way: Way, state: State, name: str) -> None:
    talk = way.reached(state)
    elements, signature = way.wish(state, name)
    response = talk.ask(name, elements, signature=signature, session_id="FF" * 8)
    assert_refused(talk, response, name, "FAILED_UnknownSession")


@pytest.mark.parametrize(("way", "state"), STATES, ids=named)
def test_silence(way: Way, state: State) -> None:
    """V2G_SECC_Sequence_Timeout: the connection is closed without a word."""
    talk = way.reached(state)
    allowed_s = way.silence_s.get(state, 60.0)
    assert talk.pass_time(allowed_s - 0.1) == []
    assert not talk.conversation.ended
    assert talk.pass_time(0.2) == []
    assert talk.closed
    assert_over(talk, EndReason.SEQUENCE_TIMEOUT)


@pytest.mark.parametrize(("way", "state"), STATES, ids=named)
@pytest.mark.parametrize("leaving", ["Terminate", "Pause"])
def test_leaving(way: Way, state: State, leaving: str) -> None:
    talk = way.reached(state)
    if way.name == "DIN":
        assert talk.ask(STOP).code == "OK"
        assert_over(talk, EndReason.TERMINATED)
        return
    assert talk.ask(STOP, {"ChargingSession": leaving}).code == "OK"
    assert_over(talk, EndReason.PAUSED if leaving == "Pause" else EndReason.TERMINATED)
    assert bool(talk.facts_of(PausedSession)) is (leaving == "Pause")


@pytest.mark.parametrize(("way", "state"), STATES, ids=named)
@pytest.mark.parametrize(
    "octets", [b"", b"\x80", b"\x80\xff\xff\xff", b"\x00\x01"], ids=["empty", "head", "ones", "bare"]
)
def test_what_is_no_message(way: Way, state: State, octets: bytes) -> None:
    """There is no response to give: the connection ends at once."""
    talk = way.reached(state)
    assert talk.send(octets) == []
    assert talk.closed
    assert_over(talk, EndReason.PROTOCOL_ERROR)


@pytest.mark.parametrize(("way", "state"), STATES, ids=named)
def test_a_connection_that_breaks(way: Way, state: State) -> None:
    talk = way.reached(state)
    talk.take(talk.conversation.lose(EndReason.CONNECTION_LOST, "", talk.now))
    assert_over(talk, EndReason.CONNECTION_LOST)


@pytest.mark.parametrize(
    ("way", "name"), [(way, name) for way in WAYS for name in way.requests if name != "SessionSetupReq"], ids=named
)
def test_anything_before_a_session(way: Way, name: str) -> None:
    talk = way.begin()
    way.negotiate(talk)
    response = talk.ask(name, way.requests[name])
    assert_refused(talk, response, name, "FAILED_SequenceError")
    assert response.session_id == "00" * 8


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_session_gets_an_id_of_its_own(way: Way) -> None:
    talk = way.begin()
    way.negotiate(talk)
    response = talk.ask("SessionSetupReq", way.requests["SessionSetupReq"])
    assert response.code == "OK_NewSessionEstablished"
    assert response.session_id == SESSION_ID


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_negotiation_repeated_is_no_message_of_the_protocol(way: Way) -> None:
    talk = way.begin()
    way.negotiate(talk)
    talk.send(app_protocol_req(ISO_2_WISH))
    assert talk.conversation.ended
    assert not talk.facts_of(PowerWanted)
