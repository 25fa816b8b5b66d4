"""Every protocol under mutated messages and message orders; see `fuzzing` for more of it.

FUZZ_SCALE multiplies how many messages there are.
"""

import os
import random

import pytest

from secc.v2g.session import State
from tests.secc.v2g.fuzzing import TARGETS, mutate_in, orders

SCALE = int(os.environ.get("FUZZ_SCALE", "1"))


@pytest.mark.parametrize(
    ("name", "state"),
    [(name, state) for name in ("din", "2-ac", "2-dc", "20-ac", "20-dc") for state in TARGETS[name].reach],
    ids=lambda value: value.value if isinstance(value, State) else value,
)
def test_mutated_messages_in_every_state(name: str, state: State) -> None:
    mutate_in(TARGETS[name], state, 120 * SCALE, random.Random(f"15118 {name} {state.value}"))


@pytest.mark.parametrize("name", TARGETS)
def test_good_messages_in_any_order(name: str) -> None:
    reached = orders(TARGETS[name], 5000 * SCALE, random.Random(f"15118 {name}"))
    assert reached >= {State.SESSION_STOP, State.ENDED, *TARGETS[name].loops}
