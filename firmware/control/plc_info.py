"""The modem and SLAC matching of one EVSE, as a technician wants to see them."""

from hal.plc.link import GreenPhyLink
from hal.plc.mme import format_mac
from hal.plc.runs import RunRecord

Told = dict[str, object]


def plc_info(plc: GreenPhyLink) -> Told:
    modem, matching = plc.machine.modem, plc.machine.matching
    info = modem.info
    return {
        "interface": plc.interface,
        "modem": modem.state.value,
        "vendor": info.vendor.value if info else None,
        "mac": format_mac(info.mac) if info else None,
        "firmware": info.firmware if info else None,
        "hardware": info.hardware if info else None,
        "slac_mode": info.slac_mode if info else None,
        "link_up": modem.link_up,
        "matching": matching.state.value,
        "profile": matching.profile.value,
        "modem_drops": dict(plc.machine.modem_drops),
        "slac_drops": {str(reason): count for reason, count in matching.drops.items()},
    }


def slac_runs(plc: GreenPhyLink, now: float, limit: int) -> list[Told]:
    """The latest runs that ended, the newest first."""
    return [_run(record, now) for record in reversed(plc.machine.matching.records[-limit:])]


def _run(record: RunRecord, now: float) -> Told:
    return {
        "ev_mac": format_mac(record.ev_mac),
        "run_id": record.run_id.hex(),
        "verdict": record.verdict.value,
        "sounds": record.sounds,
        "mean_db": round(record.mean_db, 1),
        "worst_db": round(record.worst_db, 1),
        "sounding_s": round(record.sounding_s, 3),
        "reported_s": round(record.reported_s, 3),
        "took_s": round(record.ended_s, 3),
        "ago_s": round(now - record.at_s, 1),
    }
