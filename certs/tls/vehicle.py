"""The SECC's TLS towards the vehicle.

ISO 15118-2: TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 on secp256r1, no client certificate (the vehicle shows
its contract later, inside). ISO 15118-20: TLS 1.3 with mutual authentication. Both on one port, which stock contexts
cannot do: whether a client certificate is demanded is one setting for all. So the choice is made in OpenSSL's
certificate callback, which runs when the version is agreed: it picks the chain, and demands the vehicle's certificate
of TLS 1.3 alone. A rotated identity is put in by `present`: the next handshake has it, a live session is not touched.

No resumption: a session would outlive the certificate that was checked for it, and vehicles do not use it.
"""

import logging
import ssl
from collections.abc import Sequence
from ctypes import CFUNCTYPE, c_int, c_void_p
from typing import Any

from certs.tls import openssl
from certs.tls.identity import Identity, Loaded
from certs.tls.openssl import OpenSslError, check, library

log = logging.getLogger(__name__)

# unverified: ISO 15118-2 7.7.3, table 7; the other suite there, static ECDH, has left OpenSSL
CIPHERS_2 = "ECDHE-ECDSA-AES128-SHA256"
# unverified: ISO 15118-20 7.7.3
CIPHERS_20 = b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
GROUPS_2 = b"prime256v1"
GROUPS_20 = b"secp521r1:X448:prime256v1"

TLS1_3_VERSION = 0x0304
VERIFY_PEER_OR_FAIL = 0x01 | 0x02
CTRL_SET_SESS_CACHE_MODE = 44
CTRL_SET_GROUPS_LIST = 92

_CertificateCallback = CFUNCTYPE(c_int, c_void_p, c_void_p)


class VehicleContext(ssl.SSLContext):
    """A server context for asyncio or blocking sockets.

    `identities` serve TLS 1.2; `identities_20`, if any, switch TLS 1.3 on, for vehicles whose certificate leads to one
    of `vehicle_roots_der`. The first of each is presented unless the vehicle asks for another root.
    """

    def __new__(cls, *_: Any, **__: Any) -> "VehicleContext":
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(
        self,
        identities: Sequence[Identity],
        identities_20: Sequence[Identity] = (),
        vehicle_roots_der: Sequence[bytes] = (),
    ) -> None:
        self._pointer = openssl.context_pointer(self)
        self.present(identities, identities_20)
        self._restrict(bool(identities_20))
        for root_der in vehicle_roots_der:
            self.load_verify_locations(cadata=root_der)
        self._callback = _CertificateCallback(self._choose)
        library().SSL_CTX_set_cert_cb(self._pointer, self._callback, None)

    def present(self, identities: Sequence[Identity], identities_20: Sequence[Identity] = ()) -> None:
        """Replace what later handshakes present. Raises OpenSslError if a leaf and its key differ."""
        chosen = [Loaded(identity) for identity in identities], [Loaded(identity) for identity in identities_20]
        for loaded in (*chosen[0], *chosen[1]):
            loaded.use_for_context(self._pointer)
        self._identities, self._identities_20 = chosen

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

    def _choose(self, ssl_pointer: int, _argument: int | None) -> int:
        """OpenSSL's certificate callback: 1 goes on, 0 ends the handshake with an alert."""
        lib = library()
        is_20 = lib.SSL_version(ssl_pointer) >= TLS1_3_VERSION
        offered = self._identities_20 if is_20 else self._identities
        if is_20:
            lib.SSL_set_verify(ssl_pointer, VERIFY_PEER_OR_FAIL, None)
        try:
            offered[0].use_for_connection(ssl_pointer)
        except OpenSslError as error:
            log.warning("no certificate for the vehicle: %s", error)
            return 0
        return 1
