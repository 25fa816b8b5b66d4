"""Whole sites, and what happens when their parts fail: the promises of the README, one test each."""

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from sim.pki.pki import EMAID
from sim.site import CARD, Event, Options, Site

MakeSite = Callable[..., Site]
WATCHDOG_S = 1.0
OPEN_S = 0.1


def until_it_leaves(site: Site, vehicle: Any, timeout_s: float = 60) -> int:
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", timeout_s)
    return int(vehicle.returncode)


def until_charging(site: Site) -> None:
    def is_drawing() -> bool:
        return any(event["event"] == "draw" and event["current_a"] > 0 for event in site.read("vehicle"))

    site.wait_for(is_drawing, "the vehicle to draw current", 30)


def until_ended(site: Site) -> list[Event]:
    def is_ended() -> bool:
        events = site.transaction_events()
        return bool(events) and events[-1]["eventType"] == "Ended"

    site.wait_for(is_ended, "the end of the record", 30)
    return site.transaction_events()


def until_updated(site: Site, count: int) -> None:
    def enough() -> bool:
        return sum(event["eventType"] == "Updated" for event in site.transaction_events()) >= count

    site.wait_for(enough, f"{count} Updated events", 30)


def energies_wh(events: list[Event]) -> list[float]:
    """The register in the order in which it was read: Ended tells again what was read before."""
    values = [
        (meter_value["timestamp"], float(sample["value"]))
        for event in events
        for meter_value in event.get("meterValue", ())
        for sample in meter_value["sampledValue"]
        if sample["measurand"] == "Energy.Active.Import.Register"
    ]
    return [value for _, value in sorted(values)]


def assert_whole(site: Site, events: list[Event]) -> None:
    """One Started, one Ended, no gap, nothing doubled, energy never falls, every message by the schema."""
    # A message whose answer a killed daemon did not live to see is sent again, word for word.
    events = [event for at, event in enumerate(events) if at == 0 or event != events[at - 1]]
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    kinds = [event["eventType"] for event in events]
    assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"]
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
    assert energies_wh(events) == sorted(energies_wh(events))
    assert [line for line in site.read("csms") if line["fault"]] == []


def facts(site: Site, name: str) -> list[Event]:
    return [event for event in site.read("events") if event["event"] == name]


def test_plug_and_charge_with_a_limit_on_the_way(make_site: Callable[..., Site]) -> None:
    site = make_site(Options(sampled_interval_s=1.0, lower_after_updates=7))
    assert until_it_leaves(site, site.start_vehicle("iso2-ac-pnc", "--charge-s", "11")) == 0, site.log_of("vehicle")
    events = until_ended(site)
    assert_whole(site, events)
    assert events[0]["triggerReason"] == "Authorized"
    assert events[0]["idToken"] == {"idToken": EMAID, "type": "eMAID"}
    assert events[-1]["transactionInfo"]["stoppedReason"] == "StoppedByEV"
    assert energies_wh(events)[-1] > 20

    (tls,) = facts(site, "TlsEstablished")
    assert (tls["version"], tls["cipher"]) == ("TLSv1.2", "ECDHE-ECDSA-AES128-SHA256")
    for key in site.keys.values():
        assert (key.fixed_tpm, key.sensitive_data_origin) == (True, True)
    commands = [line["command"] for line in site.read("tpm")]
    assert "Sign" in commands
    assert not {"Import", "LoadExternal"} & set(commands)

    (authorize,) = [line["payload"] for line in site.read("csms") if line["action"] == "Authorize"]
    assert "certificate" not in authorize, "verified here; the CSMS did not ask to do it"
    assert len(authorize["iso15118CertificateHashData"]) == 3

    change = next(fact for fact in facts(site, "CsmsLimit") if fact.get("limit_a") == 10.0)
    pilots = [fact for fact in facts(site, "PilotOffered") if fact["at_s"] > change["received_at_s"]]
    assert pilots[0]["duty_percent"] == pytest.approx(10 / 0.6, abs=0.01)
    assert pilots[0]["at_s"] - change["received_at_s"] < 6, "IEC 61851-1 lets the duty change every 5 s"
    sent = [fact for fact in facts(site, "LimitSent") if fact["at_s"] > change["received_at_s"]]
    assert sent[0]["limit_a"] == 10.0
    drawn = [event["current_a"] for event in site.read("vehicle") if event["event"] == "draw"]
    assert 16.0 in drawn
    assert 10.0 in drawn


def test_external_payment_and_a_plain_car_by_card(make_site: Callable[..., Site]) -> None:
    site = make_site()
    for kind in ("iso2-ac-eim", "iec"):
        before = len(site.transaction_events())
        vehicle = site.start_vehicle(kind, "--charge-s", "4", "--swipe", CARD, "--swipe-after", "1")
        assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
        events = until_ended(site)[before:]
        assert_whole(site, events)
        assert events[0]["idToken"] == {"idToken": CARD, "type": "ISO14443"}
        assert len(events) >= 5
    assert len(facts(site, "SlacMatched")) == 1, "the plain car never spoke"


def test_killed_in_mid_charge(make_site: Callable[..., Site]) -> None:
    """SIGKILL: the contactor opens within the watchdog's time; the record is ended with what the journal holds."""
    site = make_site()
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "60")
    until_charging(site)
    until_updated(site, 4)
    site.kill("evsed")
    killed_s = time.monotonic()

    def opened_s() -> list[float]:
        trace = site.read("board")
        return [e["t"] for e in trace if e["event"] == "contactor" and e["value"] == "open" and e["t"] > killed_s - 0.1]

    site.wait_for(opened_s, "the contactor to open", 5)
    assert opened_s()[0] - killed_s < WATCHDOG_S + OPEN_S + 0.1
    until_it_leaves(site, vehicle)
    last_wh = energies_wh(site.transaction_events())[-1]

    site.start_daemon()
    events = until_ended(site)
    assert_whole(site, events)
    assert events[-1]["transactionInfo"]["stoppedReason"] == "PowerLoss"
    assert energies_wh(events)[-1] >= last_wh > 0

    assert until_it_leaves(site, site.start_vehicle("iso2-ac-pnc", "--charge-s", "3")) == 0, "the next one charges"


def test_killed_in_mid_charge_and_resumed(make_site: Callable[..., Site]) -> None:
    """With ResumptionTimeout the plain car that is still there charges on, in the same transaction and to its end."""
    daemon = (sys.executable, "-m", "firmware.app", "--ocpp", "TxCtrlr.ResumptionTimeout=60")
    site = make_site(
        Options(sampled_interval_s=1.0, evse={"slac_init_timeout_s": 2.0, "slac_retries": 0}, daemon=daemon)
    )
    vehicle = site.start_vehicle("iec", "--charge-s", "14", "--swipe", CARD, "--swipe-after", "1")
    until_charging(site)
    until_updated(site, 3)
    site.kill("evsed")
    before = site.transaction_events()
    site.start_daemon()
    assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
    events = until_ended(site)
    assert_whole(site, events)
    resumed = events[len(before)]
    assert (resumed["eventType"], resumed["triggerReason"]) == ("Updated", "ChargingStateChanged")
    states = [event["transactionInfo"]["chargingState"] for event in events[len(before) :]]
    assert "Charging" in states
    assert events[-1]["transactionInfo"]["stoppedReason"] == "Local", "the driver swipes before leaving"
    assert energies_wh(events)[-1] > energies_wh(before)[-1]
    assert [line["payload"]["idToken"]["idToken"] for line in site.read("csms") if line["action"] == "Authorize"] == [
        CARD
    ], "nobody was asked again"


def test_killed_in_mid_charge_and_nobody_there_any_more(make_site: Callable[..., Site]) -> None:
    """With ResumptionTimeout an empty connector ends the transaction long before the time is over."""
    daemon = (sys.executable, "-m", "firmware.app", "--ocpp", "TxCtrlr.ResumptionTimeout=600")
    site = make_site(Options(sampled_interval_s=1.0, daemon=daemon))
    vehicle = site.start_vehicle("iec", "--charge-s", "60", "--swipe", CARD, "--swipe-after", "1")
    until_charging(site)
    until_updated(site, 3)
    site.kill("evsed")
    until_it_leaves(site, vehicle)
    site.start_daemon()
    events = until_ended(site)
    assert_whole(site, events)
    assert events[-1]["transactionInfo"]["stoppedReason"] == "PowerLoss"


def test_the_csms_away_in_mid_charge(make_site: Callable[..., Site]) -> None:
    """Charging goes on without the CSMS; what happened meanwhile arrives in order, marked offline."""
    site = make_site()
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "11")
    until_charging(site)
    until_updated(site, 3)
    site.kill("csms", signal.SIGKILL)
    away_s = time.monotonic()
    site.wait_for(lambda: time.monotonic() > away_s + 4, "four seconds without the CSMS", 10)
    drawn = [event for event in site.read("vehicle") if event["event"] == "draw"]
    assert drawn[-1]["current_a"] > 0, "charging goes on"
    site.start_csms()
    assert until_it_leaves(site, vehicle) == 0
    events = until_ended(site)
    assert_whole(site, events)
    offline = [event["offline"] for event in events if "offline" in event]
    assert offline.count(True) >= 3
    assert not offline[0]
    assert not offline[-1]
    assert all(event["offline"] for event in events if _within(event, site)), "what happened while it was away"


def _within(event: Event, site: Site) -> bool:
    """Whether an event happened well inside the CSMS's absence, by the wall clock of both."""
    online = facts(site, "CsmsOnline")
    lost, back = online[1], online[2]
    return bool(lost["wall_time"][:23] < event["timestamp"][:23] < back["wall_time"][:23])


@pytest.mark.parametrize(
    ("contract", "options", "code", "reason"),
    [
        ("unknown_root", (), "FAILED_CertChainError", "unknown root"),
        ("expired", (), "FAILED_CertificateExpired", "expired"),
        (
            "good",
            ("--emaid", "DEEVSC0000002V"),
            "FAILED_NoCertificateAvailable",
            "eMAID differs from the certificate's common name",
        ),
    ],
)
def test_a_contract_that_does_not_hold(
    make_site: Callable[..., Site], contract: str, options: tuple[str, ...], code: str, reason: str
) -> None:
    """Refused with the standard's code, no power, a clear line in the log, and the next vehicle charges."""
    site = make_site()
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "3", *options, contract=contract)
    assert until_it_leaves(site, vehicle) == 3, site.log_of("vehicle")
    assert code in [event["code"] for event in site.read("vehicle") if event["event"] == "response_code"]
    assert [e for e in site.read("board") if e["event"] == "contactor" and e["value"] == "closed"] == []
    assert [fact["fault"] for fact in facts(site, "ContractRefused")] == [reason]
    assert reason in site.log_of("evsed")
    assert [line for line in site.read("csms") if line["action"] == "Authorize"] == [], "nobody was asked"
    assert site.transaction_events() == []
    notified = [line["payload"]["eventData"][0] for line in site.read("csms") if line["action"] == "NotifyEvent"]
    assert "ISO15118Ctrlr" in [data["component"]["name"] for data in notified]

    assert until_it_leaves(site, site.start_vehicle("iso2-ac-pnc", "--charge-s", "3")) == 0, site.log_of("vehicle")
    assert_whole(site, until_ended(site))


def test_the_operator_stops_a_session(make_site: Callable[..., Site]) -> None:
    site = make_site()
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "60")
    until_charging(site)
    assert site.command_csms({"stop": True})["ok"]["status"] == "Accepted"
    assert until_it_leaves(site, vehicle) in (0, 3)
    events = until_ended(site)
    assert_whole(site, events)
    assert events[-1]["triggerReason"] == "RemoteStop"
    assert events[-1]["transactionInfo"]["stoppedReason"] == "Remote"


def test_a_daemon_asked_to_stop_ends_the_session_in_order(make_site: Callable[..., Site]) -> None:
    site = make_site()
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "60")
    until_charging(site)
    assert site.kill("evsed", signal.SIGTERM) == 0, site.log_of("evsed")
    until_it_leaves(site, vehicle)
    events = until_ended(site)
    assert_whole(site, events)
    assert events[-1]["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    assert site.read("board")[-1] is not None
    levels = {event["event"]: event["value"] for event in site.read("board")}
    assert levels["contactor"] == "open"
    assert levels["pilot"][0] == "F"
