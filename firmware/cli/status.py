"""`evse status`: how everything stands now."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import Told, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_common(subparsers.add_parser("status", help="how everything stands now"))


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Station.Status")
    if args.json:
        out.as_json(told)
        return 0
    station, csms, tpm = told["station"], told["csms"], told["tpm"]
    out.pairs(
        f"{station['identity']}  {station['vendor']} {station['model']}",
        [
            ("version", f"{station['version']}, up {out.span(station['uptime_s'])}"),
            ("CSMS", f"{link_words(csms)}, {queue_words(csms)}"),
            ("certificates", certificate_words(told["certificates"])),
            ("TPM", tpm_words(tpm)),
            *(("display", display_words(shown)) for shown in told["display"]),
        ],
    )
    for evse in told["evses"]:
        out.pairs(f"EVSE {evse['evse']}  {evse['evse_id']}  {out.text(evse['connector_status'])}", evse_rows(evse))
    return 0


def display_words(shown: Told) -> str:
    """One of the messages that drivers are shown in turns."""
    return shown["text"] if shown["evse"] is None else f"EVSE {shown['evse']}: {shown['text']}"


def tpm_words(tpm: Told) -> str:
    if tpm["trouble"]:
        return str(tpm["trouble"])
    return f"{tpm['manufacturer']}, {'locked out' if tpm['locked_out'] else 'good'}"


def link_words(csms: Told) -> str:
    return f"{'online' if csms['online'] else 'OFFLINE'}, {csms['url']}"


def queue_words(csms: Told) -> str:
    return f"{out.text(csms['queue_length'])} waiting"


def certificate_words(certificates: list[Told]) -> str:
    return ", ".join(f"{info['use']} {info['days_left']:.0f} d" for info in certificates) or "none"


def evse_rows(evse: Told) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        *(("LAB SWITCH", switch) for switch in evse["lab"]),
        *([("maintenance", maintenance_words(evse["maintenance"]))] if evse["maintenance"] else []),
        ("pilot", pilot_words(evse["board"])),
        ("power path", path_words(evse["board"])),
        ("offer", offer_words(evse["limits"])),
        ("meter", meter_words(evse["meter"])),
    ]
    if evse["slac"]:
        rows.append(("SLAC", slac_words(evse["slac"])))
    rows += [
        ("V2G", v2g_words(evse["v2g"])),
        ("authorisation", authorization_words(evse["authorization"])),
        ("transaction", transaction_words(evse["transaction"])),
        ("faults", ", ".join(f"{fault['fault']} ({fault['severity']})" for fault in evse["faults"]) or "none"),
    ]
    return rows


def maintenance_words(maintenance: Told) -> str:
    return f"by {maintenance['by']}, for another {out.span(maintenance['left_s'])}"


def pilot_words(board: Told | None) -> str:
    if board is None:
        return "the board does not answer"
    duty = f" {board['duty_percent']:g} %" if board["cp_mode"] == "X2" else ""
    return f"state {board['cp']}, {board['cp_mode']}{duty}"


def path_words(board: Told | None) -> str:
    if board is None:
        return out.NONE
    permitted = "permitted" if board["power_permitted"] else "not permitted"
    return f"contactor {board['contactor']}, power {permitted}, plug {'locked' if board['locked'] else 'free'}"


def offer_words(limits: Told) -> str:
    others = {
        name: limits[f"{name}_a"] for name in ("board", "cable", "profile", "heat", "site", "technician", "start")
    }
    told = ", ".join(f"{name} {value:g}" for name, value in others.items() if value is not None)
    by = f" by {limits['lowest']}" if limits["lowest"] else ""
    return f"{limits['offer_a']:g} A{by}" + (f"  ({told})" if told else "")


def meter_words(meter: Told | None) -> str:
    if meter is None:
        return "no fresh reading"
    amps = " ".join(f"{value:.1f}" for value in meter["current_a"])
    volts = " ".join(f"{value:.0f}" for value in meter["voltage_v"])
    return f"{meter['energy_import_wh'] / 1000:.3f} kWh, {meter['power_import_w'] / 1000:.2f} kW, {amps} A, {volts} V"


def slac_words(slac: Told) -> str:
    vehicle = f", {slac['ev_mac']}" if slac["ev_mac"] else ""
    level = f", {slac['attenuation_db']:g} dB" if slac["attenuation_db"] is not None else ""
    return f"{out.text(slac['matching'])}{vehicle}{level}; modem {out.text(slac['modem'])}"


def v2g_words(v2g: Told) -> str:
    if v2g["session_id"] is None:
        return f"no session, high-level communication {v2g['hlc']}"
    wanted = "power wanted" if v2g["power_wanted"] else "no power wanted"
    return f"{out.text(v2g['protocol'])}, {v2g['tls'] or 'no TLS'}, {v2g['session_id']}, {wanted}"


def authorization_words(authorization: Told) -> str:
    if authorization["id_token"] is None:
        return "no token"
    return f"{authorization['state']}, {authorization['id_token']} ({authorization['kind']})"


def transaction_words(transaction: Told) -> str:
    if not transaction["open"]:
        return "none"
    ending = f", ending: {transaction['ending']}" if transaction["ending"] else ""
    return f"{transaction['charging_state']}, {transaction['transaction_id']}{ending}"
