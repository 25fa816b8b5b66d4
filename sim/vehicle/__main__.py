"""`python -m sim.vehicle KIND --interface ev0 --cable /path/cable.sock --pki DIR --log FILE.jsonl`.

Runs in the vehicle's network namespace. Exit code 0 when the visit went as the kind of vehicle expects, 3 when the
station refused with a negative response code, 1 otherwise, with the reason as the last line on stderr.
"""

import sys
from collections.abc import Sequence
from functools import partial

from sim.mcu.cable import Cable
from sim.plc.ev import match
from sim.vehicle.driver import Means, visit
from sim.vehicle.exi_codec import ExiCodec
from sim.vehicle.log import EventLog
from sim.vehicle.options import parser, vehicle_of
from sim.vehicle.program import run
from sim.vehicle.verdict import Verdict


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)

    means = Means(partial(match, profile=options.slac_profile), ExiCodec)

    async def drive(events: EventLog) -> Verdict:
        async with await Cable.connect(options.cable) as cable:
            return await visit(vehicle_of(options), cable, means, events)

    return run(drive, options)


if __name__ == "__main__":
    sys.exit(main())
