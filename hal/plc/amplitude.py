"""A vehicle's amplitude map on its way to the station's modem (ISO 15118-3 A.9.6), without I/O or a clock.

The vehicle asks by CM_AMP_MAP.REQ that carriers be sent with less power. The modem is what sends, so it is handed the
map, and what it says decides the answer:

    the modem's CM_AMP_MAP.CNF   to the vehicle   why
    --------------------------   --------------   -----------------------------------------------------------------
    success                      success          the carriers are lowered
    failure                      failure          they are not, and the vehicle must know
    none in TT_amp_map_exchange  success          firmware that does not serve its host so; a vehicle told of failure
      / 2                                         gives up a link that works. The outcome is told to the technician

With the vehicle goes its map: the modem gets one that lowers nothing, for the next vehicle.
# unverified: [HPGP] 11.5: which firmware takes CM_AMP_MAP.REQ of its own host
"""

import logging
from enum import StrEnum

from hal.plc.frame import LOCAL_MODEM
from hal.plc.mme import AmpMap, AmpMapCnf, encode, format_mac
from hal.plc.timings import TT_AMP_MAP_EXCHANGE_S

log = logging.getLogger(__name__)

MODEM_TIME_S = TT_AMP_MAP_EXCHANGE_S / 2
_SUCCESS, _FAILURE = 0, 1


class MapOutcome(StrEnum):
    """What became of the vehicle's map."""

    TAKEN = "taken by the modem"
    REFUSED = "refused by the modem"
    UNANSWERED = "not served by the modem"


class AmplitudeRelay:
    """One EVSE's; the vehicle is the one that is matched."""

    def __init__(self, host_mac: bytes) -> None:
        self.outcome: MapOutcome | None = None
        """Of the map of the vehicle that is there."""
        self.carriers = 0
        self.deadline: float | None = None
        self._host_mac = host_mac
        self._ev_mac = b""
        self._frames: list[bytes] = []

    def ask(self, ev_mac: bytes, amp_map: AmpMap, now: float) -> None:
        """Hand the map on. A repetition while the modem is asked is the same question."""
        if self.deadline is None:
            self._ev_mac, self.carriers = ev_mac, amp_map.amlen
            self._frames.append(encode(LOCAL_MODEM, self._host_mac, amp_map))
            self.deadline = now + MODEM_TIME_S

    def answered(self, cnf: AmpMapCnf) -> None:
        """The modem's answer; that to `forget` is nobody's concern."""
        if self.deadline is not None:
            self._conclude(MapOutcome.REFUSED if cnf.restype else MapOutcome.TAKEN)

    def tick(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self._conclude(MapOutcome.UNANSWERED)

    def forget(self) -> None:
        """The vehicle has gone."""
        if self.outcome is MapOutcome.TAKEN:
            everything = AmpMap(self.carriers, bytes((self.carriers + 1) // 2))
            self._frames.append(encode(LOCAL_MODEM, self._host_mac, everything))
        self.outcome, self.carriers, self.deadline = None, 0, None

    def take_frames(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames

    def _conclude(self, outcome: MapOutcome) -> None:
        level = logging.INFO if outcome is MapOutcome.TAKEN else logging.WARNING
        log.log(level, "amplitude map of %s, %d carriers: %s", format_mac(self._ev_mac), self.carriers, outcome)
        self.outcome, self.deadline = outcome, None
        result = _FAILURE if outcome is MapOutcome.REFUSED else _SUCCESS
        self._frames.append(encode(self._ev_mac, self._host_mac, AmpMapCnf(result)))
