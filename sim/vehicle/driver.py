"""One visit of a vehicle: plug in, pilot, SLAC, session, unplug; the driver's RFID card beside it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from iso15118.shared.iexi_codec import IEXICodec

from sim.ev.wishes import Speaks
from sim.plc.vehicle import MatchResult
from sim.vehicle import dc, evcc, iec, scripted
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import Demand, duty_limit_a, is_digital
from sim.vehicle.dc import DcOptions
from sim.vehicle.evcc import Ending, EvccOptions, SessionEnd
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from sim.vehicle.ports import Cable, Levels, pwm_percent
from sim.vehicle.verdict import ExitCode, Verdict

log = logging.getLogger(__name__)

UNLOCK_S = 10.0
CARD_AGAIN_S = 1.5
"""A plug still locked so long after the charge is asked for with the card that began it."""
PWM_LOOK_S = 10.0


class Kind(StrEnum):
    ISO2_AC_PNC = "iso2-ac-pnc"
    ISO2_AC_EIM = "iso2-ac-eim"
    ISO2_AC_INSTALL = "iso2-ac-install"
    """Asks for a contract certificate first, and pays with it."""
    ISO20_AC_PNC = "iso20-ac-pnc"
    ISO20_AC_EIM = "iso20-ac-eim"
    ISO20_AC_INSTALL = "iso20-ac-install"
    """As in ISO 15118-2; without a certificate it pays by card."""
    ISO2_DC_EIM = "iso2-dc-eim"
    DIN_DC = "din-dc"
    ISO20_DC_EIM = "iso20-dc-eim"
    ISO20_DC_PNC = "iso20-dc-pnc"
    IEC = "iec"


ISO_20 = {kind for kind in Kind if kind.startswith("iso20")}
INSTALLING = {Kind.ISO2_AC_INSTALL, Kind.ISO20_AC_INSTALL}
V2G_ROOT = "iso15118_2/certs/v2gRootCACert.pem"
DC: dict[Kind, Speaks] = {
    Kind.ISO2_DC_EIM: Speaks.ISO_2,
    Kind.DIN_DC: Speaks.DIN,
    Kind.ISO20_DC_EIM: Speaks.ISO_20,
    Kind.ISO20_DC_PNC: Speaks.ISO_20,
}


@dataclass(frozen=True, slots=True)
class Swipe:
    """The driver holds a card to the reader, so long after plugging in."""

    id_token: str
    after_s: float
    kind: str = "ISO14443"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What is driven up to the station."""

    kind: Kind
    interface: str
    pki: Path
    tls: bool
    demand: Demand
    goal: ChargeGoal
    loop_delay_s: float
    emaid: str | None = None
    swipe: Swipe | None = None
    dc_plug: Path | None = None
    """Of a DC vehicle: the socket of the cabinet's DC contacts."""
    max_dc_a: float = 60.0


@dataclass(frozen=True, slots=True)
class Means:
    """How a vehicle talks at a high level; a plain one needs none of it."""

    match: Callable[[str], Awaitable[MatchResult]]
    """Runs the vehicle's side of SLAC on an interface; returns once the modems are linked."""
    codec: Callable[[], IEXICodec]


async def visit(vehicle: Vehicle, cable: Cable, means: Means, events: EventLog) -> Verdict:
    """The whole visit. The vehicle is unplugged at its end, whatever happened; cancel it to drive off."""
    charger = OnboardCharger(cable, events, vehicle.demand)
    await cable.set_cp("B")
    events.write("plugged")
    try:
        async with asyncio.TaskGroup() as beside:
            tasks = [beside.create_task(charger.run())]
            if vehicle.swipe is not None:
                tasks.append(beside.create_task(_swipe(vehicle.swipe, cable, events)))
            verdict = await _session(vehicle, cable, means, charger, events)
            for task in tasks:
                task.cancel()
        return verdict
    finally:
        await _leave(vehicle, cable, charger, events)


async def _session(vehicle: Vehicle, cable: Cable, means: Means, charger: OnboardCharger, events: EventLog) -> Verdict:
    if vehicle.kind is Kind.IEC:
        return await iec.charge(cable, charger, vehicle.goal, events)
    await _wait_for_pwm(cable)
    matched = await means.match(vehicle.interface)
    events.write(
        "slac_matched",
        attenuation_db=round(matched.attenuation_db, 1),
        attempts=matched.attempts,
        took_s=round(matched.took_s, 3),
        joined_s=round(matched.joined_s, 3),
    )
    if vehicle.kind in DC:
        return await dc.charge(_dc_options(vehicle), cable, events)
    if vehicle.kind in ISO_20 | INSTALLING:
        return _judge(await _scripted(vehicle, charger, events), charger)
    options = EvccOptions(
        interface=vehicle.interface,
        pki=vehicle.pki,
        tls=vehicle.tls,
        contract=vehicle.kind is Kind.ISO2_AC_PNC,
        goal=vehicle.goal,
        loop_delay_s=vehicle.loop_delay_s,
        emaid=vehicle.emaid,
    )
    end = await evcc.charge(options, means.codec(), charger, events)
    return _judge(end, charger)


async def _scripted(vehicle: Vehicle, charger: OnboardCharger, events: EventLog) -> SessionEnd:
    options = scripted.Options(
        speaks=Speaks.ISO_20 if vehicle.kind in ISO_20 else Speaks.ISO_2,
        interface=vehicle.interface,
        pki=vehicle.pki,
        contract=vehicle.kind is Kind.ISO20_AC_PNC,
        installs=vehicle.kind in INSTALLING,
        goal=vehicle.goal,
        loop_delay_s=vehicle.loop_delay_s,
    )
    return await scripted.charge(options, charger, events)


def _dc_options(vehicle: Vehicle) -> DcOptions:
    if vehicle.dc_plug is None:
        raise OSError("a DC vehicle needs --dc-plug")
    speaks = DC[vehicle.kind]
    return DcOptions(
        interface=vehicle.interface,
        speaks=speaks,
        plug=vehicle.dc_plug,
        # DIN SPEC 70121 knows no TLS.
        v2g_root=vehicle.pki / V2G_ROOT if vehicle.tls and speaks is not Speaks.DIN else None,
        charge_s=vehicle.goal.charge_s,
        vehicle=scripted.vehicle_of(vehicle.pki) if speaks is Speaks.ISO_20 else None,
        contract=scripted.contract_of(vehicle.pki) if vehicle.kind is Kind.ISO20_DC_PNC else None,
        max_current_a=vehicle.max_dc_a,
    )


def _judge(end: SessionEnd, charger: OnboardCharger) -> Verdict:
    if end.ending is Ending.REFUSED:
        return Verdict(ExitCode.REFUSED, f"refused: {end.detail}")
    if end.ending is not Ending.STOPPED:
        return Verdict(ExitCode.FAILED, f"{end.ending.value}: {end.detail}" if end.detail else end.ending.value)
    if not charger.drew:
        return Verdict(ExitCode.FAILED, "the session ended in order, but no current ever flowed")
    return Verdict(ExitCode.AS_EXPECTED, "charged")


async def _wait_for_pwm(cable: Cable) -> None:
    """5 %, or a nominal duty, at which ISO 15118-3 lets a vehicle try to talk as well."""
    while True:
        try:
            await cable.wait_for(_offers_anything, PWM_LOOK_S)
        except TimeoutError:
            log.info("no PWM yet")
        else:
            return


def _offers_anything(levels: Levels) -> bool:
    duty_percent = pwm_percent(levels)
    return is_digital(duty_percent) or duty_limit_a(duty_percent) > 0


async def _swipe(swipe: Swipe, cable: Cable, events: EventLog) -> None:
    await asyncio.sleep(swipe.after_s)
    await _show_card(swipe, cable, events)


async def _show_card(swipe: Swipe, cable: Cable, events: EventLog) -> None:
    await cable.swipe(swipe.id_token, swipe.kind)
    events.write("swiped", id_token=swipe.id_token)


async def _leave(vehicle: Vehicle, cable: Cable, charger: OnboardCharger, events: EventLog) -> None:
    """No current, state B, and the plug out as soon as the socket lets it go, for which a card may be needed again.

    A driver whose plug stays locked pulls in vain; here the plug comes out after UNLOCK_S, and the log tells.
    """
    await charger.stopped()
    released = await _is_released(cable, CARD_AGAIN_S)
    if not released and vehicle.swipe is not None:
        await _show_card(vehicle.swipe, cable, events)
    if not released and not await _is_released(cable, UNLOCK_S):
        events.write("still_locked", contactor=cable.levels.contactor)
    await cable.set_cp("A")
    events.write("unplugged")


async def _is_released(cable: Cable, timeout_s: float) -> bool:
    try:
        await cable.wait_for(lambda levels: not levels.locked and levels.contactor == "open", timeout_s)
    except TimeoutError:
        return False
    return True
