"""One EVSE's Green PHY link on its own interface: the asyncio driver of `GreenPhy`."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hal.plc.amplitude import MapOutcome
from hal.plc.counters import driver_counters
from hal.plc.green_phy import GreenPhy
from hal.plc.mme import NMK_LENGTH
from hal.plc.modem import ModemInfo, ModemState
from hal.plc.port import InterfaceDown, InterfaceGone, PacketPort, PortError
from hal.plc.runs import RunRecord
from hal.plc.slac_events import SlacState
from hal.plc.timings import Profile, Timings
from hal.plc.vendor_mme import Network, Vendor
from hal.ports import HalError, ModemFault, PlcFact
from hal.quantities import EvseId

# An interface that is missing or down is looked for this often.
INTERFACE_POLL_S = 0.25
# How long a modem may take to tell its networks, or its role after it has the key.
TELL_TIMEOUT_S = 0.3
_POLL_S = 0.005
_NO_MAC = bytes(6)


class LinkBusy(HalError):
    """A vehicle is plugged in, or another asks for the same; nothing was changed."""


class SelfTestFailed(HalError):
    """The modem did not come to carry a key in time; the message says how far it got."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A modem that answered and carries a fresh key; times from the test's beginning."""

    modem: ModemInfo
    verified_by: str
    """The message that told the key's NID; CM_SET_KEY.CNF where the modem tells none."""
    answered_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class PlcStatus:
    """How one EVSE's link stands, for the technician."""

    interface: str
    modem: ModemInfo | None
    modem_state: ModemState
    slac_state: SlacState
    link_up: bool
    ev_mac: bytes | None
    networks: Sequence[Network]
    """The modem's network and its other members, where the modem tells."""
    map_outcome: MapOutcome | None
    map_carriers: int
    """What became of the vehicle's CM_AMP_MAP.REQ, and for how many carriers it was."""
    runs: Sequence[RunRecord]
    """The last, oldest first."""
    drops: Mapping[str, int]
    """SLAC messages not acted on, by reason."""
    modem_drops: Mapping[str, int]
    driver_counters: Mapping[str, int]


FrameWatcher = Callable[[bytes], None]


class GreenPhyLink:
    """`hal.ports.PlcLink` over a packet socket. One timer serves every deadline of both machines."""

    def __init__(
        self,
        interface: str,
        evse: EvseId,
        report: Callable[[PlcFact], None],
        *,
        profile: Profile = Profile.FIELD,
        timings: Timings | None = None,
        attenuation_offset_db: int = 0,
        counts_toggles: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interface = interface
        self._log = logging.getLogger(f"evse.{evse}.plc")
        self._report = report
        self._clock = clock
        self._port: PacketPort | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_up: bool | None = None
        self._port_fault: str | None = None
        self._connected = False
        self._watcher: FrameWatcher | None = None
        self._tests = False
        self._settings = (profile, timings, attenuation_offset_db, counts_toggles)
        self.machine = self._new_machine(_NO_MAC)

    async def open(self) -> None:
        """Start to look for the interface and the modem. Raises nothing: trouble is reported as ModemFault."""
        self._loop = asyncio.get_running_loop()
        self._look_at_interface()

    async def close(self) -> None:
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()
        self._timer = self._watch = None
        self._close_port()

    def vehicle_connected(self, connected: bool) -> None:
        self._connected = connected
        self.machine.vehicle_connected(connected, self._clock())
        self._flush()

    def terminate(self) -> None:
        self.machine.terminate(self._clock())
        self._flush()

    def pause(self) -> None:
        """D-LINK_PAUSE: the session sleeps, the vehicle keeps the key."""
        self.machine.pause(self._clock())
        self._flush()

    def resume(self) -> None:
        """The vehicle (BCB toggle) or the station (B1 to B2) woke the other: LinkReady once the link is back."""
        self.machine.resume(self._clock())
        self._flush()

    def pilot_toggled(self) -> None:
        """One BCB toggle seen by the board, for CM_VALIDATE."""
        self.machine.pilot_toggled()

    # --- for the technician ---

    def status(self) -> PlcStatus:
        matching, modem = self.machine.matching, self.machine.modem
        return PlcStatus(
            interface=self.interface,
            modem=modem.info,
            modem_state=modem.state,
            slac_state=matching.state,
            link_up=modem.link_up,
            ev_mac=matching.matched_mac,
            networks=modem.networks,
            map_outcome=self.machine.amplitude.outcome,
            map_carriers=self.machine.amplitude.carriers,
            runs=matching.records,
            drops=dict(matching.drops),
            modem_drops=dict(self.machine.modem_drops),
            driver_counters=driver_counters(self.interface),
        )

    async def networks(self) -> Sequence[Network]:
        """The modem's networks as they are now, or as last told where it does not answer."""
        before = self.machine.modem.networks
        if self.machine.modem.ask_network():
            self._flush()
            await self._wait(lambda: self.machine.modem.networks is not before, TELL_TIMEOUT_S)
        return self.machine.modem.networks

    async def selftest(self, timeout_s: float = 5.0) -> SelfTest:
        """Find the modem anew, set a fresh key and verify it. Raises LinkBusy, SelfTestFailed."""
        if self._connected:
            raise LinkBusy("a vehicle is plugged in")
        if self._tests:
            raise LinkBusy("a self-test is under way")
        self._tests = True
        try:
            return await self._selftest(timeout_s)
        finally:
            self._tests = False

    async def _selftest(self, timeout_s: float) -> SelfTest:
        if self.machine.modem.state is ModemState.DOWN:
            raise SelfTestFailed(self._why_not_ready(""))
        begun = self._clock()
        self.machine.start_over(begun)
        self._flush()
        if not await self._wait(lambda: self.machine.modem.info is not None, timeout_s):
            raise SelfTestFailed(self._why_not_ready("the modem does not answer"))
        answered_s = self._clock() - begun
        if not await self._wait(lambda: self.machine.is_ready, timeout_s - answered_s):
            raise SelfTestFailed(self._why_not_ready("the modem answers but does not take a key"))
        took_s = self._clock() - begun
        modem, info = self.machine.modem, self.machine.modem.info
        assert info is not None
        if info.vendor is Vendor.QUALCOMM:
            await self._wait(lambda: modem.info is None or modem.info.slac_mode is not None, TELL_TIMEOUT_S)
        return SelfTest(modem.info or info, modem.verified_by, answered_s, took_s)

    def _why_not_ready(self, otherwise: str) -> str:
        if self.machine.modem.state is ModemState.DOWN:
            return self._port_fault or f"{self.interface}: interface down"
        return otherwise

    async def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it came true in time."""
        until = self._clock() + timeout_s
        while not condition() and self._clock() < until:
            await asyncio.sleep(_POLL_S)
        return condition()

    def watch_frames(self, watcher: FrameWatcher | None) -> None:
        """Show every frame, in and out, to `watcher`; None ends it. Keys are blanked by `Capture`, not here."""
        self._watcher = watcher

    # --- the interface ---

    def _new_machine(self, mac: bytes) -> GreenPhy:
        profile, timings, offset_db, counts_toggles = self._settings
        return GreenPhy(
            mac,
            lambda: os.urandom(NMK_LENGTH),
            profile=profile,
            timings=timings,
            attenuation_offset_db=offset_db,
            counts_toggles=counts_toggles,
        )

    def _look_at_interface(self) -> None:
        self._watch = self._loop.call_later(INTERFACE_POLL_S, self._look_at_interface)
        port = self._port or self._open_port()
        if port is None:
            return
        up = self._is_running(port)
        if up and not self._is_up:
            self._is_up = True
            self.machine.interface_up(self._clock())
        elif not up:
            self._go_down()
        self._flush()

    def _is_running(self, port: PacketPort) -> bool:
        try:
            return port.is_running()
        except InterfaceGone:
            self._close_port()
            return False

    def _close_port(self) -> None:
        if self._port is not None:
            self._loop.remove_reader(self._port.fileno())
            self._port.close()
            self._port = None

    def _open_port(self) -> PacketPort | None:
        try:
            port = PacketPort(self.interface)
        except PortError as error:
            if self._port_fault is None:
                self._port_fault = str(error)
                self._log.error("%s", error)
                self._report(ModemFault(self._port_fault, active=True, at_s=self._clock()))
            return None
        if self._port_fault is not None:
            self._report(ModemFault(self._port_fault, active=False, at_s=self._clock()))
            self._port_fault = None
        self._port = port
        self.machine = self._new_machine(port.mac)
        if self._connected:
            self.machine.vehicle_connected(True, self._clock())
        self._loop.add_reader(port.fileno(), self._receive)
        return port

    def _go_down(self) -> None:
        if self._is_up is not False:
            self._is_up = False
            self.machine.interface_down(self._clock())

    # --- frames and time ---

    def _receive(self) -> None:
        assert self._port is not None
        try:
            for frame in self._port.frames():
                if self._watcher is not None:
                    self._watcher(frame)
                self.machine.feed(frame, self._clock())
                self._send()
        except InterfaceDown:
            self._go_down()
        self._flush()

    def _send(self) -> None:
        for frame in self.machine.take_frames():
            if self._watcher is not None:
                self._watcher(frame)
            if self._port is not None:
                self._port.send(frame)

    def _flush(self) -> None:
        """Send, report, and set the one timer."""
        try:
            self._send()
        except InterfaceDown:
            self._go_down()
            self.machine.take_frames()
        for fact in self.machine.take_facts():
            self._report(fact)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.machine.deadline
        if deadline is not None and self._port is not None:
            self._timer = self._loop.call_later(max(deadline - self._clock(), 0.0), self._on_timer)

    def _on_timer(self) -> None:
        self.machine.tick(self._clock())
        self._flush()
