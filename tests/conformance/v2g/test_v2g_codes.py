"""Each negative response code of each protocol: a case that brings it about, or the reason why it is never sent."""

import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

import pytest

from secc.ports import Authorization, CertificateAnswer, ContractFault, Insulation, PowerWanted, StopReason
from secc.v2g.session import State
from tests.conformance.v2g.ways import DIN, ISO_2_AC, ISO_2_DC, ISO_20_AC, ISO_20_DC, Way
from tests.secc.support import (
    AUTHORIZATION,
    CHALLENGE,
    CHARGE_PARAMETERS,
    DC_CHARGE_PARAMETERS,
    PAYMENT_DETAILS,
    Response,
    StubCertificates,
    Talk,
    amount,
    make_key,
    power,
    selection,
    signature_of,
)
from tests.secc.v2g import test_secc_din as din
from tests.secc.v2g import test_secc_refusals as iso_2
from tests.secc.v2g.talk20 import EIM, PNC, PROOF, SCHEDULED, Talk20, entry, power20, select, signed
from tests.secc.v2g.test_secc_20_refusals import GOOD as GOOD_20

Case = Callable[[], tuple[Talk, Response | None]]


def at(way: Way, state: State, name: str, elements: dict, signature: dict | None = None, **station: object) -> Case:
    def case() -> tuple[Talk, Response | None]:
        talk = way.reached(state)
        talk.station(**station)
        return talk, talk.ask(name, elements, signature=signature)

    return case


def unknown_session(way: Way, state: State, name: str) -> Case:
    def case() -> tuple[Talk, Response | None]:
        talk = way.reached(state)
        return talk, talk.ask(name, way.requests[name], session_id="AB" * 8)

    return case


def held(way: Way, state: State, name: str, seconds: float, **station: object) -> Case:
    """A request that waits in vain."""

    def case() -> tuple[Talk, Response | None]:
        talk = way.reached(state)
        talk.station(**station)
        elements, signature = way.wish(state, name)
        assert talk.ask(name, elements, signature=signature) is None
        return talk, talk.wait(seconds)

    return case


def insulation(way: Way, name: str) -> Case:
    def case() -> tuple[Talk, Response | None]:
        talk = way.reached(State.CABLE_CHECK)
        assert talk.ask(name, way.requests[name]) is None
        talk.output(cable_check_id=talk.conversation.session.cable_check_id, cable_check=Insulation.FAULT)
        return talk, way.tick(talk)

    return case


# --- DIN SPEC 70121 ---


def din_profile(watts: int, tuple_id: int = 1) -> dict:
    return din.plan(watts, tuple_id)


DIN_CASES: dict[str, Case] = {
    "FAILED": insulation(DIN, "CableCheckReq"),
    "FAILED_SequenceError": at(DIN, State.AUTHORIZATION, "CurrentDemandReq", din.DEMAND),
    "FAILED_UnknownSession": unknown_session(DIN, State.AUTHORIZATION, "ContractAuthenticationReq"),
    "FAILED_ServiceIDInvalid": at(DIN, State.SERVICE_SELECTION, "ServiceDetailReq", {"ServiceID": 3}),
    "FAILED_ServiceSelectionInvalid": at(
        DIN, State.SERVICE_SELECTION, "ServicePaymentSelectionReq", din.selection("ExternalPayment", 1, 2)
    ),
    "FAILED_PaymentSelectionInvalid": at(
        DIN, State.SERVICE_SELECTION, "ServicePaymentSelectionReq", din.selection("Contract", 1)
    ),
    "FAILED_WrongChargeParameter": at(
        DIN,
        State.CHARGE_PARAMETER_DISCOVERY,
        "ChargeParameterDiscoveryReq",
        {"EVRequestedEnergyTransferType": "DC_extended", "AC_EVChargeParameter": din.AC_PARAMETER},
    ),
    "FAILED_WrongEnergyTransferType": at(
        DIN,
        State.CHARGE_PARAMETER_DISCOVERY,
        "ChargeParameterDiscoveryReq",
        {"EVRequestedEnergyTransferType": "AC_single_phase_core", "AC_EVChargeParameter": din.AC_PARAMETER},
    ),
    "FAILED_PowerDeliveryNotApplied": held(DIN, State.PRE_CHARGE, "PowerDeliveryReq", 3.1, contactor_closed=False),
    "FAILED_TariffSelectionInvalid": at(DIN, State.PRE_CHARGE, "PowerDeliveryReq", din_profile(1000, 9)),
    "FAILED_ChargingProfileInvalid": at(
        replace(DIN, reach={State.PRE_CHARGE: lambda talk: low_power(talk)}),
        State.PRE_CHARGE,
        "PowerDeliveryReq",
        din_profile(20_001),
    ),
}
DIN_NEVER = {
    "FAILED_CertificateExpired": "contracts have no place in DIN SPEC 70121",
    "FAILED_SignatureError": "nothing is signed",
    "FAILED_NoCertificateAvailable": "no certificates",
    "FAILED_CertChainError": "no certificates",
    "FAILED_ChallengeInvalid": "no challenge",
    "FAILED_ContractCanceled": "no contracts",
    "FAILED_MeteringSignatureNotValid": "nothing is signed",
    "FAILED_EVSEPresentVoltageToLow": "a voltage that does not match is FAILED_PowerDeliveryNotApplied in time",
}


def low_power(talk: din.DinTalk) -> din.DinTalk:
    talk.output(max_power_w=20_000.0)
    return talk.pre_charged()


# --- ISO 15118-2 ---


def contract(fault: ContractFault) -> Case:
    def case() -> tuple[Talk, Response | None]:
        talk = Talk(certificates=StubCertificates(fault)).select()
        return talk, talk.ask("PaymentDetailsReq", PAYMENT_DETAILS)

    return case


def said(word: Authorization) -> Case:
    def case() -> tuple[Talk, Response | None]:
        talk = ISO_2_AC.reached(State.AUTHORIZATION)
        talk.station(authorization=word)
        elements, signature = ISO_2_AC.wish(State.AUTHORIZATION, "AuthorizationReq")
        return talk, talk.ask("AuthorizationReq", elements, signature=signature)

    return case


def without_certificate(way: Way) -> Case:
    def case() -> tuple[Talk, Response | None]:
        state = State.PAYMENT_DETAILS if way is ISO_2_AC else State.AUTHORIZATION
        talk = way.reached(state)
        name = "CertificateInstallationReq"
        assert talk.ask(name, way.requests[name]) is None
        request_id = talk.conversation.session.certificate_request_id
        talk.station(certificate_answer=CertificateAnswer(request_id, None))
        return talk, way.tick(talk)

    return case


OTHER_CHALLENGE = {**AUTHORIZATION, "GenChallenge": bytes(16)}
ISO_2_CASES: dict[str, Case] = {
    "FAILED": insulation(ISO_2_DC, "CableCheckReq"),
    "FAILED_SequenceError": at(ISO_2_AC, State.AUTHORIZATION, "ChargingStatusReq", {}),
    "FAILED_ServiceIDInvalid": at(ISO_2_AC, State.SERVICE_SELECTION, "ServiceDetailReq", {"ServiceID": 4}),
    "FAILED_UnknownSession": unknown_session(ISO_2_AC, State.AUTHORIZATION, "AuthorizationReq"),
    "FAILED_ServiceSelectionInvalid": at(
        ISO_2_AC, State.SERVICE_SELECTION, "PaymentServiceSelectionReq", selection("Contract", 1, 3)
    ),
    "FAILED_PaymentSelectionInvalid": at(
        ISO_2_AC, State.SERVICE_SELECTION, "PaymentServiceSelectionReq", selection("Contract"), accepts_contract=False
    ),
    "FAILED_NoChargeServiceSelected": at(
        ISO_2_AC, State.SERVICE_SELECTION, "PaymentServiceSelectionReq", selection("Contract", 2)
    ),
    "FAILED_CertificateExpired": contract(ContractFault.EXPIRED),
    "FAILED_CertChainError": contract(ContractFault.UNKNOWN_ROOT),
    "FAILED_NoCertificateAvailable": without_certificate(ISO_2_AC),
    "FAILED_ChallengeInvalid": at(
        ISO_2_AC,
        State.AUTHORIZATION,
        "AuthorizationReq",
        OTHER_CHALLENGE,
        signature_of("AuthorizationReq", OTHER_CHALLENGE),
    ),
    "FAILED_SignatureError": at(
        ISO_2_AC,
        State.AUTHORIZATION,
        "AuthorizationReq",
        AUTHORIZATION,
        signature_of("AuthorizationReq", AUTHORIZATION, make_key()),
    ),
    "FAILED_CertificateNotAllowedAtThisEVSE": said(Authorization.REJECTED),
    "FAILED_CertificateRevoked": said(Authorization.CERTIFICATE_REVOKED),
    "FAILED_WrongChargeParameter": at(
        ISO_2_AC,
        State.CHARGE_PARAMETER_DISCOVERY,
        "ChargeParameterDiscoveryReq",
        {**DC_CHARGE_PARAMETERS, "RequestedEnergyTransferMode": "AC_three_phase_core"},
    ),
    "FAILED_WrongEnergyTransferMode": at(
        ISO_2_DC, State.CHARGE_PARAMETER_DISCOVERY, "ChargeParameterDiscoveryReq", CHARGE_PARAMETERS
    ),
    "FAILED_PowerDeliveryNotApplied": held(
        ISO_2_AC, State.POWER_DELIVERY, "PowerDeliveryReq", 3.1, contactor_closed=False
    ),
    "FAILED_TariffSelectionInvalid": at(
        ISO_2_AC, State.POWER_DELIVERY, "PowerDeliveryReq", power("Start", tuple_id=77)
    ),
    "FAILED_ChargingProfileInvalid": at(
        ISO_2_AC, State.POWER_DELIVERY, "PowerDeliveryReq", power("Start", amount(12, "W", 3))
    ),
    "FAILED_MeteringSignatureNotValid": at(ISO_2_AC, State.METERING_RECEIPT, "MeteringReceiptReq", iso_2.RECEIPT),
}
ISO_2_NEVER = {
    "FAILED_ContractCanceled": "the provider's own word, passed on unread in its CertificateInstallationRes",
    "FAILED_ContactorError": "a welded contactor is a fault of the board: it stops the session before any message",
}

# --- ISO 15118-20 ---

CERTIFIED = {**PNC, "PnC_AReqAuthorizationMode": {**PROOF, "GenChallenge": CHALLENGE}}
ISO_20_CASES: dict[str, Case] = {
    "FAILED": insulation(ISO_20_DC, "DC_CableCheckReq"),
    "FAILED_SequenceError": at(ISO_20_AC, State.AUTHORIZATION, "ScheduleExchangeReq", SCHEDULED),
    "FAILED_UnknownSession": unknown_session(ISO_20_AC, State.SERVICE_DISCOVERY, "ServiceDiscoveryReq"),
    "FAILED_ServiceIDInvalid": at(ISO_20_AC, State.SERVICE_SELECTION, "ServiceDetailReq", {"ServiceID": 2}),
    "FAILED_NoEnergyTransferServiceSelected": at(ISO_20_AC, State.SERVICE_SELECTION, "ServiceSelectionReq", select(2)),
    "FAILED_ServiceSelectionInvalid": at(ISO_20_AC, State.SERVICE_SELECTION, "ServiceSelectionReq", select(1, 99)),
    "FAILED_SignatureError": at(ISO_20_AC, State.AUTHORIZATION, "AuthorizationReq", CERTIFIED, signed(key=make_key())),
    "FAILED_WrongChargeParameter": at(
        ISO_20_AC,
        State.CHARGE_PARAMETER_DISCOVERY,
        "AC_ChargeParameterDiscoveryReq",
        {
            "AC_CPDReqEnergyTransferMode": {
                "EVMaximumChargePower": {"Exponent": 0, "Value": 0},
                "EVMinimumChargePower": {"Exponent": 0, "Value": 0},
            }
        },
    ),
    "FAILED_ScheduleSelectionInvalid": at(
        ISO_20_AC, State.POWER_DELIVERY, "PowerDeliveryReq", power20("Start", entry(1000), tuple_id=5)
    ),
    "FAILED_EVPowerProfileInvalid": at(
        ISO_20_AC, State.POWER_DELIVERY, "PowerDeliveryReq", power20("Start", entry(20_000))
    ),
    "FAILED_PowerDeliveryNotApplied": held(
        ISO_20_AC, State.POWER_DELIVERY, "PowerDeliveryReq", 3.1, contactor_closed=False
    ),
    "FAILED_MeteringSignatureNotValid": at(
        ISO_20_AC, State.AC_CHARGE_LOOP, "MeteringConfirmationReq", GOOD_20["MeteringConfirmationReq"]
    ),
}
ISO_20_NEVER = {
    "FAILED_AssociationError": "of WPT and ACDP",
    "FAILED_ContactorError": "a welded contactor is a fault of the board: it stops the session before any message",
    "FAILED_EVPowerProfileViolation": "what flows is limited by the output and the pilot, not by complaints",
    "FAILED_NoServiceRenegotiationSupported": "it is supported",
    "FAILED_PauseNotAllowed": "it is always allowed",
    "FAILED_PowerToleranceNotConfirmed": "no PowerTolerance is sent",
    "FAILED_ScheduleRenegotiation": "an operator without another schedule leaves the limits",
}


def warned(word: Authorization, elements: dict, signature: dict | None = None) -> Case:
    return at(ISO_20_AC, State.AUTHORIZATION, "AuthorizationReq", elements, signature, authorization=word)


def contract_20(fault: ContractFault) -> Case:
    def case() -> tuple[Talk, Response | None]:
        talk = Talk20(certificates=StubCertificates(fault)).authorizing()
        return talk, talk.ask("AuthorizationReq", PNC, signature=signed())

    return case


ANOTHER_PROOF = {**PROOF, "GenChallenge": bytes(16)}
ANOTHER = {**PNC, "PnC_AReqAuthorizationMode": ANOTHER_PROOF}
WARNING_CASES: dict[str, Case] = {
    "WARNING_AuthorizationSelectionInvalid": at(
        ISO_20_AC, State.AUTHORIZATION, "AuthorizationReq", EIM, accepts_external_payment=False
    ),
    "WARNING_CertificateExpired": contract_20(ContractFault.EXPIRED),
    "WARNING_CertificateNotYetValid": contract_20(ContractFault.NOT_YET_VALID),
    "WARNING_CertificateRevoked": warned(Authorization.CERTIFICATE_REVOKED, PNC, signed()),
    "WARNING_CertificateValidationError": contract_20(ContractFault.UNKNOWN_ROOT),
    "WARNING_ChallengeInvalid": at(ISO_20_AC, State.AUTHORIZATION, "AuthorizationReq", ANOTHER, signed(ANOTHER_PROOF)),
    "WARNING_EIMAuthorizationFailure": warned(Authorization.REJECTED, EIM),
    "WARNING_GeneralPnCAuthorizationError": warned(Authorization.REJECTED, PNC, signed()),
    "WARNING_NoCertificateAvailable": without_certificate(ISO_20_AC),
    "WARNING_StandbyNotAllowed": at(
        ISO_20_AC, State.AC_CHARGE_LOOP, "PowerDeliveryReq", power20("Standby"), stop=StopReason.OPERATOR
    ),
}
WARNING_NEVER = {
    "WARNING_eMSPUnknown": "the operator asks the provider; its refusal is WARNING_GeneralPnCAuthorizationError",
    "WARNING_EVPowerProfileViolation": "what flows is limited by the output and the pilot, not by complaints",
    "WARNING_NoContractMatchingPCIDFound": "the provider's own word, passed on unread",
    "WARNING_PowerToleranceNotConfirmed": "no PowerTolerance is sent",
    "WARNING_ScheduleRenegotiationFailed": "an operator without another schedule leaves the limits",
    "WARNING_WPT": "of WPT",
}

ALL: list[tuple[str, str, str, dict[str, Case], dict[str, str]]] = [
    ("DIN", "din_spec/V2G_CI_MsgDataTypes.xsd", "FAILED", DIN_CASES, DIN_NEVER),
    ("-2", "iso15118_2/V2G_CI_MsgDataTypes.xsd", "FAILED", ISO_2_CASES, ISO_2_NEVER),
    ("-20", "iso15118_20/V2G_CI_CommonTypes.xsd", "FAILED", ISO_20_CASES, ISO_20_NEVER),
    ("-20", "iso15118_20/V2G_CI_CommonTypes.xsd", "WARNING", WARNING_CASES, WARNING_NEVER),
]


def defined(schema: str, kind: str) -> set[str]:
    """The values of responseCodeType in the standard's own schema."""
    folder, name = schema.split("/")
    text = (files("iso15118.shared.schemas") / folder / name).read_text()
    (block,) = re.findall(r'simpleType name="responseCodeType">.*?</xs:simpleType>', text, re.DOTALL)
    return {code for code in re.findall(r'enumeration value="(\w+)"', block) if code.startswith(kind)}


@pytest.mark.parametrize(("name", "schema", "kind", "cases", "never"), ALL, ids=["DIN", "-2", "-20", "-20 warnings"])
def test_every_negative_code_is_accounted_for(name: str, schema: str, kind: str, cases: dict, never: dict) -> None:
    assert set(cases) | set(never) == defined(schema, kind), name
    assert not set(cases) & set(never)


@pytest.mark.parametrize(
    ("code", "case"),
    [
        pytest.param(code, case, id=f"{name} {code}")
        for name, _, kind, cases, _ in ALL
        for code, case in cases.items()
        if kind == "FAILED"
    ],
)
def test_a_failed_code(code: str, case: Case) -> None:
    """It ends the session, and the power with it."""
    talk, response = case()
    assert response is not None
    assert response.code == code
    assert talk.conversation.ended
    assert code in talk.end.detail
    wanted = talk.facts_of(PowerWanted)
    assert not wanted or wanted[-1] == PowerWanted(False)


@pytest.mark.parametrize(("code", "case"), WARNING_CASES.items(), ids=WARNING_CASES)
def test_a_warning(code: str, case: Case) -> None:
    """It leaves the vehicle where it is."""
    talk, response = case()
    assert response is not None
    assert response.code == code
    assert not talk.conversation.ended
