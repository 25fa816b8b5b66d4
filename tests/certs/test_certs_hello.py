"""What a ClientHello asks for: read, misread in the way one vehicle writes it, and not read at all."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.tls.hello import (
    EXT_CERTIFICATE_AUTHORITIES,
    EXT_STATUS_REQUEST,
    EXT_STATUS_REQUEST_V2,
    EXT_TRUSTED_CA_KEYS,
    Authority,
    IdentifierType,
    Malformed,
    TrustedAuthority,
    Wishes,
    read,
    status_request_v2,
    trusted_ca_keys,
)

KEY = bytes(range(20))
NAME = b"\x30\x03\x31\x01\x00"


def sent(**extensions: bytes) -> Callable[[int], bytes | None]:
    numbers = {
        "trusted_ca_keys": EXT_TRUSTED_CA_KEYS,
        "status_request": EXT_STATUS_REQUEST,
        "status_request_v2": EXT_STATUS_REQUEST_V2,
        "certificate_authorities": EXT_CERTIFICATE_AUTHORITIES,
    }
    return {numbers[name]: data for name, data in extensions.items()}.get


def vector(data: bytes, size: int = 2) -> bytes:
    return len(data).to_bytes(size, "big") + data


def test_nothing_asked() -> None:
    assert read(sent()) == Wishes()


def test_every_kind_of_authority() -> None:
    data = vector(b"\x00" + b"\x01" + KEY + b"\x02" + vector(NAME) + b"\x03" + KEY)
    assert trusted_ca_keys(data) == (
        TrustedAuthority(IdentifierType.PRE_AGREED, b""),
        TrustedAuthority(IdentifierType.KEY_SHA1_HASH, KEY),
        TrustedAuthority(IdentifierType.X509_NAME, NAME),
        TrustedAuthority(IdentifierType.CERT_SHA1_HASH, KEY),
    )


def test_list_without_its_length_as_one_vehicle_sends_it() -> None:
    assert trusted_ca_keys(b"\x03" + KEY) == (TrustedAuthority(IdentifierType.CERT_SHA1_HASH, KEY),)


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\x01" + KEY[:-1],
        vector(b"\x02\x00\x10"),
        vector(b"\x09"),
        b"\x00\x05\x01",
        vector(b"\x00" * 65),
    ],
)
def test_authorities_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(Malformed):
        trusted_ca_keys(data)
    wishes = read(sent(trusted_ca_keys=data, status_request=b"\x01\0\0\0\0"))
    assert wishes == Wishes(status_request=True, malformed=("trusted_ca_keys",))


def test_certificate_authorities() -> None:
    wishes = read(sent(certificate_authorities=vector(vector(NAME) + vector(b"\x30\x00"))))
    assert [named.value for named in wishes.authorities] == [NAME, b"\x30\x00"]
    many = read(sent(certificate_authorities=vector(vector(NAME) * 65)))
    assert many.malformed == ("certificate_authorities",)


def test_status_request_v2() -> None:
    request = vector(b"\0\0\0\0")
    assert status_request_v2(vector(b"\x02" + request + b"\x01" + request)) == {1, 2}
    assert read(sent(status_request_v2=vector(b"\x02" + request))).status_of_chain
    assert not read(sent(status_request_v2=vector(b"\x01" + request))).status_of_chain
    assert read(sent(status_request_v2=b"\x00")).malformed == ("status_request_v2",)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes(authorities: bytes, names: bytes, status: bytes) -> None:
    wishes = read(sent(trusted_ca_keys=authorities, certificate_authorities=names, status_request_v2=status))
    assert isinstance(wishes, Wishes)
    assert len(wishes.authorities) <= 128


def authority(name: bytes) -> Authority:
    return Authority(name, hashlib.sha1(b"cert" + name).digest(), hashlib.sha1(b"key" + name).digest())


def test_choice_follows_the_vehicles_order() -> None:
    chains = [[authority(b"sub one"), authority(b"one")], [authority(b"two")]]

    def choice(*named: TrustedAuthority) -> int | None:
        return Wishes(named).choose(chains)

    stranger = TrustedAuthority(IdentifierType.X509_NAME, b"three")
    two = TrustedAuthority(IdentifierType.X509_NAME, b"two")
    assert choice() is None
    assert choice(stranger) is None
    assert choice(stranger, two, TrustedAuthority(IdentifierType.X509_NAME, b"one")) == 1
    assert choice(TrustedAuthority(IdentifierType.KEY_SHA1_HASH, hashlib.sha1(b"keytwo").digest())) == 1
    assert choice(TrustedAuthority(IdentifierType.CERT_SHA1_HASH, hashlib.sha1(b"certsub one").digest())) == 0
    assert choice(TrustedAuthority(IdentifierType.PRE_AGREED, b"")) is None
