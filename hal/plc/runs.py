"""The runs of one EVSE: those in progress, and a record of the last that ended."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from hal.plc.run import Run, RunKey, RunState, Verdict
from hal.plc.timings import MAX_RUNS

RECORDED_RUNS = 50


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run for the technician; times in seconds from its first CM_SLAC_PARM.REQ."""

    ev_mac: bytes
    run_id: bytes
    verdict: Verdict
    sounds: int
    expected: int
    """Sounds the vehicle announced."""
    mean_db: float
    worst_db: float
    sounding_s: float
    reported_s: float
    ended_s: float
    at_s: float


class Runs:
    """At most MAX_RUNS in progress, by vehicle and RunID."""

    def __init__(self) -> None:
        self.records: deque[RunRecord] = deque(maxlen=RECORDED_RUNS)
        self._runs: dict[RunKey, Run] = {}

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, key: RunKey) -> Run | None:
        return self._runs.get(key)

    def add(self, run: Run) -> None:
        self._runs[run.key] = run

    def make_room(self) -> bool:
        """Whether another run may begin; one that has not begun to sound gives way."""
        if len(self._runs) < MAX_RUNS:
            return True
        idle = next((run for run in self if run.state is RunState.REQUESTED), None)
        if idle is None:
            return False
        # Not recorded: a flood would push out the runs worth reading.
        del self._runs[idle.key]
        return True

    def sounding_of(self, ev_mac: bytes) -> Run | None:
        """The latest run of a vehicle that sounds now: a profile names the vehicle, not the run."""
        sounding = [run for run in self if run.ev_mac == ev_mac and run.state is RunState.SOUNDING]
        return max(sounding, key=_start_of, default=None)

    def end(self, run: Run, verdict: Verdict, now: float) -> None:
        self._runs.pop(run.key, None)
        begun = run.first_parm_at
        record = RunRecord(
            run.ev_mac,
            run.run_id,
            verdict,
            run.sounds,
            run.expected,
            run.mean_db(),
            run.worst_db(),
            run.start_at - begun,
            run.reported_at - begun,
            now - begun,
            now,
        )
        self.records.append(record)


def _start_of(run: Run) -> float:
    return run.start_at
