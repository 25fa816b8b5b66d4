"""How fast the DC power path is: `python -m tests.bench.power_path --json`.

dc_facts_per_s   random facts, as the invariant tests feed them, in CPU time of one core
"""

import argparse
import json
import time

from hal.dc.power_path import DcPowerPath
from tests.hal.dc_rig import OUTPUT
from tests.hal.test_hal_dc_invariants import Witness


def facts_per_s(count: int) -> float:
    witness = Witness(seed=15118)
    witness.run(count)
    machine = DcPowerPath(OUTPUT)
    began_s = time.process_time()
    for name, words, now in witness.calls:
        getattr(machine, name)(*words, now)
    return len(witness.calls) / (time.process_time() - began_s)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.power_path", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--facts", type=int, default=60_000)
    said = parser.parse_args()
    figures = {"dc_facts_per_s": round(facts_per_s(said.facts))}
    print(json.dumps(figures) if said.json else "\n".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
