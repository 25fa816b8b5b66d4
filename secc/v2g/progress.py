"""What takes the station time, the same in every protocol: an operator's decision, a cable check, a contactor.

Each function is asked again until it is done. What it says meanwhile is left to the protocol's own messages.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from secc.ports import (
    Authorization,
    CableCheckWanted,
    DcView,
    Insulation,
    PaymentOption,
    PowerWanted,
    SeccFact,
    StationView,
    StopReason,
)
from secc.v2g.codes import Refused
from secc.v2g.session import Request, Session, State, Surroundings
from secc.v2g.timing import (
    CABLE_CHECK_PERFORMANCE_TIME_S,
    CONTACTOR_CLOSE_TIMEOUT_S,
    ONGOING_PACE_S,
    ONGOING_PERFORMANCE_TIME_S,
)

FAILED = "FAILED"
SEQUENCE_ERROR = "FAILED_SequenceError"
POWER_DELIVERY_NOT_APPLIED = "FAILED_PowerDeliveryNotApplied"


class Processing(StrEnum):
    """EVSEProcessing."""

    FINISHED = "Finished"
    ONGOING = "Ongoing"


@dataclass(frozen=True, slots=True)
class Progress:
    """`processing` None: say nothing yet, and ask again at `retry_s` or when the station has changed."""

    processing: Processing | None
    session: Session
    facts: tuple[SeccFact, ...] = ()
    retry_s: float = 0.0


def must_stop(view: StationView) -> bool:
    return view.stop is not StopReason.NONE or view.rcd_tripped


def verdict(session: Session, view: StationView) -> Authorization:
    """The operator's word on this vehicle. That on another contract, shown before, may still stand in the view."""
    if session.contract is not None and view.authorization_of not in ("", session.contract.emaid):
        return Authorization.PENDING
    return view.authorization


def await_decision(request: Request, session: Session, now: float) -> Progress:
    """While the verdict is PENDING. Ongoing, at a pace that spares both ends hundreds of messages.

    Only a contract has a time limit here: who pays with a card is bound by the operator's own connection timeout.
    Raises Refused.
    """
    since = now if session.waiting_since_s is None else session.waiting_since_s
    after = replace(session, waiting_since_s=since)
    if session.payment is PaymentOption.CONTRACT and now - since >= ONGOING_PERFORMANCE_TIME_S:
        raise Refused(FAILED, detail="authorization took too long")
    if now - request.arrived_s < ONGOING_PACE_S:
        return Progress(None, after, retry_s=request.arrived_s + ONGOING_PACE_S)
    return Progress(Processing.ONGOING, after)


def check_cable(request: Request, session: Session, around: Surroundings, now: float) -> Progress:
    """Ask for one insulation test and report its end. Only a passed one is FINISHED. Raises Refused."""
    if must_stop(around.view):
        raise Refused(FAILED, detail="the station allows no power")
    if not session.cable_check_id:
        check_id = around.entropy.hex().upper()
        asked = replace(session, cable_check_id=check_id, waiting_since_s=now)
        wanted = CableCheckWanted(check_id, min(session.ev_max_voltage_v, around.dc.max_voltage_v))
        return Progress(None, asked, (wanted,), retry_s=now + ONGOING_PACE_S)
    assert session.waiting_since_s is not None
    found = _insulation(session, around.dc)
    if found is Insulation.FAULT:
        raise Refused(FAILED, detail="insulation fault")
    if found is not Insulation.UNKNOWN:
        return Progress(Processing.FINISHED, replace(session, waiting_since_s=None))
    if now - session.waiting_since_s >= CABLE_CHECK_PERFORMANCE_TIME_S:
        raise Refused(FAILED, detail="the cable check took too long")
    if now - request.arrived_s < ONGOING_PACE_S:
        return Progress(None, session, retry_s=request.arrived_s + ONGOING_PACE_S)
    return Progress(Processing.ONGOING, session)


def until_pre_charge(session: Session, around: Surroundings, now: float) -> Session | None:
    """Of a PreChargeReq: the session in PRE_CHARGE; None while the insulation test runs, and no voltage may be put on.

    Vehicles on the road go on to PreCharge after the first CableCheckRes with Ongoing. Raises Refused.
    """
    if session.state is not State.CABLE_CHECK:
        return session
    if session.waiting_since_s is None or not session.cable_check_id:
        raise Refused(SEQUENCE_ERROR, detail="no cable check was asked for")
    found = _insulation(session, around.dc)
    if found is Insulation.FAULT:
        raise Refused(FAILED, detail="insulation fault")
    if found is not Insulation.UNKNOWN:
        return replace(session, state=State.PRE_CHARGE, waiting_since_s=None)
    if now - session.waiting_since_s >= CABLE_CHECK_PERFORMANCE_TIME_S:
        raise Refused(FAILED, detail="the cable check took too long")
    return None


def _insulation(session: Session, dc: DcView) -> Insulation:
    """Of our own test only: an earlier one says nothing about this vehicle."""
    return dc.cable_check if dc.cable_check_id == session.cable_check_id else Insulation.UNKNOWN


def close_contactor(session: Session, around: Surroundings, now: float) -> Progress:
    """Ask for power, once authorized and, with DC, pre-charged; FINISHED when the contactor has closed.

    Raises Refused.
    """
    if must_stop(around.view) or around.view.authorization is not Authorization.ACCEPTED:
        raise Refused(POWER_DELIVERY_NOT_APPLIED, detail="the station allows no power")
    # Once it was asked for, it is on its way.
    if around.view.dc is not None and not session.power_wanted and not pre_charged(session, around.view.dc):
        raise Refused(POWER_DELIVERY_NOT_APPLIED, detail="the output is not pre-charged")
    since = now if session.waiting_since_s is None else session.waiting_since_s
    asked = () if session.power_wanted else (PowerWanted(True),)
    if around.view.contactor_closed and not asked:
        return Progress(Processing.FINISHED, replace(session, waiting_since_s=None))
    deadline = since + CONTACTOR_CLOSE_TIMEOUT_S
    if now >= deadline:
        raise Refused(POWER_DELIVERY_NOT_APPLIED, detail="the contactor did not close")
    return Progress(None, replace(session, power_wanted=True, waiting_since_s=since), asked, retry_s=deadline)


# IEC 61851-23 CC.3.3: with more than this much between the two, closing the vehicle's contactors would be an inrush.
PRE_CHARGE_TOLERANCE_V = 20.0  # unverified: IEC 61851-23


def pre_charged(session: Session, dc: DcView) -> bool:
    """Whether the output stands where the vehicle asked it to. No contactor closes between voltages that differ."""
    return session.target_v > 0 and abs(dc.present_voltage_v - session.target_v) <= PRE_CHARGE_TOLERANCE_V
