"""A session of ISO 15118-2, AC or DC."""

from typing import Any

from secc.exi import Namespace
from sim.ev import din
from sim.ev.installation import installed_2
from sim.ev.script import Elements, Pause, Power, Reply, Script, ask, ask_until_finished
from sim.ev.signing import signature_over
from sim.ev.values import of_physical, physical
from sim.ev.wishes import Credential, Extra, Told, Wishes

_CHARGING = {"ServiceID": 1}
_CERTIFICATES = {"ServiceID": 2, "ParameterSetID": 1}
_STATUS: Elements = {"DC_EVStatus": din.STATUS}


def session(wishes: Wishes, told: Told) -> Script:
    setup = yield from ask("SessionSetupReq", {"EVCCID": bytes.fromhex(wishes.evcc_id)})
    told.session_id, told.joined = setup.session_id, setup.code == "OK_OldSessionJoined"
    yield from ask("ServiceDiscoveryReq")
    yield from _pay(wishes, told)
    yield from _plan(wishes, told)
    yield from _start(wishes, told)
    yield from _loops(wishes, told)
    if Extra.RENEGOTIATE in wishes.extras and not told.stopped_by_station:
        yield from ask("PowerDeliveryReq", _power("Renegotiate", told))
        if wishes.service.direct:
            yield Power.OFF
        yield from _plan(wishes, told)
        yield from _start(wishes, told)
        yield from _loops(wishes, told)
    yield from ask("PowerDeliveryReq", _power("Stop", told))
    yield Power.OFF
    if wishes.service.direct:
        yield from ask("WeldingDetectionReq", _STATUS)
    leaving = "Pause" if Extra.PAUSE in wishes.extras else "Terminate"
    yield from ask("SessionStopReq", {"ChargingSession": leaving})


def _pay(wishes: Wishes, told: Told) -> Script:
    installs = Extra.INSTALL in wishes.extras
    services = [_CHARGING, _CERTIFICATES] if installs else [_CHARGING]
    if installs:
        yield from ask("ServiceDetailReq", {"ServiceID": 2})
    option = "Contract" if wishes.contract or installs else "ExternalPayment"
    selection = {"SelectedPaymentOption": option, "SelectedServiceList": {"SelectedService": services}}
    yield from ask("PaymentServiceSelectionReq", selection)
    if installs:
        assert wishes.provisioning is not None
        yield from _install(wishes.provisioning, told)
    contract = told.installed or wishes.contract
    if contract is None:
        yield from ask_until_finished("AuthorizationReq", pace_s=wishes.ongoing_pace_s)
        return
    told.contract = contract
    details = {"eMAID": contract.name, "ContractSignatureCertChain": _chain(contract)}
    challenged = yield from ask("PaymentDetailsReq", details)
    proof = {"Id": "ID1", "GenChallenge": challenged.elements["GenChallenge"]}
    signature = signature_over(Namespace.ISO_2, "AuthorizationReq", proof, contract.key)
    yield from ask_until_finished("AuthorizationReq", proof, signature, wishes.ongoing_pace_s)


def _chain(contract: Credential) -> dict[str, Any]:
    leaf, *sub_cas = contract.chain_der
    return {"Certificate": leaf, "SubCertificates": {"Certificate": sub_cas}}


def _install(provisioning: Credential, told: Told) -> Script:
    wish = {
        "Id": "ID2",
        "OEMProvisioningCert": provisioning.chain_der[0],
        "ListOfRootCertificateIDs": {"RootCertificateID": [{"X509IssuerName": "CN=V2G Root", "X509SerialNumber": 1}]},
    }
    signature = signature_over(Namespace.ISO_2, "CertificateInstallationReq", wish, provisioning.key)
    reply = yield from ask("CertificateInstallationReq", wish, signature)
    told.installed = installed_2(reply.elements, provisioning.key)


def _plan(wishes: Wishes, told: Told) -> Script:
    wish: dict[str, Any]
    if wishes.service.direct:
        parameters: dict[str, Any] = {
            "DC_EVStatus": din.STATUS,
            "EVMaximumCurrentLimit": physical(wishes.max_current_a, "A"),
            "EVMaximumVoltageLimit": physical(wishes.max_voltage_v, "V"),
        }
        wish = {"RequestedEnergyTransferMode": "DC_extended", "DC_EVChargeParameter": parameters}
    else:
        parameters = {
            "DepartureTime": 7200,
            "EAmount": physical(2000, "Wh"),
            "EVMaxVoltage": physical(400, "V"),
            "EVMaxCurrent": physical(wishes.ac_current_a, "A"),
            "EVMinCurrent": physical(6, "A"),
        }
        mode = "AC_three_phase_core" if wishes.phases == 3 else "AC_single_phase_core"
        wish = {"RequestedEnergyTransferMode": mode, "AC_EVChargeParameter": parameters}
    reply = yield from ask_until_finished("ChargeParameterDiscoveryReq", wish, pace_s=wishes.ongoing_pace_s)
    told.tuples = [entry["SAScheduleTupleID"] for entry in reply.elements["SAScheduleList"]["SAScheduleTuple"]]
    if not wishes.service.direct:
        told.limits_a.append(of_physical(reply.elements["AC_EVSEChargeParameter"]["EVSEMaxCurrent"]))


def _start(wishes: Wishes, told: Told) -> Script:
    yield Power.ON
    if wishes.service.direct:
        yield from ask_until_finished("CableCheckReq", _STATUS, pace_s=wishes.ongoing_pace_s)
        yield from din.pre_charge(wishes)
    yield from ask("PowerDeliveryReq", _power("Start", told))


def _power(progress: str, told: Told) -> Elements:
    return {"ChargeProgress": progress, "SAScheduleTupleID": told.tuples[0]}


def _loops(wishes: Wishes, told: Told) -> Script:
    demand = {
        **_STATUS,
        "EVTargetVoltage": physical(wishes.battery_v + 10, "V"),
        "EVTargetCurrent": physical(wishes.max_current_a, "A"),
        "ChargingComplete": False,
    }
    direct = wishes.service.direct
    for _ in wishes.turns():
        reply = yield from ask("CurrentDemandReq", demand) if direct else ask("ChargingStatusReq")
        limit = reply.elements["EVSEMaximumCurrentLimit" if direct else "EVSEMaxCurrent"]
        told.limits_a.append(of_physical(limit))
        notification = str(reply.elements["DC_EVSEStatus" if direct else "AC_EVSEStatus"]["EVSENotification"])
        told.notifications.append(notification)
        if notification == "StopCharging":
            told.stopped_by_station = True
            return
        if reply.elements.get("ReceiptRequired"):
            yield from _sign_receipt(told, reply)
        yield Pause(wishes.loop_pace_s)


def _sign_receipt(told: Told, status: Reply) -> Script:
    assert told.contract is not None
    receipt = {
        "Id": "ID3",
        "SessionID": told.session_id,
        "SAScheduleTupleID": status.elements["SAScheduleTupleID"],
        "MeterInfo": status.elements["MeterInfo"],
    }
    signature = signature_over(Namespace.ISO_2, "MeteringReceiptReq", receipt, told.contract.key)
    yield from ask("MeteringReceiptReq", receipt, signature)
    told.receipts += 1
