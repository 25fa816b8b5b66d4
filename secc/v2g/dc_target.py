"""What a vehicle asks of the DC output, cut to what both sides bear."""

from dataclasses import dataclass, replace

from secc.ports import DcTarget, DcView, StateOfCharge, StationView
from secc.v2g.progress import must_stop
from secc.v2g.session import Session

# IEC 61851-23 lets no more flow while the output is matched to the battery.
PRE_CHARGE_CURRENT_A = 2.0  # unverified: IEC 61851-23


@dataclass(frozen=True, slots=True)
class Demand:
    """A target within the limits, and which of them were met."""

    target: DcTarget
    current_limited: bool
    voltage_limited: bool
    power_limited: bool


def demand(wanted_v: float, wanted_a: float, session: Session, view: StationView, dc: DcView) -> Demand:
    """For one turn of the charge loop. A negative current discharges the vehicle, as far as the station allows."""
    target = within_limits(wanted_v, wanted_a, session, dc)
    max_power_w = dc.max_power_w if target.current_a >= 0 else dc.max_discharge_power_w
    power_limited = target.voltage_v * abs(target.current_a) > max_power_w
    if power_limited:
        sign = 1.0 if target.current_a >= 0 else -1.0
        target = DcTarget(target.voltage_v, sign * max_power_w / target.voltage_v)
    if must_stop(view):
        target = DcTarget(target.voltage_v, 0.0)
    return Demand(
        target,
        current_limited=wanted_a >= dc.max_current_a
        or (session.bidirectional and wanted_a <= -_discharge_a(session, dc)),
        voltage_limited=wanted_v >= dc.max_voltage_v,
        power_limited=power_limited,
    )


def noted_soc(session: Session, percent: int | None) -> tuple[Session, tuple[StateOfCharge, ...]]:
    """The session that knows it, and the fact where it is news."""
    if percent is None or percent == session.soc_percent:
        return session, ()
    return replace(session, soc_percent=percent), (StateOfCharge(percent),)


def pre_charge_target(wanted_v: float, wanted_a: float, session: Session, dc: DcView) -> DcTarget:
    """The vehicle's voltage at little current."""
    return within_limits(wanted_v, max(0.0, min(wanted_a, PRE_CHARGE_CURRENT_A)), session, dc)


def within_limits(voltage_v: float, current_a: float, session: Session, dc: DcView) -> DcTarget:
    highest_v = min(dc.max_voltage_v, session.ev_max_voltage_v)
    lowest_a = -_discharge_a(session, dc)
    return DcTarget(max(0.0, min(voltage_v, highest_v)), max(lowest_a, min(current_a, dc.max_current_a)))


def _discharge_a(session: Session, dc: DcView) -> float:
    return dc.max_discharge_current_a if session.bidirectional else 0.0
