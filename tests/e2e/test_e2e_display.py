"""What drivers and technicians see of a running station: messages, cost, a reservation."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ocpp_client.wire import format_time
from sim.display import Panel
from sim.namespaces import missing_right
from sim.site import CARD, Options, Site

Payload = dict[str, Any]


@pytest.fixture
def panel() -> Iterator[Panel]:
    with Panel() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, panel: Panel) -> Iterator[Site]:
    if right := missing_right():
        pytest.skip(right)
    with Site(tmp_path, Options(sampled_interval_s=1.0)) as made:
        made.prepare()
        with (tmp_path / "evsed.toml").open("a") as file:
            file.write(f'[display]\ndevice = "{panel.path}"\n')
        made.start_csms()
        made.start_modems()
        made.start_board()
        made.start_daemon()
        made.wait_for(lambda: [line for line in made.read("csms") if line["action"] == "BootNotification"], "boot", 20)
        yield made


def call(site: Site, action: str, **payload: Any) -> Payload:
    answer: Payload = site.command_csms({"call": action, "payload": payload})
    result: Payload = answer["ok"]
    return result


def evse(site: Site, *words: str) -> Payload:
    """What a technician's command tells as JSON."""
    command = [sys.executable, "-m", "firmware.cli", *words, "--json", "--socket", str(site.directory / "control.sock")]
    told: Payload = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return told


def test_messages_cost_and_a_reservation(site: Site, panel: Panel) -> None:
    site.wait_for(lambda: evse(site, "status")["csms"]["online"], "the station on line", 10)
    message = {"id": 1, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "Willkommen \u00e4\x1b[2J"}}
    assert call(site, "SetDisplayMessage", message=message) == {"status": "Accepted"}
    site.wait_for(lambda: panel.lines == ["Willkommen \u00e4 [2J"], "the message on the display", 5)
    assert [shown["text"] for shown in evse(site, "status")["display"]] == ["Willkommen \u00e4\x1b[2J"]

    expires = format_time(datetime.now(UTC) + timedelta(minutes=5))
    token = {"idToken": CARD, "type": "ISO14443"}
    assert call(site, "ReserveNow", id=7, evseId=1, expiryDateTime=expires, idToken=token) == {"status": "Accepted"}

    def notes() -> list[str]:
        return [note["code"] for note in evse(site, "why", "1")["notes"]]

    site.wait_for(lambda: "reserved" in notes(), "the reservation in evse why", 5)

    site.command_csms({"behaviour": {"answers": {"TransactionEvent": {"totalCost": 1.25}}}})
    vehicle = site.start_vehicle("iec", "--charge-s", "3", "--swipe", CARD, "--swipe-after", "1")
    site.wait_for(lambda: panel.has_shown("EVSE 1: Cost so far: 1.25 EUR"), "the cost on the display", 30)
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    site.wait_for(lambda: panel.has_shown("EVSE 1: Total cost: 1.25 EUR"), "the total on the display", 10)
    started = site.transaction_events()[0]
    assert (started["eventType"], started["reservationId"]) == ("Started", 7)
    assert "reserved" not in notes()
    assert [line for line in site.read("csms") if line["fault"]] == []
