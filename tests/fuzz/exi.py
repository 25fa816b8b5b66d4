"""Mutated messages into the EXI decoder: nothing but the codec's own error, no slow message, flat memory.

python -m tests.fuzz.exi --count 500000 [--seed N]
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from time import thread_time

from secc.exi import ExiError, Namespace, decode, encode
from secc.exi.tables import tables
from tests.secc.exi.exi_generator import Generator, roots
from tests.secc.exi.exi_messages import KINDS

SEEDS_PER_SCHEMA = 60
MOST_SEED_BYTES = 2048
"""Beyond what vehicles send, but for certificates; the random generator can make far longer messages."""


@dataclass
class Outcome:
    accepted: int = 0
    refused: int = 0
    worst_s: float = 0.0
    worst: str = ""
    grown_kib: int = 0


def corpus(rng: random.Random) -> list[tuple[Namespace, bytes, bool]]:
    plausible = [
        (space, encode(space, message, fragment=fragment), fragment) for space, message, fragment in KINDS.values()
    ]
    found = list(plausible)
    for space in Namespace:
        generator = Generator(tables(space), rng)
        for fragment in (False, True):
            start = tables(space).fragment if fragment else tables(space).document
            chosen = rng.choices(roots(tables(space), fragment=fragment), k=SEEDS_PER_SCHEMA)
            messages = [generator.message(start, root) for root in chosen]
            found += [(space, encode(space, message, fragment=fragment), fragment) for message in messages]
    return [seed for seed in found if len(seed[1]) <= MOST_SEED_BYTES or seed in plausible]


def mutated(data: bytes, rng: random.Random) -> bytes:
    octets = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        if len(octets) < 2:
            break
        place = rng.randrange(1, len(octets))
        match rng.randrange(6):
            case 0:
                octets[place] ^= 1 << rng.randrange(8)
            case 1:
                octets[place] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
            case 2:
                del octets[place + 1 :]
            case 3:
                octets[place:place] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                octets[place : place + 12] = b"\xff" * 12
            case _:
                del octets[place : place + rng.randrange(1, 5)]
    return bytes(octets)


def fuzz(count: int, seed: int) -> Outcome:
    """Raises what the decoder raises other than ExiError."""
    rng = random.Random(seed)
    seeds = corpus(rng)
    outcome = Outcome()
    before = peak_kib()
    for number in range(count):
        if number == count // 10:
            before = peak_kib()
        namespace, data, fragment = rng.choice(seeds)
        data = mutated(data, rng)
        started = thread_time()
        try:
            decode(namespace, data, fragment=fragment)
            outcome.accepted += 1
        except ExiError:
            outcome.refused += 1
        except Exception:  # what this run looks for
            print(f"not its own error: {namespace} fragment={fragment} {data.hex()}", file=sys.stderr)
            raise
        elapsed = thread_time() - started
        if elapsed > outcome.worst_s and (elapsed := least_of_three(namespace, data, fragment)) > outcome.worst_s:
            outcome.worst_s, outcome.worst = elapsed, f"{namespace} fragment={fragment} {data.hex()}"
    outcome.grown_kib = peak_kib() - before
    return outcome


def least_of_three(namespace: Namespace, data: bytes, fragment: bool) -> float:
    """What the message itself costs, as this thread's own time: on a shared machine others' time is in the wall's."""
    times = []
    for _ in range(3):
        started = thread_time()
        with suppress(ExiError):
            decode(namespace, data, fragment=fragment)
        times.append(thread_time() - started)
    return min(times)


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcome = fuzz(arguments.count, arguments.seed)
    print(f"{outcome.accepted} accepted, {outcome.refused} refused")
    print(f"worst {outcome.worst_s * 1e3:.2f} ms: {outcome.worst[:200]}")
    print(f"peak memory grew {outcome.grown_kib} KiB after the first tenth")


if __name__ == "__main__":
    main()
