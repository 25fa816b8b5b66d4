"""An Infy charging module from the inside: frames in, frames out, its share of the plant. Pure.

It has its own way of reading and writing frames, so that a mistake in the driver's shows.
"""

import struct
from dataclasses import dataclass

from sim.dc.plant import DcPlant

COMMUNICATION_LOST_S = 15.0


@dataclass(slots=True)
class InfyModule:
    """`answer(can_id, data, now)` gives the frame it sends, None for none. Modules in parallel share one plant."""

    address: int
    plant: DcPlant
    share: float = 1.0
    """Of the plant's current that is this module's."""
    max_voltage_v: int = 1000
    min_voltage_v: int = 150
    max_current_a: float = 133.3
    power_w: int = 40_000
    silent: bool = False
    alarms: int = 0
    """Bits of the status bytes 5, 6, 7, as in 0x020000 for 'over-temperature' # byte 5 lowest."""
    on: bool = False
    heard_at_s: float = 0.0

    def answer(self, can_id: int, data: bytes, now: float) -> tuple[int, bytes] | None:
        device, command = (can_id >> 22) % 16, (can_id >> 16) % 64
        destination, source = (can_id >> 8) % 256, can_id % 256
        if device != 10 or destination not in (self.address, 0x3F) or self.silent:
            return None
        self.heard_at_s = now
        said = self._obey(command, data)
        if said is None:
            return None
        return (10 << 22) + (command << 16) + (source << 8) + self.address, said

    def tick(self, now: float) -> None:
        """Without a word from the controller it ends by itself."""
        if self.on and now - self.heard_at_s > COMMUNICATION_LOST_S:
            self.on = self.plant.on = False

    def _obey(self, command: int, data: bytes) -> bytes | None:
        plant = self.plant
        if command == 3:
            return struct.pack(">f", plant.supply_v) + struct.pack(">f", plant.current_a * self.share)
        if command == 4:
            status = self.alarms | (0 if self.on else 1 << 8)
            return bytes(5) + bytes((status & 0xFF, status >> 8 & 0xFF, status >> 16 & 0xFF))
        if command == 10:
            return struct.pack(
                ">4H", self.max_voltage_v, self.min_voltage_v, round(self.max_current_a * 10), self.power_w // 10
            )
        if command == 28 and len(data) == 8:
            plant.set_v = int.from_bytes(data[:4]) / 1000
            plant.set_a = int.from_bytes(data[4:]) / 1000 / self.share
            return data
        if command == 26 and len(data) == 8:
            self.on = plant.on = data[0] == 0
            return data
        return None
