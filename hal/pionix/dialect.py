"""The two languages of the Pionix boards: the same sense, other field numbers. Pure.

Yeti, the TI TIDA-010939 and the Analog Devices AD-ACEVSE22KWZ speak one, with a relay and a meter for one connector;
phyVERSO the other, with coils for two connectors, and it asks for its configuration after each start. The numbers are
those of the published protobuf descriptions; that a board repeats its states with its keep-alive is not written there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hal.levels import Setpoints
from hal.pionix.protobuf import Message, nested, varint
from hal.ports import CpMode, EvseCapabilities, Fault

X1_DUTY = 10000
"""The duty is in 0.01 %; 0 is F."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Field numbers of what a board says, and what is said to it. 0: it has no such field."""

    name: str
    connector: int
    """The field of McuToEverest that says which connector is meant; 0 where there is only one."""
    keep_alive: int
    reset: int
    cp_state: int
    coil_state: int
    """The relay as it is: a bool, or a CoilState."""
    coil_is_message: bool
    error_flags: int
    pp_state: int
    lock_state: int
    power_meter: int
    config_request: int
    faults: Mapping[int, Fault]
    heartbeat_timeout: int
    """The error flag for our silence."""


_COMMON_FAULTS = {
    1: Fault.DIODE_FAULT,
    2: Fault.RESIDUAL_CURRENT,
    3: Fault.RESIDUAL_CURRENT,
    4: Fault.VENTILATION_NOT_AVAILABLE,
    5: Fault.CONNECTOR_LOCK_FAILURE,
    6: Fault.PILOT_FAULT,
}

YETI = Dialect(
    name="yeti",
    connector=0,
    keep_alive=3,
    reset=101,
    cp_state=102,
    coil_state=103,
    coil_is_message=False,
    error_flags=104,
    pp_state=106,
    lock_state=107,
    power_meter=108,
    config_request=0,
    faults={**_COMMON_FAULTS, 7: Fault.OVER_CURRENT_FAILURE},
    heartbeat_timeout=0,
)
PHYVERSO = Dialect(
    name="phyverso",
    connector=6,
    keep_alive=1,
    reset=2,
    cp_state=3,
    coil_state=4,
    coil_is_message=True,
    error_flags=5,
    pp_state=8,
    lock_state=10,
    power_meter=0,
    config_request=11,
    faults={**_COMMON_FAULTS, 8: Fault.EVSE_CONTACTOR_FAULT, 9: Fault.PROXIMITY_FAULT},
    heartbeat_timeout=7,
)


def duty_of(setpoints: Setpoints) -> int:
    """In 0.01 %. The boards have no state E: F tells a vehicle the same."""
    if setpoints.cp_mode is CpMode.X2:
        return int(setpoints.duty_percent * 100 + 1e-6)
    return X1_DUTY if setpoints.cp_mode is CpMode.X1 else 0


class YetiTongue:
    """What is said to a Yeti."""

    def keep_alive(self) -> bytes:
        return nested(100, nested(6, b"evsed"))

    def reset(self) -> bytes:
        return varint(105, 1)

    def setpoints(self, setpoints: Setpoints) -> list[bytes]:
        return [
            varint(103, duty_of(setpoints)),
            varint(104, setpoints.allow_power),
            varint(102, setpoints.lock),
        ]

    def configuration(self) -> bytes:
        """Nobody asks for it."""
        return b""

    def capabilities(self, keep_alive: Message, board: EvseCapabilities) -> EvseCapabilities:
        """By its own word; what it does not tell is the configuration's."""
        return EvseCapabilities(
            max_current_a=keep_alive.real(7) or board.max_current_a,
            min_current_a=keep_alive.real(8) or board.min_current_a,
            phases=keep_alive.number(9) or board.phases,
            has_lock=board.has_lock,
            has_ventilation=board.has_ventilation,
            nominal_voltage_v=board.nominal_voltage_v,
            model=f"Pionix Yeti revision {keep_alive.number(3)}",
            firmware=keep_alive.text(6),
        )


_COIL_AC = 1
_HARDWARE_REVISIONS = {"A": 1, "B": 2}
_LOCKS = {"none": -1, "hella": 1, "valeo": 2}
_PULLS = {"none": 0, "up": 1, "down": 2}
_AC_PORT = 1


@dataclass(frozen=True, slots=True)
class PhyVersoTongue:
    """What is said to a phyVERSO about `connector`, 1 or 2. The other connector is configured as disabled."""

    connector: int = 1
    hardware_revision: str = "B"
    lock: str = "none"
    feedback_active_low: bool = False
    feedback_pull: str = "none"

    def keep_alive(self) -> bytes:
        return nested(1, nested(6, b"evsed"))

    def reset(self) -> bytes:
        return varint(6, 1)

    def setpoints(self, setpoints: Setpoints) -> list[bytes]:
        to = varint(7, self.connector)
        return [
            varint(4, duty_of(setpoints)) + to,
            nested(5, varint(1, _COIL_AC), varint(2, setpoints.allow_power)) + to,
            varint(3, setpoints.lock) + to,
        ]

    def configuration(self) -> bytes:
        ports = [self._port() if number == self.connector else b"" for number in (1, 2)]
        revision = varint(1, _HARDWARE_REVISIONS[self.hardware_revision])
        return nested(8, revision, *(nested(6, port) for port in ports))

    def _port(self) -> bytes:
        return b"".join(
            (
                varint(1, _AC_PORT),
                varint(2, self.feedback_active_low),
                varint(3, _PULLS[self.feedback_pull]),
                nested(4, varint(1, _LOCKS[self.lock])),
                varint(5, self.lock != "none"),
            )
        )

    def capabilities(self, keep_alive: Message, board: EvseCapabilities) -> EvseCapabilities:
        return EvseCapabilities(
            max_current_a=board.max_current_a,
            min_current_a=board.min_current_a,
            phases=board.phases,
            has_lock=self.lock != "none",
            has_ventilation=board.has_ventilation,
            nominal_voltage_v=board.nominal_voltage_v,
            model=f"Pionix phyVERSO revision {self.hardware_revision}, connector {self.connector}",
            firmware=keep_alive.text(6),
        )


LOCKS, PULLS, HARDWARE_REVISIONS = tuple(_LOCKS), tuple(_PULLS), tuple(_HARDWARE_REVISIONS)
