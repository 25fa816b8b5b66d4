"""Each timer of each protocol, in virtual time: not a tenth of a second early, and not late."""

from collections.abc import Callable

import pytest

from secc.ports import Authorization, EndReason, PowerWanted
from secc.v2g.session import State
from tests.conformance.v2g.test_v2g_states import named
from tests.conformance.v2g.ways import DIN, ISO_2_AC, ISO_2_DC, ISO_20_AC, ISO_20_DC, WAYS, Way
from tests.secc.support import Talk
from tests.secc.v2g.talk20 import PNC, signed

EARLY_S, LATE_S = 0.15, 0.15


def repeated(
    way: Way, talk: Talk, name: str, elements: dict, signature: dict | None, until_s: float
) -> tuple[float, str]:
    """Ask again as soon as an answer has come, as vehicles do: how long until one is not OK, and its code."""
    began_s = talk.now
    while talk.now - began_s < until_s:
        answer = talk.ask(name, elements, signature=signature)
        while answer is None:
            talk.pass_time_to_deadline()
            answer = way.tick(talk)
        if not answer.code.startswith("OK") or answer.elements.get("EVSEProcessing") == "Finished":
            return talk.now - began_s, answer.code
    return talk.now - began_s, ""


@pytest.fixture(autouse=True)
def to_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def pass_time_to_deadline(self: Talk) -> None:
        self.now = max(self.now, self.conversation.deadline)

    monkeypatch.setattr(Talk, "pass_time_to_deadline", pass_time_to_deadline, raising=False)


@pytest.mark.parametrize("way", [ISO_2_AC, ISO_20_AC], ids=named)
def test_a_contract_is_decided_on_within_the_ongoing_time(way: Way) -> None:
    """V2G_SECC_Ongoing_Performance_Time: the vehicle leaves after 60 s; the station has said no by then."""
    talk = way.reached(State.AUTHORIZATION)
    if way is ISO_20_AC:
        elements, signature = PNC, signed()
    else:
        elements, signature = way.wish(State.AUTHORIZATION, "AuthorizationReq")
    took_s, code = repeated(way, talk, "AuthorizationReq", elements, signature, 70.0)
    assert 55.0 - EARLY_S <= took_s <= 55.0 + 2 * 0.25 + LATE_S
    assert code.startswith("FAILED")


@pytest.mark.parametrize(
    ("way", "name"), [(DIN, "CableCheckReq"), (ISO_2_DC, "CableCheckReq"), (ISO_20_DC, "DC_CableCheckReq")], ids=named
)
def test_a_cable_check_has_38_seconds(way: Way, name: str) -> None:
    """V2G_SECC_CableCheck_Performance_Time; the vehicle waits 40."""
    talk = way.reached(State.CABLE_CHECK)
    took_s, code = repeated(way, talk, name, way.requests[name], None, 45.0)
    assert 38.0 - EARLY_S <= took_s <= 38.0 + 0.25 + LATE_S
    assert code == "FAILED"
    assert not talk.facts_of(PowerWanted)


@pytest.mark.parametrize(
    ("way", "state"),
    [
        (DIN, State.PRE_CHARGE),
        (ISO_2_AC, State.POWER_DELIVERY),
        (ISO_2_DC, State.PRE_CHARGE),
        (ISO_20_AC, State.POWER_DELIVERY),
        (ISO_20_DC, State.PRE_CHARGE),
    ],
    ids=named,
)
def test_a_contactor_has_three_seconds(way: Way, state: State) -> None:
    talk = way.reached(state)
    talk.station(contactor_closed=False)
    elements, signature = way.wish(state, "PowerDeliveryReq")
    took_s, code = repeated(way, talk, "PowerDeliveryReq", elements, signature, 10.0)
    assert 3.0 - EARLY_S <= took_s <= 3.0 + LATE_S
    assert code == "FAILED_PowerDeliveryNotApplied"
    assert talk.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]


@pytest.mark.parametrize(
    ("way", "state", "name", "code"),
    [
        (ISO_2_AC, State.PAYMENT_DETAILS, "CertificateInstallationReq", "FAILED"),
        (ISO_2_AC, State.PAYMENT_DETAILS, "CertificateUpdateReq", "FAILED"),
        (ISO_20_AC, State.AUTHORIZATION, "CertificateInstallationReq", "WARNING_NoCertificateAvailable"),
    ],
    ids=named,
)
def test_a_certificate_has_four_and_a_half_seconds(way: Way, state: State, name: str, code: str) -> None:
    """V2G_SECC_Msg_Performance_Time; the vehicle waits 5."""
    talk = way.reached(state)
    took_s, said = repeated(way, talk, name, way.requests[name], None, 10.0)
    assert 4.5 - EARLY_S <= took_s <= 4.5 + LATE_S
    assert said == code


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_connection_without_a_word(way: Way) -> None:
    talk = way.begin()
    talk.pass_time(59.9)
    assert not talk.conversation.ended
    talk.pass_time(0.2)
    assert talk.closed
    assert talk.end.reason is EndReason.SEQUENCE_TIMEOUT


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_after_the_negotiation_the_session_has_sixty_seconds(way: Way) -> None:
    talk = way.begin()
    way.negotiate(talk)
    talk.pass_time(59.9)
    assert not talk.conversation.ended
    talk.pass_time(0.2)
    assert talk.end.reason is EndReason.SEQUENCE_TIMEOUT


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_after_session_stop_the_station_closes_within_five_seconds(way: Way) -> None:
    talk = way.reached(State.AUTHORIZATION)
    talk.ask("SessionStopReq", {} if way is DIN else {"ChargingSession": "Terminate"})
    talk.pass_time(4.9)
    assert not talk.closed
    talk.pass_time(0.2)
    assert talk.closed


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_after_a_refusal_the_station_closes_within_five_seconds(way: Way) -> None:
    talk = way.begin()
    way.negotiate(talk)
    talk.ask("SessionStopReq", way.requests["SessionStopReq"])
    talk.pass_time(4.9)
    assert not talk.closed
    talk.pass_time(0.2)
    assert talk.closed


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_driver_may_look_for_the_card(way: Way) -> None:
    """External payment knows no time limit of the vehicle's protocol; each Ongoing keeps the sequence timer away."""
    talk: Talk = way.begin()
    pay: dict[str, Callable[[Talk], object]] = {
        "DIN": lambda each: each.selected(),
        "-2 AC": lambda each: each.select("ExternalPayment"),
        "-2 DC": lambda each: each.select("ExternalPayment"),
        "-20 AC": lambda each: each.authorizing(),
        "-20 DC": lambda each: each.authorizing(),
    }
    pay[way.name](talk)
    name = "ContractAuthenticationReq" if way is DIN else "AuthorizationReq"
    elements = {} if way.name.startswith("-2 ") else way.requests[name]
    took_s, code = repeated(way, talk, name, elements, None, 300.0)
    assert (took_s >= 300.0, code) == (True, "")
    talk.station(authorization=Authorization.ACCEPTED)
    assert talk.ask(name, elements).code == "OK"
