"""Contract certificates for vehicles (M01, M02): the vehicle's EXI message to the CSMS, and the answer back, unread."""

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

Request = Callable[[str, Payload], Awaitable[Payload | None]]


async def ev_certificate(request: Request, schema: str, action: str, exi_request: bytes) -> bytes | None:
    """The operator's EXI response; None if it has none, does not answer, or the request is too long for OCPP 2.0.1."""
    encoded = base64.b64encode(exi_request).decode("ascii")
    if len(encoded) > MAX_EXI_REQUEST:
        log.error("a certificate request of %d bytes is too long for OCPP 2.0.1", len(exi_request))
        return None
    answer = await request(
        "Get15118EVCertificate", {"iso15118SchemaVersion": schema, "action": action, "exiRequest": encoded}
    )
    if answer is None or answer.get("status") != "Accepted":
        log.warning("the operator has no certificate: %s", answer and answer.get("status"))
        return None
    response = text_at(answer, "exiResponse") or ""
    if len(response) > MAX_EXI_RESPONSE:
        log.error("the operator's certificate answer has %d characters, too long for OCPP 2.0.1", len(response))
        return None
    try:
        return base64.b64decode(response, validate=True) or None
    except binascii.Error as error:
        log.error("the operator's certificate answer is no base64: %s", error)
        return None
