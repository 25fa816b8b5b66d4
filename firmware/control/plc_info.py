"""The modem and SLAC matching of one EVSE, as a technician wants to see them."""

from collections.abc import Sequence

from hal.plc.link import GreenPhyLink, PlcStatus, SelfTest
from hal.plc.mme import format_mac
from hal.plc.modem import ModemInfo
from hal.plc.runs import RunRecord
from hal.plc.vendor_mme import Network

Told = dict[str, object]


def plc_info(plc: GreenPhyLink) -> Told:
    status = plc.status()
    return {
        "interface": status.interface,
        "modem": status.modem_state.value,
        **_modem(status.modem),
        "link_up": status.link_up,
        "matching": status.slac_state.value,
        "profile": plc.machine.matching.profile.value,
        "attenuation_offset_db": plc.machine.matching.offset_db,
        "modem_drops": dict(status.modem_drops),
        "slac_drops": {str(reason): count for reason, count in status.drops.items()},
        "driver_counters": dict(status.driver_counters),
    }


def _modem(info: ModemInfo | None) -> Told:
    return {
        "vendor": info.vendor.value if info else None,
        "mac": format_mac(info.mac) if info else None,
        "firmware": info.firmware if info else None,
        "hardware": info.hardware if info else None,
        "slac_mode": info.slac_mode if info else None,
        "role": _role(info),
    }


def _role(info: ModemInfo | None) -> str | None:
    """By the modem's parameter block; None where it cannot be read."""
    if info is None or info.is_evse is None:
        return None
    return "EVSE" if info.is_evse else "not EVSE"


def plc_link(status: PlcStatus, networks: Sequence[Network]) -> Told:
    amplitude = {"carriers": status.map_carriers, "outcome": status.map_outcome.value} if status.map_outcome else None
    return {
        "interface": status.interface,
        "modem": status.modem_state.value,
        "link_up": status.link_up,
        "matching": status.slac_state.value,
        "ev_mac": format_mac(status.ev_mac) if status.ev_mac else None,
        "amplitude_map": amplitude,
        "networks": [_network(network) for network in networks],
    }


def _network(network: Network) -> Told:
    return {
        "nid": network.nid.hex(),
        "tei": network.tei,
        "role": network.role.value,
        "coordinator": format_mac(network.coordinator),
        "stations": [
            {
                "mac": format_mac(station.mac),
                "tei": station.tei,
                "host_mac": format_mac(station.bridged),
                "tx_mbps": station.tx_mbps,
                "rx_mbps": station.rx_mbps,
            }
            for station in network.stations
        ],
    }


def self_test(test: SelfTest) -> Told:
    """It passes unless the parameter block says that the modem is no EVSE's."""
    return {
        "passed": test.modem.is_evse is not False,
        **_modem(test.modem),
        "verified_by": test.verified_by,
        "answered_s": round(test.answered_s, 3),
        "took_s": round(test.took_s, 3),
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
        "expected": record.expected,
        "mean_db": round(record.mean_db, 1),
        "worst_db": round(record.worst_db, 1),
        "sounding_s": round(record.sounding_s, 3),
        "reported_s": round(record.reported_s, 3),
        "took_s": round(record.ended_s, 3),
        "ago_s": round(now - record.at_s, 1),
    }
