"""MACs in link-local addresses."""

from ipaddress import IPv6Address

import pytest

from secc.eui64 import mac_of


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("fe80::ff:fe00:201", "02:00:00:00:02:01"),
        ("fe80::2b0:52ff:feaa:1", "00:b0:52:aa:00:01"),
        ("fe80::a1b2:c3d4:e5f6:0718", None),
    ],
)
def test_mac_of(address: str, mac: str | None) -> None:
    assert mac_of(IPv6Address(address)) == mac
