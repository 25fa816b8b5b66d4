"""`Wire` over the EVSE-MCU link: its frames in the board floor's own words. Pure."""

import logging
from collections.abc import Callable

from hal.levels import Setpoints
from hal.mcu.link import STALE_AFTER_S, BoardLog, LinkDown, LinkEvent, LinkUp, McuLink
from hal.mcu.payloads import Ack, State, Telemetry, Token
from hal.mcu.translate import capabilities_from, control_from, levels_from, sample_from, token_from
from hal.wire import WireDown, WireEvent, WireLog, WireUp

WATCHDOG_S = 0.9
"""With the contactor's own time and the MCU's this keeps a hung daemon's power below 1.1 s."""
_LOG_LEVELS = {3: logging.ERROR, 4: logging.WARNING, 5: logging.INFO, 6: logging.INFO}


class McuWire:
    """`acknowledged` is told of every ACK: commands are the driver's business, not every board has them."""

    stale_after_s = STALE_AFTER_S

    def __init__(self, link: McuLink, acknowledged: Callable[[Ack], None]) -> None:
        self._link = link
        self._acknowledged = acknowledged
        self._phases = 1
        self.state: State | None = None
        """The latest of this conversation; so is `telemetry`."""
        self.telemetry: Telemetry | None = None

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    @property
    def state_at_s(self) -> float:
        return self._link.state_at_s

    def describe(self) -> str:
        return self._link.describe()

    def connected(self, now: float) -> None:
        self._link.connected(now)

    def disconnected(self, reason: str) -> list[WireEvent]:
        return self._told(self._link.disconnected(reason), 0.0)

    def put(self, setpoints: Setpoints, now: float) -> None:
        self._link.control(control_from(setpoints, self._phases, WATCHDOG_S), now)

    def feed(self, data: bytes, now: float) -> list[WireEvent]:
        return self._told(self._link.feed(data, now), now)

    def tick(self, now: float) -> list[WireEvent]:
        return self._told(self._link.tick(now), now)

    def deadline(self) -> float | None:
        return self._link.deadline()

    def data_to_send(self) -> bytes:
        return self._link.data_to_send()

    def _told(self, events: list[LinkEvent], now: float) -> list[WireEvent]:
        return [said for event in events for said in self._translated(event, now)]

    def _translated(self, event: LinkEvent, now: float) -> list[WireEvent]:
        match event:
            case State():
                self.state = event
                return [levels_from(event)]
            case Telemetry():
                self.telemetry = event
                return [sample_from(event)]
            case Token():
                return [token_from(event, now)]
            case LinkUp():
                self._phases = event.board.phases
                return [WireUp(capabilities_from(event.board), event.same_boot)]
            case LinkDown():
                self.state = self.telemetry = None
                return [WireDown(event.reason)]
            case BoardLog():
                return [WireLog(_LOG_LEVELS.get(event.level, logging.DEBUG), event.text)]
            case Ack():
                self._acknowledged(event)
                return []
