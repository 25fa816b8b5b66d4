"""One matching machine and one vehicle on a wire that loses frames, in virtual time: thousands of sessions a second."""

from random import Random

from hal.plc import mme
from hal.plc.slac import Matching
from hal.plc.slac_events import SlacState
from hal.plc.timings import Profile
from sim.plc.powerline import CM_MNBC_SOUND_IND
from sim.plc.vehicle import EvSlac, EvState

EVSE_MAC = bytes.fromhex("020000000101")
EV_MAC = bytes.fromhex("020000000201")
MODEM_MAC = bytes.fromhex("00b052aa0001")
PROFILE = mme.encode(EVSE_MAC, MODEM_MAC, mme.AttenProfile(pev_mac=EV_MAC, aag=[12] * mme.GROUPS))
_SOUND = CM_MNBC_SOUND_IND.to_bytes(2, "little")


class Pair:
    """`plug` to begin, `run` to the end, `unplug` to begin anew with a fresh key."""

    def __init__(self, seed: int, loss: float, profile: Profile = Profile.FIELD) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.loss = loss
        self.evse = Matching(EVSE_MAC, profile=profile)
        self.ev = EvSlac(EV_MAC, seed=seed)
        self.nmk = b""
        self.matched = 0

    def plug(self) -> None:
        self.nmk = self.random.randbytes(16)
        self.evse.set_key(self.nmk, self.now)
        self.evse.connect(self.now)
        self.ev.start(self.now)
        self._carry()

    def unplug(self) -> None:
        self.evse.disconnect(self.now)
        self.evse.clear_key(self.now)
        assert self.evse.state is SlacState.UNARMED

    def run(self) -> bool:
        """Until the vehicle has a key or gives up; whether it has one."""
        ev, evse = self.ev, self.evse
        while ev.state not in (EvState.KEYING, EvState.FAILED):
            ours, theirs = ev.deadline, evse.deadline
            self.now = min(ours, theirs) if ours is not None and theirs is not None else ours or theirs or self.now
            ev.tick(self.now)
            evse.tick(self.now)
            self._carry()
        return ev.state is EvState.KEYING

    def vehicles_key(self) -> bytes:
        assert self.ev._cnf is not None
        return self.ev._cnf.nmk

    def _is_lost(self) -> bool:
        return self.loss > 0 and self.random.random() < self.loss

    def _carry(self) -> None:
        while True:
            up, down = self.ev.take_frames(), self.evse.take_frames()
            if not up and not down:
                return
            for frame in up:
                if not self._is_lost():
                    self.evse.feed(frame, self.now)
                    if frame[15:17] == _SOUND and not self._is_lost():
                        self.evse.feed(PROFILE, self.now)
            for frame in down:
                if not self._is_lost():
                    self.ev.feed(frame, self.now)
