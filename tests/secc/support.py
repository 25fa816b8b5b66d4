"""A vehicle that speaks in decoded messages, the station around it, and virtual time."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hal.quantities import MeterReading
from secc.exi import Namespace, decode, encode
from secc.ports import (
    Authorization,
    Contract,
    ContractFault,
    DcView,
    PausedSession,
    SeccFact,
    StationView,
    StopReason,
    V2GEnded,
)
from secc.v2g.conversation import Channel, Conversation, Output
from secc.v2g.protocol import Protocol
from secc.v2g.protocols import DEFAULT
from secc.v2g.session import State, Surroundings
from secc.v2gtp import Frame, PayloadType

EMAID = "DEEVSC123456789"
EVCC_ID = bytes.fromhex("020000000001")
WALL_TIME = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ENTROPY = bytes(range(1, 25))
SESSION_ID = "0102030405060708"
CHALLENGE = ENTROPY[8:]

VIEW = StationView(
    evse_id="DE*EVS*E0001",
    accepts_contract=True,
    accepts_external_payment=True,
    phases=3,
    nominal_voltage_v=230.0,
    limit_a=16.0,
    board_limit_a=32.0,
    authorization=Authorization.PENDING,
    contactor_closed=False,
    rcd_tripped=False,
    stop=StopReason.NONE,
    meter_id="METER-1",
    meter=None,
    receipt_required=False,
)


def reading(energy_wh: float) -> MeterReading:
    return MeterReading(energy_wh, 11_040.0, (16.0, 16.0, 16.0), (230.0, 230.0, 230.0), 0.0, WALL_TIME)


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(common_name: str, key: ec.EllipticCurvePrivateKey, domain: str = "") -> bytes:
    """A self-signed DER certificate, which is all these tests need of one."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if domain:
        attributes.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, domain))
    name = x509.Name(attributes)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(WALL_TIME - timedelta(days=1))
    return builder.not_valid_after(WALL_TIME + timedelta(days=3650)).sign(key, SHA256()).public_bytes(Encoding.DER)


CONTRACT_KEY = make_key()
CONTRACT_DER = certificate(EMAID, CONTRACT_KEY)
CONTRACT = Contract(EMAID, "PEM", ())


@dataclass
class StubCertificates:
    """Says `verdict` of every chain; signatures are verified for real."""

    verdict: Contract | ContractFault = CONTRACT
    asked: list[tuple[list[bytes], str]] = field(default_factory=list)

    def check_contract(self, chain_der: Sequence[bytes], emaid: str, at: datetime) -> Contract | ContractFault:
        self.asked.append((list(chain_der), emaid))
        return self.verdict

    def verify_signature(self, leaf_der: bytes, data: bytes, signature: bytes) -> bool:
        public = x509.load_der_x509_certificate(leaf_der).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        size = (public.curve.key_size + 7) // 8
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        algorithm = SHA256() if public.curve.key_size == 256 else SHA512()
        try:
            public.verify(encode_dss_signature(r, s), data, ec.ECDSA(algorithm))
        except InvalidSignature:
            return False
        return True


def signature_of(
    name: str,
    element: dict[str, object],
    key: ec.EllipticCurvePrivateKey = CONTRACT_KEY,
    *,
    uri: str = "",
    bits: int = 256,
    algorithm: str = "",
    digest_algorithm: str = "",
    namespace: Namespace = Namespace.ISO_2,
) -> dict[str, object]:
    """The Signature element over `element`, made the way ISO 15118-2 annex J describes.

    `bits` 256 or 512 picks the hash; the algorithms' names follow it unless they are given.
    """
    algorithm = algorithm or f"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha{bits}"
    digest_algorithm = digest_algorithm or f"http://www.w3.org/2001/04/xmlenc#sha{bits}"
    canonical = {"Algorithm": "http://www.w3.org/TR/canonical-exi/"}
    fragment = encode(namespace, {name: element}, fragment=True)
    digest = sha256(fragment).digest() if bits == 256 else sha512(fragment).digest()
    signed_info = {
        "CanonicalizationMethod": canonical,
        "SignatureMethod": {"Algorithm": algorithm},
        "Reference": [
            {
                "URI": uri or f"#{element['Id']}",
                "Transforms": {"Transform": [canonical]},
                "DigestMethod": {"Algorithm": digest_algorithm},
                "DigestValue": digest,
            }
        ],
    }
    octets = encode(Namespace.XMLDSIG, {"SignedInfo": signed_info}, fragment=True)
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(SHA256() if bits == 256 else SHA512())))
    return {"SignedInfo": signed_info, "SignatureValue": {"value": r.to_bytes(size) + s.to_bytes(size)}}


def app_protocol_req(*wishes: tuple[str, int, int, int]) -> bytes:
    """Wishes are (namespace, major, minor, priority); the schema ids count from 1."""
    protocols = [
        {
            "ProtocolNamespace": namespace,
            "VersionNumberMajor": major,
            "VersionNumberMinor": minor,
            "SchemaID": index,
            "Priority": priority,
        }
        for index, (namespace, major, minor, priority) in enumerate(wishes, start=1)
    ]
    return encode(Namespace.SAP, {"supportedAppProtocolReq": {"AppProtocol": protocols}})


ISO_2_WISH = ("urn:iso:15118:2:2013:MsgDef", 2, 0, 1)
DIN_WISH = ("urn:din:70121:2012:MsgDef", 2, 0, 1)


def message(
    name: str, elements: dict[str, object], session_id: str, signature: dict[str, object] | None = None
) -> bytes:
    header: dict[str, object] = {"SessionID": bytes.fromhex(session_id)}
    if signature is not None:
        header["Signature"] = signature
    return encode(Namespace.ISO_2, {"V2G_Message": {"Header": header, "Body": {name: elements}}})


DC = DcView(
    present_voltage_v=0.0,
    present_current_a=0.0,
    max_voltage_v=920.0,
    max_current_a=200.0,
    max_power_w=50_000.0,
    min_voltage_v=150.0,
    min_current_a=0.0,
    peak_ripple_a=1.0,
)
DC_VIEW = replace(VIEW, dc=DC)
DC_STATUS = {"EVReady": True, "EVErrorCode": "NO_ERROR", "EVRESSSOC": 50}


@dataclass(frozen=True)
class Response:
    name: str
    session_id: str
    elements: dict

    @property
    def code(self) -> str:
        return self.elements["ResponseCode"]

    @classmethod
    def of(cls, payload: bytes) -> "Response":
        content = decode(Namespace.ISO_2, payload)["V2G_Message"]
        ((name, elements),) = content["Body"].items()
        return cls(name, content["Header"]["SessionID"].hex().upper(), elements)


class Talk:
    """A vehicle's side of one conversation. `view` may be changed as the talk goes on."""

    def __init__(
        self,
        *,
        tls: bool = True,
        view: StationView = VIEW,
        certificates: StubCertificates | None = None,
        paused: PausedSession | None = None,
        channel: Channel | None = None,
        offered: Sequence[Protocol] = DEFAULT,
    ) -> None:
        self.now = 1000.0
        self.view = view
        self.certificates = certificates or StubCertificates()
        self.conversation = Conversation(channel or Channel(tls), now=self.now, paused=paused, offered=offered)
        self.facts: list[SeccFact] = []
        self.closed = False
        self.session_id = "00" * 8
        self.answers: list[Response] = []

    def station(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)

    def output(self, **changes: object) -> None:
        assert self.view.dc is not None
        self.station(dc=replace(self.view.dc, **changes))

    def around(self) -> Surroundings:
        return Surroundings(self.view, self.certificates, WALL_TIME, ENTROPY)

    def take(self, out: Output) -> list[bytes]:
        self.facts += out.facts
        self.closed = self.closed or out.close
        return [frame.payload for frame in out.frames]

    def send(self, payload: bytes) -> list[bytes]:
        return self.take(self.conversation.feed(Frame(PayloadType.EXI, payload), self.around(), self.now))

    def tick(self) -> list[bytes]:
        return self.take(self.conversation.tick(self.around(), self.now))

    def pass_time(self, seconds: float) -> list[bytes]:
        """Let time pass, waking the conversation when it asks for it."""
        end = self.now + seconds
        payloads: list[bytes] = []
        while self.conversation.deadline <= end and not self.closed:
            self.now = max(self.now, self.conversation.deadline)
            payloads += self.tick()
        self.now = end
        return payloads

    def negotiate(self, *wishes: tuple[str, int, int, int]) -> dict:
        (payload,) = self.send(app_protocol_req(*(wishes or (ISO_2_WISH,))))
        return decode(Namespace.SAP, payload)["supportedAppProtocolRes"]

    def ask(
        self, name: str, elements: dict | None = None, *, signature: dict | None = None, session_id: str | None = None
    ) -> Response | None:
        """The response, or None if it is held."""
        payload = message(name, elements or {}, self.session_id if session_id is None else session_id, signature)
        payloads = self.send(payload)
        if not payloads:
            return None
        (answer,) = payloads
        return Response.of(answer)

    def wait(self, seconds: float) -> Response:
        (answer,) = self.pass_time(seconds)
        return Response.of(answer)

    def facts_of(self, kind: type) -> list:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def state(self) -> State:
        return self.conversation.session.state

    @property
    def end(self) -> V2GEnded:
        (end,) = self.facts_of(V2GEnded)
        return end

    # --- the way of a session, each step ending where the next begins ---

    def set_up(self) -> "Talk":
        self.negotiate()
        response = self.ask("SessionSetupReq", {"EVCCID": EVCC_ID})
        assert response is not None
        self.session_id = response.session_id
        return self

    def discover(self) -> "Talk":
        self.set_up()
        self.ask("ServiceDiscoveryReq")
        return self

    def select(self, payment: str = "Contract") -> "Talk":
        self.discover()
        assert self.ask("PaymentServiceSelectionReq", selection(payment)).code == "OK"
        return self

    def present(self) -> "Talk":
        self.select()
        assert self.ask("PaymentDetailsReq", PAYMENT_DETAILS).code == "OK"
        return self

    def authorized(self, payment: str = "Contract") -> "Talk":
        if payment == "Contract":
            self.present()
            request = AUTHORIZATION
            signature = signature_of("AuthorizationReq", request)
        else:
            self.select(payment)
            request, signature = {}, None
        self.station(authorization=Authorization.ACCEPTED)
        assert self.ask("AuthorizationReq", request, signature=signature).code == "OK"
        return self

    def parameters(self, payment: str = "Contract") -> "Talk":
        self.authorized(payment)
        assert self.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS).code == "OK"
        return self

    def charging(self, payment: str = "Contract") -> "Talk":
        self.parameters(payment)
        assert self.ask("PowerDeliveryReq", power("Start")) is None
        self.station(contactor_closed=True)
        (answer,) = self.tick()
        assert Response.of(answer).code == "OK"
        return self


def selection(payment: str, *services: int) -> dict:
    selected = [{"ServiceID": service} for service in (services or (1,))]
    return {"SelectedPaymentOption": payment, "SelectedServiceList": {"SelectedService": selected}}


def amount(value: int, unit: str, multiplier: int = 0) -> dict:
    return {"Multiplier": multiplier, "Unit": unit, "Value": value}


PAYMENT_DETAILS = {"eMAID": EMAID, "ContractSignatureCertChain": {"Certificate": CONTRACT_DER}}
AUTHORIZATION = {"Id": "ID1", "GenChallenge": CHALLENGE}
CHARGE_PARAMETERS = {
    "RequestedEnergyTransferMode": "AC_three_phase_core",
    "AC_EVChargeParameter": {
        "DepartureTime": 7200,
        "EAmount": amount(20, "Wh", 3),
        "EVMaxVoltage": amount(400, "V"),
        "EVMaxCurrent": amount(16, "A"),
        "EVMinCurrent": amount(6, "A"),
    },
}
DC_CHARGE_PARAMETERS = {
    "RequestedEnergyTransferMode": "DC_extended",
    "DC_EVChargeParameter": {
        "DC_EVStatus": {"EVReady": True, "EVErrorCode": "NO_ERROR", "EVRESSSOC": 50},
        "EVMaximumCurrentLimit": amount(100, "A"),
        "EVMaximumVoltageLimit": amount(400, "V"),
    },
}


def power(progress: str, *max_powers: dict, tuple_id: int = 1, phases: int | None = None) -> dict:
    request: dict = {"ChargeProgress": progress, "SAScheduleTupleID": tuple_id}
    entries = []
    for index, max_power in enumerate(max_powers):
        entry = {"ChargingProfileEntryStart": index * 900, "ChargingProfileEntryMaxPower": max_power}
        if phases is not None:
            entry["ChargingProfileEntryMaxNumberOfPhasesInUse"] = phases
        entries.append(entry)
    if entries:
        request["ChargingProfile"] = {"ProfileEntry": entries}
    return request
