"""The shortest response of each type: what a refusal carries besides its code. Also the list of requests we know."""

from collections.abc import Callable
from typing import cast

from iso15118.shared.messages.iso15118_2 import body
from iso15118.shared.messages.iso15118_2.body import BodyBase
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.v2g.elements import service_id
from secc.v2g.iso2.charge_parameters import evse_charge_parameter
from secc.v2g.iso2.service_discovery import charge_service, payment_options
from secc.v2g.iso2.status import ac_evse_status, evse_status
from secc.v2g.models import build
from secc.v2g.session import CHALLENGE_BYTES, Request, Session, Surroundings

Elements = dict[str, object]
Filling = Callable[[Request, Session, Surroundings], Elements]

_DC_STATUS = {"NotificationMaxDelay": 0, "EVSENotification": "StopCharging", "EVSEStatusCode": "EVSE_Shutdown"}
_ZERO_V = {"Multiplier": 0, "Unit": "V", "Value": 0}
_ZERO_A = {"Multiplier": 0, "Unit": "A", "Value": 0}


def failed(request: Request, session: Session, around: Surroundings, code: ResponseCode) -> BodyBase:
    """The response `request` asks for, with `code` and only what its type demands."""
    name = request.name.removesuffix("Req") + "Res"
    model = cast(type[BodyBase], getattr(body, name))
    return build(model, ResponseCode=code, **_FILLINGS[request.name](request, session, around))


def _nothing(_request: Request, _session: Session, _around: Surroundings) -> Elements:
    return {}


def _evse_id(_request: Request, _session: Session, around: Surroundings) -> Elements:
    return {"EVSEID": around.view.evse_id}


def _services(_request: Request, session: Session, around: Surroundings) -> Elements:
    return {
        "PaymentOptionList": payment_options(session, around.view),
        "ChargeService": charge_service(around.view),
    }


def _service_id(request: Request, _session: Session, _around: Surroundings) -> Elements:
    return {"ServiceID": service_id(request.elements)}


def _challenge(_request: Request, _session: Session, around: Surroundings) -> Elements:
    return {"GenChallenge": bytes(CHALLENGE_BYTES), "EVSETimeStamp": around.unix_time}


def _processing(_request: Request, _session: Session, _around: Surroundings) -> Elements:
    return {"EVSEProcessing": "Finished"}


def _charge_parameters(_request: Request, _session: Session, around: Surroundings) -> Elements:
    return {"EVSEProcessing": "Finished", **evse_charge_parameter(around.view)}


def _status(_request: Request, _session: Session, around: Surroundings) -> Elements:
    return evse_status(around.view)


def _charging_status(_request: Request, session: Session, around: Surroundings) -> Elements:
    return {
        "EVSEID": around.view.evse_id,
        "SAScheduleTupleID": session.offer.tuple_id if session.offer else 1,
        "AC_EVSEStatus": ac_evse_status(around.view),
    }


def _certificates(_request: Request, _session: Session, _around: Surroundings) -> Elements:
    chain = {"Certificate": b"\0"}
    return {
        "SAProvisioningCertificateChain": chain,
        "ContractSignatureCertChain": {"Id": "id1", **chain},
        "ContractSignatureEncryptedPrivateKey": {"Id": "id2", "value": b"\0"},
        "DHpublickey": {"Id": "id3", "value": b"\0"},
        "eMAID": {"Id": "id4", "value": "0" * 14},
    }


def _dc_status(_request: Request, _session: Session, _around: Surroundings) -> Elements:
    return {"DC_EVSEStatus": _DC_STATUS}


def _dc_processing(_request: Request, _session: Session, _around: Surroundings) -> Elements:
    return {"DC_EVSEStatus": _DC_STATUS, "EVSEProcessing": "Finished"}


def _dc_voltage(_request: Request, _session: Session, _around: Surroundings) -> Elements:
    return {"DC_EVSEStatus": _DC_STATUS, "EVSEPresentVoltage": _ZERO_V}


def _current_demand(_request: Request, session: Session, around: Surroundings) -> Elements:
    return {
        "DC_EVSEStatus": _DC_STATUS,
        "EVSEPresentVoltage": _ZERO_V,
        "EVSEPresentCurrent": _ZERO_A,
        "EVSECurrentLimitAchieved": False,
        "EVSEVoltageLimitAchieved": False,
        "EVSEPowerLimitAchieved": False,
        "EVSEID": around.view.evse_id,
        "SAScheduleTupleID": session.offer.tuple_id if session.offer else 1,
    }


_FILLINGS: dict[str, Filling] = {
    "SessionSetupReq": _evse_id,
    "ServiceDiscoveryReq": _services,
    "ServiceDetailReq": _service_id,
    "PaymentServiceSelectionReq": _nothing,
    "PaymentDetailsReq": _challenge,
    "CertificateInstallationReq": _certificates,
    "CertificateUpdateReq": _certificates,
    "AuthorizationReq": _processing,
    "ChargeParameterDiscoveryReq": _charge_parameters,
    "PowerDeliveryReq": _status,
    "ChargingStatusReq": _charging_status,
    "MeteringReceiptReq": _status,
    "SessionStopReq": _nothing,
    "CableCheckReq": _dc_processing,
    "PreChargeReq": _dc_voltage,
    "CurrentDemandReq": _current_demand,
    "WeldingDetectionReq": _dc_voltage,
}

REQUESTS = frozenset(_FILLINGS)
