"""DC sites: whole sessions through the daemon, and every way they can go wrong under load."""

from collections.abc import Callable
from subprocess import Popen

import pytest

from sim.site import CARD, Event, Options, Site

MakeSite = Callable[..., Site]
OPEN_S = 0.1
"""From the contactor's command to its feedback; an emergency takes no longer from its cause."""


def dc_site(make_site: MakeSite) -> Site:
    return make_site(Options(dc=True, sampled_interval_s=1.0))


def start(site: Site, kind: str, charge_s: int) -> Popen[bytes]:
    return site.start_vehicle(kind, "--charge-s", str(charge_s), "--swipe", CARD, "--swipe-after", "0.5")


def until_drawing(site: Site) -> None:
    site.wait_for(lambda: any(event["event"] == "draw" for event in site.read("vehicle")), "current", 40)


def until_ended(site: Site) -> list[Event]:
    def is_ended() -> bool:
        events = site.transaction_events()
        return bool(events) and events[-1]["eventType"] == "Ended"

    site.wait_for(is_ended, "the end of the record", 30)
    return site.transaction_events()


def stages(site: Site) -> list[str]:
    said = [event["stage"] for event in site.read("events") if event["event"] == "DcStaged"]
    return [stage for at, stage in enumerate(said) if at == 0 or said[at - 1] != stage]


def traced(site: Site, event: str, value: object, since_s: float = 0.0) -> float:
    """When the cabinet saw this for the first time from `since_s` on."""
    return next(
        float(line["t"])
        for line in site.read("cabinet")
        if (line["event"], line["value"]) == (event, value) and line["t"] >= since_s
    )


def measured(events: list[Event]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for event in events:
        for meter_value in event.get("meterValue", ()):
            for sample in meter_value["sampledValue"]:
                assert "phase" not in sample
                found.setdefault(sample["measurand"], []).append(float(sample["value"]))
    return found


def test_a_whole_dc_session(make_site: MakeSite) -> None:
    """By ISO 15118-2; by DIN SPEC 70121 one charges in `test_e2e_four.py`."""
    site = dc_site(make_site)
    vehicle = start(site, "iso2-dc-eim", 6)
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    assert vehicle.returncode == 0, site.log_of("vehicle")
    events = until_ended(site)
    assert events[-1]["transactionInfo"]["stoppedReason"] == "StoppedByEV"
    assert [line for line in site.read("csms") if line["fault"]] == []
    up = ["idle", "closing", "cable check", "ready", "pre-charge", "charging"]
    assert stages(site)[:6] == up
    assert stages(site)[-1] == "idle"
    charging = [event["transactionInfo"].get("chargingState") for event in events]
    assert charging[0] == "EVConnected", "a cable check is no charging"
    assert "Charging" in charging
    values = measured(events)
    assert max(values["Current.Import"]) == pytest.approx(60, abs=1)
    # Insulation is tested at 50 V more than the vehicle's 437 V.
    assert max(values["Voltage"]) == pytest.approx(487, abs=2)
    assert max(values["Power.Active.Import"]) > 15_000
    assert values["Energy.Active.Import.Register"][-1] >= 10
    assert values["SoC"][-1] == 50
    off_s = traced(site, "supply", "off", traced(site, "flows", True))
    assert off_s < traced(site, "contactor", "open", off_s)
    # The vehicle asks for nothing before it stops; the station switches off after it has stopped drawing.
    contactors = [event for event in site.read("vehicle") if event["event"] == "contactors"]
    assert not any(event["under_load"] for event in contactors)
    isolation = [event["isolation"] for event in site.read("vehicle") if event["event"] == "dc_status"]
    assert "Valid" in isolation


def test_an_emergency_stop_under_load(make_site: MakeSite) -> None:
    """Supply off and contactor open together, vehicle and operator told why; available again after its release."""
    site = dc_site(make_site)
    vehicle = start(site, "iso2-dc-eim", 60)
    until_drawing(site)
    site.break_board("EmergencyStop")
    pressed_s = [line["t"] for line in site.read("board") if line["event"] == "fault"][-1]
    events = until_ended(site)
    assert events[-1]["transactionInfo"]["stoppedReason"] == "EmergencyStop"
    assert traced(site, "contactor", "open", pressed_s) - pressed_s <= OPEN_S
    assert traced(site, "supply", "off", pressed_s) - pressed_s <= OPEN_S
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 30)
    codes = [event["code"] for event in site.read("vehicle") if event["event"] == "dc_status"]
    assert "EVSE_EmergencyShutdown" in codes or "FAILED" in site.log_of("vehicle"), codes
    notified = [line["payload"] for line in site.read("csms") if line["action"] == "NotifyEvent"]
    techs = [entry.get("techCode") for payload in notified for entry in payload["eventData"]]
    assert "EmergencyStop" in techs
    site.break_board("EmergencyStop", False)
    site.wait_for(lambda: _status(site) == "Available", "the station to be available again", 20)


def _status(site: Site) -> str:
    said = [line["payload"]["connectorStatus"] for line in site.read("csms") if line["action"] == "StatusNotification"]
    return str(said[-1]) if said else ""


def test_a_cable_that_leaks_is_not_energised(make_site: MakeSite) -> None:
    site = dc_site(make_site)
    site.break_dc("leak")
    vehicle = start(site, "iso2-dc-eim", 6)
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    assert vehicle.returncode == 3, site.log_of("vehicle")
    assert "CableCheckRes FAILED" in site.log_of("vehicle")
    until_ended(site)
    assert "pre-charge" not in stages(site)
    assert not any(line["value"] is True for line in site.read("cabinet") if line["event"] == "flows")
    faults = [event["fault"] for event in site.read("events") if event["event"] == "BoardFault" and event["active"]]
    assert faults == ["CableCheckFault"]
