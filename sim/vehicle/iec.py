"""A plain IEC 61851-1 car: it knows the pilot's duty and nothing else."""

import asyncio
import logging

from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import duty_limit_a
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from sim.vehicle.ports import Cable, Levels, pwm_percent
from sim.vehicle.verdict import ExitCode, Verdict

log = logging.getLogger(__name__)

PAUSE_S = 10.0
"""A pause of the station's that lasts longer is its way to end the charge, and the driver leaves."""

LOOK_S = 0.05


async def charge(cable: Cable, charger: OnboardCharger, goal: ChargeGoal, events: EventLog) -> Verdict:
    """State C while a current is offered, until the goal is reached or the station offers none for PAUSE_S."""
    await _wait_for_offer(cable)
    while not goal.reached(charger):
        await charger.start()
        if not await _charge_until_withdrawn(cable, charger, goal):
            break
        await charger.stopped()
        events.write("paused", energy_wh=round(charger.energy_wh, 3))
        try:
            await cable.wait_for(_offers_current, PAUSE_S)
        except TimeoutError:
            return _verdict(charger, "stopped by the station")
    await charger.stopped()
    events.write("stopped", energy_wh=round(charger.energy_wh, 3))
    return _verdict(charger, "charged")


async def _wait_for_offer(cable: Cable) -> None:
    """For as long as it takes: the driver has yet to swipe, and the station may first try to talk."""
    while True:
        try:
            await cable.wait_for(_offers_current, PAUSE_S)
        except TimeoutError:
            log.info("no current offered yet")
        else:
            return


async def _charge_until_withdrawn(cable: Cable, charger: OnboardCharger, goal: ChargeGoal) -> bool:
    """Whether the station withdrew its offer before the goal was reached."""
    while not goal.reached(charger):
        if not _offers_current(cable.levels):
            return True
        await asyncio.sleep(LOOK_S)
    return False


def _offers_current(levels: Levels) -> bool:
    return duty_limit_a(pwm_percent(levels)) > 0


def _verdict(charger: OnboardCharger, text: str) -> Verdict:
    if not charger.drew:
        return Verdict(ExitCode.FAILED, f"{text}, but no current ever flowed")
    return Verdict(ExitCode.AS_EXPECTED, text)
