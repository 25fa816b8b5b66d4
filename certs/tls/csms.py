"""The station's TLS towards the CSMS: OCPP 2.0.1's security profiles.

1: no TLS, HTTP basic authentication. 2: TLS, the CSMS shows a certificate, basic authentication inside.
3: TLS with a client certificate, whose key is in the TPM (OCPP 2.0.1 part 2, A00).
"""

import ssl
from collections.abc import Sequence
from enum import IntEnum

from certs.errors import CertsError
from certs.tls import openssl
from certs.tls.identity import Identity, Loaded

# A00.FR.318: the ECDHE suites; every CSMS must offer those of its certificate's kind.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
)


class SecurityProfile(IntEnum):
    BASIC = 1
    TLS = 2
    TLS_CLIENT_CERTIFICATE = 3


class ClientContext(ssl.SSLContext):
    """An `ssl.SSLContext` that keeps alive what OpenSSL points to."""

    identity: Loaded | None = None


def trust(context: ssl.SSLContext, roots_der: Sequence[bytes]) -> None:
    """Raises CertsError for a root that OpenSSL cannot read."""
    for root_der in roots_der:
        try:
            context.load_verify_locations(cadata=root_der)
        except ssl.SSLError as error:
            raise CertsError(f"a root certificate cannot be read: {error}") from error


def client_context(
    profile: SecurityProfile, roots_der: Sequence[bytes], identity: Identity | None = None
) -> ssl.SSLContext | None:
    """The context for one security profile; None for profile 1. It trusts only `roots_der`, and checks the name.

    Raises CertsError: no root, profile 3 without an identity, or one whose leaf and key differ.
    """
    if profile is SecurityProfile.BASIC:
        return None
    if not roots_der:
        raise CertsError("no CSMS root certificate: the CSMS could not be told from anyone else")
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    trust(context, roots_der)
    if profile is SecurityProfile.TLS_CLIENT_CERTIFICATE:
        if identity is None:
            raise CertsError("security profile 3 needs a client certificate and its key")
        context.identity = Loaded(identity)
        context.identity.use_for_context(openssl.context_pointer(context))
    return context
