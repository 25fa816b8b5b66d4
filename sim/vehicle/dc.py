"""A DC vehicle: a scripted session of DIN SPEC 70121, ISO 15118-2 or -20 over a battery at the cabinet's DC contacts.

It closes its own contactors when the pre-charge has brought the output to its battery's voltage, and opens them once
the station has ended the current; that it opens them under load is in the log.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sim.dc.plug import DcPlug
from sim.ev.link import Ending, Exchange, Outcome, drive
from sim.ev.script import Reply
from sim.ev.tls import context_2, context_20
from sim.ev.values import of_physical, of_rational
from sim.ev.wishes import Credential, Service, Speaks, Wishes
from sim.vehicle.log import EventLog
from sim.vehicle.ports import Cable
from sim.vehicle.verdict import ExitCode, Verdict

LOOP_PACE_S = 0.15
"""Between CurrentDemandReq; a real one takes up to a quarter of a second."""
ONGOING_PACE_S = 0.1
LOAD_A = 1.0
NO_CURRENT_S = 3.0
"""How long the station may take to end the current after PowerDelivery Stop."""


@dataclass(frozen=True, slots=True)
class DcOptions:
    interface: str
    speaks: Speaks
    plug: Path
    v2g_root: Path | None
    """None: no TLS."""
    charge_s: float
    vehicle: Credential | None = None
    """The vehicle's own certificate, which ISO 15118-20 wants to see."""
    contract: Credential | None = None
    """None: somebody else pays."""
    battery_v: float = 380.0
    soc_percent: float = 30.0
    max_current_a: float = 60.0


async def charge(options: DcOptions, cable: Cable, events: EventLog) -> Verdict:
    """The session from SDP to SessionStop. Raises OSError when there is no cabinet at the plug."""
    async with await DcPlug.connect(options.plug) as plug:
        await plug.plug_in(options.battery_v, options.soc_percent)
        try:
            return await _Session(options, cable, plug, events).run()
        finally:
            await plug.close_contactors(False)
            await plug.unplug()


_STATUS = ("EVSEStatusCode", "EVSENotification", "EVSEIsolationStatus")


class _Session:
    def __init__(self, options: DcOptions, cable: Cable, plug: DcPlug, events: EventLog) -> None:
        self._options = options
        self._cable = cable
        self._plug = plug
        self._events = events
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._drew = False
        self._status: tuple[object, ...] = ()

    async def run(self) -> Verdict:
        options = self._options
        wishes = Wishes(
            speaks=options.speaks,
            service=Service.DC,
            contract=options.contract,
            loops=max(1, round(options.charge_s / LOOP_PACE_S)),
            loop_pace_s=LOOP_PACE_S,
            ongoing_pace_s=ONGOING_PACE_S,
            battery_v=options.battery_v,
            max_voltage_v=options.battery_v * 1.15,
            max_current_a=options.max_current_a,
        )
        outcome = await drive(wishes, options.interface, tls=self._tls(), power=self._power, heard=self._heard)
        self._events.write("session_over", ending=outcome.ending.value, detail=outcome.detail)
        return self._verdict(outcome)

    def _tls(self) -> ssl.SSLContext | None:
        options = self._options
        if options.v2g_root is None:
            return None
        root = options.v2g_root.read_bytes()
        return context_20(root, options.vehicle) if options.speaks is Speaks.ISO_20 else context_2(root)

    async def _power(self, on: bool) -> None:
        """State C before CableCheckReq; after PowerDelivery Stop the contactors without current, then state B."""
        if not on:
            await self._wait_for_no_current()
            await self._close_contactors(False)
        await self._cable.set_cp("C" if on else "B")
        self._events.write("pilot", state="C" if on else "B")

    async def _wait_for_no_current(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(NO_CURRENT_S):
                while self._plug.contacts.current_a > LOAD_A:
                    await asyncio.sleep(0.02)

    def _heard(self, exchange: Exchange, reply: Reply) -> None:
        self._events.write("message", name=reply.name, code=reply.code, took_s=exchange.answered_s - exchange.sent_s)
        self._note_status(reply)
        contacts = self._plug.contacts
        if reply.name in ("PreChargeRes", "DC_PreChargeRes"):
            read = of_rational if self._options.speaks is Speaks.ISO_20 else of_physical
            present_v = read(reply.elements["EVSEPresentVoltage"])
            if abs(present_v - self._options.battery_v) <= 20 and not self._closed:
                self._closing = asyncio.create_task(self._close_contactors(True))
        if contacts.current_a > LOAD_A and not self._drew:
            self._drew = True
            self._events.write("draw", current_a=contacts.current_a, voltage_v=contacts.voltage_v)

    def _note_status(self, reply: Reply) -> None:
        status = reply.elements.get("DC_EVSEStatus")
        if status is None:
            return
        said = (
            str(status["EVSEStatusCode"]),
            str(status["EVSENotification"]),
            str(status.get("EVSEIsolationStatus", "")),
        )
        if said != self._status:
            self._status = said
            self._events.write("dc_status", message=reply.name, code=said[0], notification=said[1], isolation=said[2])

    async def _close_contactors(self, closed: bool) -> None:
        if closed is self._closed:
            return
        self._closed = closed
        current_a = self._plug.contacts.current_a
        self._events.write("contactors", closed=closed, current_a=current_a, under_load=current_a > LOAD_A)
        await self._plug.close_contactors(closed)

    def _verdict(self, outcome: Outcome) -> Verdict:
        if outcome.ending is Ending.REFUSED:
            return Verdict(ExitCode.REFUSED, f"refused: {outcome.detail}")
        if outcome.ending is not Ending.FINISHED:
            return Verdict(ExitCode.FAILED, f"{outcome.ending.value}: {outcome.detail}")
        if not self._drew:
            return Verdict(ExitCode.FAILED, "the session ended in order, but no current ever flowed")
        return Verdict(ExitCode.AS_EXPECTED, "charged")
