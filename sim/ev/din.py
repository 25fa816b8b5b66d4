"""A session of DIN SPEC 70121."""

from sim.ev.script import Elements, Pause, Power, Script, ask, ask_until_finished
from sim.ev.values import of_physical, physical
from sim.ev.wishes import Told, Wishes

STATUS: Elements = {"EVReady": True, "EVErrorCode": "NO_ERROR", "EVRESSSOC": 50}
_STATUS: Elements = {"DC_EVStatus": STATUS}

PRE_CHARGE_TOLERANCE_V = 20.0


def session(wishes: Wishes, told: Told) -> Script:
    setup = yield from ask("SessionSetupReq", {"EVCCID": bytes.fromhex(wishes.evcc_id)})
    told.session_id = setup.session_id
    yield from ask("ServiceDiscoveryReq")
    yield from ask(
        "ServicePaymentSelectionReq",
        {
            "SelectedPaymentOption": "ExternalPayment",
            "SelectedServiceList": {"SelectedService": [{"ServiceID": 1}]},
        },
    )
    yield from ask_until_finished("ContractAuthenticationReq", pace_s=wishes.ongoing_pace_s)
    parameters = {
        "DC_EVStatus": STATUS,
        "EVMaximumCurrentLimit": physical(wishes.max_current_a, "A"),
        "EVMaximumVoltageLimit": physical(wishes.max_voltage_v, "V"),
    }
    discovered = yield from ask_until_finished(
        "ChargeParameterDiscoveryReq",
        {"EVRequestedEnergyTransferType": "DC_extended", "DC_EVChargeParameter": parameters},
    )
    told.tuples = [entry["SAScheduleTupleID"] for entry in discovered.elements["SAScheduleList"]["SAScheduleTuple"]]
    yield Power.ON
    yield from ask_until_finished("CableCheckReq", _STATUS, pace_s=wishes.ongoing_pace_s)
    yield from pre_charge(wishes)
    yield from ask("PowerDeliveryReq", {"ReadyToChargeState": True})
    yield from loops(wishes, told)
    yield from ask("PowerDeliveryReq", {"ReadyToChargeState": False})
    yield Power.OFF
    yield from ask("WeldingDetectionReq", _STATUS)
    yield from ask("SessionStopReq")


def pre_charge(wishes: Wishes) -> Script:
    """Until the output stands at the battery's voltage."""
    present_v = 0.0
    while abs(present_v - wishes.battery_v) > PRE_CHARGE_TOLERANCE_V:
        target = physical(wishes.battery_v, "V")
        wish = {**_STATUS, "EVTargetVoltage": target, "EVTargetCurrent": physical(2, "A")}
        reply = yield from ask("PreChargeReq", wish)
        present_v = of_physical(reply.elements["EVSEPresentVoltage"])
        yield Pause(wishes.loop_pace_s)


def loops(wishes: Wishes, told: Told) -> Script:
    demand = {
        **_STATUS,
        "EVTargetVoltage": physical(wishes.battery_v + 10, "V"),
        "EVTargetCurrent": physical(wishes.max_current_a, "A"),
        "ChargingComplete": False,
    }
    for _ in wishes.turns():
        reply = yield from ask("CurrentDemandReq", demand)
        told.limits_a.append(of_physical(reply.elements["EVSEMaximumCurrentLimit"]))
        notification = str(reply.elements["DC_EVSEStatus"]["EVSENotification"])
        told.notifications.append(notification)
        if notification == "StopCharging":
            told.stopped_by_station = True
            return
        yield Pause(wishes.loop_pace_s)
