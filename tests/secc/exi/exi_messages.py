"""Plausible messages to read, write, sign, measure and mutate."""

from __future__ import annotations

from typing import Any

from secc.exi import Namespace

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SESSION_ID = bytes.fromhex("4142423030303831")


def signed_info(digests: dict[str, bytes]) -> dict[str, Any]:
    """digests: the Id of each signed element and its digest."""
    return {
        "CanonicalizationMethod": {"Algorithm": CANONICAL_EXI},
        "SignatureMethod": {"Algorithm": ECDSA_SHA256},
        "Reference": [
            {
                "URI": f"#{name}",
                "Transforms": {"Transform": [{"Algorithm": CANONICAL_EXI}]},
                "DigestMethod": {"Algorithm": SHA256},
                "DigestValue": digest,
            }
            for name, digest in digests.items()
        ],
    }


def signature(digests: dict[str, bytes], value: bytes = bytes(64)) -> dict[str, Any]:
    return {"SignedInfo": signed_info(digests), "SignatureValue": {"value": value}}


def physical(value: int, unit: str, multiplier: int = 0) -> dict[str, Any]:
    return {"Multiplier": multiplier, "Unit": unit, "Value": value}


def rational(value: int, exponent: int = 0) -> dict[str, Any]:
    return {"Exponent": exponent, "Value": value}


def iso_2(body: dict[str, Any], **header: Any) -> dict[str, Any]:
    return {"V2G_Message": {"Header": {"SessionID": SESSION_ID, **header}, "Body": body}}


def iso_20(name: str, **content: Any) -> dict[str, Any]:
    return {name: {"Header": {"SessionID": SESSION_ID, "TimeStamp": 1_700_000_000}, **content}}


SAP_REQ = {
    "supportedAppProtocolReq": {
        "AppProtocol": [
            {
                "ProtocolNamespace": uri,
                "VersionNumberMajor": 2,
                "VersionNumberMinor": 0,
                "SchemaID": number,
                "Priority": number,
            }
            for number, uri in enumerate((Namespace.ISO_2.value, Namespace.DIN.value), start=1)
        ]
    }
}
DC_EV_STATUS = {"EVReady": True, "EVErrorCode": "NO_ERROR", "EVRESSSOC": 55}
CURRENT_DEMAND_REQ = {
    "CurrentDemandReq": {
        "DC_EVStatus": DC_EV_STATUS,
        "EVTargetCurrent": physical(120, "A"),
        "EVMaximumVoltageLimit": physical(400, "V"),
        "EVMaximumCurrentLimit": physical(200, "A"),
        "EVMaximumPowerLimit": physical(5000, "W", 1),
        "BulkChargingComplete": False,
        "ChargingComplete": False,
        "RemainingTimeToFullSoC": physical(3000, "s"),
        "RemainingTimeToBulkSoC": physical(1800, "s"),
        "EVTargetVoltage": physical(390, "V"),
    }
}
DC_EVSE_STATUS = {
    "NotificationMaxDelay": 0,
    "EVSENotification": "None",
    "EVSEIsolationStatus": "Valid",
    "EVSEStatusCode": "EVSE_Ready",
}
CURRENT_DEMAND_RES = {
    "CurrentDemandRes": {
        "ResponseCode": "OK",
        "DC_EVSEStatus": DC_EVSE_STATUS,
        "EVSEPresentVoltage": physical(389, "V"),
        "EVSEPresentCurrent": physical(119, "A"),
        "EVSECurrentLimitAchieved": False,
        "EVSEVoltageLimitAchieved": False,
        "EVSEPowerLimitAchieved": False,
        "EVSEMaximumVoltageLimit": physical(1000, "V"),
        "EVSEMaximumCurrentLimit": physical(200, "A"),
        "EVSEMaximumPowerLimit": physical(6000, "W", 1),
        "EVSEID": "DEABCE001",
        "SAScheduleTupleID": 1,
    }
}
SALES_TARIFF = {
    "Id": "id1",
    "SalesTariffID": 1,
    "SalesTariffDescription": "day and night",
    "NumEPriceLevels": 2,
    "SalesTariffEntry": [
        {
            "RelativeTimeInterval": {"start": 3600 * hour},
            "EPriceLevel": 1 + hour % 2,
            "ConsumptionCost": [
                {"startValue": physical(0, "W"), "Cost": [{"costKind": "relativePricePercentage", "amount": 20}]}
            ],
        }
        for hour in range(4)
    ],
}
CHARGE_PARAMETER_DISCOVERY_RES = {
    "ChargeParameterDiscoveryRes": {
        "ResponseCode": "OK",
        "EVSEProcessing": "Finished",
        "SAScheduleList": {
            "SAScheduleTuple": [
                {
                    "SAScheduleTupleID": 1,
                    "PMaxSchedule": {
                        "PMaxScheduleEntry": [
                            {"RelativeTimeInterval": {"start": 0, "duration": 86400}, "PMax": physical(11040, "W")}
                        ]
                    },
                    "SalesTariff": SALES_TARIFF,
                }
            ]
        },
        "AC_EVSEChargeParameter": {
            "AC_EVSEStatus": {"NotificationMaxDelay": 0, "EVSENotification": "None", "RCD": False},
            "EVSENominalVoltage": physical(230, "V"),
            "EVSEMaxCurrent": physical(16, "A"),
        },
    }
}


def certificate(number: int) -> bytes:
    return bytes((number * 7 + index * 31) & 0xFF for index in range(600))


CERTIFICATE_CHAIN = {
    "Certificate": certificate(1),
    "SubCertificates": {"Certificate": [certificate(2), certificate(3)]},
}
CERTIFICATE_INSTALLATION_RES = {
    "CertificateInstallationRes": {
        "ResponseCode": "OK",
        "SAProvisioningCertificateChain": CERTIFICATE_CHAIN,
        "ContractSignatureCertChain": {"Id": "id1", **CERTIFICATE_CHAIN},
        "ContractSignatureEncryptedPrivateKey": {"Id": "id2", "value": bytes(range(48))},
        "DHpublickey": {"Id": "id3", "value": bytes(range(65))},
        "eMAID": {"Id": "id4", "value": "DEABCC12345678"},
    }
}
DC_CHARGE_LOOP_REQ = iso_20(
    "DC_ChargeLoopReq",
    DisplayParameters={"PresentSOC": 55, "ChargingComplete": False},
    MeterInfoRequested=True,
    EVPresentVoltage=rational(3900, -1),
    Scheduled_DC_CLReqControlMode={"EVTargetCurrent": rational(120), "EVTargetVoltage": rational(400)},
)
DC_CHARGE_LOOP_RES = iso_20(
    "DC_ChargeLoopRes",
    ResponseCode="OK",
    EVSEPresentCurrent=rational(1190, -1),
    EVSEPresentVoltage=rational(3890, -1),
    EVSEPowerLimitAchieved=False,
    EVSECurrentLimitAchieved=False,
    EVSEVoltageLimitAchieved=True,
    Scheduled_DC_CLResControlMode={},
)
PRICE_SCHEDULE = {
    "Id": "id1",
    "TimeAnchor": 1_700_000_000,
    "PriceScheduleID": 1,
    "Currency": "EUR",
    "Language": "ENG",
    "PriceAlgorithm": "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
    "PriceRuleStacks": {
        "PriceRuleStack": [
            {
                "Duration": 3600,
                "PriceRule": [{"EnergyFee": rational(42, -2), "PowerRangeStart": rational(0)}],
            }
            for _ in range(8)
        ]
    },
}
SCHEDULE_EXCHANGE_RES = iso_20(
    "ScheduleExchangeRes",
    ResponseCode="OK",
    EVSEProcessing="Finished",
    Scheduled_SEResControlMode={
        "ScheduleTuple": [
            {
                "ScheduleTupleID": 1,
                "ChargingSchedule": {
                    "PowerSchedule": {
                        "TimeAnchor": 1_700_000_000,
                        "PowerScheduleEntries": {
                            "PowerScheduleEntry": [
                                {"Duration": 3600, "Power": rational(11 + hour, 3)} for hour in range(12)
                            ]
                        },
                    },
                    "AbsolutePriceSchedule": PRICE_SCHEDULE,
                },
            }
        ]
    },
)

# name -> (namespace, message, fragment)
KINDS: dict[str, tuple[Namespace, dict[str, Any], bool]] = {
    "SupportedAppProtocolReq": (Namespace.SAP, SAP_REQ, False),
    "DIN SessionSetupReq": (Namespace.DIN, iso_2({"SessionSetupReq": {"EVCCID": bytes(6)}}), False),
    "DIN CurrentDemandReq": (Namespace.DIN, iso_2(CURRENT_DEMAND_REQ), False),
    "SessionSetupReq": (Namespace.ISO_2, iso_2({"SessionSetupReq": {"EVCCID": bytes(6)}}), False),
    "ChargingStatusReq": (Namespace.ISO_2, iso_2({"ChargingStatusReq": {}}), False),
    "CurrentDemandReq": (Namespace.ISO_2, iso_2(CURRENT_DEMAND_REQ), False),
    "CurrentDemandRes": (Namespace.ISO_2, iso_2(CURRENT_DEMAND_RES), False),
    "ChargeParameterDiscoveryRes": (
        Namespace.ISO_2,
        iso_2(CHARGE_PARAMETER_DISCOVERY_RES, Signature=signature({"id1": bytes(32)})),
        False,
    ),
    "CertificateInstallationRes": (Namespace.ISO_2, iso_2(CERTIFICATE_INSTALLATION_RES), False),
    "AuthorizationReq fragment": (
        Namespace.ISO_2,
        {"AuthorizationReq": {"Id": "id1", "GenChallenge": bytes(range(16))}},
        True,
    ),
    "SignedInfo fragment": (Namespace.XMLDSIG, {"SignedInfo": signed_info({"id1": bytes(32), "id2": bytes(32)})}, True),
    "DC_ChargeLoopReq": (Namespace.ISO_20_DC, DC_CHARGE_LOOP_REQ, False),
    "DC_ChargeLoopRes": (Namespace.ISO_20_DC, DC_CHARGE_LOOP_RES, False),
    "ScheduleExchangeRes": (Namespace.ISO_20_COMMON, SCHEDULE_EXCHANGE_RES, False),
}
