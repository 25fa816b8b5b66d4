"""The functions of libssl and libcrypto that `ssl` does not offer, taken from the very libraries `_ssl` uses.

`ctypes.CDLL(_ssl.__file__)` looks symbols up in `_ssl` and in what it is linked to, so another OpenSSL on the machine
(cryptography carries one of its own) can never be meant. An interpreter with OpenSSL linked statically has no such
symbols and is refused.
"""

import _ssl
import ctypes
import ssl
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_ubyte, c_uint, c_uint64, c_ulong, c_void_p
from functools import cache
from typing import Any

from certs.errors import CertsError, TlsUnsupported

OPENSSL_3_0 = 0x30000000


class OpenSslError(CertsError):
    """A call into OpenSSL failed; the text holds OpenSSL's own error queue."""


class OsslParam(ctypes.Structure):
    """`OSSL_PARAM` of openssl/core.h; an array of them ends with a NULL key."""

    _fields_ = [
        ("key", c_char_p),
        ("data_type", c_uint),
        ("data", c_void_p),
        ("data_size", c_size_t),
        ("return_size", c_size_t),
    ]


UNSIGNED_INTEGER = 2
UTF8_STRING = 4
OCTET_STRING = 5
PARAM_UNMODIFIED = c_size_t(-1).value

# name: (result, arguments)
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "CRYPTO_malloc": (c_void_p, [c_size_t, c_char_p, c_int]),
    "CRYPTO_free": (None, [c_void_p, c_char_p, c_int]),
    "ERR_clear_error": (None, []),
    "ERR_error_string_n": (None, [c_ulong, c_char_p, c_size_t]),
    "ERR_get_error": (c_ulong, []),
    "EVP_PKEY_CTX_free": (None, [c_void_p]),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "EVP_PKEY_free": (None, [c_void_p]),
    "EVP_PKEY_fromdata": (c_int, [c_void_p, POINTER(c_void_p), c_int, POINTER(OsslParam)]),
    "EVP_PKEY_fromdata_init": (c_int, [c_void_p]),
    "EVP_set_default_properties": (c_int, [c_void_p, c_char_p]),
    "OPENSSL_sk_free": (None, [c_void_p]),
    "OPENSSL_sk_new_null": (c_void_p, []),
    "OPENSSL_sk_push": (c_int, [c_void_p, c_void_p]),
    "OCSP_RESPONSE_free": (None, [c_void_p]),
    "OSSL_PARAM_get_uint64": (c_int, [c_void_p, POINTER(c_uint64)]),
    "OSSL_PARAM_locate": (c_void_p, [c_void_p, c_char_p]),
    "OSSL_PARAM_set_int": (c_int, [c_void_p, c_int]),
    "OSSL_PARAM_set_octet_string": (c_int, [c_void_p, c_char_p, c_size_t]),
    "OSSL_PARAM_set_utf8_string": (c_int, [c_void_p, c_char_p]),
    "OSSL_PROVIDER_add_builtin": (c_int, [c_void_p, c_char_p, c_void_p]),
    "OSSL_PROVIDER_load": (c_void_p, [c_void_p, c_char_p]),
    "OpenSSL_version_num": (c_ulong, []),
    "SSL_CTX_callback_ctrl": (c_long, [c_void_p, c_int, c_void_p]),
    "SSL_CTX_ctrl": (c_long, [c_void_p, c_int, c_long, c_void_p]),
    "SSL_CTX_get_options": (c_uint64, [c_void_p]),
    "SSL_CTX_set_ciphersuites": (c_int, [c_void_p, c_char_p]),
    "SSL_CTX_set_client_hello_cb": (None, [c_void_p, c_void_p, c_void_p]),
    "SSL_CTX_set_cert_cb": (None, [c_void_p, c_void_p, c_void_p]),
    "SSL_CTX_add_custom_ext": (c_int, [c_void_p, c_uint, c_uint, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "SSL_CTX_use_cert_and_key": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_int]),
    "SSL_ctrl": (c_long, [c_void_p, c_int, c_long, c_void_p]),
    "SSL_client_hello_get0_ext": (c_int, [c_void_p, c_uint, POINTER(c_void_p), POINTER(c_size_t)]),
    "SSL_set_verify": (None, [c_void_p, c_int, c_void_p]),
    "SSL_use_cert_and_key": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_int]),
    "SSL_version": (c_int, [c_void_p]),
    "X509_free": (None, [c_void_p]),
    "d2i_OCSP_RESPONSE": (c_void_p, [c_void_p, POINTER(POINTER(c_ubyte)), c_long]),
    "d2i_X509": (c_void_p, [c_void_p, POINTER(POINTER(c_ubyte)), c_long]),
}


@cache
def library() -> ctypes.CDLL:
    """The OpenSSL behind `ssl`, with every function's types set. Raises TlsUnsupported, saying what is missing."""
    path = getattr(_ssl, "__file__", None)
    if path is None:
        raise TlsUnsupported("_ssl is built into the interpreter; its OpenSSL cannot be reached")
    lib = ctypes.CDLL(path)
    for name, (result, arguments) in SIGNATURES.items():
        try:
            function = getattr(lib, name)
        except AttributeError as error:
            raise TlsUnsupported(f"{ssl.OPENSSL_VERSION} behind {path} has no {name}") from error
        function.restype, function.argtypes = result, arguments
    if lib.OpenSSL_version_num() < OPENSSL_3_0:
        raise TlsUnsupported(f"{ssl.OPENSSL_VERSION} has no providers; OpenSSL 3.0 or later is needed")
    return lib


def check(result: int | None, call: str) -> int:
    """The result of a call that answers 0 or NULL on failure. Raises OpenSslError with OpenSSL's error queue."""
    if result is None or result <= 0:
        raise OpenSslError(f"{call}: {'; '.join(drain_errors()) or 'no reason given'}")
    return result


def drain_errors() -> list[str]:
    """Take this thread's OpenSSL error queue, oldest first."""
    lib, errors, text = library(), [], ctypes.create_string_buffer(256)
    while code := lib.ERR_get_error():
        lib.ERR_error_string_n(code, text, len(text))
        errors.append(text.value.decode("ascii", "replace"))
    return errors


def context_pointer(context: ssl.SSLContext) -> int:
    """The `SSL_CTX *` of an `ssl.SSLContext`: the first field behind the object's head.

    CPython offers no other way. The layout is proved on this very object: an option that is toggled through `ssl` must
    toggle behind the pointer too. Raises TlsUnsupported when it does not.
    """
    pointer = c_void_p.from_address(id(context) + object.__basicsize__).value
    if pointer is None:
        raise TlsUnsupported("ssl.SSLContext holds no SSL_CTX where CPython keeps it")
    options = context.options
    try:
        for probe in (options | ssl.OP_NO_TICKET, options & ~ssl.OP_NO_TICKET):
            context.options = probe
            if library().SSL_CTX_get_options(pointer) != int(context.options):
                raise TlsUnsupported("ssl.SSLContext is not laid out as CPython lays it out")
    finally:
        context.options = options
    return pointer


class X509:
    """A certificate as OpenSSL holds it; freed with this object."""

    def __init__(self, der: bytes) -> None:
        buffer = (c_ubyte * len(der)).from_buffer_copy(der)
        cursor = ctypes.cast(buffer, POINTER(c_ubyte))
        self.pointer = check(library().d2i_X509(None, ctypes.byref(cursor), len(der)), "d2i_X509")
        self._free = library().X509_free

    def __del__(self) -> None:
        if hasattr(self, "_free"):
            self._free(self.pointer)


class CertificateStack:
    """A `STACK_OF(X509)` over certificates it keeps alive."""

    def __init__(self, chain_der: Sequence[bytes]) -> None:
        self._certificates = [X509(der) for der in chain_der]
        self._free = library().OPENSSL_sk_free
        self.pointer = check(library().OPENSSL_sk_new_null(), "OPENSSL_sk_new_null")
        for certificate in self._certificates:
            check(library().OPENSSL_sk_push(self.pointer, certificate.pointer), "OPENSSL_sk_push")

    def __del__(self) -> None:
        if hasattr(self, "pointer"):
            self._free(self.pointer)
