"""The station's wall time: the system's clock, or the CSMS's where the system's cannot be right. Pure.

A board without a battery wakes up in 1970. Until the CSMS has told the time, events carry the system's time as it is;
`corrected` puts it right when they are sent, so that no CSMS ever sees it. With TimeSource "Heartbeat" before "NTP" the
CSMS's time is followed always.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ocpp_client.wire import format_time, parse_time

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""Before this software was written no time can be right."""
_TIMESTAMP = re.compile(r'("(?:timestamp|generatedAt)":")(\d{4}-[^"]*)"')


class StationClock:
    """`system` is the wall clock, `monotonic` runs on through its jumps; `follow_csms` is asked each time."""

    def __init__(
        self, system: Callable[[], datetime], monotonic: Callable[[], float], follow_csms: Callable[[], bool]
    ) -> None:
        self._system = system
        self._monotonic = monotonic
        self._follow_csms = follow_csms
        self._reference: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        system = self._system()
        return system + self._offset(system)

    @property
    def trusted(self) -> bool:
        """Whether the time is right, as far as a station can know: fit to compare with what was written before."""
        return self.now() >= EARLIEST and (self._reference is not None or not self._follow_csms())

    def _offset(self, system: datetime) -> timedelta:
        if self._reference is None or (system >= EARLIEST and not self._follow_csms()):
            return timedelta(0)
        told, at_s = self._reference
        return told + timedelta(seconds=self._monotonic() - at_s) - system

    def csms_says(self, text: str | None) -> bool:
        """A currentTime of the CSMS; False when it cannot be right either."""
        try:
            told = parse_time(text or "")
        except ValueError:
            return False
        if told < EARLIEST:
            return False
        self._reference = (told, self._monotonic())
        return True

    def reading_time(self, wall_time: datetime) -> datetime:
        """A time the board took from the system's clock, by this clock."""
        return wall_time + self._offset(self._system())

    def corrected(self, payload_json: str) -> str:
        """A payload whose timestamps from before the clock was set are put right, none after now."""
        system = self._system()
        shift = self._offset(system)
        now = system + shift
        if now < EARLIEST:
            return payload_json

        def put_right(match: re.Match[str]) -> str:
            at = parse_time(match[2])
            return match[0] if at >= EARLIEST else f'{match[1]}{format_time(min(at + shift, now))}"'

        return _TIMESTAMP.sub(put_right, payload_json)
