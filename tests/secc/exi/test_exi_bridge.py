"""Message models to octets and back, directly and through the interface that the package's EVCC uses."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from iso15118.shared.messages.app_protocol import SupportedAppProtocolReq
from iso15118.shared.messages.din_spec.msgdef import V2GMessage as DinMessage
from iso15118.shared.messages.iso15118_2.datatypes import EMAID, CertificateChain, SubCertificates
from iso15118.shared.messages.iso15118_2.msgdef import V2GMessage
from iso15118.shared.messages.iso15118_20.common_messages import ScheduleExchangeRes
from iso15118.shared.messages.iso15118_20.dc import DCChargeLoopReq, DCChargeLoopRes
from iso15118.shared.messages.xmldsig import SignedInfo

from secc.exi import ExiDecodeError, ExiEncodeError, ExiError, Namespace, Reason, decode, encode
from secc.exi.bridge import from_exi, is_fragment, to_exi
from sim.vehicle.exi_codec import ExiCodec
from tests.secc.exi.exi_messages import KINDS

MODELS: dict[str, Any] = {
    "SupportedAppProtocolReq": {"supportedAppProtocolReq": SupportedAppProtocolReq},
    "DIN CurrentDemandReq": {"V2G_Message": DinMessage},
    "SessionSetupReq": {"V2G_Message": V2GMessage},
    "ChargingStatusReq": {"V2G_Message": V2GMessage},
    "CurrentDemandReq": {"V2G_Message": V2GMessage},
    "CurrentDemandRes": {"V2G_Message": V2GMessage},
    "CertificateInstallationRes": {"V2G_Message": V2GMessage},
    "ChargeParameterDiscoveryRes": {"V2G_Message": V2GMessage},
    "SignedInfo fragment": {"SignedInfo": SignedInfo},
    "DC_ChargeLoopReq": {"DC_ChargeLoopReq": DCChargeLoopReq},
    "DC_ChargeLoopRes": {"DC_ChargeLoopRes": DCChargeLoopRes},
    "ScheduleExchangeRes": {"ScheduleExchangeRes": ScheduleExchangeRes},
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_is_read_and_written_without_json(kind: str) -> None:
    namespace, message, fragment = KINDS[kind]
    octets = encode(namespace, message, fragment=fragment)
    model = from_exi(octets, namespace, MODELS[kind], fragment=fragment)
    assert to_exi(model, namespace) == octets


@pytest.mark.parametrize("kind", KINDS)
def test_the_evccs_interface_gives_the_same_octets(kind: str) -> None:
    namespace, message, fragment = KINDS[kind]
    octets = encode(namespace, message, fragment=fragment)
    if not fragment or namespace == Namespace.XMLDSIG:
        text = ExiCodec().decode(octets, namespace)
        assert ExiCodec().encode(text, namespace) == octets
        assert json.loads(text).keys() == message.keys()


def test_values_in_json_are_hexadecimal_and_base64() -> None:
    namespace, message, _ = KINDS["CertificateInstallationRes"]
    content = json.loads(ExiCodec().decode(encode(namespace, message), namespace))["V2G_Message"]
    assert content["Header"]["SessionID"] == "4142423030303831"
    installed = content["Body"]["CertificateInstallationRes"]
    assert installed["eMAID"]["value"] == "DEABCC12345678"
    assert installed["ContractSignatureEncryptedPrivateKey"]["value"].startswith("AAECAwQF")


def test_fragments_are_told_by_their_name() -> None:
    chain = CertificateChain(id="id1", certificate=b"a", sub_certificates=SubCertificates(certificates=[b"b"]))
    octets = to_exi(chain, Namespace.ISO_2)
    assert decode(Namespace.ISO_2, octets, fragment=True) == {
        "ContractSignatureCertChain": {"Id": "id1", "Certificate": b"a", "SubCertificates": {"Certificate": [b"b"]}}
    }
    emaid = EMAID(id="id3", value="DEABCC12345678")
    assert decode(Namespace.ISO_2, to_exi(emaid, Namespace.ISO_2, root="eMAID"), fragment=True) == {
        "eMAID": {"Id": "id3", "value": "DEABCC12345678"}
    }


@pytest.mark.parametrize(
    ("namespace", "root", "fragment"),
    [
        (Namespace.SAP, "supportedAppProtocolReq", False),
        (Namespace.DIN, "V2G_Message", False),
        (Namespace.ISO_2, "V2G_Message", False),
        (Namespace.ISO_2, "AuthorizationReq", True),
        (Namespace.ISO_2, "SalesTariff", True),
        (Namespace.ISO_20_COMMON, "AuthorizationReq", False),
        (Namespace.ISO_20_COMMON, "CertificateInstallationRes", False),
        (Namespace.ISO_20_COMMON, "PnC_AReqAuthorizationMode", True),
        (Namespace.ISO_20_COMMON, "SignedInstallationData", True),
        (Namespace.ISO_20_COMMON, "AbsolutePriceSchedule", True),
        (Namespace.ISO_20_DC, "DC_ChargeLoopReq", False),
        (Namespace.XMLDSIG, "SignedInfo", True),
    ],
)
def test_what_is_encoded_as_a_fragment(namespace: Namespace, root: str, fragment: bool) -> None:
    assert is_fragment(namespace, root) is fragment


def test_a_message_without_a_model_is_refused() -> None:
    namespace, message, _ = KINDS["CurrentDemandReq"]
    with pytest.raises(ExiDecodeError) as refused:
        from_exi(encode(namespace, message), namespace, {"SessionSetupReq": V2GMessage})
    assert (refused.value.reason, refused.value.root) == (Reason.ROOT, "V2G_Message")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"V2G_Message": {"Header": {"SessionID": "xy"}, "Body": {}}}',
        '{"V2G_Message": {"Header": {"SessionID": 5}, "Body": {}}}',
        '{"V2G_Message": {"Header": "none", "Body": []}}',
        '{"V2G_Message": 1}',
    ],
)
def test_json_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(ExiEncodeError):
        ExiCodec().encode(text, Namespace.ISO_2)


def test_an_unknown_namespace_is_refused() -> None:
    with pytest.raises(ExiError):
        ExiCodec().encode('{"a": {}}', "urn:none")
    with pytest.raises(ExiError):
        ExiCodec().decode(b"\x80", "urn:none")


def test_neither_a_jvm_nor_the_package_is_loaded_by_the_codec() -> None:
    program = (
        "import sys; from secc.exi import decode, bridge, binaries, Namespace; "
        "decode(Namespace.SAP, bytes.fromhex('80400040')); "
        "sys.exit(any(name.startswith(('iso15118', 'py4j', 'pydantic', 'asyncio', 'socket')) for name in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program.replace("bridge, binaries, ", "")], check=False).returncode == 0
    )


def test_it_has_a_version() -> None:
    assert ExiCodec().get_version()
