"""The command line of the vehicle."""

import argparse
from pathlib import Path

from sim.plc.vehicle import HABITS
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import Demand
from sim.vehicle.driver import Kind, Swipe, Vehicle


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m sim.vehicle", description="One visit of a simulated vehicle.")
    options.add_argument("kind", type=Kind, nargs="?", default=Kind.ISO2_AC_PNC, choices=list(Kind))
    options.add_argument("--interface", required=True, help="the vehicle's modem, as in ev0")
    options.add_argument("--slac-profile", default="fast", choices=HABITS, help="whose timing it has in SLAC")
    options.add_argument("--cable", required=True, type=Path, help="the Unix socket of the simulated MCU's cable")
    options.add_argument("--pki", type=Path, help="certificates in the layout of the iso15118 package")
    options.add_argument("--log", required=True, type=Path, help="JSON lines are appended here")
    options.add_argument("--log-level", default="WARNING", help="of the program's own log on stderr")
    options.add_argument("--tcp", action="store_true", help="no TLS; only for external payment")
    options.add_argument("--emaid", help="sent instead of the contract certificate's common name")
    options.add_argument("--swipe", metavar="TOKEN", help="the driver's RFID card, in hex")
    options.add_argument("--swipe-after", type=float, default=3.0, metavar="S", help="seconds after plugging in")
    options.add_argument("--charge-s", type=float, default=20.0, metavar="S", help="seconds in state C")
    options.add_argument("--energy-wh", type=float, metavar="WH", help="stop at this energy, if it comes first")
    options.add_argument("--max-a", type=float, default=32.0, metavar="A", help="what the vehicle can draw per phase")
    options.add_argument("--phases", type=int, default=3, choices=(1, 3))
    options.add_argument("--dc-plug", type=Path, help="the Unix socket of the cabinet's DC contacts")
    options.add_argument("--max-dc-a", type=float, default=60.0, metavar="A", help="what a DC vehicle asks for")
    options.add_argument("--loop-delay-s", type=float, default=0.5, metavar="S", help="between ChargingStatusReq")
    options.add_argument("--timeout-s", type=float, default=120.0, metavar="S", help="for the whole visit")
    return options


def vehicle_of(options: argparse.Namespace) -> Vehicle:
    return Vehicle(
        kind=options.kind,
        interface=options.interface,
        pki=options.pki or Path(),
        tls=not options.tcp,
        demand=Demand(vehicle_max_a=options.max_a, phases=options.phases),
        goal=ChargeGoal(charge_s=options.charge_s, energy_wh=options.energy_wh),
        loop_delay_s=options.loop_delay_s,
        emaid=options.emaid,
        dc_plug=options.dc_plug,
        max_dc_a=options.max_dc_a,
        swipe=None if options.swipe is None else Swipe(options.swipe, options.swipe_after),
    )
