"""Every element that gets signed, in a message that crosses from the signer to the verifier as octets.

The verifier works twice: with this codec, and with EXIficient, which takes the signed elements out of the message's XML
and so shares nothing with this codec. Digests and signatures are computed by the `cryptography` library.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from secc.exi import Namespace, decode, encode
from sim.pki.pki import Pki, build
from tests.secc.exi.exi_exificient import Exificient, local
from tests.secc.exi.exi_messages import (
    CERTIFICATE_INSTALLATION_RES,
    CHARGE_PARAMETER_DISCOVERY_RES,
    SCHEDULE_EXCHANGE_RES,
    SESSION_ID,
    iso_2,
    iso_20,
    signed_info,
)
from tests.secc.exi.exi_oracle import JAVA

XML_ID = "Id"


@dataclass(frozen=True)
class Case:
    """message: unsigned. signed: names of the elements that are signed, each found by its Id."""

    namespace: Namespace
    message: dict[str, Any]
    signed: tuple[str, ...]
    signer: Callable[[Pki], Any] = lambda pki: pki.contract.key


def certificates(pki: Pki) -> dict[str, Any]:
    assert pki.contract.issuer is not None
    return {"Certificate": pki.contract.der, "SubCertificates": {"Certificate": [pki.contract.issuer.der]}}


def cases(pki: Pki, pki_20: Pki) -> dict[str, Case]:
    authorization = {"AuthorizationReq": {"Id": "id1", "GenChallenge": bytes(range(16))}}
    receipt = {
        "Id": "id1",
        "SessionID": SESSION_ID,
        "SAScheduleTupleID": 1,
        "MeterInfo": {"MeterID": "EVSE-1", "MeterReading": 12_345, "MeterStatus": 2, "TMeter": 1_700_000_000},
    }
    root = pki.v2g_root.certificate
    installation = {
        "Id": "id1",
        "OEMProvisioningCert": pki.oem.der,
        "ListOfRootCertificateIDs": {
            "RootCertificateID": [
                {"X509IssuerName": root.issuer.rfc4514_string(), "X509SerialNumber": root.serial_number}
            ]
        },
    }
    installed = ("ContractSignatureCertChain", "ContractSignatureEncryptedPrivateKey", "DHpublickey", "eMAID")
    mode = {"Id": "id1", "GenChallenge": bytes(16), "ContractCertificateChain": certificates(pki_20)}
    data = {
        "Id": "id1",
        "ContractCertificateChain": certificates(pki_20),
        "ECDHCurve": "SECP521",
        "DHPublicKey": bytes(133),
        "SECP521_EncryptedPrivateKey": bytes(range(94)),
    }
    return {
        "AuthorizationReq": Case(Namespace.ISO_2, iso_2(authorization), ("AuthorizationReq",)),
        "MeteringReceiptReq": Case(Namespace.ISO_2, iso_2({"MeteringReceiptReq": receipt}), ("MeteringReceiptReq",)),
        "CertificateInstallationReq": Case(
            Namespace.ISO_2,
            iso_2({"CertificateInstallationReq": installation}),
            ("CertificateInstallationReq",),
            lambda pki: pki.oem.key,
        ),
        "CertificateInstallationRes": Case(
            Namespace.ISO_2, iso_2(CERTIFICATE_INSTALLATION_RES), installed, lambda pki: pki.cps.key
        ),
        "SalesTariff": Case(
            Namespace.ISO_2, iso_2(CHARGE_PARAMETER_DISCOVERY_RES), ("SalesTariff",), lambda pki: pki.mo_sub_ca2.key
        ),
        "PnC_AReqAuthorizationMode": Case(
            Namespace.ISO_20_COMMON,
            iso_20("AuthorizationReq", SelectedAuthorizationService="PnC", PnC_AReqAuthorizationMode=mode),
            ("PnC_AReqAuthorizationMode",),
        ),
        "SignedInstallationData": Case(
            Namespace.ISO_20_COMMON,
            iso_20(
                "CertificateInstallationRes",
                ResponseCode="OK",
                EVSEProcessing="Finished",
                CPSCertificateChain=certificates(pki_20),
                SignedInstallationData=data,
                RemainingContractCertificateChains=0,
            ),
            ("SignedInstallationData",),
            lambda pki: pki.cps.key,
        ),
        "AbsolutePriceSchedule": Case(
            Namespace.ISO_20_COMMON,
            SCHEDULE_EXCHANGE_RES,
            ("AbsolutePriceSchedule",),
            lambda pki: pki.mo_sub_ca2.key,
        ),
    }


NAMES = (
    "AuthorizationReq",
    "MeteringReceiptReq",
    "CertificateInstallationReq",
    "CertificateInstallationRes",
    "SalesTariff",
    "PnC_AReqAuthorizationMode",
    "SignedInstallationData",
    "AbsolutePriceSchedule",
)


@pytest.fixture(scope="module")
def pkis(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pki, Pki]:
    """P-256 for ISO 15118-2, P-521 for ISO 15118-20."""
    return build(tmp_path_factory.mktemp("pki")), build(tmp_path_factory.mktemp("pki20"), ec.SECP521R1())


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, pkis: tuple[Pki, Pki]) -> Case:
    return cases(*pkis)[request.param]


@pytest.fixture(scope="module")
def key(case: Case, pkis: tuple[Pki, Pki]) -> ec.EllipticCurvePrivateKey:
    found: ec.EllipticCurvePrivateKey = case.signer(pkis[case.namespace == Namespace.ISO_20_COMMON])
    return found


@pytest.fixture(scope="module")
def octets(case: Case, key: ec.EllipticCurvePrivateKey) -> bytes:
    return encode(case.namespace, signed(case, key))


@pytest.fixture(scope="module")
def exificient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exificient]:
    if JAVA is None:
        pytest.skip("no Java runtime to run the other codec in")
    started = Exificient(tmp_path_factory.mktemp("exificient"))
    yield started
    started.close()


def is_iso_20(case: Case) -> bool:
    return case.namespace == Namespace.ISO_20_COMMON


def digest(case: Case, data: bytes) -> bytes:
    return (sha512 if is_iso_20(case) else sha256)(data).digest()


def algorithm(case: Case) -> ec.ECDSA:
    return ec.ECDSA(SHA512() if is_iso_20(case) else SHA256())


def elements(node: Any, name: str) -> Iterator[dict[str, Any]]:
    """Every element of that name, anywhere below."""
    for key, value in node.items() if isinstance(node, dict) else ():
        for item in value if isinstance(value, list) else [value]:
            if key == name:
                yield item
            yield from elements(item, name)


def header(message: dict[str, Any]) -> dict[str, Any]:
    [content] = message.values()
    found: dict[str, Any] = content["Header"]
    return found


def signed(case: Case, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """The message with its signature in the header: what the signer sends."""
    digests = {}
    for name in case.signed:
        [element] = elements(case.message, name)
        digests[element["Id"]] = digest(case, encode(case.namespace, {name: element}, fragment=True))
    info = signed_info(digests)
    signature = key.sign(encode(Namespace.XMLDSIG, {"SignedInfo": info}, fragment=True), algorithm(case))
    length = (key.key_size + 7) // 8
    raw = b"".join(part.to_bytes(length) for part in decode_dss_signature(signature))
    message = {name: {**content} for name, content in case.message.items()}
    [content] = message.values()
    content["Header"] = {**content["Header"], "Signature": {"SignedInfo": info, "SignatureValue": {"value": raw}}}
    return message


def check(case: Case, key: ec.EllipticCurvePrivateKey, raw: bytes, signed_info_octets: bytes) -> None:
    half = len(raw) // 2
    der = encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    key.public_key().verify(der, signed_info_octets, algorithm(case))


def test_the_verifier_finds_every_digest_and_the_signature(
    case: Case, key: ec.EllipticCurvePrivateKey, octets: bytes
) -> None:
    message = decode(case.namespace, octets)
    signature = header(message)["Signature"]
    references = {found["URI"][1:]: found["DigestValue"] for found in signature["SignedInfo"]["Reference"]}
    assert len(references) == len(case.signed)
    for name in case.signed:
        [element] = elements(message, name)
        assert digest(case, encode(case.namespace, {name: element}, fragment=True)) == references[element["Id"]]
    info = encode(Namespace.XMLDSIG, {"SignedInfo": signature["SignedInfo"]}, fragment=True)
    check(case, key, signature["SignatureValue"]["value"], info)


def test_a_changed_digest_is_noticed(case: Case, key: ec.EllipticCurvePrivateKey, octets: bytes) -> None:
    signature = header(decode(case.namespace, octets))["Signature"]
    signature["SignedInfo"]["Reference"][0]["DigestValue"] = bytes(32)
    info = encode(Namespace.XMLDSIG, {"SignedInfo": signature["SignedInfo"]}, fragment=True)
    with pytest.raises(InvalidSignature):
        check(case, key, signature["SignatureValue"]["value"], info)


def test_the_schema_of_the_message_gives_signed_info_other_octets(case: Case, octets: bytes) -> None:
    """Why SignedInfo is encoded by the schema of XML signatures alone."""
    info = {"SignedInfo": header(decode(case.namespace, octets))["Signature"]["SignedInfo"]}
    assert encode(case.namespace, info, fragment=True) != encode(Namespace.XMLDSIG, info, fragment=True)


def test_a_verifier_without_this_codec_agrees(
    case: Case, key: ec.EllipticCurvePrivateKey, octets: bytes, exificient: Exificient
) -> None:
    root = ET.fromstring(exificient.to_xml(case.namespace, octets, fragment=False))
    references = {}
    for reference in (found for found in root.iter() if local(found.tag) == "Reference"):
        references[reference.attrib["URI"][1:]] = digest_value(reference)
    identified = {id_of(found): found for found in root.iter() if id_of(found) in references}
    assert {local(found.tag) for found in identified.values()} == set(case.signed)
    for name, element in identified.items():
        fragment = exificient.to_exi(case.namespace, ET.tostring(element, "unicode"), fragment=True)
        assert digest(case, fragment) == references[name]
    [info] = [found for found in root.iter() if local(found.tag) == "SignedInfo"]
    signature = header(decode(case.namespace, octets))["Signature"]["SignatureValue"]["value"]
    check(case, key, signature, exificient.to_exi(Namespace.XMLDSIG, ET.tostring(info, "unicode"), fragment=True))


def id_of(element: ET.Element) -> str:
    """An Id attribute is qualified in the messages' schemas."""
    return next((value for name, value in element.attrib.items() if local(name) == XML_ID), "")


def digest_value(reference: ET.Element) -> bytes:
    return b64decode(next(found.text or "" for found in reference if local(found.tag) == "DigestValue"))
