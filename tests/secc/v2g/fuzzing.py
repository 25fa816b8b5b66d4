"""Mutated messages and message orders against a whole conversation.

By hand: `python -m tests.secc.v2g.fuzzing [--protocol NAME ...] [--count N] [--seed N]`, N messages a protocol.
"""

import argparse
import gc
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

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
from secc.v2g.conversation import Output
from secc.v2g.din.protocol import ALLOWED as DIN_ALLOWED
from secc.v2g.iso2.protocol import ALLOWED as ISO_2_ALLOWED
from secc.v2g.iso20.protocol import ALLOWED as ISO_20_ALLOWED
from secc.v2g.session import State
from secc.v2gtp import Frame, PayloadType
from tests.conformance.v2g.ways import ISO_2_AC, ISO_2_DC, Way
from tests.secc.support import (
    AUTHORIZATION,
    CHARGE_PARAMETERS,
    DC_CHARGE_PARAMETERS,
    SESSION_ID,
    VIEW,
    Talk,
    message,
    power,
    selection,
    signature_of,
)
from tests.secc.v2g import test_secc_20_refusals as iso_20
from tests.secc.v2g import test_secc_din as din
from tests.secc.v2g import test_secc_refusals as iso_2
from tests.secc.v2g.talk20 import (
    AC_BPT_DYNAMIC_LOOP,
    AC_BPT_LOOP,
    AC_BPT_PARAMETERS,
    AC_DYNAMIC_LOOP,
    BPT_VIEW,
    DC_20_VIEW,
    DC_BPT_PARAMETERS,
    DC_BPT_VIEW,
    DYNAMIC,
    PNC,
    Talk20,
    dc_dynamic_loop,
    dc_loop,
    frame20,
    power20,
    select,
    signed,
)

Named = tuple[str, Frame]


@dataclass(frozen=True)
class Target:
    """A protocol at one kind of station."""

    talk: Callable[[], Talk]
    start: Callable[[Talk], object]
    """Up to a session."""
    reach: dict[State, Callable]
    allowed: dict[State, frozenset[str]]
    messages: list[Named]
    authorization: str
    loops: frozenset[State]
    proves_later: bool = False
    """A contract is held before its owner has signed, as in ISO 15118-2."""


def _iso_2_messages(parameters: dict) -> list[Named]:
    wishes = [
        *(iso_2.GOOD | {"ChargeParameterDiscoveryReq": parameters}).items(),
        ("PaymentServiceSelectionReq", selection("ExternalPayment")),
        ("PowerDeliveryReq", power("Stop")),
        ("PowerDeliveryReq", power("Renegotiate")),
    ]
    named = [(name, Frame(PayloadType.EXI, message(name, elements, SESSION_ID))) for name, elements in wishes]
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    signed_one = message("AuthorizationReq", AUTHORIZATION, SESSION_ID, signature)
    return [*named, ("AuthorizationReq", Frame(PayloadType.EXI, signed_one))]


def _iso_2(way: Way, parameters: dict, loop: State) -> Target:
    return Target(
        talk=way.begin,
        start=lambda talk: talk.set_up(),
        reach=way.reach,
        allowed=ISO_2_ALLOWED,
        messages=_iso_2_messages(parameters),
        authorization="AuthorizationReq",
        loops=frozenset({loop}),
        proves_later=True,
    )


def _din_messages() -> list[Named]:
    wishes = [*din.GOOD.items(), ("PowerDeliveryReq", {"ReadyToChargeState": False})]
    return [(name, Frame(PayloadType.EXI, din.din_message(name, elements, SESSION_ID))) for name, elements in wishes]


def _iso_20_messages() -> list[Named]:
    more: list[tuple[str, dict]] = [
        ("PowerDeliveryReq", power20("Stop")),
        ("PowerDeliveryReq", power20("ScheduleRenegotiation")),
        ("PowerDeliveryReq", power20("Standby")),
        ("SessionStopReq", {"ChargingSession": "ServiceRenegotiation"}),
        ("ScheduleExchangeReq", DYNAMIC),
        ("AC_ChargeParameterDiscoveryReq", AC_BPT_PARAMETERS),
        ("DC_ChargeParameterDiscoveryReq", DC_BPT_PARAMETERS),
        *[("ServiceSelectionReq", select(service, mode)) for service in (1, 2, 5, 6) for mode in (1, 2)],
        *[("AC_ChargeLoopReq", loop) for loop in (AC_DYNAMIC_LOOP, AC_BPT_LOOP, AC_BPT_DYNAMIC_LOOP)],
        *[("DC_ChargeLoopReq", loop) for loop in (dc_dynamic_loop(), dc_loop(prefix="BPT_"), dc_dynamic_loop("BPT_"))],
    ]
    named = [(name, frame20(name, elements, SESSION_ID)) for name, elements in [*iso_20.GOOD.items(), *more]]
    return [*named, ("AuthorizationReq", frame20("AuthorizationReq", PNC, SESSION_ID, signed()))]


def _iso_20(view: object, reach: dict[State, Callable]) -> Target:
    return Target(
        talk=lambda: Talk20(view),
        start=lambda talk: talk.set_up(),
        reach=reach,
        allowed=ISO_20_ALLOWED,
        messages=_iso_20_messages(),
        authorization="AuthorizationReq",
        loops=frozenset({State.AC_CHARGE_LOOP if view.dc is None else State.DC_CHARGE_LOOP}),
    )


TARGETS: dict[str, Target] = {
    "din": Target(
        talk=din.DinTalk,
        start=lambda talk: talk.set_up(),
        reach=din.REACH,
        allowed=DIN_ALLOWED,
        messages=_din_messages(),
        authorization="ContractAuthenticationReq",
        loops=frozenset({State.CURRENT_DEMAND}),
    ),
    "2-ac": _iso_2(ISO_2_AC, CHARGE_PARAMETERS, State.CHARGING),
    "2-dc": _iso_2(ISO_2_DC, DC_CHARGE_PARAMETERS, State.CURRENT_DEMAND),
    "20-ac": _iso_20(VIEW, iso_20.AC_REACH),
    "20-ac-bpt": _iso_20(BPT_VIEW, iso_20.AC_REACH),
    "20-dc": _iso_20(DC_20_VIEW, iso_20.DC_REACH),
    "20-dc-bpt": _iso_20(DC_BPT_VIEW, iso_20.DC_REACH),
}


def mutated(octets: bytes, chance: random.Random) -> bytes:
    changed = bytearray(octets)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        kind = chance.randrange(4)
        at = chance.randrange(len(changed)) if changed else 0
        if kind == 0 and changed:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and changed:
            changed[at] = chance.randrange(256)
        elif kind == 2:
            del changed[at : at + chance.randrange(1, 8)]
        else:
            changed[at:at] = chance.randbytes(chance.randrange(1, 8))
    return bytes(changed)


def assert_sound(talk: Talk, target: Target) -> None:
    """What must hold of any conversation whatsoever."""
    wanted = [fact.wanted for fact in talk.facts_of(PowerWanted)]
    session = talk.conversation.session
    if any(wanted):
        answered = [fact.request for fact in talk.facts_of(MessageAnswered) if fact.response_code == "OK"]
        assert target.authorization in answered
        assert any("ChargeParameterDiscoveryReq" in name for name in answered)
        assert talk.view.dc is None or talk.facts_of(CableCheckWanted)
    if session.contract is not None:
        assert talk.facts_of(ContractPresented)
        assert session.signature_verified or (target.proves_later and not any(wanted))
    for goal in talk.facts_of(DcTarget):
        assert 0.0 <= goal.voltage_v <= talk.view.dc.max_voltage_v
        assert -talk.view.dc.max_discharge_current_a <= goal.current_a <= talk.view.dc.max_current_a
    ends = talk.facts_of(V2GEnded)
    assert len(ends) <= 1
    if ends:
        assert talk.facts[-1] is ends[0]
        assert not wanted or wanted[-1] is False
        goals = talk.facts_of(DcTarget)
        assert not goals or goals[-1] == DcTarget(0.0, 0.0)


def feed(talk: Talk, frame: Frame) -> Output:
    out = talk.conversation.feed(frame, talk.around(), talk.now)
    talk.take(out)
    return out


def mutate_in(target: Target, state: State, count: int, chance: random.Random) -> None:
    """`count` mutated messages, sent in `state` and wherever they lead."""
    talk = target.reach[state](target.talk())
    for _ in range(count):
        if talk.conversation.ended:
            assert_sound(talk, target)
            talk = target.talk()
            target.reach[state](talk) if chance.random() < 0.2 else target.start(talk)
        _, frame = chance.choice(target.messages)
        feed(talk, replace(frame, payload=mutated(frame.payload, chance), payload_type=_stream(frame, chance)))
        talk.pass_time(chance.choice((0.0, 0.1, 4.0)))
    assert_sound(talk, target)


def _stream(frame: Frame, chance: random.Random) -> PayloadType:
    """Now and then another stream than the message's own."""
    return chance.choice(list(PayloadType)) if chance.random() < 0.05 else frame.payload_type


def orders(target: Target, count: int, chance: random.Random) -> set[State]:
    """`count` good messages in orders that lean to what gets far; the station says yes and no as it likes.

    Each PowerWanted(True) is looked at as it is made.
    """
    reached: set[State] = set()
    sent = 0
    while sent < count:
        talk = target.talk()
        target.start(talk)
        for _ in range(60):
            if talk.conversation.ended:
                break
            _change_station(talk, chance)
            if not talk.conversation.holding or chance.random() < 0.05:
                _send_one(talk, target, chance)
                sent += 1
            talk.pass_time(chance.choice((0.0, 0.1, 0.3)))
            reached.add(talk.conversation.session.state)
        assert_sound(talk, target)
    return reached


def _change_station(talk: Talk, chance: random.Random) -> None:
    talk.station(
        authorization=chance.choice((*[Authorization.ACCEPTED] * 60, *Authorization)),
        contactor_closed=chance.random() < 0.8,
    )
    if talk.view.dc is not None:
        talk.output(
            cable_check_id=talk.conversation.session.cable_check_id,
            cable_check=chance.choice((*[Insulation.VALID] * 12, *Insulation)),
            present_voltage_v=chance.choice((0.0, 380.0, 400.0, 400.0)),
        )


def _send_one(talk: Talk, target: Target, chance: random.Random) -> None:
    session = talk.conversation.session
    likely = target.allowed[session.state] - {"SessionStopReq", "SessionSetupReq"}
    fitting = [frame for name, frame in target.messages if name in likely and _goes_on(talk, frame)]
    usual = fitting and chance.random() < 0.97
    frame = chance.choice(fitting if usual else [frame for _, frame in target.messages])
    before, already = session, len(talk.facts_of(PowerWanted))
    feed(talk, frame)
    if PowerWanted(True) in talk.facts_of(PowerWanted)[already:]:
        assert talk.view.authorization is Authorization.ACCEPTED
        assert before.offer is not None
        if talk.view.dc is not None:
            assert before.state is State.PRE_CHARGE
            assert before.cable_check_id
            assert abs(talk.view.dc.present_voltage_v - before.target_v) <= 20


def _goes_on(talk: Talk, frame: Frame) -> bool:
    """Whether the answer would not end the session: handlers are pure, so asking costs nothing."""
    spoken = talk.conversation._spoken
    request = spoken.read(frame, talk.now)
    answer = spoken.respond(request, talk.conversation.session, talk.around(), talk.now)
    return answer.session.state is not State.ENDED


def resident_kb() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--protocol", nargs="*", choices=sorted(TARGETS), default=sorted(TARGETS))
    options.add_argument("--count", type=int, default=200_000)
    options.add_argument("--seed", type=int, default=15118)
    chosen = options.parse_args()
    logging.disable()
    for name in chosen.protocol:
        target, chance = TARGETS[name], random.Random(f"{chosen.seed} {name}")
        for state in target.reach:
            mutate_in(target, state, 200, chance)
        started, resident = time.monotonic(), resident_kb()
        share = chosen.count // 2 // len(target.reach)
        for state in target.reach:
            mutate_in(target, state, share, chance)
        reached = Counter(orders(target, chosen.count // 2, chance))
        took_s, grown_kb = time.monotonic() - started, resident_kb() - resident
        print(
            f"{name}: {chosen.count} messages, {took_s:.1f} s, {len(reached)} states reached, {grown_kb:+d} KB resident"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
