"""From decoded EXI to a request: header, name, model."""

from collections.abc import Mapping
from typing import cast

from iso15118.shared.exceptions import V2GMessageValidationError
from iso15118.shared.messages.iso15118_2 import body
from iso15118.shared.messages.iso15118_2.body import BodyBase
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode
from pydantic import ValidationError

from secc.v2g.codes import NotARequest
from secc.v2g.iso2.failures import REQUESTS
from secc.v2g.iso2.tolerance import repaired
from secc.v2g.session import Request

# Where the models want hexBinary as text.
_HEX_ELEMENTS = {"SessionSetupReq": "EVCCID", "MeteringReceiptReq": "SessionID"}

# These pass to the operator unread; the model of the latter is not what its XSD says (eMAID).
_UNREAD = {"CertificateInstallationReq", "CertificateUpdateReq"}


def read(document: Mapping[str, object], octets: bytes, arrived_s: float) -> Request:
    """The request in a V2G_Message, given decoded and as it arrived. Content the model refuses gives it a `fault`.

    Raises:
        NotARequest: an empty body, a response, or no message of ISO 15118-2.
    """
    try:
        message = cast(Mapping[str, Mapping[str, object]], document["V2G_Message"])
        header, content = message["Header"], message["Body"]
        name = next(iter(content), "")
    except (KeyError, TypeError) as error:
        raise NotARequest("no V2G message") from error
    if name not in REQUESTS:
        raise NotARequest(name or "empty body")
    elements = cast(Mapping[str, object], content[name])
    model, fault, detail = _model(name, repaired(name, elements))
    return Request(
        name=name,
        session_id=_hex(header.get("SessionID")),
        message=model,
        elements=elements,
        signature=cast(Mapping[str, object] | None, header.get("Signature")),
        octets=octets,
        arrived_s=arrived_s,
        fault=fault,
        fault_detail=detail,
    )


def _model(name: str, elements: Mapping[str, object]) -> tuple[BodyBase | None, ResponseCode | None, str]:
    if name in _UNREAD:
        return None, None, ""
    model = cast(type[BodyBase], getattr(body, name))
    values = {key: value for key, value in elements.items() if value is not None}
    if hex_element := _HEX_ELEMENTS.get(name):
        values[hex_element] = _hex(values.get(hex_element))
    try:
        return model.parse_obj(values), None, ""
    except V2GMessageValidationError as error:
        return None, ResponseCode(error.response_code.value), error.reason
    except ValidationError as error:
        first = error.errors()[0]
        return None, ResponseCode.FAILED, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _hex(value: object) -> str:
    return value.hex().upper() if isinstance(value, bytes) else ""
