"""Every fault of the list, raised in mid-charge at an AC and at a DC EVSE.

What it does to the power, in which order and how soon; what operator and vehicle are told; how it ends.
"""

from dataclasses import replace

import pytest

from firmware import effects
from firmware.effects import Effect
from firmware.facts import AuthorizationAnswered, LimitSource, LocalLimit
from firmware.limits import Limits
from firmware.problems import problem
from firmware.reasons import stopped_by
from firmware.record import STOP_PATIENCE_S
from firmware.session import Session
from hal.dc.ports import DcStaged, Insulation, SupplyMode
from hal.dc.power_path import Stage
from hal.faults import LATCHED, UNTIL_UNPLUGGED, severity_of
from hal.mcu.faults import BITS
from hal.ports import (
    BoardFault,
    Contactor,
    ContactorChanged,
    CpState,
    Fault,
    LinkReady,
    ModemReady,
    PluggedIn,
    Severity,
    SlacBegun,
    TokenPresented,
    Unplugged,
    VehicleReady,
)
from ocpp_client.ports import AuthorizationStatus, AuthorizeAnswer, ConnectorStatus, IdToken, TriggerReason
from secc import ports as secc
from secc.v2g.din import status as din_status
from secc.v2g.iso2.status import ac_evse_status, dc_evse_status
from secc.v2g.progress import must_stop
from tests.hal.dc_rig import BATTERY_V, Rig
from tests.hal.faults_document import OF_DC, opens_within_s
from tests.secc.support import VIEW

TOKEN = IdToken("04A2B3C4", "ISO14443")
KINDS = ["ac", "dc"]
STOPPING = [fault for fault in Fault if severity_of(fault) is not Severity.WARNING]
CASES = [(kind, fault) for kind in KINDS for fault in Fault if kind == "dc" or fault not in OF_DC]
STOPPING_CASES = [(kind, fault) for kind, fault in CASES if severity_of(fault) is not Severity.WARNING]
DC_VIEW = secc.DcView(400.0, 60.0, 920.0, 150.0, 60_000.0, 150.0, 0.0, 5.0, "ID", secc.Insulation.VALID)
AT_DC = {
    Severity.EMERGENCY: "EVSE_EmergencyShutdown",
    Severity.STOP: "EVSE_Malfunction",
}
OF_THE_MAINS = {Fault.POWER_LOSS, Fault.UNDER_VOLTAGE}


class Charge:
    """An ISO 15118 session with energy flowing, and what comes of facts."""

    def __init__(self, kind: str) -> None:
        self.now = 0.0
        self.session = Session(Limits(board_a=None), has_plc=True, dc=kind == "dc")
        self.done: list[Effect] = []
        self.feed(LocalLimit(LimitSource.BOARD, 32.0), ModemReady(0), PluggedIn(0), SlacBegun(b"\2" * 6, 0))
        self.feed(LinkReady(b"\2" * 6, 0), secc.SessionSetUp("AB" * 8, "02", "ISO 15118-2"))
        self.feed(TokenPresented(TOKEN.id_token, TOKEN.kind, 0))
        self.feed(AuthorizationAnswered(TOKEN, AuthorizeAnswer(AuthorizationStatus.ACCEPTED)))
        self.feed(VehicleReady(0, False), secc.PowerWanted(True), ContactorChanged(Contactor.CLOSED, 0))
        if kind == "dc":
            self.feed(DcStaged("charging", True, Insulation.VALID, "", 0))
        self.done.clear()

    def feed(self, *facts: object) -> list[Effect]:
        before = len(self.done)
        for fact in facts:
            self.now += 0.01
            self.done += self.session.feed(fact, self.now)  # type: ignore[arg-type]
        return self.done[before:]

    def wait(self, seconds: float) -> list[Effect]:
        self.now += seconds
        found = self.session.tick(self.now)
        self.done += found
        return found

    def fault(self, fault: Fault, active: bool = True) -> list[Effect]:
        return self.feed(BoardFault(fault, active, severity_of(fault), "raised", self.now))

    def opened(self) -> list[Effect]:
        return self.feed(ContactorChanged(Contactor.OPEN, self.now))


def kinds_of(done: list[Effect]) -> list[type]:
    return [type(effect) for effect in done]


@pytest.mark.parametrize(("kind", "fault"), STOPPING_CASES)
def test_the_order_of_the_stop(kind: str, fault: Fault) -> None:
    """Power first; the record ends, and the plug comes free, only when the contactor is confirmed open."""
    charge = Charge(kind)
    first = charge.fault(fault)
    withdrawn = effects.PermitPower(False)
    if severity_of(fault) is Severity.EMERGENCY:
        assert first[0] == withdrawn
        assert effects.SignalError() in first
    else:
        assert withdrawn not in first, "the vehicle may stop in order"
        charge.wait(STOP_PATIENCE_S + 0.01)
        assert withdrawn in charge.done
    assert effects.EndTransaction not in kinds_of(charge.done)
    assert effects.LockConnector(False) not in charge.done
    last = charge.opened()
    ended = next(effect for effect in last if isinstance(effect, effects.EndTransaction))
    assert (ended.trigger_reason, ended.stopped_reason) == (TriggerReason.ABNORMAL_CONDITION, stopped_by(fault))
    assert effects.LockConnector(False) in last


@pytest.mark.parametrize(("kind", "fault"), [case for case in CASES if case not in STOPPING_CASES])
def test_a_warning_goes_on_charging(kind: str, fault: Fault) -> None:
    charge = Charge(kind)
    done = charge.fault(fault)
    charge.wait(60)
    assert kinds_of(done) == [effects.ReportProblem]
    assert charge.session.stop is secc.StopReason.NONE
    assert charge.session.state.transaction_open


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_what_the_operator_is_told(kind: str, fault: Fault) -> None:
    charge = Charge(kind)
    done = charge.fault(fault)
    told = next(effect.cause for effect in done if isinstance(effect, effects.ReportProblem))
    entry = problem(told)
    assert (entry.tech_code, entry.active) == (fault.value, True)
    assert entry.component
    assert entry.variable in ("Problem", "Tripped")
    faulted = effects.ReportStatus(ConnectorStatus.FAULTED) in done
    assert faulted is (severity_of(fault) is not Severity.WARNING)
    charge.opened()
    cleared = charge.fault(fault, active=False)
    over = next(effect.cause for effect in cleared if isinstance(effect, effects.ReportProblem))
    assert not problem(over).active
    if faulted:
        assert effects.ReportStatus(ConnectorStatus.OCCUPIED) in cleared
        assert effects.ReportStatus(ConnectorStatus.AVAILABLE) in charge.feed(Unplugged(0))


@pytest.mark.parametrize(("kind", "fault"), STOPPING_CASES)
def test_what_the_vehicle_is_told(kind: str, fault: Fault) -> None:
    charge = Charge(kind)
    charge.fault(fault)
    view = replace(
        VIEW,
        stop=charge.session.stop,
        rcd_tripped=fault is Fault.RESIDUAL_CURRENT,
        dc=DC_VIEW if kind == "dc" else None,
    )
    assert must_stop(view), "-20: EVSENotification Terminate"
    if kind == "ac":
        status = ac_evse_status(view)
        assert (status.evse_notification.value, status.rcd) == ("StopCharging", fault is Fault.RESIDUAL_CURRENT)
        return
    expected = "EVSE_UtilityInterruptEvent" if fault in OF_THE_MAINS else AT_DC[severity_of(fault)]
    of_iso2 = dc_evse_status(view, DC_VIEW)
    assert (of_iso2.evse_notification.value, of_iso2.evse_status_code.value) == ("StopCharging", expected)
    of_din = din_status.evse_status(view, DC_VIEW)["DC_EVSEStatus"]
    assert isinstance(of_din, dict)
    assert (of_din["EVSENotification"], of_din["EVSEStatusCode"]) == ("StopCharging", expected)


def raise_in(rig: Rig, fault: Fault) -> None:
    """What makes the DC output, or the board below it, find this."""
    match fault:
        case Fault.RESISTANCE_FAULT:
            rig.kohm = 20
        case Fault.OVER_VOLTAGE:
            rig.over_v = 600 - BATTERY_V
        case Fault.VOLTAGE_PLAUSIBILITY:
            rig.lies_v = 70
        case Fault.POWER_SUPPLY_FAILURE:
            rig.supply_fault = "fan"
        case Fault.ISOLATION_MONITOR_FAILURE:
            rig.monitor_fault = "device error"
        case _ if fault in BITS:
            # The board cuts by itself; where the daemon knows of an emergency it cuts too.
            rig.stuck_open, rig.contactor = True, Contactor.OPEN
            if severity_of(fault) is Severity.EMERGENCY:
                rig.machine.emergency(rig.now)
        case Fault.COMMUNICATION_FAULT:
            rig.stuck_open, rig.contactor = True, Contactor.OPEN
            rig.machine.board(None, None, rig.now)
        case _:
            rig.machine.permit(False, rig.now)


SEEN_AFTER_S = {
    Fault.RESISTANCE_FAULT: 1.01,
    Fault.OVER_VOLTAGE: 0.26,
    Fault.VOLTAGE_PLAUSIBILITY: 31.1,
    Fault.POWER_SUPPLY_FAILURE: 0.26,
    Fault.ISOLATION_MONITOR_FAILURE: 1.01,
    Fault.POWER_METER_FAILURE: STOP_PATIENCE_S,
}
"""The period of the device that measures it, or how long it must last; a fault that ends charging in order, when the
vehicle has had its time."""


@pytest.mark.parametrize(
    "fault", [fault for fault in STOPPING if fault not in (Fault.CABLE_CHECK_FAULT, Fault.CONNECTOR_VOLTAGE_HIGH)]
)
def test_the_dc_output_is_open_in_time(fault: Fault) -> None:
    """The two left out are of a cable that carries no power: see the tests of the power path."""
    rig = Rig().charging(100)
    raised_s = rig.now
    raise_in(rig, fault)
    seen_s = raised_s + SEEN_AFTER_S.get(fault, 0.0)
    within_s = opens_within_s(fault, dc=True)
    assert within_s is not None
    rig.until(Stage.DISCHARGING, seen_s - raised_s + within_s)
    open_s, off_s = rig.at_s("contactor open", raised_s), rig.at_s("supply off", raised_s)
    assert open_s - seen_s <= within_s
    assert rig.machine.orders.supply.mode is SupplyMode.OFF
    assert off_s <= seen_s + within_s
    if fault not in BITS and severity_of(fault) is Severity.STOP:
        assert off_s < open_s, "no current to break"
    assert not rig.machine.orders.unlock
    rig.vehicle_closed, rig.lies_v = False, 0
    rig.until(Stage.IDLE, 12)
    if fault in rig.machine.faults:
        recovers(rig, fault)


def recovers(rig: Rig, fault: Fault) -> None:
    """With its cause; with the vehicle; or by a technician: as the table says."""
    rig.kohm, rig.over_v, rig.lies_v, rig.supply_fault, rig.monitor_fault = 2000, 0, 0, "", ""
    rig.pass_s(2)
    stays = fault in UNTIL_UNPLUGGED | LATCHED | {Fault.OVER_VOLTAGE}
    assert (fault in rig.machine.faults) is stays
    rig.cp = CpState.A
    rig.pass_s(1)
    assert fault not in rig.machine.faults
