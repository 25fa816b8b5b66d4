"""The vehicle as a program on a cable in memory whose station permits power at 5 %; its link is up already.

`python -m tests.sim.vehicle_bench` takes the options of `python -m sim.vehicle`.
"""

import sys
from functools import partial

from sim.plc.vehicle import MatchResult
from sim.vehicle.driver import Means, visit
from sim.vehicle.exi_codec import ExiCodec
from sim.vehicle.options import parser, vehicle_of
from sim.vehicle.program import run
from tests.sim.vehicle_fakes import FakeCable


async def already_matched(_interface: str) -> MatchResult:
    return MatchResult(bytes(6), bytes(8), bytes(7), attenuation_db=11.0, attempts=1, took_s=0.1, joined_s=0.2, nmk=b"")


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
