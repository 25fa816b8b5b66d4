"""Private keys that live elsewhere, given to OpenSSL through its provider interface.

Why a provider, and why our own:

- `ssl` takes keys from PEM files only, and the key never leaves the TPM. OpenSSL's way to sign outside itself is a
  provider: it asks one for a signature wherever it would have used the private number. ENGINE and EC_KEY_METHOD, the
  older ways, are deprecated in OpenSSL 3 and gone after it.
- tpm2-openssl is such a provider. As Debian 12 packages it, it cannot serve TLS; used as its documentation says, it
  also draws the verification of the peer into the TPM, which breaks mutual TLS; it sends three or four TPM commands a
  handshake where one is enough; and after a reset of the TPM it never recovers. Configured through OPENSSL_CONF it is
  loaded by cryptography's own OpenSSL too. So OPENSSL_CONF stays unset.
- All that is needed is small: a key of type EC whose public half can be exported and whose private half cannot, and
  ECDSA over a digest. The digest is computed here, by hashlib; the signature is one call of `Key.sign`: one TPM
  command.

How OpenSSL comes to call us: it first tries its default provider, whose ECDSA wants the key's private number; `export`
refuses to give private parts, so libcrypto turns to the provider the key came from. Verification of the peer, ECDHE and
everything else stay with the default provider, which is loaded by name (loading any provider switches the implicit
default off) and preferred (`?provider=default`).

Life and death of what C points to:

- Dispatch tables and callbacks are kept for the life of the process: one reference is given away on purpose, because
  OpenSSL may call back while the interpreter is shutting down.
- A key's data is a block of `malloc` that holds a number, and its destructor is libc's `free`: freeing an SSL_CTX runs
  no Python. (With a Python destructor, CPython 3.13 crashes when the last context dies at interpreter shutdown.)
- An exception must not cross C: it is kept for `last_error()`, and OpenSSL is told that the signature failed. The
  handshake then ends with the alert internal_error, and the next one starts afresh.
"""

import ctypes
import hashlib
import itertools
import logging
import sys
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from typing import Any

from certs.errors import KeyFault, KeyUnavailable, TlsUnsupported
from certs.keystore import Curve, Key
from certs.tls import openssl
from certs.tls.openssl import OsslParam, check, library

log = logging.getLogger(__name__)

PROVIDER = b"evse"
KEY_NUMBER = b"evse-key-number"

# openssl/core_dispatch.h
OP_KEYMGMT, OP_SIGNATURE = 10, 12
PROVIDER_QUERY_OPERATION = 1027
KEYMGMT_NEW, KEYMGMT_FREE, KEYMGMT_GET_PARAMS, KEYMGMT_GETTABLE_PARAMS = 1, 10, 11, 12
KEYMGMT_QUERY_OPERATION_NAME, KEYMGMT_HAS, KEYMGMT_MATCH = 20, 21, 23
KEYMGMT_IMPORT, KEYMGMT_IMPORT_TYPES, KEYMGMT_EXPORT, KEYMGMT_EXPORT_TYPES = 40, 41, 42, 43
SIGNATURE_NEWCTX, SIGNATURE_DIGEST_SIGN_INIT, SIGNATURE_DIGEST_SIGN, SIGNATURE_FREECTX = 1, 8, 11, 16
SELECT_PRIVATE_KEY, SELECT_PUBLIC_KEY = 0x01, 0x02
EVP_PKEY_PUBLIC_KEY = 0x86

# Bits of the field, bits of strength as OpenSSL's security levels count them, and the longest DER Ecdsa-Sig-Value.
FACTS = {Curve.P256: (256, 128, 72), Curve.P384: (384, 192, 104), Curve.P521: (521, 256, 141)}
GROUP_NAMES = {Curve.P256: b"prime256v1", Curve.P384: b"secp384r1", Curve.P521: b"secp521r1"}
DIGESTS = {"SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


class _Dispatch(ctypes.Structure):
    _fields_ = [("function_id", c_int), ("function", c_void_p)]


class _Algorithm(ctypes.Structure):
    _fields_ = [
        ("names", c_char_p),
        ("properties", c_char_p),
        ("implementation", POINTER(_Dispatch)),
        ("description", c_char_p),
    ]


class _Signing:
    """One signature under way: OpenSSL's operation context."""

    def __init__(self) -> None:
        self.key: Key | None = None
        self.digest = ""


# By number, for the life of the process: OpenSSL does not tell when it has freed the last copy of one (see above), and
# a station sees a handful in its life.
_keys: dict[int, Key] = {}
_signings: dict[int, _Signing] = {}
_last = threading.local()
_lock = threading.Lock()
_numbers = itertools.count(1)


def last_error() -> Exception | None:
    """Why this thread's last signature failed; `ssl` itself only reports an internal error. Taken, so asked once."""
    error, _last.error = getattr(_last, "error", None), None
    return error


def _key_of(keydata: int) -> Key:
    return _keys[c_uint64.from_address(keydata).value]


_libc = ctypes.CDLL(None)
_libc.malloc.restype, _libc.malloc.argtypes = c_void_p, [c_size_t]


def _keymgmt_new(_provider: int) -> int:
    keydata: int = _libc.malloc(8)
    c_uint64.from_address(keydata).value = 0
    return keydata


def _keymgmt_has(keydata: int, _selection: int) -> int:
    return int(c_uint64.from_address(keydata).value in _keys)


def _keymgmt_match(first: int, second: int, _selection: int) -> int:
    return int(_key_of(first).public_point == _key_of(second).public_point)


def _keymgmt_import(keydata: int, _selection: int, params: int) -> int:
    """Only what `ExternalKey` hands over: a key of another provider has no number of ours."""
    param, number = library().OSSL_PARAM_locate(params, KEY_NUMBER), c_uint64()
    if not param or not library().OSSL_PARAM_get_uint64(param, ctypes.byref(number)) or number.value not in _keys:
        return 0
    c_uint64.from_address(keydata).value = number.value
    return 1


def _keymgmt_export(keydata: int, selection: int, callback: int, argument: int) -> int:
    if selection & SELECT_PRIVATE_KEY:
        return 0
    take = _ExportCallback(callback)
    return int(take(_public_params(_key_of(keydata)), argument))


def _keymgmt_get_params(keydata: int, params: int) -> int:
    lib, key = library(), _key_of(keydata)
    bits, security_bits, max_size = FACTS[key.curve]
    for name, value in ((b"bits", bits), (b"security-bits", security_bits), (b"max-size", max_size)):
        param = lib.OSSL_PARAM_locate(params, name)
        if param and not lib.OSSL_PARAM_set_int(param, value):
            return 0
    for name, text in ((b"group", GROUP_NAMES[key.curve]), (b"point-format", b"uncompressed")):
        param = lib.OSSL_PARAM_locate(params, name)
        if param and not lib.OSSL_PARAM_set_utf8_string(param, text):
            return 0
    for name in (b"pub", b"encoded-pub-key"):
        param = lib.OSSL_PARAM_locate(params, name)
        if param and not lib.OSSL_PARAM_set_octet_string(param, key.public_point, len(key.public_point)):
            return 0
    return 1


def _signature_newctx(_provider: int, _properties: bytes | None) -> int:
    number = next(_numbers)
    _signings[number] = _Signing()
    return number


def _signature_freectx(number: int) -> None:
    _signings.pop(number, None)


def _digest_sign_init(number: int, digest: bytes | None, keydata: int | None, _params: int | None) -> int:
    name = (digest or b"").decode("ascii").upper().replace("SHA2-", "SHA").replace("SHA-", "SHA")
    if name not in DIGESTS:
        return 0
    signing = _signings[number]
    signing.digest = DIGESTS[name]
    if keydata:
        signing.key = _key_of(keydata)
    return int(signing.key is not None)


def _digest_sign(number: int, out: int | None, out_size: Any, room: int, data: int, data_size: int) -> int:
    signing = _signings[number]
    key = signing.key
    if key is None:
        return 0
    if not out:
        out_size[0] = FACTS[key.curve][2]
        return 1
    digest = hashlib.new(signing.digest, ctypes.string_at(data, data_size)).digest()
    signature = key.sign(digest)
    if len(signature) > room:
        raise KeyUnavailable(KeyFault.PROTOCOL, f"a signature of {len(signature)} bytes, there is room for {room}")
    ctypes.memmove(out, signature, len(signature))
    out_size[0] = len(signature)
    return 1


def guarded(function: Callable[..., int], failure: int = 0) -> Callable[..., int]:
    """`function` for C to call: what it raises is kept for `last_error`, and C is told `failure`."""

    def call(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - nothing may cross into C
            _last.error = error
            log.warning("TLS: %s failed: %s", function.__name__.strip("_"), error)
            return failure

    return call


_QueryOperation = CFUNCTYPE(c_void_p, c_void_p, c_int, POINTER(c_int))
_ProviderInit = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(POINTER(_Dispatch)), POINTER(c_void_p))
_ExportCallback = CFUNCTYPE(c_int, POINTER(OsslParam), c_void_p)
_New = CFUNCTYPE(c_void_p, c_void_p)
_Has = CFUNCTYPE(c_int, c_void_p, c_int)
_Match = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_Import = CFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
_Export = CFUNCTYPE(c_int, c_void_p, c_int, c_void_p, c_void_p)
_Types = CFUNCTYPE(c_void_p, c_int)
_GetParams = CFUNCTYPE(c_int, c_void_p, c_void_p)
_Gettable = CFUNCTYPE(c_void_p, c_void_p)
_OperationName = CFUNCTYPE(c_void_p, c_int)
_NewCtx = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
_FreeCtx = CFUNCTYPE(None, c_void_p)
_DigestSignInit = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p, c_void_p)
_DigestSign = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(c_size_t), c_size_t, c_void_p, c_size_t)


class _Provider:
    """The tables OpenSSL holds pointers to."""

    def __init__(self) -> None:
        self._ecdsa = ctypes.create_string_buffer(b"ECDSA")
        public = (b"group", openssl.UTF8_STRING, None), (b"pub", openssl.OCTET_STRING, None)
        self._types = _params(*public)
        self._imports = _params(*public, (KEY_NUMBER, openssl.UNSIGNED_INTEGER, None))
        self._gettable = _params(
            *((name, openssl.UNSIGNED_INTEGER, None) for name in (b"bits", b"security-bits", b"max-size")),
            *((name, openssl.UTF8_STRING, None) for name in (b"group", b"point-format")),
            *((name, openssl.OCTET_STRING, None) for name in (b"pub", b"encoded-pub-key")),
        )
        self._keymgmt = _dispatch(
            (KEYMGMT_NEW, _New(guarded(_keymgmt_new))),
            (KEYMGMT_FREE, _libc.free),
            (KEYMGMT_HAS, _Has(guarded(_keymgmt_has))),
            (KEYMGMT_MATCH, _Match(guarded(_keymgmt_match))),
            (KEYMGMT_IMPORT, _Import(guarded(_keymgmt_import))),
            (KEYMGMT_IMPORT_TYPES, _Types(lambda _selection: ctypes.addressof(self._imports))),
            (KEYMGMT_EXPORT, _Export(guarded(_keymgmt_export))),
            (KEYMGMT_EXPORT_TYPES, _Types(lambda _selection: ctypes.addressof(self._types))),
            (KEYMGMT_GET_PARAMS, _GetParams(guarded(_keymgmt_get_params))),
            (KEYMGMT_GETTABLE_PARAMS, _Gettable(lambda _provider: ctypes.addressof(self._gettable))),
            (KEYMGMT_QUERY_OPERATION_NAME, _OperationName(lambda _operation: ctypes.addressof(self._ecdsa))),
        )
        self._signature = _dispatch(
            (SIGNATURE_NEWCTX, _NewCtx(guarded(_signature_newctx))),
            (SIGNATURE_FREECTX, _FreeCtx(_signature_freectx)),
            (SIGNATURE_DIGEST_SIGN_INIT, _DigestSignInit(guarded(_digest_sign_init))),
            (SIGNATURE_DIGEST_SIGN, _DigestSign(guarded(_digest_sign))),
        )
        names = b"EC:id-ecPublicKey:1.2.840.10045.2.1"
        self._algorithms = {
            OP_KEYMGMT: _algorithms(names, self._keymgmt[0]),
            OP_SIGNATURE: _algorithms(b"ECDSA", self._signature[0]),
        }
        self._provider = _dispatch((PROVIDER_QUERY_OPERATION, _QueryOperation(self._query)))
        self.init = _ProviderInit(self._init)

    def _init(self, handle: int, _core: int, out: Any, context: Any) -> int:
        out[0] = ctypes.cast(self._provider[0], POINTER(_Dispatch))
        context[0] = handle
        return 1

    def _query(self, _provider: int, operation: int, no_cache: Any) -> int | None:
        no_cache[0] = 0
        algorithms = self._algorithms.get(operation)
        return None if algorithms is None else ctypes.addressof(algorithms)


def _dispatch(*entries: tuple[int, Any]) -> tuple[Any, tuple[Any, ...]]:
    """The table, and the callbacks it points to."""
    rows = [_Dispatch(number, ctypes.cast(function, c_void_p)) for number, function in entries]
    return (_Dispatch * (len(rows) + 1))(*rows), tuple(function for _, function in entries)


def _algorithms(names: bytes, table: Any) -> Any:
    row = _Algorithm(names, b"provider=" + PROVIDER, ctypes.cast(table, POINTER(_Dispatch)), b"key held elsewhere")
    return (_Algorithm * 2)(row)


def _params(*entries: tuple[bytes, int, bytes | None]) -> Any:
    array = (OsslParam * (len(entries) + 1))()
    for param, (name, kind, value) in zip(array, entries, strict=False):
        data = None if value is None else ctypes.cast(ctypes.c_char_p(value), c_void_p)
        size = 0 if value is None else len(value)
        param.key, param.data_type, param.data, param.data_size = name, kind, data, size
        param.return_size = openssl.PARAM_UNMODIFIED
    return array


def _public_params(key: Key) -> Any:
    return _params(
        (b"group", openssl.UTF8_STRING, GROUP_NAMES[key.curve]), (b"pub", openssl.OCTET_STRING, key.public_point)
    )


_provider: _Provider | None = None


def load() -> None:
    """Put the provider into OpenSSL's default library context, once. Raises TlsUnsupported or OpenSslError."""
    global _provider
    with _lock:
        if _provider is not None:
            return
        lib, provider = library(), _Provider()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(provider))
        check(lib.OSSL_PROVIDER_load(None, b"default"), "OSSL_PROVIDER_load default")
        check(lib.OSSL_PROVIDER_add_builtin(None, PROVIDER, provider.init), "OSSL_PROVIDER_add_builtin")
        check(lib.OSSL_PROVIDER_load(None, PROVIDER), "OSSL_PROVIDER_load evse")
        check(lib.EVP_set_default_properties(None, b"?provider=default"), "EVP_set_default_properties")
        _provider = provider


class ExternalKey:
    """An `EVP_PKEY` whose signatures are made by `key`. The owner keeps it as long as contexts are made from it."""

    def __init__(self, key: Key) -> None:
        load()
        if key.curve not in FACTS:
            raise TlsUnsupported(f"no TLS with a key on {key.curve}")
        self.key = key
        self.pointer = self._make(key)
        self._free = library().EVP_PKEY_free

    def _make(self, key: Key) -> int:
        lib, pkey = library(), c_void_p()
        with _lock:
            number = next(_numbers)
            _keys[number] = key
        params = _params(
            (b"group", openssl.UTF8_STRING, GROUP_NAMES[key.curve]),
            (b"pub", openssl.OCTET_STRING, key.public_point),
            (KEY_NUMBER, openssl.UNSIGNED_INTEGER, number.to_bytes(8, sys.byteorder)),
        )
        context = check(lib.EVP_PKEY_CTX_new_from_name(None, b"EC", b"provider=" + PROVIDER), "EVP_PKEY_CTX_new")
        try:
            check(lib.EVP_PKEY_fromdata_init(context), "EVP_PKEY_fromdata_init")
            made = lib.EVP_PKEY_fromdata(context, ctypes.byref(pkey), EVP_PKEY_PUBLIC_KEY, params)
            check(made, "EVP_PKEY_fromdata")
        finally:
            lib.EVP_PKEY_CTX_free(context)
        return check(pkey.value, "EVP_PKEY_fromdata")

    def __del__(self) -> None:
        if hasattr(self, "_free"):
            self._free(self.pointer)
