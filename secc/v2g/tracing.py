"""A V2G message for a reader: decoded, and without what tells who the driver or the vehicle is. Pure."""

from collections.abc import Mapping, Sequence
from enum import Enum

from secc.exi import ExiError, Namespace, decode
from secc.v2g.iso20.wire import SCHEMAS
from secc.v2g.protocol import Protocol
from secc.v2gtp import Frame, PayloadType

HIDDEN = frozenset(
    {
        # Who
        "eMAID",
        "EMAID",
        "PrioritizedEMAIDs",
        "ContractID",
        "EVCCID",
        # Certificates, keys, and what they signed
        "Certificate",
        "SubCertificates",
        "OEMProvisioningCert",
        "ContractSignatureEncryptedPrivateKey",
        "SECP521_EncryptedPrivateKey",
        "X448_EncryptedPrivateKey",
        "TPM_EncryptedPrivateKey",
        "DHpublickey",
        "DHPublicKey",
        "DHParams",
        "SignatureValue",
        "DigestValue",
        "KeyInfo",
        "GenChallenge",
    }
)
"""Elements of which only the length is told."""


def readable(frame: Frame, protocol: Protocol | None) -> dict[str, object]:
    """The schema and the message as JSON can have it, octets in hexadecimal; of what cannot be read, the size."""
    namespace = _schema(frame.payload_type, protocol)
    if namespace is None:
        return {"payload_type": int(frame.payload_type), "octets": len(frame.payload)}
    try:
        message = decode(namespace, frame.payload)
    except ExiError as error:
        return {"schema": namespace.value, "octets": len(frame.payload), "error": str(error)}
    return {"schema": namespace.value, "message": _plain(message)}


def _schema(payload_type: PayloadType, protocol: Protocol | None) -> Namespace | None:
    """Of a frame; `protocol` is None until one is agreed on."""
    if protocol is None:
        return Namespace.SAP if payload_type is PayloadType.EXI else None
    if protocol.namespace in (Namespace.DIN.value, Namespace.ISO_2.value):
        return Namespace(protocol.namespace) if payload_type is PayloadType.EXI else None
    return SCHEMAS.get(payload_type)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _hidden(inner) if name in HIDDEN else _plain(inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _hidden(value: object) -> str:
    return f"({len(value)})" if isinstance(value, bytes | str) else "(hidden)"
