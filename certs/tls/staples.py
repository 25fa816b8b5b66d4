"""OCSP responses in the handshake: of the leaf (RFC 6066), of the chain (RFC 6961), of each certificate (RFC 8446).

`ssl` offers none of it. libssl has the first; for the chain in TLS 1.2 it has no support, but a type it writes without
looking (`SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE`) before a body it takes as it is: with type 2, and the list of responses
as the body, that is exactly RFC 6961's CertificateStatus. Its one flaw is an extension 5 in the ServerHello beside the
17 that belongs there, so it is done only for a vehicle that offered both. In TLS 1.3 each certificate may carry its
response; libssl can from 3.6 on, before that it carries the leaf's.
"""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_ubyte

from certs.tls.openssl import check, drain_errors, library

CTRL_SET_TLSEXT_STATUS_REQ_TYPE = 65
CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP = 71
CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP_EX = 143
STATUS_TYPE_OCSP_MULTI = 2


def staple_leaf(ssl_pointer: int, response: bytes) -> None:
    """Answer status_request with one response. Raises OpenSslError."""
    _give(ssl_pointer, response)


def staple_chain(ssl_pointer: int, responses: Sequence[bytes | None]) -> None:
    """Answer status_request_v2 in TLS 1.2: a list, with an empty place where there is none. Raises OpenSslError."""
    body = b"".join(len(response or b"").to_bytes(3, "big") + (response or b"") for response in responses)
    library().SSL_ctrl(ssl_pointer, CTRL_SET_TLSEXT_STATUS_REQ_TYPE, STATUS_TYPE_OCSP_MULTI, None)
    _give(ssl_pointer, body)


def staple_each(ssl_pointer: int, responses: Sequence[bytes | None]) -> bool:
    """Answer status_request in TLS 1.3 for each certificate; False: this libssl cannot, or a response is missing."""
    lib = library()
    if None in responses:
        return False
    stack = check(lib.OPENSSL_sk_new_null(), "OPENSSL_sk_new_null")
    parsed: list[int] = []
    for response in responses:
        pointer = _parsed(response or b"")
        if pointer is not None:
            parsed.append(pointer)
            lib.OPENSSL_sk_push(stack, pointer)
    complete = len(parsed) == len(responses)
    if complete and lib.SSL_ctrl(ssl_pointer, CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP_EX, 0, stack) == 1:
        return True
    drain_errors()
    for pointer in parsed:
        lib.OCSP_RESPONSE_free(pointer)
    lib.OPENSSL_sk_free(stack)
    return False


def _give(ssl_pointer: int, body: bytes) -> None:
    """Hand a buffer over to the connection, which frees it."""
    lib = library()
    buffer = check(lib.CRYPTO_malloc(len(body), b"certs/tls/staples.py", 0), "CRYPTO_malloc")
    ctypes.memmove(buffer, body, len(body))
    if not lib.SSL_ctrl(ssl_pointer, CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, len(body), buffer):
        lib.CRYPTO_free(buffer, b"certs/tls/staples.py", 0)
        check(0, "SSL_set_tlsext_status_ocsp_resp")


def _parsed(response: bytes) -> int | None:
    buffer = (c_ubyte * len(response)).from_buffer_copy(response)
    cursor = ctypes.cast(buffer, POINTER(c_ubyte))
    pointer: int | None = library().d2i_OCSP_RESPONSE(None, ctypes.byref(cursor), len(response))
    return pointer
