"""The simulated MCU: safety core and plant between two lines, the UART to the daemon and the cable to the vehicle."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from hal.duty import current_for_duty
from hal.mcu.faults import to_bits
from hal.mcu.frames import Frame
from hal.mcu.payloads import (
    Ack,
    AckResult,
    BoardFlag,
    Command,
    CommandCode,
    Control,
    Hello,
    HelloAck,
    Payload,
    State,
    StateFlag,
    Telemetry,
    Token,
    TokenKind,
    WireContactor,
    WireCp,
    WireCpMode,
)
from hal.mcu.reader import FrameReader
from hal.ports import Fault
from sim.mcu.cable import Levels
from sim.mcu.core import SafetyCore
from sim.mcu.line import PtyLine
from sim.mcu.plant import Plant

log = logging.getLogger(__name__)

STATE_PERIOD_S = 0.1
TOKEN_LIFE_S = 5.0
_MAX_LINE = 4096
_STEADY_DUTY = {WireCpMode.X1: 100.0, WireCpMode.E: 0.0, WireCpMode.F: 0.0}


@dataclass(frozen=True, slots=True)
class Settings:
    pty_link: Path
    cable: Path
    trace: Path | None = None
    evse: int = 1
    phases: int = 3
    voltage_v: float = 230.0
    max_current_a: float = 32.0
    energy_wh: float = 0.0
    has_lock: bool = True
    has_ventilation: bool = False
    pp_ampacity_a: int = 32
    telemetry_s: float = 1.0
    corrupt: float = 0.0
    seed: int = 0
    model: str = "sim-mcu"


class SimulatedMcu:
    """`run()` until cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._chance = random.Random(settings.seed)
        self._reader = FrameReader()
        self._trace: TextIO | None = settings.trace.open("a", encoding="utf-8") if settings.trace else None
        self._traced: dict[str, object] = {}
        self._cables: set[asyncio.StreamWriter] = set()
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        self._plant = Plant(settings.voltage_v, time.monotonic(), settings.energy_wh)
        self._cp = WireCp.A
        self._boot()

    async def run(self) -> None:
        settings = self._settings
        settings.cable.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve_cable, settings.cable, limit=_MAX_LINE)
        # The pty's path comes last: whoever sees it may start.
        self._line = PtyLine(settings.pty_link, self._received, settings.corrupt, self._chance)
        try:
            self._step()
            await asyncio.get_running_loop().create_future()
        finally:
            self._line.close()
            server.close()
            settings.cable.unlink(missing_ok=True)

    def _boot(self) -> None:
        self._booted_s = time.monotonic()
        self._core = SafetyCore(self._booted_s)
        self._boot_id = self._chance.getrandbits(32) if self._settings.seed else random.getrandbits(32)
        self._token: Token | None = None
        self._token_until_s = 0.0
        self._token_number = 0
        self._next_state_s = self._next_telemetry_s = self._booted_s
        self._sent: object = None
        self._shown: object = None
        self._core.vehicle(self._cp, self._booted_s)
        self._note(self._booted_s, "boot", self._boot_id)

    # --- one turn of the MCU's main loop ---

    def _step(self) -> None:
        now = time.monotonic()
        core, plant = self._core, self._plant
        plant.tick(now)
        core.feedback(plant.contactor.position, now)
        core.current(max(plant.current_a))
        core.tick(now)
        plant.drive(core.coil, core.lock, now)
        self._tell_host(now)
        self._tell_vehicle(now)
        self._trace_changes(now)
        self._arm(now)

    def _arm(self, now: float) -> None:
        due = min(self._core.deadline(now), self._plant.deadline(), self._next_state_s, self._next_telemetry_s)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._step)

    # --- towards the daemon ---

    def _received(self, data: bytes) -> None:
        now = time.monotonic()
        for frame in self._reader.feed(data):
            if frame.evse == self._settings.evse and not self._silent:
                self._obey(frame, now)
        self._step()

    def _obey(self, frame: Frame, now: float) -> None:
        match frame.payload:
            case Hello(nonce):
                self._core.hello()
                self._send(self._introduction(nonce))
            case Control() as control:
                self._core.control(control, now)
                if self._token and control.token_seen == self._token.number:
                    self._token = None
            case Command(code):
                self._send(Ack(frame.seq, self._do(code)))

    def _do(self, code: int) -> AckResult:
        if code == CommandCode.RESET_FAULT:
            return AckResult.DONE if self._core.reset_fault() else AckResult.REFUSED
        if code == CommandCode.REBOOT:
            asyncio.get_running_loop().call_soon(self._boot)
            return AckResult.DONE
        return AckResult.UNSUPPORTED

    def _introduction(self, nonce: int) -> HelloAck:
        settings = self._settings
        flags = BoardFlag.READER
        flags |= BoardFlag.LOCK if settings.has_lock else BoardFlag(0)
        flags |= BoardFlag.VENTILATION if settings.has_ventilation else BoardFlag(0)
        return HelloAck(
            nonce=nonce,
            boot_id=self._boot_id,
            max_current_da=round(settings.max_current_a * 10),
            min_current_da=60,
            nominal_voltage_dv=round(settings.voltage_v * 10),
            phases=settings.phases,
            flags=flags,
            model=settings.model,
            firmware="1.0.0",
        )

    def _tell_host(self, now: float) -> None:
        core = self._core
        levels = (core.cp, core.cp_mode, core.duty_centi, self._flags(), core.contactor, core.faults, core.unplug_count)
        if now >= self._next_state_s or levels != self._sent:
            self._sent = levels
            self._next_state_s = now + STATE_PERIOD_S
            self._send(self._state(now))
            if self._token and now < self._token_until_s:
                self._send(self._token)
        if now >= self._next_telemetry_s:
            self._next_telemetry_s = now + self._settings.telemetry_s
            self._send(self._telemetry())
            self._shown = None

    def _flags(self) -> StateFlag:
        return self._core.flags | (StateFlag.LOCKED if self._plant.lock.position else StateFlag(0))

    def _state(self, now: float) -> State:
        core = self._core
        return State(
            cp=core.cp,
            cp_mode=core.cp_mode,
            duty_centi=core.duty_centi,
            flags=self._flags(),
            contactor=core.contactor,
            pp_ampacity_a=self._settings.pp_ampacity_a,
            faults=core.faults,
            cp_high_cv={WireCp.A: 1200, WireCp.B: 900, WireCp.C: 600, WireCp.D: 300}.get(core.cp, 0),
            cp_low_cv=-1200 if core.cp_mode in (WireCpMode.X2, WireCpMode.F) else 0,
            unplug_count=core.unplug_count,
            contactor_ms=core.contactor_ms,
            control_age_ms=round(min(core.control_age_s(now) * 1000, 0xFFFF)),
            uptime_ms=round((now - self._booted_s) * 1000) & 0xFFFFFFFF,
        )

    def _telemetry(self) -> Telemetry:
        plant = self._plant
        i1, i2, i3 = (round(value * 100) for value in plant.current_a)
        u1, u2, u3 = (round(value * 10) for value in plant.voltage_v)
        return Telemetry(
            energy_mwh=round(plant.energy_wh * 1000),
            power_dw=round(plant.power_w * 10),
            current_ca=(i1, i2, i3),
            voltage_dv=(u1, u2, u3),
            board_temp_dc=350,
            plug_temp_dc=280,
            sample_age_ms=0,
        )

    def _send(self, payload: Payload) -> None:
        if self._silent:
            return
        self._seq = (self._seq + 1) & 0xFFFF
        self._line.write(Frame(self._seq, self._settings.evse, payload).to_wire())

    # --- towards the vehicle ---

    async def _serve_cable(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._cables.add(writer)
        writer.write(self._levels(time.monotonic()).to_line())
        try:
            while line := await reader.readline():
                self._heard(line)
        except (ConnectionError, ValueError) as error:
            log.warning("cable closed: %s", error)
        finally:
            self._cables.discard(writer)
            writer.close()

    def _heard(self, line: bytes) -> None:
        try:
            self._undergo(json.loads(line), time.monotonic())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("not understood on the cable: %r: %s", line[:80], error)
            return
        self._step()

    def _undergo(self, said: dict[str, object], now: float) -> None:
        match said:
            case {"cp": str(state)} if state in ("A", "B", "C", "D", "E"):
                self._cp = WireCp[state]
                self._core.vehicle(self._cp, now)
                self._note(now, "cp", state)
            case {"draw_a": [*draw]}:
                currents = [float(str(value)) for value in draw][:3]
                i1, i2, i3 = currents + [0.0] * (3 - len(currents))
                self._plant.draw((i1, i2, i3), now)
            case {"swipe": {"id_token": str(uid), "kind": str(kind)}}:
                self._present(Token(self._token_number % 255 + 1, TokenKind[kind], bytes.fromhex(uid)), now)
            case {"fault": str(name), "active": bool(active)}:
                self._fault(name, active, now)
            case _:
                raise ValueError("no such word")

    def _present(self, token: Token, now: float) -> None:
        self._token_number = token.number
        self._token, self._token_until_s = token, now + TOKEN_LIFE_S
        self._send(token)

    def _fault(self, name: str, active: bool, now: float) -> None:
        contactor, lock = self._plant.contactor, self._plant.lock
        match name:
            case "weld":
                contactor.stuck_on = active
            case "stuck_open":
                contactor.stuck_off = active
            case "lock_jam":
                lock.stuck_on = lock.stuck_off = active
            case "silence":
                self._silent = active
            case "reset":
                self._boot()
            case _:
                self._core.inject(to_bits([Fault(name)]), active)
        if not active and name in ("weld", "stuck_open", "lock_jam"):
            contactor.free(now)
            lock.free(now)
        self._note(now, "fault", f"{name} {'on' if active else 'off'}")

    def _levels(self, now: float) -> Levels:
        core, plant = self._core, self._plant
        duty = _STEADY_DUTY.get(core.cp_mode, core.duty_centi / 100)
        return Levels(
            t=now,
            cp=self._cp.name,
            cp_mode=core.cp_mode.name,
            duty_percent=duty,
            contactor=(WireContactor.CLOSED if plant.contactor.position else WireContactor.OPEN).name.lower(),
            locked=plant.lock.position,
            limit_a=current_for_duty(duty) if core.cp_mode is WireCpMode.X2 else 0.0,
            permitted=core.allowed,
            energy_wh=round(plant.energy_wh, 3),
            current_a=list(plant.current_a),
            voltage_v=list(plant.voltage_v),
        )

    def _tell_vehicle(self, now: float) -> None:
        levels = self._levels(now)
        # Time and energy always change; they go along with something else, and with each telemetry.
        shown = replace(levels, t=0.0, energy_wh=0.0)
        if shown != self._shown:
            self._shown = shown
            for cable in self._cables:
                cable.write(levels.to_line())

    # --- the trace ---

    def _trace_changes(self, now: float) -> None:
        for event, value in self._observed():
            if self._traced.get(event) != value:
                self._traced[event] = value
                self._note(now, event, value)

    def _observed(self) -> Iterator[tuple[str, object]]:
        core, plant = self._core, self._plant
        yield "contactor", "closed" if plant.contactor.position else "open"
        yield "coil", core.coil
        yield "pilot", [core.cp_mode.name, core.duty_centi / 100]
        yield "permitted", core.allowed
        yield "tripped", core.tripped
        yield "locked", plant.lock.position
        yield "faults", core.faults

    def _note(self, now: float, event: str, value: object) -> None:
        if self._trace is not None:
            self._trace.write(json.dumps({"t": now, "event": event, "value": value}) + "\n")
            self._trace.flush()
