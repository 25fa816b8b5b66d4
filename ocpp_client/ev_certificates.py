"""Contract certificates for vehicles (M01, M02): the vehicle's EXI message to the CSMS, and the answer back, unread.

By Get15118EVCertificate; or, for a CSMS that asks for it, in the envelope of DataTransfer: the vendorId it named, the
name of the vehicle's message as messageId, EXI octets in base64 as data, both ways. That is of ISO 15118-2 alone.
"""

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable

from ocpp_client.wire import Payload, text_at

log = logging.getLogger(__name__)

MAX_EXI_REQUEST = 5600
"""Characters of Get15118EVCertificateRequest.exiRequest."""
MAX_EXI_RESPONSE = 7500
"""Characters of Get15118EVCertificateResponse.exiResponse."""
ISO_15118_2 = "urn:iso:15118:2:2013:MsgDef"
_NAMES = {"Install": "CertificateInstallationReq", "Update": "CertificateUpdateReq"}

Request = Callable[[str, Payload], Awaitable[Payload | None]]


async def ev_certificate(
    request: Request, schema: str, action: str, exi_request: bytes, envelope: str = ""
) -> bytes | None:
    """The operator's EXI response; None if it has none, does not answer, or the request is too long for OCPP 2.0.1.

    `envelope` is the vendorId of a CSMS that wants DataTransfer; empty for none.
    """
    encoded = base64.b64encode(exi_request).decode("ascii")
    if envelope and schema == ISO_15118_2:
        answer = await request("DataTransfer", {"vendorId": envelope, "messageId": _NAMES[action], "data": encoded})
        return _octets(answer, "data")
    if len(encoded) > MAX_EXI_REQUEST:
        log.error("a certificate request of %d bytes is too long for OCPP 2.0.1", len(exi_request))
        return None
    asked: Payload = {"iso15118SchemaVersion": schema, "action": action, "exiRequest": encoded}
    answer = await request("Get15118EVCertificate", asked)
    if answer is not None and len(text_at(answer, "exiResponse") or "") > MAX_EXI_RESPONSE:
        log.error("the operator's certificate answer is too long for OCPP 2.0.1")
        return None
    return _octets(answer, "exiResponse")


def _octets(answer: Payload | None, name: str) -> bytes | None:
    if answer is None or answer.get("status") != "Accepted":
        log.warning("the operator has no certificate: %s", answer and answer.get("status"))
        return None
    try:
        return base64.b64decode(text_at(answer, name) or "", validate=True) or None
    except (binascii.Error, ValueError) as error:
        log.error("the operator's certificate answer is no base64: %s", error)
        return None
