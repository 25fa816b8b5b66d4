"""The certificate provisioning service: answers a vehicle's CertificateInstallationReq as a CSMS passes it on.

Of ISO 15118-2 clause 7.9.2.4.3 and ISO 15118-20 clause 7.9.2.5: the contract's private key is encrypted for the owner
of the provisioning certificate alone, and the whole is signed by the CPS. # unverified: clause of -20
"""

import os
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from secc.exi import Namespace, decode, encode
from sim.pki.authority import Entity, new_key
from sim.pki.pki import Pki, contract_blank

OTHER_INFO = b"\x01UV"
"""AlgorithmID, PartyUInfo and PartyVInfo of the key derivation."""
CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"

Elements = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Issued:
    """The response as it goes back, base64 still to come, and the contract that is in it."""

    exi: bytes
    contract: Entity


def install(pki: Pki, emaid: str, request: bytes, schema: str) -> Issued:
    """Answer `request`, whole EXI of `schema` (iso15118SchemaVersion). Raises ExiError, KeyError, ValueError."""
    if schema == Namespace.ISO_2.value:
        return _install_2(pki, emaid, request)
    return _install_20(pki, emaid, request)


def _install_2(pki: Pki, emaid: str, request: bytes) -> Issued:
    message = cast(Elements, decode(Namespace.ISO_2, request)["V2G_Message"])
    wish = message["Body"]["CertificateInstallationReq"]
    contract = pki.mo_sub_ca2.child(contract_blank(emaid), new_key())
    ours = new_key()
    key = shared_key(ours, _public(wish["OEMProvisioningCert"]), SHA256(), 16)
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    encrypted = iv + encryptor.update(_secret(contract, 32)) + encryptor.finalize()
    parts: dict[str, Elements] = {
        "ContractSignatureCertChain": {"Id": "id1", **_chain(contract)},
        "ContractSignatureEncryptedPrivateKey": {"Id": "id2", "value": encrypted},
        "DHpublickey": {"Id": "id3", "value": _point(ours)},
        "eMAID": {"Id": "id4", "value": emaid},
    }
    response = {"ResponseCode": "OK", "SAProvisioningCertificateChain": _chain(pki.cps), **parts}
    header = {"SessionID": message["Header"]["SessionID"], "Signature": _signature(Namespace.ISO_2, parts, pki.cps)}
    document = {"V2G_Message": {"Header": header, "Body": {"CertificateInstallationRes": response}}}
    return Issued(encode(Namespace.ISO_2, document), contract)


def _install_20(pki: Pki, emaid: str, request: bytes) -> Issued:
    """A key of P-521 is provided for a provisioning certificate of P-521; for P-256 there is no element."""
    wish = cast(Elements, decode(Namespace.ISO_20_COMMON, request)["CertificateInstallationReq"])
    theirs = _public(wish["OEMProvisioningCertificateChain"]["Certificate"])
    if theirs.curve.name != "secp521r1":
        raise ValueError("ISO 15118-20 encrypts contract keys for P-521 or X448")
    contract = pki.mo_sub_ca2.child(contract_blank(emaid), new_key(ec.SECP521R1()))
    ours = new_key(ec.SECP521R1())
    iv = os.urandom(12)
    encrypted = iv + AESGCM(shared_key(ours, theirs, SHA512(), 32)).encrypt(iv, _secret(contract, 66), None)
    data = {
        "Id": "id1",
        "ContractCertificateChain": _chain(contract),
        "ECDHCurve": "SECP521",
        "DHPublicKey": _point(ours),
        "SECP521_EncryptedPrivateKey": encrypted,
    }
    signed = {"SignedInstallationData": data}
    header = {
        "SessionID": wish["Header"]["SessionID"],
        "TimeStamp": wish["Header"]["TimeStamp"],
        "Signature": _signature(Namespace.ISO_20_COMMON, signed, pki.cps),
    }
    response = {
        "Header": header,
        "ResponseCode": "OK",
        "EVSEProcessing": "Finished",
        "CPSCertificateChain": _chain(pki.cps),
        **signed,
        "RemainingContractCertificateChains": 0,
    }
    return Issued(encode(Namespace.ISO_20_COMMON, {"CertificateInstallationRes": response}), contract)


def shared_key(
    own: ec.EllipticCurvePrivateKey, other: ec.EllipticCurvePublicKey, algorithm: SHA256 | SHA512, length: int
) -> bytes:
    return ConcatKDFHash(algorithm, length, OTHER_INFO).derive(own.exchange(ec.ECDH(), other))


def _public(certificate_der: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_x509_certificate(certificate_der).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("a provisioning certificate without an elliptic curve")
    return key


def _secret(entity: Entity, length: int) -> bytes:
    assert isinstance(entity.key, ec.EllipticCurvePrivateKey)
    return entity.key.private_numbers().private_value.to_bytes(length)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _chain(entity: Entity) -> Elements:
    leaf, *sub_cas = entity.chain_der
    return {"Certificate": leaf, "SubCertificates": {"Certificate": sub_cas}}


def _signature(namespace: Namespace, parts: dict[str, Elements], signer: Entity) -> Elements:
    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    short = signer.key.curve.key_size == 256
    bits, digest = (256, sha256) if short else (512, sha512)
    canonical = {"Algorithm": CANONICAL_EXI}
    references = [
        {
            "URI": f"#{element['Id']}",
            "Transforms": {"Transform": [canonical]},
            "DigestMethod": {"Algorithm": f"http://www.w3.org/2001/04/xmlenc#sha{bits}"},
            "DigestValue": digest(encode(namespace, {name: element}, fragment=True)).digest(),
        }
        for name, element in parts.items()
    ]
    signed_info = {
        "CanonicalizationMethod": canonical,
        "SignatureMethod": {"Algorithm": f"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha{bits}"},
        "Reference": references,
    }
    octets = encode(Namespace.XMLDSIG, {"SignedInfo": signed_info}, fragment=True)
    r, s = decode_dss_signature(signer.key.sign(octets, ec.ECDSA(SHA256() if short else SHA512())))
    size = (signer.key.curve.key_size + 7) // 8
    return {"SignedInfo": signed_info, "SignatureValue": {"value": r.to_bytes(size) + s.to_bytes(size)}}
