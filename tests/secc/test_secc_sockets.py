"""Sockets of one interface."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from secc.sockets import InterfaceError, LinkSockets
from tests.secc.private_net import EVCC, SECC, run_in_private_net


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


def test_a_port_vehicles_accept_and_the_same_again(cable: Callable) -> None:
    async def check() -> None:
        sockets = LinkSockets(SECC)
        with sockets.listener(0) as first:
            port = first.getsockname()[1]
            assert 49_152 <= port <= 65_535
            assert first.getsockname()[0] == str(sockets.address())
            with sockets.listener(port) as second:
                assert second.getsockname()[1] not in (0, port)
        with sockets.listener(port) as again:
            assert again.getsockname()[1] == port

    cable(check)


def test_both_ends_may_hold_the_sdp_port(cable: Callable) -> None:
    async def check() -> None:
        with LinkSockets(SECC).sdp() as one, LinkSockets(EVCC).sdp() as other:
            assert one.getsockname()[1] == other.getsockname()[1] == 15118

    cable(check)


def test_an_interface_that_is_not_there() -> None:
    sockets = LinkSockets("nosuchif0")
    with pytest.raises(InterfaceError, match="no link-local address"):
        sockets.listener(0)
    with pytest.raises(InterfaceError, match="nosuchif0"):
        sockets.sdp()


def test_an_address_that_is_still_being_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "if_inet6"
    monkeypatch.setattr("secc.sockets._IF_INET6", table)
    global_one = f"{'20010db8' + '0' * 23}1 02 40 00 80 plc0\n"
    tentative = f"{'fe80' + '0' * 27}2 02 40 20 c0 plc0\n"
    usable = f"{'fe80' + '0' * 27}3 02 40 20 80 plc0\n"
    other = f"{'fe80' + '0' * 27}4 03 40 20 80 plc1\n"
    for text, address in ((global_one + tentative + other, None), (other + usable, "fe80::3")):
        table.write_text(text)
        if address is None:
            with pytest.raises(InterfaceError):
                LinkSockets("plc0").address()
        else:
            assert str(LinkSockets("plc0").address()) == address


def test_a_machine_without_ipv6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secc.sockets._IF_INET6", tmp_path / "absent")
    with pytest.raises(InterfaceError, match="IPv6 is off"):
        LinkSockets("plc0").address()


def test_no_port_left(cable: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        sockets = LinkSockets(SECC)
        with sockets.listener(0) as taken:
            monkeypatch.setattr("secc.sockets._PORTS", [taken.getsockname()[1]])
            with pytest.raises(InterfaceError, match="in use"):
                sockets.listener(0)
        assert socket.if_nametoindex(SECC) > 0

    cable(check)
