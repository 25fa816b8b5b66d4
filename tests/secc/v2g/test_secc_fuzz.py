"""What mutated messages leave behind: nothing."""

import random
import tracemalloc

import pytest

from tests.secc.v2g.fuzzing import TARGETS, mutated


@pytest.mark.parametrize("name", ["din", "2-ac", "20-ac"])
def test_memory_stays_flat(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps every record.
    monkeypatch.setattr("secc.v2g.conversation.log.disabled", True)
    chance, target = random.Random(1), TARGETS[name]
    octets = [frame.payload for _, frame in target.messages]

    def run(sessions: int) -> None:
        for _ in range(sessions):
            talk = target.talk()
            target.start(talk)
            for _ in range(5):
                talk.send(mutated(chance.choice(octets), chance))

    run(40)
    tracemalloc.start()
    run(40)
    before, _ = tracemalloc.get_traced_memory()
    run(120)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000
