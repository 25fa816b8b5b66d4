"""A vehicle of ISO 15118-20 for `tests.secc.support`: its messages, and the way of its session."""

from dataclasses import replace
from decimal import Decimal

from secc.exi import Namespace, decode, encode
from secc.ports import Authorization, Insulation, StationView
from secc.v2g.conversation import Channel
from secc.v2g.elements import Elements
from secc.v2g.iso20.failures import REQUESTS
from secc.v2g.protocols import DEFAULT, ISO_15118_20
from secc.v2gtp import Frame, PayloadType
from tests.secc.support import (
    CHALLENGE,
    CONTRACT_DER,
    DC,
    ENTROPY,
    VIEW,
    Response,
    StubCertificates,
    Talk,
    signature_of,
)

MUTUAL = Channel(tls=True, mutual_tls_13=True)
EVCC_ID_20 = "WMIV1234567890ABCDEX"
AC_WISH = ("urn:iso:std:iso:15118:-20:AC", 1, 0, 1)
DC_WISH = ("urn:iso:std:iso:15118:-20:DC", 1, 0, 1)
CHECK_ID = ENTROPY.hex().upper()

DC_20_VIEW = replace(VIEW, dc=DC)
BPT_VIEW = replace(VIEW, discharge_limit_a=10.0)
DC_BPT_VIEW = replace(VIEW, dc=replace(DC, max_discharge_current_a=50.0, max_discharge_power_w=20_000.0))

PAYLOAD_TYPES = {
    name: payload_type
    for payload_type, namespace in (
        (PayloadType.COMMON, Namespace.ISO_20_COMMON),
        (PayloadType.AC, Namespace.ISO_20_AC),
        (PayloadType.DC, Namespace.ISO_20_DC),
        (PayloadType.WPT, Namespace.ISO_20_WPT),
        (PayloadType.ACDP, Namespace.ISO_20_ACDP),
    )
    for name in REQUESTS[namespace]
}
NAMESPACES = {
    PayloadType.COMMON: Namespace.ISO_20_COMMON,
    PayloadType.AC: Namespace.ISO_20_AC,
    PayloadType.DC: Namespace.ISO_20_DC,
    PayloadType.WPT: Namespace.ISO_20_WPT,
    PayloadType.ACDP: Namespace.ISO_20_ACDP,
    PayloadType.METERING_CONFIRMATION: Namespace.ISO_20_COMMON,
    PayloadType.SCHEDULE_RENEGOTIATION: Namespace.ISO_20_COMMON,
    PayloadType.PARKING_STATUS: Namespace.ISO_20_COMMON,
    PayloadType.ACDP_SYSTEM_STATUS: Namespace.ISO_20_ACDP,
}


def rational(value: int, exponent: int = 0) -> dict[str, int]:
    return {"Exponent": exponent, "Value": value}


def number(elements: Elements) -> float:
    return float(Decimal(elements["Value"]).scaleb(elements["Exponent"]))


def frame20(
    name: str,
    elements: dict,
    session_id: str,
    signature: dict | None = None,
    stamp: int = 0,
    stream: PayloadType | None = None,
) -> Frame:
    header: dict = {"SessionID": bytes.fromhex(session_id), "TimeStamp": stamp}
    if signature is not None:
        header["Signature"] = signature
    payload_type = stream or PAYLOAD_TYPES[name]
    return Frame(payload_type, encode(NAMESPACES[payload_type], {name: {"Header": header, **elements}}))


def read20(frame: Frame) -> Response:
    ((name, content),) = decode(NAMESPACES[frame.payload_type], frame.payload).items()
    elements = dict(content)
    header = elements.pop("Header")
    return Response(name, header["SessionID"].hex().upper(), elements)


PROOF = {
    "Id": "id1",
    "GenChallenge": CHALLENGE,
    "ContractCertificateChain": {"Certificate": CONTRACT_DER, "SubCertificates": {"Certificate": [b"sub"]}},
}
PNC = {"SelectedAuthorizationService": "PnC", "PnC_AReqAuthorizationMode": PROOF}
EIM = {"SelectedAuthorizationService": "EIM", "EIM_AReqAuthorizationMode": {}}


def signed(proof: dict = PROOF, **options: object) -> dict:
    options = {"namespace": Namespace.ISO_20_COMMON, **options}
    return signature_of("PnC_AReqAuthorizationMode", proof, **options)


def select(service: int, parameter_set: int = 1) -> dict:
    return {"SelectedEnergyTransferService": {"ServiceID": service, "ParameterSetID": parameter_set}}


AC_POWERS = {"EVMaximumChargePower": rational(11, 3), "EVMinimumChargePower": rational(1380)}
DISCHARGE_POWERS = {"EVMaximumDischargePower": rational(11, 3), "EVMinimumDischargePower": rational(0)}
AC_PARAMETERS = {"AC_CPDReqEnergyTransferMode": AC_POWERS}
AC_BPT_PARAMETERS = {"BPT_AC_CPDReqEnergyTransferMode": {**AC_POWERS, **DISCHARGE_POWERS}}
DC_POWERS = {
    "EVMaximumChargePower": rational(150, 3),
    "EVMinimumChargePower": rational(0),
    "EVMaximumChargeCurrent": rational(300),
    "EVMinimumChargeCurrent": rational(0),
    "EVMaximumVoltage": rational(420),
    "EVMinimumVoltage": rational(200),
}
DC_PARAMETERS = {"DC_CPDReqEnergyTransferMode": DC_POWERS}
DC_BPT_PARAMETERS = {
    "BPT_DC_CPDReqEnergyTransferMode": {
        **DC_POWERS,
        **DISCHARGE_POWERS,
        "EVMaximumDischargeCurrent": rational(30),
        "EVMinimumDischargeCurrent": rational(0),
    }
}
ENERGY = {
    "EVTargetEnergyRequest": rational(20, 3),
    "EVMaximumEnergyRequest": rational(30, 3),
    "EVMinimumEnergyRequest": rational(1, 3),
}
SCHEDULED = {"MaximumSupportingPoints": 1024, "Scheduled_SEReqControlMode": {"DepartureTime": 7200, **ENERGY}}
DYNAMIC = {"MaximumSupportingPoints": 1024, "Dynamic_SEReqControlMode": {"DepartureTime": 7200, **ENERGY}}


def power20(
    progress: str, *entries: dict, tuple_id: int = 1, processing: str = "Finished", dynamic: bool = False
) -> dict:
    request: dict = {"EVProcessing": processing, "ChargeProgress": progress}
    if entries:
        scheduled = {"Scheduled_EVPPTControlMode": {"SelectedScheduleTupleID": tuple_id}}
        request["EVPowerProfile"] = {
            "TimeAnchor": 0,
            **({"Dynamic_EVPPTControlMode": {}} if dynamic else scheduled),
            "EVPowerProfileEntries": {"EVPowerProfileEntry": list(entries)},
        }
    return request


def entry(power_w: int, duration_s: int = 86_400, **phases: dict) -> dict:
    return {"Duration": duration_s, "Power": rational(power_w), **phases}


AC_LOOP = {"MeterInfoRequested": True, "Scheduled_AC_CLReqControlMode": {"EVPresentActivePower": rational(3680)}}
AC_DYNAMIC_POWERS = {
    **ENERGY,
    **AC_POWERS,
    "EVPresentActivePower": rational(3680),
    "EVPresentReactivePower": rational(0),
}
AC_DYNAMIC_LOOP = {"MeterInfoRequested": False, "Dynamic_AC_CLReqControlMode": AC_DYNAMIC_POWERS}
AC_BPT_LOOP = {
    "MeterInfoRequested": False,
    "BPT_Scheduled_AC_CLReqControlMode": {"EVPresentActivePower": rational(0)},
}
AC_BPT_DYNAMIC_LOOP = {
    "MeterInfoRequested": False,
    "BPT_Dynamic_AC_CLReqControlMode": {**AC_DYNAMIC_POWERS, **DISCHARGE_POWERS},
}


def dc_loop(volts: int = 400, amps: int = 100, prefix: str = "") -> dict:
    target = {"EVTargetCurrent": rational(amps), "EVTargetVoltage": rational(volts)}
    return {
        "MeterInfoRequested": False,
        "EVPresentVoltage": rational(390),
        f"{prefix}Scheduled_DC_CLReqControlMode": target,
    }


def dc_dynamic_loop(prefix: str = "", **changes: dict) -> dict:
    names = ("EVMaximumChargePower", "EVMinimumChargePower", "EVMaximumChargeCurrent", "EVMaximumVoltage")
    limits = {**{name: DC_POWERS[name] for name in names}, "EVMinimumVoltage": rational(200), **ENERGY}
    if prefix:
        limits |= {**DISCHARGE_POWERS, "EVMaximumDischargeCurrent": rational(30)}
    return {
        "MeterInfoRequested": False,
        "EVPresentVoltage": rational(390),
        f"{prefix}Dynamic_DC_CLReqControlMode": {**limits, **changes},
    }


def pre_charge20(volts: int = 400) -> dict:
    return {"EVProcessing": "Ongoing", "EVPresentVoltage": rational(390), "EVTargetVoltage": rational(volts)}


class Talk20(Talk):
    """`service` names what the vehicle selects: 1 AC, 2 DC, 5 and 6 bidirectionally."""

    def __init__(
        self,
        view: StationView = VIEW,
        *,
        service: int = 0,
        dynamic: bool = False,
        channel: Channel = MUTUAL,
        certificates: StubCertificates | None = None,
        **options: object,
    ) -> None:
        offered = (*DEFAULT, *ISO_15118_20)
        options = {"offered": offered, **options}
        super().__init__(view=view, channel=channel, certificates=certificates, **options)
        self.service = service or (2 if view.dc else 1)
        self.dynamic = dynamic

    def around_frames(self, frames: list[Frame]) -> list[Response]:
        return [read20(frame) for frame in frames]

    def send20(self, frame: Frame) -> list[Response]:
        out = self.conversation.feed(frame, self.around(), self.now)
        self.take(out)
        return self.around_frames(out.frames)

    def tick20(self) -> list[Response]:
        out = self.conversation.tick(self.around(), self.now)
        self.take(out)
        return self.around_frames(out.frames)

    def ask(
        self,
        name: str,
        elements: dict | None = None,
        *,
        signature: dict | None = None,
        session_id: str | None = None,
        stream: PayloadType | None = None,
    ) -> Response | None:
        said = self.session_id if session_id is None else session_id
        answers = self.send20(frame20(name, elements or {}, said, signature, stream=stream))
        if not answers:
            return None
        (answer,) = answers
        return answer

    def wait(self, seconds: float) -> Response:
        end = self.now + seconds
        answers: list[Response] = []
        while self.conversation.deadline <= end and not self.closed:
            self.now = max(self.now, self.conversation.deadline)
            answers += self.tick20()
        self.now = end
        (answer,) = answers
        return answer

    # --- the way of a session, each step ending where the next begins ---

    def set_up(self) -> "Talk20":
        self.negotiate(DC_WISH if self.view.dc else AC_WISH)
        response = self.ask("SessionSetupReq", {"EVCCID": EVCC_ID_20})
        assert response.code == "OK_NewSessionEstablished"
        self.session_id = response.session_id
        return self

    def authorizing(self) -> "Talk20":
        self.set_up()
        assert self.ask("AuthorizationSetupReq").code == "OK"
        return self

    def authorized(self) -> "Talk20":
        self.authorizing()
        self.station(authorization=Authorization.ACCEPTED)
        assert self.ask("AuthorizationReq", EIM).code == "OK"
        return self

    def discovered(self) -> "Talk20":
        self.authorized()
        assert self.ask("ServiceDiscoveryReq").code == "OK"
        return self

    def selected(self) -> "Talk20":
        self.discovered()
        assert self.ask("ServiceDetailReq", {"ServiceID": self.service}).code == "OK"
        assert self.ask("ServiceSelectionReq", select(self.service, 2 if self.dynamic else 1)).code == "OK"
        return self

    @property
    def prefix(self) -> str:
        return "DC" if self.view.dc else "AC"

    @property
    def parameter_request(self) -> dict:
        return {1: AC_PARAMETERS, 2: DC_PARAMETERS, 5: AC_BPT_PARAMETERS, 6: DC_BPT_PARAMETERS}[self.service]

    def with_parameters(self) -> "Talk20":
        self.selected()
        assert self.ask(f"{self.prefix}_ChargeParameterDiscoveryReq", self.parameter_request).code == "OK"
        return self

    def scheduled(self) -> "Talk20":
        self.with_parameters()
        assert self.ask("ScheduleExchangeReq", DYNAMIC if self.dynamic else SCHEDULED).code == "OK"
        return self

    def cable_checked(self) -> "Talk20":
        self.scheduled()
        assert self.ask("DC_CableCheckReq") is None
        self.output(cable_check_id=CHECK_ID, cable_check=Insulation.VALID)
        (answer,) = self.tick20()
        assert answer.elements["EVSEProcessing"] == "Finished"
        return self

    def pre_charged(self) -> "Talk20":
        self.cable_checked()
        assert self.ask("DC_PreChargeReq", pre_charge20()).code == "OK"
        self.output(present_voltage_v=398.0)
        return self

    def charging(self) -> "Talk20":
        self.pre_charged() if self.view.dc else self.scheduled()
        assert self.ask("PowerDeliveryReq", power20("Start")) is None
        self.station(contactor_closed=True)
        (answer,) = self.tick20()
        assert answer.code == "OK"
        return self

    def standing_by(self) -> "Talk20":
        self.charging()
        assert self.ask("PowerDeliveryReq", power20("Standby")).code == "OK"
        return self

    def stopped(self) -> "Talk20":
        self.charging()
        assert self.ask("PowerDeliveryReq", power20("Stop")).code == "OK"
        return self
