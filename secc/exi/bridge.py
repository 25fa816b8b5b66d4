"""Between octets and message models, with no JSON in between.

A model is anything with the two calls of pydantic 1 that `Model` names; this file imports no model and no library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from secc.exi.binaries import convert
from secc.exi.codec import decode, encode
from secc.exi.errors import ExiDecodeError, Reason
from secc.exi.namespaces import Namespace

MESSAGE_ROOT = "V2G_Message"
_ISO_20_PREFIX = "urn:iso:std:iso:15118:-20:"
_ISO_20_SIGNED = {
    "PnC_AReqAuthorizationMode",
    "OEMProvisioningCertificateChain",
    "SignedInstallationData",
    "SignedMeteringData",
    "AbsolutePriceSchedule",
}
# Models that are named for the type of the element, not for the element.
_TYPE_NAMES = {
    (Namespace.ISO_2, "CertificateChain"): "ContractSignatureCertChain",
    (Namespace.ISO_20_COMMON, "CertificateChain"): "CPSCertificateChain",
    (Namespace.ISO_20_COMMON, "SignedCertificateChain"): "OEMProvisioningCertificateChain",
}


class Model(Protocol):
    def dict(self, *, by_alias: bool, exclude_none: bool) -> dict[str, Any]: ...


M_co = TypeVar("M_co", covariant=True)


class ModelType(Protocol[M_co]):
    def parse_obj(self, obj: Any) -> M_co: ...


def is_fragment(namespace: str, root: str) -> bool:
    """Whether an element of that name is on its own only to be signed, so that it is encoded as a fragment."""
    if namespace == Namespace.XMLDSIG:
        return True
    if namespace in (Namespace.DIN, Namespace.ISO_2):
        return root != MESSAGE_ROOT
    return namespace.startswith(_ISO_20_PREFIX) and not root.endswith(("Req", "Res"))


def to_exi(model: Model, namespace: str, *, root: str | None = None) -> bytes:
    """The octets of a message, or of an element to be signed. Raises ExiError.

    root: the element's name, where it is not what str(model) says.
    """
    content = model.dict(by_alias=True, exclude_none=True)
    name = root or _root_name(model, content, namespace)
    fragment = is_fragment(namespace, name)
    message = convert(namespace, {name: content}, fragment=fragment, hexadecimal=_octets)
    return encode(namespace, message, fragment=fragment)


def from_exi(data: bytes, namespace: str, models: Mapping[str, ModelType[M_co]], *, fragment: bool = False) -> M_co:
    """The model of the message in `data`. models: root name -> model class.

    Raises ExiError for the octets, and what the model raises for values it does not take.
    """
    message = convert(
        namespace, decode(namespace, data, fragment=fragment), fragment=fragment, hexadecimal=_hexadecimal
    )
    ((name, content),) = message.items()
    if name not in models:
        raise ExiDecodeError(Reason.ROOT, f"no model for {name}", name)
    return models[name].parse_obj(content)


def _root_name(model: Model, content: Mapping[str, object], namespace: str) -> str:
    if content.keys() == {"Header", "Body"}:
        return MESSAGE_ROOT
    name = str(model)
    return _TYPE_NAMES.get((Namespace(namespace), name), name)


def _hexadecimal(octets: bytes) -> str:
    return octets.hex().upper()


def _octets(value: str | bytes) -> bytes:
    return bytes.fromhex(value) if isinstance(value, str) else value
