"""A vehicle's part spoken by hand: any message, with any field wrong, to one matching machine in virtual time."""

from typing import Any

from hal.plc import mme
from hal.plc.frame import BROADCAST
from hal.plc.slac import Matching
from hal.plc.slac_events import Begun
from hal.plc.timings import Profile

EVSE = bytes.fromhex("020000000101")
EV = bytes.fromhex("020000000201")
OTHER_EV = bytes.fromhex("020000000202")
OTHER_EVSE = bytes.fromhex("020000000102")
MODEM = bytes.fromhex("00b052aa0001")
RUN = bytes.fromhex("0102030405060708")
OTHER_RUN = bytes.fromhex("ffffffff05060708")
NMK = bytes(range(16))


class Talk:
    """`>>` are the methods named after messages: each feeds one and returns what the EVSE says to it."""

    def __init__(self, profile: Profile = Profile.STRICT, *, armed: bool = True, **options: Any) -> None:
        self.now = 100.0
        self.evse = Matching(EVSE, profile=profile, **options)
        self.ev = EV
        self.run = RUN
        self.begun: list[Begun] = []
        if armed:
            self.evse.set_key(NMK, self.now)
            self.evse.connect(self.now)

    # --- the vehicle speaks ---

    def say(self, message: mme.Message, *, source: bytes | None = None, to: bytes = BROADCAST) -> list[mme.Message]:
        return self.raw(mme.encode(to, source or self.ev, message))

    def raw(self, frame: bytes) -> list[mme.Message]:
        self.evse.feed(frame, self.now)
        return self.heard()

    def parm_req(self, **fields: Any) -> list[mme.Message]:
        return self.say(mme.SlacParmReq(**{"run_id": self.run, **fields}))

    def start(self, **fields: Any) -> list[mme.Message]:
        usual = {"num_sounds": 10, "time_out": 6, "forwarding_sta": self.ev, "run_id": self.run}
        return self.say(mme.StartAttenChar(**{**usual, **fields}))

    def sound(self, **fields: Any) -> list[mme.Message]:
        return self.say(mme.MnbcSound(**{"cnt": 9, "run_id": self.run, **fields}))

    def profile(self, db: int = 10, **fields: Any) -> list[mme.Message]:
        usual = {"pev_mac": self.ev, "aag": [db] * mme.GROUPS}
        return self.say(mme.AttenProfile(**{**usual, **fields}), source=MODEM, to=EVSE)

    def rsp(self, **fields: Any) -> list[mme.Message]:
        usual = {"source_address": self.ev, "run_id": self.run, "source_id": 0, "resp_id": 0, "result": 0}
        return self.say(mme.AttenCharRsp(**{**usual, **fields}), to=EVSE)

    def validate_req(self, **fields: Any) -> list[mme.Message]:
        return self.say(mme.ValidateReq(**{"signal_type": 0, "timer": 0, "result": 1, **fields}), to=EVSE)

    def match_req(self, **fields: Any) -> list[mme.Message]:
        usual = {"pev_mac": self.ev, "evse_mac": EVSE, "run_id": self.run}
        return self.say(mme.MatchReq(**{**usual, **fields}), to=EVSE)

    def amp_map(self) -> list[mme.Message]:
        return self.say(mme.AmpMap(4, b"\x11\x11"), to=EVSE)

    # --- as far as ... ---

    def until_sounding(self) -> None:
        self.parm_req()
        self.start()

    def until_reported(self) -> None:
        self.until_sounding()
        for _ in range(10):
            self.profile()

    def until_choosing(self) -> None:
        self.until_reported()
        self.rsp()

    def until_matched(self) -> None:
        self.until_choosing()
        self.match_req()

    def until_linked(self) -> None:
        self.until_matched()
        self.evse.link_changed(True, self.now)

    # --- time, and what the EVSE did ---

    def wait(self, seconds: float) -> list[mme.Message]:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        while (deadline := self.evse.deadline) is not None and deadline <= end:
            self.now = max(deadline, self.now)
            self.evse.tick(self.now)
        self.now = end
        self.evse.tick(end)
        return self.heard()

    def heard(self) -> list[mme.Message]:
        return [mme.decode(frame).message for frame in self.evse.take_frames()]

    def events(self) -> list[object]:
        """What became of it; that a vehicle has begun to speak goes to `begun`."""
        events = self.evse.take_events()
        self.begun += [event for event in events if isinstance(event, Begun)]
        return [event for event in events if not isinstance(event, Begun)]

    def dropped(self) -> dict[str, int]:
        return dict(self.evse.drops)
