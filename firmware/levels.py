"""What an EVSE puts out, as levels derived from where its session stands; effects are their changes.

Deriving the levels from the state, instead of switching them in each transition, leaves one place to read and to prove:
no path through a session can forget to withdraw the permission to power. The rules, each with its reason:

- The pilot is X1 without a vehicle, after a session, and under a fault: nothing is offered. It is F under an emergency,
  which the vehicle must see, and for T_step_EF to make a vehicle begin anew (ISO 15118-3).
- 5 % PWM stands while high-level communication is being sought or spoken; nominal PWM once it has failed, and (where
  configured) while an AC vehicle charges under ISO 15118, so that the limit is told on both ways.
- A vehicle that feeds back is told so by ISO 15118 alone, at 5 %: no duty means less than nothing.
- Power is permitted only to an authorised vehicle, and under ISO 15118 only between PowerDelivery Start and Stop. An
  emergency withdraws the permission at once. A session that is to end otherwise keeps it until the vehicle has stopped
  drawing (`cut` is set then, or when its time is up): contactors are not to open under load without need.
- Power waits for the residual current device's self-test; the pilot does not.
- The connector is locked from authorisation until the contactor is open.
- A DC output has the permission as long as it is talked to: when it closes its contactor, cable check and pre-charge
  before PowerDelivery, is its own order (`hal.dc.power_path`). `deliver` is what PowerDelivery says.
- In maintenance pilot, lock and permission are the technician's trial, and nobody is served. The contactor is tried
  only on what was plugged in since, only under PWM, and with no fault; the board still wants state C.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firmware import effects
from firmware.effects import Effect
from firmware.maintenance import Maintenance, TrialPilot
from firmware.state import Hlc, State, Step
from hal.ports import Contactor, Severity
from ocpp_client.ports import ConnectorStatus


@dataclass(frozen=True, slots=True)
class Levels:
    pilot: effects.OfferNothing | effects.OfferHlc | effects.OfferCurrent | effects.SignalError
    limit_a: float
    permit: bool
    deliver: bool
    lock: bool
    connected: bool
    secc: bytes | None
    status: ConnectorStatus | None


AT_REST = Levels(effects.OfferNothing(), 0.0, False, False, False, False, None, None)


def levels(state: State) -> Levels:
    if state.maintenance is not None:
        return _maintained(state, state.maintenance)
    return Levels(
        pilot=_pilot(state),
        limit_a=max(state.offer_a, state.discharge_a),
        permit=_permit(state),
        deliver=state.dc and state.power_wanted,
        lock=state.plugged and (state.authorized or state.contactor is not Contactor.OPEN),
        connected=state.plugged,
        secc=state.ev_mac if state.hlc is Hlc.LINKED else None,
        status=_status(state),
    )


def _maintained(state: State, maintenance: Maintenance) -> Levels:
    trial = maintenance.trial
    pilot: effects.OfferNothing | effects.OfferCurrent | effects.SignalError = effects.OfferNothing()
    if Severity.EMERGENCY in state.faults.values() or trial.pilot is TrialPilot.F:
        pilot = effects.SignalError()
    elif trial.pilot is TrialPilot.X2:
        pilot = effects.OfferCurrent(min(trial.limit_a, state.limits.offer_a))
    powers = maintenance.contactor_until_s is not None and isinstance(pilot, effects.OfferCurrent)
    closed = state.contactor is not Contactor.OPEN
    return Levels(
        pilot=pilot,
        limit_a=state.limits.offer_a,
        permit=powers and state.plugged and not maintenance.vehicle_here and not state.stopped,
        deliver=False,
        lock=closed if trial.lock is None else trial.lock,
        connected=False,
        secc=None,
        status=ConnectorStatus.FAULTED if state.stopped else ConnectorStatus.UNAVAILABLE,
    )


def changes(old: Levels, new: Levels) -> Iterator[Effect]:
    """The effects that lead from `old` to `new`. What takes power away comes first, what gives it last."""
    if old.permit and not new.permit:
        yield effects.PermitPower(False)
    if old.deliver != new.deliver and not new.deliver:
        yield effects.DeliverPower(False)
    if old.limit_a != new.limit_a:
        yield effects.LimitCurrent(new.limit_a)
    if old.pilot != new.pilot:
        yield new.pilot
    if old.secc is not None and new.secc is None:
        yield effects.CloseSecc()
    if old.connected != new.connected:
        yield effects.ConnectVehicle(new.connected)
    if new.secc is not None and old.secc != new.secc:
        yield effects.OpenSecc(new.secc)
    if old.lock != new.lock:
        yield effects.LockConnector(new.lock)
    if new.permit and not old.permit:
        yield effects.PermitPower(True)
    if new.deliver and not old.deliver:
        yield effects.DeliverPower(True)
    if new.status is not None and old.status != new.status:
        yield effects.ReportStatus(new.status)


def _pilot(
    state: State,
) -> effects.OfferNothing | effects.OfferHlc | effects.OfferCurrent | effects.SignalError:
    if Severity.EMERGENCY in state.faults.values():
        return effects.SignalError()
    if not state.plugged or state.stopped or state.spent or not state.operative:
        return effects.OfferNothing()
    if state.pilot_step is not None:
        return effects.SignalError() if state.pilot_step.step is Step.ERROR else effects.OfferNothing()
    if state.hlc is Hlc.PAUSED:
        return effects.OfferHlc()
    if state.hlc is Hlc.SOUGHT:
        return effects.OfferHlc() if state.modem_ready else effects.OfferNothing()
    if state.hlc is Hlc.LINKED:
        if state.cut:
            return effects.OfferNothing()
        if state.nominal_under_hlc and state.power_wanted and not state.bidirectional:
            return effects.OfferCurrent(state.limits.offer_a)
        return effects.OfferHlc()
    if state.authorized and state.ending is None and not state.suspended and not state.dc:
        return effects.OfferCurrent(state.limits.offer_a)
    return effects.OfferNothing()


def _permit(state: State) -> bool:
    if not (state.plugged and state.authorized and state.operative) or state.spent or state.cut or state.suspended:
        return False
    if Severity.EMERGENCY in state.faults.values() or (state.stopped and state.ending is None):
        return False
    if not state.rcd_proven:
        return False
    if state.signed_metering and state.transaction_open and not state.transaction_id:
        return False  # Nothing flows before the meter has begun: what it does not sign cannot be billed.
    if state.dc:
        return state.hlc is Hlc.LINKED
    return state.power_wanted if state.hlc is Hlc.LINKED else state.hlc is Hlc.NONE


def _status(state: State) -> ConnectorStatus:
    if state.stopped:
        return ConnectorStatus.FAULTED
    if state.plugged:
        return ConnectorStatus.OCCUPIED
    return ConnectorStatus.AVAILABLE if state.operative else ConnectorStatus.UNAVAILABLE
