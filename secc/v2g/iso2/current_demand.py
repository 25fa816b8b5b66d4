"""CurrentDemand: the DC charge loop (clause 8.4.5.4). The vehicle waits 250 ms for each response."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import CurrentDemandReq, CurrentDemandRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.v2g.dc_target import demand, noted_soc
from secc.v2g.iso2.charge_loop import turn
from secc.v2g.iso2.dc_output import present_voltage
from secc.v2g.iso2.status import dc_evse_status
from secc.v2g.models import build
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, Surroundings


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Pass the target on, within the limits; say which limit was met, and what flows."""
    message = request.message
    assert isinstance(message, CurrentDemandReq)
    assert session.offer is not None
    view, dc = around.view, around.dc
    wanted_v = message.ev_target_voltage.get_decimal_value()
    wanted_a = message.ev_target_current.get_decimal_value()
    met = demand(wanted_v, wanted_a, session, view, dc)
    said = turn(session, view, dc.max_current_a, "CurrentDemandRes", now)
    response = build(
        CurrentDemandRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(view, dc, said.notification),
        EVSEPresentVoltage=present_voltage(dc),
        EVSEPresentCurrent=physical_value(round(dc.present_current_a, 1), "A"),
        EVSECurrentLimitAchieved=met.current_limited,
        EVSEVoltageLimitAchieved=met.voltage_limited,
        EVSEPowerLimitAchieved=met.power_limited,
        EVSEMaximumVoltageLimit=physical_value(dc.max_voltage_v, "V"),
        EVSEMaximumCurrentLimit=physical_value(dc.max_current_a, "A"),
        EVSEMaximumPowerLimit=physical_value(dc.max_power_w, "W"),
        EVSEID=view.evse_id,
        SAScheduleTupleID=session.offer.tuple_id,
        MeterInfo=said.meter,
        ReceiptRequired=said.receipt_required,
    )
    after = replace(said.session, output_wanted=True)
    after, charged = noted_soc(after, message.dc_ev_status.ev_ress_soc)
    return Answer(response, after, (met.target, *said.facts, *charged))
