"""The station's side of a PLC test, a program of its own: one `GreenPhyLink` an interface given.

It prints every fact as a line of JSON, and takes lines `plug N`, `unplug N`, `terminate N`, `quit` on its input.
"""

import asyncio
import dataclasses
import json
import sys
import time

from hal.plc.link import GreenPhyLink
from hal.plc.timings import Profile, Timings
from hal.ports import PlcFact
from hal.quantities import EvseId


def printer(evse: int):
    def report(fact: PlcFact) -> None:
        values = {k: v.hex() if isinstance(v, bytes) else v for k, v in dataclasses.asdict(fact).items()}
        print(
            json.dumps({"evse": evse, "fact": type(fact).__name__, "printed_at": time.monotonic(), **values}),
            flush=True,
        )

    return report


async def main(profile: str, slac_init_s: str, interfaces: list[str]) -> None:
    timings = Timings(slac_init_s=float(slac_init_s))
    links = [
        GreenPhyLink(name, EvseId(n), printer(n), profile=Profile(profile), timings=timings)
        for n, name in enumerate(interfaces, 1)
    ]
    for link in links:
        await link.open()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while (line := (await reader.readline()).decode().split()) and line != ["quit"]:
        link = links[int(line[1]) - 1]
        if line[0] == "terminate":
            link.terminate()
        elif line[0] == "drops":
            drops = {str(reason): count for reason, count in link.machine.matching.drops.items()}
            print(json.dumps({"evse": int(line[1]), "fact": "drops", **drops}), flush=True)
        else:
            link.vehicle_connected(line[0] == "plug")
    for link in links:
        await link.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
