"""A session of ISO 15118-20: AC and DC, either way, planned by the vehicle or by the station."""

from typing import Any

from secc.exi import Namespace
from sim.ev.installation import installed_20
from sim.ev.script import Elements, Pause, Power, Reply, Script, ask, ask_until_finished
from sim.ev.signing import signature_over
from sim.ev.values import of_rational, rational
from sim.ev.wishes import Credential, Extra, Service, Told, Wishes

SERVICE_IDS = {Service.AC: 1, Service.DC: 2, Service.AC_BPT: 5, Service.DC_BPT: 6}
PRE_CHARGE_TOLERANCE_V = 20.0

_SCHEDULED, _DYNAMIC = 1, 2
_BY_STATION = 2

_ENERGY = {
    "EVTargetEnergyRequest": rational(2000),
    "EVMaximumEnergyRequest": rational(3000),
    "EVMinimumEnergyRequest": rational(100),
}


def session(wishes: Wishes, told: Told) -> Script:
    setup = yield from ask("SessionSetupReq", {"EVCCID": f"WMI{wishes.evcc_id}"})
    told.session_id, told.joined = setup.session_id, setup.code == "OK_OldSessionJoined"
    yield from _pay(wishes, told)
    yield from _choose_and_charge(wishes, told)
    if Extra.SERVICE_RENEGOTIATION in wishes.extras:
        yield from ask("SessionStopReq", {"ChargingSession": "ServiceRenegotiation"})
        yield from _choose_and_charge(wishes, told)
    leaving = "Pause" if Extra.PAUSE in wishes.extras else "Terminate"
    yield from ask("SessionStopReq", {"ChargingSession": leaving})


def _choose_and_charge(wishes: Wishes, told: Told) -> Script:
    yield from _choose(wishes)
    yield from _plan(wishes, told)
    yield from _start(wishes)
    yield from _loops(wishes, told)
    if Extra.RENEGOTIATE in wishes.extras and not told.stopped_by_station:
        yield from ask("PowerDeliveryReq", _power("ScheduleRenegotiation"))
        yield from _exchange(wishes, told)
        yield from ask("PowerDeliveryReq", _power("Start"))
        yield from _loops(wishes, told)
    if Extra.STANDBY in wishes.extras and not told.stopped_by_station:
        yield from ask("PowerDeliveryReq", _power("Standby"))
        yield Power.OFF
        yield from ask(_loop_name(wishes), _loop(wishes))
        yield from _start(wishes)
        yield from _loops(wishes, told)
    yield from ask("PowerDeliveryReq", _power("Stop"))
    yield Power.OFF
    if wishes.service.direct:
        yield from ask("DC_WeldingDetectionReq", {"EVProcessing": "Finished"})


# --- Payment ---


def _pay(wishes: Wishes, told: Told) -> Script:
    setup = yield from ask("AuthorizationSetupReq")
    if Extra.INSTALL in wishes.extras:
        assert wishes.provisioning is not None
        yield from _install(wishes.provisioning, told)
    contract = told.installed or wishes.contract
    if contract is None:
        wish = {"SelectedAuthorizationService": "EIM", "EIM_AReqAuthorizationMode": {}}
        reply = yield from ask_until_finished("AuthorizationReq", wish, pace_s=wishes.ongoing_pace_s)
    else:
        told.contract = contract
        mode = setup.elements["PnC_ASResAuthorizationMode"]
        proof = {
            "Id": "id1",
            "GenChallenge": mode["GenChallenge"],
            "ContractCertificateChain": _chain(contract),
        }
        signature = signature_over(Namespace.ISO_20_COMMON, "PnC_AReqAuthorizationMode", proof, contract.key)
        wish = {"SelectedAuthorizationService": "PnC", "PnC_AReqAuthorizationMode": proof}
        reply = yield from ask_until_finished("AuthorizationReq", wish, signature, wishes.ongoing_pace_s)
    if reply.code.startswith("WARNING"):
        # Refused: there is nothing to go on with.
        yield from ask("SessionStopReq", {"ChargingSession": "Terminate"})
        raise NotAuthorized(reply)


class NotAuthorized(Exception):
    """The station took neither contract nor card."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.code)
        self.reply = reply


def _chain(credential: Credential) -> dict[str, Any]:
    leaf, *sub_cas = credential.chain_der
    return {"Certificate": leaf, "SubCertificates": {"Certificate": sub_cas}}


def _install(provisioning: Credential, told: Told) -> Script:
    chain = {"Id": "id2", **_chain(provisioning)}
    wish = {
        "OEMProvisioningCertificateChain": chain,
        "ListOfRootCertificateIDs": {"RootCertificateID": [{"X509IssuerName": "CN=V2G Root", "X509SerialNumber": 1}]},
        "MaximumContractCertificateChains": 1,
    }
    signature = signature_over(Namespace.ISO_20_COMMON, "OEMProvisioningCertificateChain", chain, provisioning.key)
    reply = yield from ask_until_finished("CertificateInstallationReq", wish, signature)
    if reply.code == "OK":
        told.installed = installed_20(reply.elements, provisioning.key)


# --- What and how ---


def _choose(wishes: Wishes) -> Script:
    service_id = SERVICE_IDS[wishes.service]
    yield from ask("ServiceDiscoveryReq")
    detail = yield from ask("ServiceDetailReq", {"ServiceID": service_id})
    chosen = _parameter_set(wishes, detail)
    wish = {"SelectedEnergyTransferService": {"ServiceID": service_id, "ParameterSetID": chosen}}
    yield from ask("ServiceSelectionReq", wish)


def _parameter_set(wishes: Wishes, detail: Reply) -> int:
    """The first that has the control mode, and the side that knows the needs, of this vehicle."""
    mode = _DYNAMIC if wishes.dynamic else _SCHEDULED
    by_station = Extra.NEEDS_BY_STATION in wishes.extras
    for listed in detail.elements["ServiceParameterList"]["ParameterSet"]:
        values = {parameter["Name"]: parameter.get("intValue") for parameter in listed["Parameter"]}
        if values["ControlMode"] == mode and (values["MobilityNeedsMode"] == _BY_STATION) == by_station:
            return int(listed["ParameterSetID"])
    raise LookupError("no parameter set for this vehicle")


def _plan(wishes: Wishes, told: Told) -> Script:
    prefix = "BPT_" if wishes.service.bidirectional else ""
    kind = "DC" if wishes.service.direct else "AC"
    powers = _limits(wishes)
    yield from ask(f"{kind}_ChargeParameterDiscoveryReq", {f"{prefix}{kind}_CPDReqEnergyTransferMode": powers})
    yield from _exchange(wishes, told)


def _limits(wishes: Wishes) -> dict[str, Any]:
    if not wishes.service.direct:
        phase_w = wishes.ac_current_a * wishes.nominal_v
        phases = ("", "_L2", "_L3")[: wishes.phases]
        limits = {f"EVMaximumChargePower{phase}": rational(phase_w) for phase in phases}
        limits |= {f"EVMinimumChargePower{phase}": rational(6 * wishes.nominal_v) for phase in phases}
        if wishes.service.bidirectional:
            limits |= {f"EVMaximumDischargePower{phase}": rational(phase_w) for phase in phases}
            limits |= {f"EVMinimumDischargePower{phase}": rational(0) for phase in phases}
        return limits
    limits = {
        "EVMaximumChargePower": rational(wishes.max_current_a * wishes.max_voltage_v),
        "EVMinimumChargePower": rational(0),
        "EVMaximumChargeCurrent": rational(wishes.max_current_a),
        "EVMinimumChargeCurrent": rational(0),
        "EVMaximumVoltage": rational(wishes.max_voltage_v),
        "EVMinimumVoltage": rational(200),
    }
    if wishes.service.bidirectional:
        limits |= {
            "EVMaximumDischargePower": rational(20_000),
            "EVMinimumDischargePower": rational(0),
            "EVMaximumDischargeCurrent": rational(50),
            "EVMinimumDischargeCurrent": rational(0),
        }
    return limits


def _exchange(wishes: Wishes, told: Told) -> Script:
    name = "Dynamic_SEReqControlMode" if wishes.dynamic else "Scheduled_SEReqControlMode"
    wish = {"MaximumSupportingPoints": 1024, name: {"DepartureTime": 7200, **_ENERGY}}
    reply = yield from ask_until_finished("ScheduleExchangeReq", wish, pace_s=wishes.ongoing_pace_s)
    scheduled = reply.elements.get("Scheduled_SEResControlMode", {"ScheduleTuple": []})
    told.tuples = [entry["ScheduleTupleID"] for entry in scheduled["ScheduleTuple"]]


# --- Power ---


def _start(wishes: Wishes) -> Script:
    yield Power.ON
    if wishes.service.direct:
        yield from ask_until_finished("DC_CableCheckReq", pace_s=wishes.ongoing_pace_s)
        present_v = 0.0
        while abs(present_v - wishes.battery_v) > PRE_CHARGE_TOLERANCE_V:
            volts = rational(wishes.battery_v)
            wish = {"EVProcessing": "Ongoing", "EVPresentVoltage": volts, "EVTargetVoltage": volts}
            reply = yield from ask("DC_PreChargeReq", wish)
            present_v = of_rational(reply.elements["EVSEPresentVoltage"])
            yield Pause(wishes.loop_pace_s)
    yield from ask("PowerDeliveryReq", _power("Start"))


def _power(progress: str) -> Elements:
    return {"EVProcessing": "Finished", "ChargeProgress": progress}


def _loop_name(wishes: Wishes) -> str:
    return "DC_ChargeLoopReq" if wishes.service.direct else "AC_ChargeLoopReq"


def _loops(wishes: Wishes, told: Told) -> Script:
    wish = _loop(wishes)
    for _ in wishes.turns():
        reply = yield from ask(_loop_name(wishes), wish)
        _learn(wishes, told, reply)
        notification = str(reply.elements.get("EVSEStatus", {}).get("EVSENotification", "None"))
        told.notifications.append(notification)
        if notification == "Terminate":
            told.stopped_by_station = True
            return
        if notification == "MeteringConfirmation" and Extra.RECEIPTS in wishes.extras:
            yield from _confirm(wishes, told, reply)
        yield Pause(wishes.loop_pace_s)


def _learn(wishes: Wishes, told: Told, reply: Reply) -> None:
    mode = reply.elements[_control_mode(wishes, "Res")]
    if wishes.service.direct:
        told.limits_a.append(of_rational(mode["EVSEMaximumChargeCurrent"]))
    else:
        watts = of_rational(mode["EVSETargetActivePower"])
        told.targets_w.append(watts)
        told.limits_a.append(watts / wishes.nominal_v)


def _control_mode(wishes: Wishes, direction: str) -> str:
    prefix = "BPT_" if wishes.service.bidirectional else ""
    mode = "Dynamic" if wishes.dynamic else "Scheduled"
    kind = "DC" if wishes.service.direct else "AC"
    return f"{prefix}{mode}_{kind}_CL{direction}ControlMode"


def _loop(wishes: Wishes) -> Elements:
    said: dict[str, Any] = {"MeterInfoRequested": True}
    if not wishes.service.direct:
        mode: dict[str, Any] = {"EVPresentActivePower": rational(wishes.ac_current_a * wishes.nominal_v)}
        if wishes.dynamic:
            mode |= {**_ENERGY, **_limits(wishes), "EVPresentReactivePower": rational(0)}
    else:
        said["EVPresentVoltage"] = rational(wishes.battery_v)
        amps = -30.0 if Extra.DISCHARGE in wishes.extras else wishes.max_current_a
        mode = {"EVTargetCurrent": rational(amps), "EVTargetVoltage": rational(wishes.battery_v + 10)}
        if wishes.dynamic:
            named = _limits(wishes)
            left_out = ("EVMinimumChargeCurrent", "EVMinimumDischargeCurrent")
            mode = {**_ENERGY, **{name: value for name, value in named.items() if name not in left_out}}
    return {**said, _control_mode(wishes, "Req"): mode}


def _confirm(wishes: Wishes, told: Told, loop: Reply) -> Script:
    assert told.contract is not None
    control: Elements = (
        {"Dynamic_SMDTControlMode": {}}
        if wishes.dynamic
        else {"Scheduled_SMDTControlMode": {"SelectedScheduleTupleID": told.tuples[0]}}
    )
    data = {"Id": "id3", "SessionID": told.session_id, "MeterInfo": loop.elements["MeterInfo"], **control}
    signature = signature_over(Namespace.ISO_20_COMMON, "SignedMeteringData", data, told.contract.key)
    yield from ask("MeteringConfirmationReq", {"SignedMeteringData": data}, signature)
    told.receipts += 1
