"""Mutated messages and message orders: no exception escapes, no power without its preconditions."""

import random
import tracemalloc

import pytest

from secc.ports import (
    Authorization,
    CableCheckWanted,
    ContractPresented,
    DcTarget,
    Insulation,
    MessageAnswered,
    PowerWanted,
    V2GEnded,
)
from secc.v2g.iso2.protocol import ALLOWED
from secc.v2g.session import State
from tests.secc.support import (
    AUTHORIZATION,
    DC_CHARGE_PARAMETERS,
    DC_VIEW,
    ISO_2_WISH,
    SESSION_ID,
    Talk,
    app_protocol_req,
    message,
    power,
    signature_of,
)
from tests.secc.v2g.fuzzing import mutated
from tests.secc.v2g.test_secc_refusals import GOOD, REACH

MESSAGES = [message(name, elements, SESSION_ID) for name, elements in GOOD.items()]
MESSAGES.append(message("AuthorizationReq", AUTHORIZATION, SESSION_ID, signature_of("AuthorizationReq", AUTHORIZATION)))
MESSAGES.append(message("PowerDeliveryReq", power("Stop"), SESSION_ID))
NAMES = [*GOOD, "AuthorizationReq", "PowerDeliveryReq"]
MESSAGES.append(app_protocol_req(ISO_2_WISH))


def assert_sound(talk: Talk) -> None:
    """What must hold of any conversation whatsoever."""
    wanted = [fact.wanted for fact in talk.facts_of(PowerWanted)]
    if any(wanted):
        answered = [fact.request for fact in talk.facts_of(MessageAnswered) if fact.response_code == "OK"]
        assert "AuthorizationReq" in answered
        assert "ChargeParameterDiscoveryReq" in answered
        session = talk.conversation.session
        assert session.contract is None or talk.facts_of(ContractPresented)
        assert session.contract is None or session.signature_verified
    ends = talk.facts_of(V2GEnded)
    assert len(ends) <= 1
    if ends:
        assert talk.facts[-1] is ends[0]
        assert not wanted or wanted[-1] is False


@pytest.mark.parametrize("state", REACH, ids=lambda state: state.value)
def test_mutated_messages_in_every_state(state: State) -> None:
    chance = random.Random(f"15118 {state.value}")
    talk = REACH[state](Talk())
    for _ in range(600):
        if talk.conversation.ended:
            assert_sound(talk)
            talk = REACH[state](Talk()) if chance.random() < 0.2 else Talk().set_up()
        talk.send(mutated(chance.choice(MESSAGES), chance))
        talk.pass_time(chance.choice((0.0, 0.1, 4.0)))
    assert_sound(talk)


def test_good_messages_in_any_order() -> None:
    """The orders lean to what gets far, and the station says yes and no as it likes."""
    chance = random.Random(15118)
    order = list(range(len(MESSAGES)))
    reached = set()
    for _ in range(400):
        talk = Talk(tls=chance.random() < 0.8)
        talk.negotiate()
        for _ in range(40):
            if talk.conversation.ended:
                break
            talk.station(
                authorization=chance.choice((*[Authorization.ACCEPTED] * 12, *Authorization)),
                contactor_closed=chance.random() < 0.5,
            )
            allowed = [n for n in order if _fits(talk, n)]
            talk.send(MESSAGES[chance.choice(allowed if allowed and chance.random() < 0.97 else order)])
            talk.pass_time(chance.choice((0.0, 0.3, 3.1)))
            reached.add(talk.conversation.session.state)
        assert_sound(talk)
    assert reached >= {State.POWER_DELIVERY, State.CHARGING, State.SESSION_STOP, State.ENDED}


def _fits(talk: Talk, index: int) -> bool:
    return index < len(NAMES) and NAMES[index] in ALLOWED[talk.conversation.session.state] - {"SessionStopReq"}


def test_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps every record.
    monkeypatch.setattr("secc.v2g.conversation.log.disabled", True)
    chance = random.Random(1)

    def run(sessions: int) -> None:
        for _ in range(sessions):
            talk = Talk().set_up()
            for _ in range(5):
                talk.send(mutated(chance.choice(MESSAGES), chance))

    run(50)
    tracemalloc.start()
    run(50)
    before, _ = tracemalloc.get_traced_memory()
    run(200)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000


def test_dc_messages_in_any_order() -> None:
    """No contactor is asked for without a passed cable check and a matched voltage; every end turns the output off."""
    chance = random.Random(70121)
    messages = dict(zip(GOOD, MESSAGES, strict=False))
    messages["AuthorizationReq"] = MESSAGES[NAMES.index("AuthorizationReq", len(GOOD))]
    messages["ChargeParameterDiscoveryReq"] = message("ChargeParameterDiscoveryReq", DC_CHARGE_PARAMETERS, SESSION_ID)
    reached = set()
    for _ in range(250):
        talk = Talk(view=DC_VIEW)
        talk.negotiate()
        for _ in range(40):
            if talk.conversation.ended:
                break
            talk.station(authorization=Authorization.ACCEPTED, contactor_closed=chance.random() < 0.8)
            talk.output(
                cable_check_id=talk.conversation.session.cable_check_id,
                cable_check=chance.choice((Insulation.VALID, Insulation.VALID, *Insulation)),
                present_voltage_v=chance.choice((0.0, 395.0, 400.0, 400.0)),
            )
            before, volts = talk.state, talk.view.dc.present_voltage_v
            wanted = len(talk.facts_of(PowerWanted))
            allowed = sorted(ALLOWED[talk.state] - {"SessionStopReq", "SessionSetupReq"}) or ["SessionSetupReq"]
            name = chance.choice(allowed) if chance.random() < 0.97 else chance.choice(sorted(messages))
            talk.send(messages[name])
            if PowerWanted(True) in talk.facts_of(PowerWanted)[wanted:]:
                assert before is State.PRE_CHARGE
                assert abs(volts - talk.conversation.session.target_v) <= 20
                assert talk.facts_of(CableCheckWanted)
            talk.pass_time(chance.choice((0.0, 0.3)))
            reached.add(talk.state)
        assert_sound(talk)
        if talk.conversation.ended and talk.facts_of(DcTarget):
            assert talk.facts_of(DcTarget)[-1] == DcTarget(0.0, 0.0)
    assert reached >= {State.CABLE_CHECK, State.PRE_CHARGE, State.CURRENT_DEMAND}
