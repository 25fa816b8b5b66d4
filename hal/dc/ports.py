"""What the devices of a DC output must offer: supply, insulation monitor, over-voltage monitor.

As with a board, set-points are levels: idempotent, kept while the device is out of reach, told again when it is back.
Nothing here blocks. Values come up through the callback each device is given, as often as they are measured; a device
that is silent says nothing, and whoever watches judges by the age.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class SupplyMode(Enum):
    OFF = "off"
    EXPORT = "export"
    """To the vehicle."""
    IMPORT = "import"
    """From it."""


class Insulation(Enum):
    """The verdict on the output's insulation to earth."""

    UNKNOWN = "unknown"
    VALID = "valid"
    FAULT = "fault"


class SelfTest(Enum):
    NONE = "none"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SupplySetpoint:
    """Volts and amperes are magnitudes, whatever the direction."""

    mode: SupplyMode
    voltage_v: float = 0.0
    current_a: float = 0.0


OFF = SupplySetpoint(SupplyMode.OFF)


@dataclass(frozen=True, slots=True)
class SupplyCapabilities:
    max_voltage_v: float
    min_voltage_v: float
    max_current_a: float
    max_power_w: float
    max_import_current_a: float = 0.0
    """0: it cannot take energy back."""
    max_import_power_w: float = 0.0


@dataclass(frozen=True, slots=True)
class SupplyReading:
    """`current_a` is positive towards the vehicle. `fault` is the supply's own word, empty if it has none."""

    voltage_v: float
    current_a: float
    taken_at_s: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class InsulationReading:
    """`resistance_kohm` of the lower conductor. What a monitor does not measure is None; a measurement that the device
    itself calls invalid is none at all, and not reported."""

    resistance_kohm: float | None
    taken_at_s: float
    voltage_v: float | None = None
    positive_to_earth_v: float | None = None
    negative_to_earth_v: float | None = None
    self_test: SelfTest = SelfTest.NONE
    """Of the self-test asked for last."""
    fault: str = ""
    """The device's word on itself."""


@dataclass(frozen=True, slots=True)
class OverVoltageReading:
    """`emergency` and `error` stay until `reset()`."""

    voltage_v: float
    taken_at_s: float
    emergency: bool = False
    error: bool = False


class DcPowerSupply(Protocol):
    """One EVSE's DC source, whatever number of modules it has."""

    async def open(self) -> SupplyCapabilities:
        """Find the modules and switch them off. Raises BoardUnavailable; may be called again."""
        ...

    async def close(self) -> None:
        """Off."""
        ...

    def put(self, setpoint: SupplySetpoint) -> None:
        """From now on. A supply that is told nothing for 10 to 20 s switches itself off, so drivers repeat it."""
        ...


class IsolationMonitor(Protocol):
    async def open(self) -> None:
        """Begin reading. Never raises for a silent device: it goes on asking."""
        ...

    async def close(self) -> None: ...

    def measure(self, on: bool) -> None:
        """Start and stop: one monitor alone may be connected to a conductor, the vehicle's or ours."""
        ...

    def start_self_test(self) -> None:
        """At the voltage that is there. Readings say RUNNING, then PASSED or FAILED."""
        ...


class OverVoltageMonitor(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def watch(self, emergency_v: float, error_v: float) -> None:
        """Set the limits and start; both 0 stops."""
        ...

    def reset(self) -> None:
        """Forget what tripped it."""
        ...


Reading = SupplyReading | InsulationReading | OverVoltageReading
TakeReading = Callable[[Reading], None]


@dataclass(frozen=True, slots=True)
class DcLevels:
    """How a DC output stands now. `charging`: connected to a vehicle that asked for power."""

    stage: str
    charging: bool
    voltage_v: float
    current_a: float
    check_id: str
    insulation: Insulation
    max_power_w: float
    capabilities: SupplyCapabilities


@dataclass(frozen=True, slots=True)
class DcStaged:
    """The output has come to another stage, or to another verdict on its insulation; `detail` says why it failed."""

    stage: str
    charging: bool
    insulation: Insulation
    detail: str
    at_s: float


@dataclass(frozen=True, slots=True)
class DcMeasured:
    """What the vehicle is told of the output from now on."""

    voltage_v: float
    current_a: float
    at_s: float


class DcSupport(Protocol):
    """What a DC output has beside `BoardSupport`. Calls return at once; what comes of them is DcStaged."""

    def levels(self) -> DcLevels: ...

    def check_cable(self, check_id: str, vehicle_max_v: float) -> None:
        """Test short circuit and insulation for a vehicle of this EVMaximumVoltageLimit."""
        ...

    def target(self, voltage_v: float, current_a: float) -> None:
        """What the vehicle asks for; 0 and 0 for nothing."""
        ...

    def deliver(self, deliver: bool) -> None:
        """PowerDelivery: begin once output and battery match, or end in order."""
        ...
