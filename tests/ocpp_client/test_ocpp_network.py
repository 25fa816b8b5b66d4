"""To another CSMS and back: network profiles, their priority, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from ocpp_client.network import Network, NetworkProfile, NetworkProfileRefused
from sim.csms.server import Csms


def data(url: str = "ws://other", security_profile: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": security_profile,
        "ocppInterface": "Wired0",
        **more,
    }


def network(*priority: str, security_profile: int = 1, has_tls: bool = True) -> Network:
    first = NetworkProfile("ws://first" if security_profile == 1 else "wss://first", security_profile)
    return Network(first, lambda: priority or ("1",), lambda: 2, lambda: has_tls)


def test_profiles_take_turns_for_ever() -> None:
    net = network("2", "1")
    assert net.active.url == "ws://first", "an empty slot is passed over"
    net.set(2, data())
    assert net.active.url == "ws://other"
    assert [net.failed() for _ in range(6)] == [False, True, False, True, False, True]
    assert net.active_slot == "1"
    net.failed()
    net.connected()
    assert not net.failed(), "a connection starts the count anew"


def test_a_single_profile_has_no_turn_to_give() -> None:
    net = network()
    assert not any(net.failed() for _ in range(10))


@pytest.mark.parametrize(
    ("slot", "connection", "reason"),
    [
        (0, data(), "InvalidConfSlot"),
        (4, data(), "InvalidConfSlot"),
        (2, data(ocppTransport="SOAP"), "UnsupportedParam"),
        (2, data(ocppVersion="OCPP16"), "UnsupportedParam"),
        (2, data(vpn={}), "UnsupportedParam"),
        (2, data(security_profile=0), "InvalidNetworkConf"),
        (2, data(security_profile=4), "InvalidNetworkConf"),
        (2, data("wss://x", 1), "InvalidURL"),
        (2, data("ws://x", 2), "InvalidURL"),
        (2, data("ftp://x", 2), "InvalidURL"),
        (2, data("wss://", 3), "InvalidURL"),
    ],
)
def test_what_is_refused(slot: int, connection: dict[str, Any], reason: str) -> None:
    with pytest.raises(NetworkProfileRefused) as refused:
        network().set(slot, connection)
    assert refused.value.reason_code == reason


def test_security_never_goes_down() -> None:
    net = network(security_profile=3)
    with pytest.raises(NetworkProfileRefused, match="never goes down"):
        net.set(2, data("wss://x", 2))
    net.set(2, data("wss://x", 3))
    low = network()
    low.set(2, data("wss://x", 3))
    assert low.priority_refusal("2,1") is None
    with pytest.raises(NetworkProfileRefused, match="no TLS"):
        network(has_tls=False).set(2, data("wss://x", 2))


@pytest.mark.parametrize(("value", "fits"), [("1", True), ("2,1", True), ("1, 2", True), ("", False), ("3", False)])
def test_a_priority_names_profiles_there_are(value: str, fits: bool) -> None:
    net = network()
    net.set(2, data())
    assert (net.priority_refusal(value) is None) is fits


def test_a_priority_with_less_security_is_refused() -> None:
    net = network("2")
    net.set(2, data("wss://x", 3))
    assert net.priority_refusal("2,1") == "a security profile never goes down"


def test_profiles_outlive_a_restart() -> None:
    net = network("2")
    net.set(2, data())
    again = network("2")
    again.restore(net.dump())
    assert again.active.url == "ws://other"
    with pytest.raises((ValueError, KeyError, TypeError)):
        again.restore('{"1": {"nonsense": 1}}')


async def test_to_another_csms_after_a_restart_and_back_when_it_is_gone(
    bench: Any, wait_until: Callable[..., Any]
) -> None:
    station = await bench.station()
    priority = {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "NetworkConfigurationPriority"},
        "attributeValue": "2,1",
    }
    async with Csms() as other:
        call = bench.csms.call
        early = (await call("SetVariables", {"setVariableData": [priority]}))["setVariableResult"][0]
        assert early["attributeStatus"] == "Rejected", "slot 2 is empty"
        profile = {"configurationSlot": 2, "connectionData": data(other.url)}
        assert (await call("SetNetworkProfile", profile))["status"] == "Accepted"
        wrong = {"configurationSlot": 9, "connectionData": data(other.url)}
        assert (await call("SetNetworkProfile", wrong))["status"] == "Rejected"
        result = (await call("SetVariables", {"setVariableData": [priority]}))["setVariableResult"][0]
        assert result["attributeStatus"] == "RebootRequired"
        await wait_until(lambda: "2,1" in bench.journal.values.get("variables", ""))
        await station.stop()
        station = await bench.station()
        assert other.stations == ["CS-1"]
        asked = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "ActiveNetworkProfile"}}
        answer = await other.call("GetVariables", {"getVariableData": [asked]})
        assert answer["getVariableResult"][0]["attributeValue"] == "2"
        assert other.faults() == []
    await bench.csms.until(lambda: bench.csms.stations == ["CS-1"])
    await wait_until(lambda: station.online)


async def test_a_new_password_holds_from_the_next_connection(
    wait_until: Callable[..., Any], memory_journal: Any
) -> None:
    from ocpp_client.config import OcppConfig
    from ocpp_client.station import OcppStation

    old, new = "old-password-0123", "new-password-0123"
    async with Csms(password=old) as csms:
        config = OcppConfig(
            "CS-1",
            csms.url,
            "V",
            "M",
            security_profile=1,
            password=old,
            retry_back_off_min_s=0,
            retry_back_off_random_s=0,
        )
        station = OcppStation(config, memory_journal, lambda _fact: None)
        await station.start()
        await wait_until(lambda: station.online)
        csms._password = new
        item = {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
            "attributeValue": new,
        }
        answer = await csms.call("SetVariables", {"setVariableData": [item]})
        assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
        await csms.until_security_event("ReconfigurationOfSecurityParameters")
        await csms.until(lambda: sum(entry.action == "#connected" for entry in csms.events) == 2)
        await station.stop()
