"""A session in words: a line an event while it runs, a table when it is over."""

from collections import Counter
from collections.abc import Callable, Iterator

from sim.site import Event, Site

QUIET = frozenset(
    {
        "DcMeasured",
        "DcTarget",
        "MeterSampled",
        "MessageAnswered",
        "LimitSent",
        "LocalLimit",
        "VehicleReady",
        "ReceiptVerified",
    }
)
"""Events too frequent or too small for the story; the event file has them."""

HIDDEN = frozenset(
    {"at_s", "wall_time", "evse", "v2g_session_id", "transaction_id", "event", "session_id", "received_at_s", "run_id"}
)


def live_line(event: Event, started_s: float) -> str | None:
    """One line, with both ids of the session; None for what is left out."""
    if event["event"] in QUIET:
        return None
    said = " ".join(f"{key}={value}" for key, value in event.items() if key not in HIDDEN)
    v2g, tx = event["v2g_session_id"] or "-", event["transaction_id"][:8] or "-"
    return f"{event['at_s'] - started_s:7.2f} s  v2g={v2g:16}  tx={tx:8}  {event['event']:21} {said}"


def summary(site: Site, took_s: float) -> tuple[str, bool]:
    """The table, and whether the record is complete: Started, three Updated with meter values, Ended, no gap."""
    records = site.transaction_events()
    faults = [line for line in site.read("csms") if line["fault"]]
    lines = ["", "-- phases " + "-" * 70, *_phases(site), "", "-- keys " + "-" * 72, *_keys(site)]
    lines += ["", "-- what the CSMS received " + "-" * 54, *map(_record_line, records)]
    lines += [f"   schema violations: {len(faults)}", "", "-- session " + "-" * 69, *_session(site, records)]
    lines.append(f"   whole demo           {took_s:8.2f} s")
    return "\n".join(lines), _is_complete(records) and not faults


def _is_complete(records: list[Event]) -> bool:
    kinds = [record["eventType"] for record in records]
    measured = [record for record in records if record["eventType"] == "Updated" and record.get("meterValue")]
    numbers = [record["seqNo"] for record in records]
    return (
        kinds.count("Started") == kinds.count("Ended") == 1
        and (kinds[0], kinds[-1]) == ("Started", "Ended")
        and len(measured) >= 3
        and numbers == list(range(len(records)))
        and "stoppedReason" in records[-1]["transactionInfo"]
    )


def _phases(site: Site) -> Iterator[str]:
    """Each phase with when it was reached after plug-in and how long it took since the one before."""
    events = site.read("events")
    plugged = next((event for event in events if event["event"] == "PluggedIn"), None)
    if plugged is None:
        return
    before_s = plugged["at_s"]
    for name, at_s in _milestones(events):
        yield f"   {name:44} {1000 * (at_s - plugged['at_s']):9.1f} ms   (+{1000 * (at_s - before_s):.1f})"
        before_s = at_s
    yield from _limit_change(site, events)


def _milestones(events: list[Event]) -> list[tuple[str, float]]:
    steps: tuple[tuple[str, Callable[[Event], bool]], ...] = (
        ("pilot: 5 % PWM", lambda e: e["event"] == "PilotOffered" and e["duty_percent"] == 5.0),
        ("SLAC: matched", lambda e: e["event"] == "SlacMatched"),
        ("PLC: link ready", lambda e: e["event"] == "LinkReady"),
        ("TLS: established, TPM key", lambda e: e["event"] == "TlsEstablished"),
        ("V2G: session set up", lambda e: e["event"] == "SessionSetUp"),
        ("pilot: nominal PWM", lambda e: e["event"] == "PilotOffered" and 10 <= e["duty_percent"] < 100),
        ("V2G: contract chain verified", lambda e: e["event"] == "ContractPresented"),
        ("OCPP: authorised", lambda e: e["event"] == "AuthorizationAnswered" and e.get("status") == "Accepted"),
        ("V2G: PowerDelivery Start", lambda e: e["event"] == "PowerWanted" and e["wanted"]),
        ("DC: cable check begins", lambda e: e["event"] == "DcStaged" and e["stage"] == "cable check"),
        ("DC: cable check passed", lambda e: e["event"] == "DcStaged" and e["stage"] == "ready"),
        ("DC: pre-charge", lambda e: e["event"] == "DcStaged" and e["stage"] == "pre-charge"),
        ("DC: charging", lambda e: e["event"] == "DcStaged" and e["charging"]),
        ("board: contactor closed", lambda e: e["event"] == "ContactorChanged" and e["contactor"] == "closed"),
    )
    reached = []
    for name, matches in steps:
        at_s = next((event["at_s"] for event in events if matches(event)), None)
        if at_s is not None:
            reached.append((name, at_s))
    return sorted(reached, key=lambda step: step[1])


def _limit_change(site: Site, events: list[Event]) -> Iterator[str]:
    """From the CSMS's SetChargingProfile to the pilot, the V2G response and the vehicle's current."""
    change = next((event for event in events if event["event"] == "CsmsLimit" and "limit_a" in event), None)
    if change is None:
        return
    at_s, limit_a = change["received_at_s"], change["limit_a"]
    vehicle = site.read("vehicle")
    yield f"   SetChargingProfile to {limit_a:g} A received, then after it:"
    for name, moments in (
        ("new duty on the pilot", (e["at_s"] for e in events if e["event"] == "PilotOffered")),
        ("in a V2G response", (e["at_s"] for e in events if e["event"] == "LimitSent" and e["limit_a"] == limit_a)),
        ("vehicle draws no more", (e["t"] for e in vehicle if e["event"] == "draw" and e["current_a"] <= limit_a)),
    ):
        after = [moment for moment in moments if moment >= at_s]
        if after:
            yield f"      {name:41} {1000 * (after[0] - at_s):9.1f} ms"


def _keys(site: Site) -> Iterator[str]:
    for purpose, key in site.keys.items():
        yield (
            f"   {purpose:5} TPM handle {key.handle:#010x} {key.curve}  fixedTPM={key.fixed_tpm} "
            f"sensitiveDataOrigin={key.sensitive_data_origin} noDA={key.no_da}"
        )
    count = Counter(line["command"] for line in site.read("tpm"))
    brought_in = count["Import"] + count["LoadExternal"]
    yield f"   TPM command log: {count['Create']} Create, {count['Sign']} Sign, {brought_in} Import or LoadExternal"


def _record_line(record: Event) -> str:
    info = record["transactionInfo"]
    token = record.get("idToken", {})
    parts = [f"{record['eventType']:8} seqNo {record['seqNo']:2}  {record['triggerReason']:21}"]
    parts.append(f"{info.get('chargingState', ''):12}")
    energy = _energy_wh(record)
    parts.append("" if energy is None else f"{energy:8.1f} Wh")
    parts += ["offline"] if record.get("offline") else []
    parts += [f"idToken {token['idToken']} ({token['type']})"] if token else []
    parts += [f"stoppedReason {info['stoppedReason']}"] if "stoppedReason" in info else []
    return "   " + "  ".join(parts)


def _energy_wh(record: Event) -> float | None:
    for meter_value in reversed(record.get("meterValue", [])):
        for sample in meter_value["sampledValue"]:
            if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register":
                return float(sample["value"])
    return None


def _session(site: Site, records: list[Event]) -> Iterator[str]:
    tokens = [record["idToken"]["idToken"] for record in records if "idToken" in record]
    kinds = [record["idToken"]["type"] for record in records if "idToken" in record]
    energies = [energy for energy in map(_energy_wh, records) if energy is not None]
    ids = {event["v2g_session_id"] for event in site.read("events")} - {""}
    if tokens:
        yield f"   {kinds[0]:20} {tokens[0]}"
    yield f"   ISO 15118 session    {', '.join(sorted(ids)) or 'none'}"
    if records:
        yield f"   OCPP transaction     {records[0]['transactionInfo']['transactionId']}"
    if energies:
        yield f"   energy               {energies[-1] - energies[0]:8.1f} Wh"
