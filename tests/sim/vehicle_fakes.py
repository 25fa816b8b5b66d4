"""A cable in memory whose station side the test plays."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class FakeLevels:
    cp_mode: str = "X1"
    duty_percent: float = 100.0
    contactor: str = "open"
    locked: bool = False
    energy_wh: float = 500.0


class FakeCable:
    """Records what the vehicle does; closes its contactor in state C like a station that permits power."""

    def __init__(self, *, permits: bool = True) -> None:
        self.levels = FakeLevels()
        self.permits = permits
        self.did: list[tuple[object, ...]] = []
        self.cp = "A"
        self.currents_a: list[float] = [0.0, 0.0, 0.0]

    def show(self, **levels: object) -> None:
        self.levels = replace(self.levels, **levels)  # type: ignore[arg-type]

    def pwm(self, duty_percent: float) -> None:
        self.show(cp_mode="X2", duty_percent=duty_percent)

    async def set_cp(self, state: str) -> None:
        self.did.append(("cp", state))
        self.cp = state
        self.show(contactor="closed" if state == "C" and self.permits else "open")

    async def draw(self, *current_a: float) -> None:
        self.did.append(("draw", *current_a))
        self.currents_a = list(current_a)

    async def swipe(self, id_token: str, kind: str = "ISO14443") -> None:
        self.did.append(("swipe", id_token, kind))

    async def wait_for(self, predicate: Callable[[FakeLevels], bool], timeout_s: float = 10.0) -> FakeLevels:
        deadline = time.monotonic() + timeout_s
        while not predicate(self.levels):
            if time.monotonic() > deadline:
                raise TimeoutError
            await asyncio.sleep(0.005)
        return self.levels
