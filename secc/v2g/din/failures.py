"""The shortest response of each type: what a refusal carries besides its code. Also the list of requests we know.

AC and contract messages, which the schema has and DIN SPEC 70121 does not use, are known only to be refused.
"""

from collections.abc import Callable

from secc.v2g.din.setting_up import EVSE_ID, offered_services
from secc.v2g.din.status import charge_parameter
from secc.v2g.elements import Elements, service_id
from secc.v2g.quantities import physical_value
from secc.v2g.session import Request, Surroundings

Filling = Callable[[Request, Surroundings], Elements]

_STATUS: Elements = {
    "DC_EVSEStatus": {
        "EVSEStatusCode": "EVSE_Shutdown",
        "NotificationMaxDelay": 0,
        "EVSENotification": "StopCharging",
    }
}
_AC_STATUS: Elements = {
    "AC_EVSEStatus": {
        "PowerSwitchClosed": False,
        "RCD": False,
        "NotificationMaxDelay": 0,
        "EVSENotification": "StopCharging",
    }
}
_CERTIFICATE: Elements = {
    "Id": "id1",
    "ContractSignatureCertChain": {"Certificate": b"\0"},
    "ContractSignatureEncryptedPrivateKey": b"\0",
    "DHParams": b"\0",
    "ContractID": "0",
}
_PROCESSING: Elements = {"EVSEProcessing": "Finished"}
_VOLTAGE: Elements = {"EVSEPresentVoltage": physical_value(0.0, "V")}
_LIMITS: Elements = dict.fromkeys(
    ("EVSECurrentLimitAchieved", "EVSEVoltageLimitAchieved", "EVSEPowerLimitAchieved"), False
)
_CURRENT: Elements = {"EVSEPresentCurrent": physical_value(0.0, "A")}
_NO_SCHEDULE: Elements = {
    "SAScheduleTuple": [
        {
            "SAScheduleTupleID": 1,
            "PMaxSchedule": {
                "PMaxScheduleID": 1,
                "PMaxScheduleEntry": [{"RelativeTimeInterval": {"start": 0}, "PMax": 0}],
            },
        }
    ]
}


def failed(request: Request, around: Surroundings, code: str) -> Elements:
    """The response `request` asks for, with `code` and only what its type demands."""
    return {"ResponseCode": code, **_FILLINGS[request.name](request, around)}


def _always(elements: Elements) -> Filling:
    return lambda _request, _around: elements


def _services(_request: Request, _around: Surroundings) -> Elements:
    return offered_services()


def _service_id(request: Request, _around: Surroundings) -> Elements:
    return {"ServiceID": service_id(request.elements)}


def _parameters(_request: Request, around: Surroundings) -> Elements:
    parameter = charge_parameter(around.view, around.dc)
    return {**_PROCESSING, "SAScheduleList": _NO_SCHEDULE, "DC_EVSEChargeParameter": parameter}


_FILLINGS: dict[str, Filling] = {
    "SessionSetupReq": _always({"EVSEID": EVSE_ID}),
    "ServiceDiscoveryReq": _services,
    "ServiceDetailReq": _service_id,
    "ServicePaymentSelectionReq": _always({}),
    "ContractAuthenticationReq": _always(_PROCESSING),
    "ChargeParameterDiscoveryReq": _parameters,
    "CableCheckReq": _always({**_STATUS, **_PROCESSING}),
    "PreChargeReq": _always({**_STATUS, **_VOLTAGE}),
    "PowerDeliveryReq": _always(_STATUS),
    "CurrentDemandReq": _always({**_STATUS, **_VOLTAGE, **_CURRENT, **_LIMITS}),
    "WeldingDetectionReq": _always({**_STATUS, **_VOLTAGE}),
    "SessionStopReq": _always({}),
    "PaymentDetailsReq": _always({"GenChallenge": "0", "DateTimeNow": 0}),
    "CertificateInstallationReq": _always(_CERTIFICATE),
    "CertificateUpdateReq": _always({**_CERTIFICATE, "RetryCounter": 0}),
    "ChargingStatusReq": _always({"EVSEID": EVSE_ID, "SAScheduleTupleID": 1, "ReceiptRequired": False, **_AC_STATUS}),
    "MeteringReceiptReq": _always(_AC_STATUS),
}

REQUESTS = frozenset(_FILLINGS)
