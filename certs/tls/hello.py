"""What a vehicle asks for in its ClientHello, beyond what `ssl` looks at. Pure.

- trusted_ca_keys (RFC 6066 section 6; ISO 15118-2 [V2G2-651]) and certificate_authorities (RFC 8446, 4.2.4): the roots
  the vehicle holds, so that it is shown a chain it can follow.
- status_request_v2 (RFC 6961): OCSP responses for the whole chain, in TLS 1.2.

Nothing in here is authenticated yet. What cannot be read is as if it had not been sent: the vehicle then gets the
first chain, as one that does not ask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

T = TypeVar("T")

EXT_TRUSTED_CA_KEYS = 3
EXT_STATUS_REQUEST = 5
EXT_STATUS_REQUEST_V2 = 17
EXT_CERTIFICATE_AUTHORITIES = 47

MAX_AUTHORITIES = 64
SHA1_SIZE = 20
OCSP_MULTI = 2


class Malformed(ValueError):
    """An extension that does not hold what its length fields say."""


class IdentifierType(IntEnum):
    """RFC 6066 section 6."""

    PRE_AGREED = 0
    KEY_SHA1_HASH = 1
    X509_NAME = 2
    CERT_SHA1_HASH = 3


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """A root the vehicle holds: a SHA-1 hash, or a distinguished name in DER."""

    kind: IdentifierType
    value: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """What such an identifier is compared with: one CA of a chain, or its root."""

    subject_der: bytes
    certificate_sha1: bytes
    key_sha1: bytes
    """Over the subjectPublicKey bit string: for an elliptic curve, the point."""

    def is_named_by(self, named: TrustedAuthority) -> bool:
        values = {
            IdentifierType.KEY_SHA1_HASH: self.key_sha1,
            IdentifierType.X509_NAME: self.subject_der,
            IdentifierType.CERT_SHA1_HASH: self.certificate_sha1,
        }
        return values.get(named.kind) == named.value


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one ClientHello asks for."""

    authorities: tuple[TrustedAuthority, ...] = ()
    status_request: bool = False
    status_of_chain: bool = False
    """status_request_v2 with ocsp_multi."""
    malformed: tuple[str, ...] = field(default=())
    """Names of the extensions that could not be read."""

    def choose(self, chains: Sequence[Sequence[Authority]]) -> int | None:
        """Which of some chains (the CAs of each) the vehicle can follow: one it names a CA of, by its own order."""
        for named in self.authorities:
            for position, authorities in enumerate(chains):
                if any(authority.is_named_by(named) for authority in authorities):
                    return position
        return None


def read(extension: Callable[[int], bytes | None]) -> Wishes:
    """Read a ClientHello through a function from extension number to its content, None where it was not sent."""
    malformed: list[str] = []

    def parsed(number: int, parse: Callable[[bytes], T], absent: T) -> T:
        data = extension(number)
        if data is None:
            return absent
        try:
            return parse(data)
        except Malformed:
            malformed.append(parse.__name__)
            return absent

    nobody: tuple[TrustedAuthority, ...] = ()
    authorities = parsed(EXT_TRUSTED_CA_KEYS, trusted_ca_keys, nobody)
    authorities += parsed(EXT_CERTIFICATE_AUTHORITIES, certificate_authorities, nobody)
    types = parsed(EXT_STATUS_REQUEST_V2, status_request_v2, frozenset[int]())
    return Wishes(authorities, extension(EXT_STATUS_REQUEST) is not None, OCSP_MULTI in types, tuple(malformed))


def trusted_ca_keys(data: bytes) -> tuple[TrustedAuthority, ...]:
    """The list with its length before it or, as a vehicle in the field sends it, without. Raises Malformed."""
    try:
        return tuple(_authorities(_vector(data, 2)))
    except Malformed:
        return tuple(_authorities(data))


def certificate_authorities(data: bytes) -> tuple[TrustedAuthority, ...]:
    """A list of distinguished names. Raises Malformed."""
    found, rest = [], _vector(data, 2)
    while rest:
        name, rest = _take(rest, 2)
        found.append(TrustedAuthority(IdentifierType.X509_NAME, name))
        if len(found) > MAX_AUTHORITIES:
            raise Malformed(f"more than {MAX_AUTHORITIES} names")
    return tuple(found)


def status_request_v2(data: bytes) -> frozenset[int]:
    """The status types asked for. Raises Malformed."""
    types: set[int] = set()
    rest = _vector(data, 2)
    while rest:
        types.add(rest[0])
        _request, rest = _take(rest[1:], 2)
    return frozenset(types)


def _authorities(rest: bytes) -> list[TrustedAuthority]:
    found: list[TrustedAuthority] = []
    while rest:
        try:
            kind = IdentifierType(rest[0])
        except ValueError as error:
            raise Malformed(str(error)) from error
        rest = rest[1:]
        value = b""
        if kind is IdentifierType.X509_NAME:
            value, rest = _take(rest, 2)
        elif kind is not IdentifierType.PRE_AGREED:
            value, rest = rest[:SHA1_SIZE], rest[SHA1_SIZE:]
            if len(value) != SHA1_SIZE:
                raise Malformed("a hash cut short")
        found.append(TrustedAuthority(kind, value))
        if len(found) > MAX_AUTHORITIES:
            raise Malformed(f"more than {MAX_AUTHORITIES} authorities")
    return found


def _vector(data: bytes, length_size: int) -> bytes:
    """The content of a vector that fills `data`."""
    content, rest = _take(data, length_size)
    if rest:
        raise Malformed("bytes after the list")
    return content


def _take(data: bytes, length_size: int) -> tuple[bytes, bytes]:
    """A vector's content, and what comes after it."""
    if len(data) < length_size:
        raise Malformed("a length cut short")
    end = length_size + int.from_bytes(data[:length_size], "big")
    if len(data) < end:
        raise Malformed("a list cut short")
    return data[length_size:end], data[end:]
