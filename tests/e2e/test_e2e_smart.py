"""Smart charging over a whole site, with a vehicle of the iso15118 package: plans, choices, a dimming order."""

import json
import socket
from collections.abc import Callable
from typing import Any

from sim.site import CARD, Event, Options, Site

MakeSite = Callable[..., Site]


def told(site: Site, action: str) -> list[Event]:
    return [line["payload"] for line in site.read("csms") if line["action"] == action]


def test_a_vehicles_needs_its_choice_and_a_renegotiation_by_the_csms(make_site: MakeSite) -> None:
    site = make_site(Options(sampled_interval_s=1.0))
    vehicle = site.start_vehicle("iso2-ac-eim", "--swipe", CARD, "--swipe-after", "1", "--charge-s", "12")
    site.wait_for(lambda: told(site, "NotifyEVChargingSchedule"), "the vehicle's choice", 40)
    [needs] = told(site, "NotifyEVChargingNeeds")
    assert needs["chargingNeeds"]["requestedEnergyTransfer"] == "AC_three_phase"
    first = told(site, "NotifyEVChargingSchedule")[0]["chargingSchedule"]
    assert first["chargingSchedulePeriod"][0]["limit"] <= 16 * 690
    site.wait_for(lambda: any(event["event"] == "draw" for event in site.read("vehicle")), "the vehicle to draw", 30)
    site.command_csms({"limit": 8})
    site.wait_for(lambda: len(told(site, "NotifyEVChargingSchedule")) > 1, "another choice", 20)
    second = told(site, "NotifyEVChargingSchedule")[1]["chargingSchedule"]
    assert second["id"] == 1
    assert second["chargingSchedulePeriod"][0]["limit"] <= 8 * 690
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    assert vehicle.returncode == 0
    assert [line for line in site.read("csms") if line["fault"]] == []
    site.wait_for(lambda: site.transaction_events()[-1]["eventType"] == "Ended", "the end of the record", 20)


def test_a_dimmed_station_lowers_a_vehicle_and_writes_it_down(make_site: MakeSite) -> None:
    site = make_site(Options(sampled_interval_s=1.0))
    vehicle = site.start_vehicle("iso2-ac-eim", "--swipe", CARD, "--swipe-after", "1", "--charge-s", "10")
    site.wait_for(lambda: any(event["event"] == "draw" for event in site.read("vehicle")), "the vehicle to draw", 40)
    answer = control(site, "Grid.Dim", {"active": True})
    assert answer["dimmed_by"] == ["control"]
    site.wait_for(lambda: told(site, "NotifyChargingLimit"), "the CSMS to be told", 10)

    def lowered() -> bool:
        draws = [event["current_a"] for event in site.read("vehicle") if event["event"] == "draw"]
        return 0 < draws[-1] <= 4200 / 690 + 0.1

    site.wait_for(lowered, "the vehicle to follow", 15)
    control(site, "Grid.Dim", {"active": False})
    site.wait_for(lambda: told(site, "ClearedChargingLimit"), "the CSMS to be told of the end", 10)
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    entries = control(site, "Grid.DimmingLog", {})["entries"]
    assert [entry["event"] for entry in entries][0::2][:1] == ["ordered"]
    assert entries[-1]["event"] == "released"


def control(site: Site, method: str, params: dict[str, Any]) -> Any:
    """A call of the control socket, as root."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(site.directory / "control.sock"))
        with line.makefile("rw") as stream:
            stream.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
            stream.flush()
            return json.loads(stream.readline())["result"]
