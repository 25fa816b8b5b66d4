"""`make demo`: one charging session on a simulated site, told as it happens, with a table at its end.

Every end is a process of its own and talks over the real thing: a pty to the MCU, HomePlug frames on veth to the
modem, TLS with a key in a TPM (swtpm), OCPP over a WebSocket with mutual TLS. Exit code 0: the vehicle charged and the
CSMS has the whole record.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.namespaces import missing_right
from sim.report import live_line, summary
from sim.site import CARD, Options, Site, SiteError
from sim.vehicle.driver import DC, INSTALLING, ISO_20, Kind

SESSION_S = 55.0
"""No session of the demo takes so long."""

CHARGE_S = {Kind.IEC: 18, **dict.fromkeys(DC, 14)}
USUAL_CHARGE_S = 20
WITH_CARD = {Kind.ISO2_AC_EIM, Kind.ISO20_AC_EIM, Kind.IEC, *DC} - {Kind.ISO20_DC_PNC}


@dataclass(frozen=True, slots=True)
class Choice:
    vehicle: Kind
    keep: Path | None


def _parse(arguments: Sequence[str] | None) -> Choice:
    parser = argparse.ArgumentParser(prog="python -m sim.demo", description="One charging session, end to end.")
    kinds = ", ".join(Kind)
    parser.add_argument(
        "--vehicle", type=Kind, default=Kind.ISO2_AC_PNC, choices=list(Kind), help=kinds, metavar="KIND"
    )
    parser.add_argument("--keep", type=Path, help="keep all logs and state in this directory")
    options = parser.parse_args(arguments)
    return Choice(options.vehicle, options.keep)


def main(arguments: Sequence[str] | None = None) -> int:
    choice = _parse(arguments)
    if right := missing_right():
        print(f"demo: {right}", file=sys.stderr)
        return 1
    directory = choice.keep or Path(tempfile.mkdtemp(prefix="evsed-demo-"))
    try:
        return _show(choice.vehicle, directory)
    except SiteError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if choice.keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def _show(kind: Kind, directory: Path) -> int:
    started_s = time.monotonic()
    with Site(directory, _options(kind)) as site:
        print(f"evsed demo: vehicle {kind}; setting up TPM, PKI, CSMS, modems, board and station ...")
        site.start_all()
        swipe = ["--swipe", CARD, "--swipe-after", "2"] if kind in WITH_CARD else []
        charge_s = CHARGE_S.get(kind, USUAL_CHARGE_S)
        vehicle = site.start_vehicle(kind, "--charge-s", str(charge_s), *swipe)
        for event in site.follow("events", _over(site, lambda: vehicle.poll() is not None)):
            if line := live_line(event, started_s):
                print(line, flush=True)
        text, complete = summary(site, time.monotonic() - started_s)
        print(text)
        if vehicle.returncode != 0 or not complete:
            print(f"demo: the session failed: {site.log_of('vehicle').strip()}", file=sys.stderr)
            return 1
    return 0


def _options(kind: Kind) -> Options:
    """The CSMS lowers the current of an AC vehicle on the way; a DC output has 60 kW to begin with."""
    if kind in DC:
        return Options(dc=True, iso20=kind in ISO_20, sampled_interval_s=3.0)
    return Options(lower_after_updates=4, iso20=kind in ISO_20, provides_contracts=kind in INSTALLING)


def _over(site: Site, left: Callable[[], bool]) -> Callable[[], bool]:
    """The vehicle has left and the CSMS has the end of the record, or time is up."""
    deadline_s = time.monotonic() + SESSION_S

    def over() -> bool:
        recorded = any(event["eventType"] == "Ended" for event in site.transaction_events())
        return (left() and recorded) or time.monotonic() > deadline_s

    return over


if __name__ == "__main__":
    sys.exit(main())
