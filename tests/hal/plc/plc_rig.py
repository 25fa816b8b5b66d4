"""Stations, modems, a power line and vehicles in virtual time: whole matching conversations in microseconds."""

from collections.abc import Callable
from random import Random

from hal.plc.green_phy import GreenPhy
from hal.plc.timings import Profile, Timings
from hal.ports import PlcFact, SlacBegun
from sim.plc.powerline import Faults, Powerline, Role, VirtualModem
from sim.plc.vehicle import EvSlac, EvState, Habits

EVSE_MAC = bytes.fromhex("020000000100")
EV_MAC = bytes.fromhex("020000000200")


def mac(base: bytes, number: int) -> bytes:
    return base[:5] + bytes((number,))


class Rig:
    """`evses` stations and `vehicles` cars, each at its own modem; vehicle n is plugged in at station n."""

    def __init__(
        self,
        evses: int = 1,
        vehicles: int = 1,
        *,
        profile: Profile = Profile.FIELD,
        timings: Timings | None = None,
        habits: Habits | None = None,
        own_db: int = 8,
        cross_db: int = 30,
        faults: Faults | None = None,
        join_delay_s: float = 0.3,
        seed: int = 0,
    ) -> None:
        self.now = 1000.0
        randbytes = Random(seed).randbytes
        self.stations = [
            GreenPhy(mac(EVSE_MAC, n), lambda: randbytes(16), profile=profile, timings=timings)
            for n in range(1, evses + 1)
        ]
        self.vehicles = [EvSlac(mac(EV_MAC, n), habits=habits, seed=seed * 100 + n) for n in range(1, vehicles + 1)]
        self.evse_modems = [
            VirtualModem(f"evse{n}", Role.EVSE, mac(b"\x00\xb0\x52\x01\x00\x00", n)) for n in range(1, evses + 1)
        ]
        self.ev_modems = [
            VirtualModem(f"ev{n}", Role.EV, mac(b"\x00\xb0\x52\x02\x00\x00", n)) for n in range(1, vehicles + 1)
        ]
        own = {frozenset((a.name, b.name)): own_db for a, b in zip(self.evse_modems, self.ev_modems, strict=False)}
        self.line = Powerline(
            self.evse_modems + self.ev_modems,
            attenuation_db=own,
            default_db=cross_db,
            join_delay_s=join_delay_s,
            faults=faults,
            seed=seed,
        )
        self.facts: list[list[PlcFact]] = [[] for _ in self.stations]
        self._hosts: list[tuple[VirtualModem, GreenPhy | EvSlac]] = [
            *zip(self.evse_modems, self.stations, strict=True),
            *zip(self.ev_modems, self.vehicles, strict=True),
        ]
        self._host_of = {modem.name: host for modem, host in self._hosts}

    # --- one station, one vehicle: the usual names ---

    @property
    def station(self) -> GreenPhy:
        return self.stations[0]

    @property
    def vehicle(self) -> EvSlac:
        return self.vehicles[0]

    def boot(self) -> None:
        for station in self.stations:
            station.interface_up(self.now)
        self.pump()

    def plug(self, number: int = 1) -> None:
        self.stations[number - 1].vehicle_connected(True, self.now)
        self.vehicles[number - 1].start(self.now)
        self.pump()

    def unplug(self, number: int = 1) -> None:
        self.stations[number - 1].vehicle_connected(False, self.now)
        self.pump()

    # --- time and frames ---

    def pump(self) -> None:
        """Carry frames until nobody has one to send."""
        busy = True
        while busy:
            busy = False
            for modem, host in self._hosts:
                for frame in host.take_frames():
                    busy = True
                    self._deliver(self.line.from_host(modem, frame, self.now))
        for told, station in zip(self.facts, self.stations, strict=True):
            told += [fact for fact in station.take_facts() if not isinstance(fact, SlacBegun)]

    def _deliver(self, deliveries: list[tuple[VirtualModem, bytes]]) -> None:
        for modem, frame in deliveries:
            self._host_of[modem.name].feed(frame, self.now)

    def step(self, limit: float) -> None:
        """To the next deadline of anyone, but not beyond `limit`."""
        deadlines = [host.deadline for _, host in self._hosts] + [self.line.deadline]
        self.now = max(self.now, min([limit, *(d for d in deadlines if d is not None)]))
        self._deliver(self.line.tick(self.now))
        for _, host in self._hosts:
            host.tick(self.now)
        self.pump()

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """For so long, or until something is true; whether it became true."""
        limit = self.now + seconds
        while self.now < limit:
            if until is not None and until():
                return True
            self.step(limit)
        return until is not None and until()

    # --- what the tests ask ---

    def told(self, kind: type[PlcFact], number: int = 1) -> list[PlcFact]:
        return [fact for fact in self.facts[number - 1] if isinstance(fact, kind)]

    def is_linked(self, number: int = 1) -> bool:
        """Both sides say so, and they hold the same key."""
        same = self.evse_modems[number - 1].nmk == self.ev_modems[number - 1].nmk
        station = self.stations[number - 1].matching
        vehicle = self.vehicles[number - 1]
        return same and station.state == "linked" and vehicle.state is EvState.LINKED

    def all_linked(self) -> bool:
        return all(self.is_linked(n) for n in range(1, len(self.stations) + 1))
