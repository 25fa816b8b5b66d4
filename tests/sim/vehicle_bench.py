"""The vehicle as a program on a cable in memory whose station permits power at 5 %; its link is up already.

`python -m tests.sim.vehicle_bench` takes the options of `python -m sim.vehicle`.
"""

import sys
from functools import partial

from sim.vehicle.driver import Means, visit
from sim.vehicle.exi_codec import ExiCodec
from sim.vehicle.options import parser, vehicle_of
from sim.vehicle.program import run
from tests.sim.vehicle_fakes import FakeCable


async def already_matched(_interface: str) -> None:
    pass


def main() -> int:
    options = parser().parse_args()
    cable = FakeCable()
    cable.pwm(5.0)
    means = Means(already_matched, ExiCodec)
    exit_code = run(partial(visit, vehicle_of(options), cable, means), options)
    assert "py4j.java_gateway" not in sys.modules, "the package has started its JVM"
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
