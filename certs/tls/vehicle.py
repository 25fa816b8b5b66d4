"""The SECC's TLS towards the vehicle.

ISO 15118-2: TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 on secp256r1, no client certificate (the vehicle shows
its contract later, inside). ISO 15118-20: TLS 1.3 with mutual authentication. Both on one port, which stock contexts
cannot do: whether a client certificate is demanded is one setting for all, and there is one chain. So three of
OpenSSL's callbacks decide a connection at a time:

    client hello   what the vehicle asks for is read (`hello.py`)
    certificate    the version is agreed: the chain is picked by it and by the roots the vehicle named; in TLS 1.3,
                   and only there, the vehicle's own certificate is demanded
    status         the OCSP responses of that chain are stapled (`staples.py`)

A rotated identity is put in by `present`: the next handshake has it, a live session is not touched. No resumption: a
session would outlive the certificate that was checked for it, and vehicles do not use it.
"""

import ctypes
import logging
import ssl
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from ctypes import CFUNCTYPE, POINTER, c_int, c_size_t, c_uint, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certs.errors import CertsError
from certs.tls import hello, openssl, staples
from certs.tls.csms import trust
from certs.tls.extkey import guarded
from certs.tls.hello import EXT_STATUS_REQUEST_V2, EXT_TRUSTED_CA_KEYS, Wishes
from certs.tls.identity import Identity, Loaded
from certs.tls.openssl import check, library

log = logging.getLogger(__name__)

# unverified: ISO 15118-2 7.7.3, table 7; the other suite there, static ECDH, has left OpenSSL
CIPHERS_2 = "ECDHE-ECDSA-AES128-SHA256"
# unverified: ISO 15118-20 7.7.3
CIPHERS_20 = b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
GROUPS_2 = b"prime256v1"
GROUPS_20 = b"secp521r1:X448:prime256v1"

# openssl/ssl.h and openssl/tls1.h
TLS1_3_VERSION = 0x0304
VERIFY_PEER, FAIL_IF_NO_PEER_CERT = 0x01, 0x02
CTRL_SET_SESS_CACHE_MODE = 44
CTRL_SET_TLSEXT_STATUS_REQ_CB = 63
CTRL_SET_GROUPS_LIST = 92
CLIENT_HELLO_SUCCESS = 1
TLSEXT_ERR_OK, TLSEXT_ERR_NOACK = 0, 3
# Below TLS 1.3: read in the ClientHello, answered in the ServerHello.
EXT_CONTEXT = 0x10 | 0x80 | 0x100

MAX_HANDSHAKES = 64
"""How many handshakes are remembered at once; one EVSE has one vehicle, the rest are strangers on its link."""

_HelloCallback = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
_CertificateCallback = CFUNCTYPE(c_int, c_void_p, c_void_p)
_StatusCallback = CFUNCTYPE(c_int, c_void_p, c_void_p)
_AddExtension = CFUNCTYPE(
    c_int, c_void_p, c_uint, c_uint, POINTER(c_void_p), POINTER(c_size_t), c_void_p, c_size_t, c_void_p, c_void_p
)


@dataclass(slots=True)
class _Handshake:
    """One handshake under way."""

    wishes: Wishes
    chosen: Loaded | None = None
    answered: tuple[int, ...] = ()
    """Extensions that the ServerHello echoes, empty, to say that they were heeded."""


class VehicleContext(ssl.SSLContext):
    """A server context for asyncio or blocking sockets.

    `identities` serve TLS 1.2; `identities_20`, if any, switch TLS 1.3 on, for vehicles whose certificate leads to one
    of `vehicle_roots_der`. The first of each is presented unless the vehicle asks for another root.
    A -2 vehicle that offers TLS 1.3 cannot be told from one of -20 by its ClientHello, and has no certificate to show:
    with `vehicle_certificate_required` False it is let in without, and whoever speaks -20 must look for it.
    Raises CertsError, TlsUnsupported.
    """

    def __new__(cls, *_: Any, **__: Any) -> "VehicleContext":
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(
        self,
        identities: Sequence[Identity],
        identities_20: Sequence[Identity] = (),
        vehicle_roots_der: Sequence[bytes] = (),
        vehicle_certificate_required: bool = True,
    ) -> None:
        self._verify_20 = VERIFY_PEER | (FAIL_IF_NO_PEER_CERT if vehicle_certificate_required else 0)
        self.seen: Counter[str] = Counter()
        """What vehicles were stapled, and which extensions of theirs could not be read, by name."""
        self._key_log_until_s: float | None = None
        self._pointer = openssl.context_pointer(self)
        self._handshakes: OrderedDict[int, _Handshake] = OrderedDict()
        self.present(identities, identities_20)
        self._restrict(bool(identities_20))
        trust(self, vehicle_roots_der)
        self._set_callbacks()

    def present(self, identities: Sequence[Identity], identities_20: Sequence[Identity] = ()) -> None:
        """Replace what later handshakes present. Raises CertsError for none at all, or a leaf with another's key."""
        if not identities:
            raise CertsError("no certificate to show to vehicles")
        chosen = [Loaded(identity) for identity in identities], [Loaded(identity) for identity in identities_20]
        for loaded in (*chosen[0], *chosen[1]):
            loaded.use_for_context(self._pointer)
        self._identities, self._identities_20 = chosen

    def log_keys(self, file: Path, duration_s: float) -> None:
        """Write the secrets of sessions to `file` for Wireshark, for a technician, and no longer than `duration_s`.

        Whoever has the file can read those sessions. Raises OSError.
        """
        self.keylog_filename = str(file)
        self._key_log_until_s = time.monotonic() + duration_s
        log.warning("TLS session secrets are written to %s for %.0f s", file, duration_s)

    def stop_logging_keys(self) -> None:
        self.keylog_filename = None  # type: ignore[assignment] # typeshed leaves None out
        self._key_log_until_s = None
        log.warning("TLS session secrets are no longer written")

    def _restrict(self, with_20: bool) -> None:
        lib = library()
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.maximum_version = ssl.TLSVersion.TLSv1_3 if with_20 else ssl.TLSVersion.TLSv1_2
        self.verify_mode = ssl.CERT_NONE
        self.set_ciphers(CIPHERS_2)
        self.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        self.num_tickets = 0
        lib.SSL_CTX_ctrl(self._pointer, CTRL_SET_SESS_CACHE_MODE, 0, None)
        check(lib.SSL_CTX_set_ciphersuites(self._pointer, CIPHERS_20), "SSL_CTX_set_ciphersuites")
        groups = GROUPS_20 if with_20 else GROUPS_2
        check(lib.SSL_CTX_ctrl(self._pointer, CTRL_SET_GROUPS_LIST, 0, groups), "SSL_CTX_set1_groups_list")

    def _set_callbacks(self) -> None:
        lib = library()
        self._callbacks = (
            _HelloCallback(guarded(self._hello)),
            _CertificateCallback(guarded(self._certificate)),
            _StatusCallback(guarded(self._status, TLSEXT_ERR_NOACK)),
            _AddExtension(guarded(self._answer)),
        )
        read, choose, staple, answer = self._callbacks
        lib.SSL_CTX_set_client_hello_cb(self._pointer, read, None)
        lib.SSL_CTX_set_cert_cb(self._pointer, choose, None)
        lib.SSL_CTX_callback_ctrl(self._pointer, CTRL_SET_TLSEXT_STATUS_REQ_CB, staple)
        for number in (EXT_TRUSTED_CA_KEYS, EXT_STATUS_REQUEST_V2):
            added = lib.SSL_CTX_add_custom_ext(self._pointer, number, EXT_CONTEXT, answer, None, None, None, None)
            check(added, "SSL_CTX_add_custom_ext")

    def _hello(self, ssl_pointer: int, _alert: int, _argument: int | None) -> int:
        def extension(number: int) -> bytes | None:
            data, size = c_void_p(), c_size_t()
            sent = library().SSL_client_hello_get0_ext(ssl_pointer, number, ctypes.byref(data), ctypes.byref(size))
            return ctypes.string_at(data.value or 0, size.value) if sent and size.value else b"" if sent else None

        if self._key_log_until_s is not None and time.monotonic() > self._key_log_until_s:
            self.stop_logging_keys()
        wishes = hello.read(extension)
        self._handshakes[ssl_pointer] = _Handshake(wishes)
        self._handshakes.move_to_end(ssl_pointer)
        while len(self._handshakes) > MAX_HANDSHAKES:
            self._handshakes.popitem(last=False)
        self.seen.update(f"malformed {name}" for name in wishes.malformed)
        return CLIENT_HELLO_SUCCESS

    def _certificate(self, ssl_pointer: int, _argument: int | None) -> int:
        """1 goes on, 0 ends the handshake with an alert."""
        handshake = self._handshakes[ssl_pointer]
        is_20 = library().SSL_version(ssl_pointer) >= TLS1_3_VERSION
        offered = self._identities_20 if is_20 else self._identities
        position = handshake.wishes.choose([loaded.authorities for loaded in offered])
        handshake.chosen = offered[position or 0]
        if is_20:
            library().SSL_set_verify(ssl_pointer, self._verify_20, None)
        if position is not None:
            handshake.answered += (EXT_TRUSTED_CA_KEYS,)
        handshake.chosen.use_for_connection(ssl_pointer)
        return 1

    def _status(self, ssl_pointer: int, _argument: int | None) -> int:
        handshake = self._handshakes[ssl_pointer]
        responses = handshake.chosen.identity.staples if handshake.chosen is not None else ()
        if not responses or responses[0] is None:
            return TLSEXT_ERR_NOACK
        wishes = handshake.wishes
        if library().SSL_version(ssl_pointer) >= TLS1_3_VERSION:
            if staples.staple_each(ssl_pointer, responses):
                self.seen["staples for each certificate"] += 1
                return TLSEXT_ERR_OK
        elif wishes.status_of_chain and wishes.status_request:
            staples.staple_chain(ssl_pointer, responses)
            handshake.answered += (EXT_STATUS_REQUEST_V2,)
            self.seen["staples for the chain"] += 1
            return TLSEXT_ERR_OK
        staples.staple_leaf(ssl_pointer, responses[0])
        self.seen["staple for the leaf"] += 1
        return TLSEXT_ERR_OK

    def _answer(self, ssl_pointer: int, number: int, _context: int, _out: Any, out_size: Any, *_: Any) -> int:
        """1 sends the extension, here always empty; 0 leaves it out."""
        out_size[0] = 0
        return int(number in self._handshakes[ssl_pointer].answered)
