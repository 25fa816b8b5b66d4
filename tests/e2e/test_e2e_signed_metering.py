"""A signing meter at a whole site: its records reach the CSMS as they are, whatever becomes of the station."""

import base64
import signal
from collections.abc import Callable
from typing import Any

from hal.ocmf import parse
from hal.ocmf_signature import Verdict, verify
from sim.site import CARD, Options, Site

METER: dict[str, str | int] = {"model": "lem-dcbm", "host": "127.0.0.1", "port": 8093}


def signed_values(event: dict[str, Any]) -> list[dict[str, Any]]:
    samples = [sample for value in event.get("meterValue", ()) for sample in value["sampledValue"]]
    return [sample["signedMeterValue"] for sample in samples if "signedMeterValue" in sample]


def record_of(value: dict[str, Any]) -> str:
    return base64.b64decode(value["signedMeterData"]).decode()


def key_of(events: list[dict[str, Any]]) -> str:
    """The meter's public key, told once a transaction."""
    told = [value["publicKey"] for event in events for value in signed_values(event) if value["publicKey"]]
    (key,) = told
    return base64.b64decode(key).decode().removeprefix("oca:base16:asn1:")


def ended(site: Site) -> bool:
    return any(event["eventType"] == "Ended" for event in site.transaction_events())


def test_the_meters_record_reaches_the_csms_unaltered(make_site: Callable[..., Site]) -> None:
    site = make_site(Options(sampled_interval_s=1.0, meter=METER))
    site.start_vehicle("iec", "--charge-s", "6", "--swipe", CARD)
    site.wait_for(lambda: ended(site), "Ended", 40)
    events = site.transaction_events()
    assert [line for line in site.read("csms") if line["fault"]] == []
    key = key_of(events)
    whole = parse(record_of(signed_values(events[-1])[-1]))
    assert verify(whole, key) is Verdict.VALID
    assert [reading.transaction for reading in whole.readings] == ["B", "E"]
    assert whole.identification == CARD
    assert whole.energy_wh is not None
    assert whole.energy_wh > 5
    for event in events:
        for value in signed_values(event):
            assert verify(parse(record_of(value)), key) is Verdict.VALID
    tampered = whole.text.replace('"TX":"E"', '"TX":"C"')
    assert verify(parse(tampered), key) is Verdict.TAMPERED
    closed = next(event for event in site.read("events") if event["event"] == "ContactorChanged")
    opened = next(event for event in site.read("events") if event["event"] == "TransactionOpened")
    assert opened["at_s"] < closed["at_s"], "nothing flows before the meter has begun"


def test_a_power_cut_does_not_cost_the_record(make_site: Callable[..., Site]) -> None:
    """The daemon is gone; the meter goes on. At the next start its transaction is ended and its record told."""
    site = make_site(Options(sampled_interval_s=1.0, meter=METER))
    site.start_vehicle("iec", "--charge-s", "60", "--swipe", CARD)
    site.wait_for(lambda: len(site.transaction_events()) >= 4, "charging", 40)
    site.kill("evsed", signal.SIGKILL)
    site.start_daemon()
    site.wait_for(lambda: ended(site), "Ended", 40)
    last = next(event for event in site.transaction_events() if event["eventType"] == "Ended")
    assert last["transactionInfo"]["stoppedReason"] == "PowerLoss"
    whole = parse(record_of(signed_values(last)[-1]))
    assert [reading.transaction for reading in whole.readings] == ["B", "E"]
    assert verify(whole, key_of(site.transaction_events())) is Verdict.VALID
