"""Who gets the TPM next: the urgent before all others, each alone, nobody forgotten."""

import threading
import time
from collections.abc import Callable

import pytest

from certs.turns import Turns


class Queue:
    """People who want a turn, each in a thread; `served` is the order they got it in."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.served: list[str] = []
        self.inside = 0
        self._threads: list[threading.Thread] = []

    def comes(self, name: str, *, urgent: bool, limit_s: float | None = None) -> None:
        """And waits, if there is somebody before."""

        def wait() -> None:
            try:
                with self.turns.turn(urgent, limit_s):
                    self.inside += 1
                    assert self.inside == 1, "one at a time"
                    self.served.append(name)
                    self.inside -= 1
            except TimeoutError:
                self.served.append(f"{name} gave up")

        thread = threading.Thread(target=wait)
        self._threads.append(thread)
        thread.start()
        thread.join(0.02)

    def goes(self) -> list[str]:
        for thread in self._threads:
            thread.join(5)
        return self.served


@pytest.fixture
def queue() -> Queue:
    return Queue()


def test_the_urgent_go_first_whenever_they_came(queue: Queue) -> None:
    with queue.turns.turn(urgent=False):
        queue.comes("key", urgent=False)
        queue.comes("random", urgent=False)
        queue.comes("handshake", urgent=True)
        queue.comes("another handshake", urgent=True)
        assert queue.served == []
    served = queue.goes()
    assert set(served[:2]) == {"handshake", "another handshake"}
    assert set(served[2:]) == {"key", "random"}


def test_who_gives_up_holds_up_nobody(queue: Queue) -> None:
    """An urgent one that waits keeps the others back; gone, they go."""
    with queue.turns.turn(urgent=False):
        queue.comes("key", urgent=False)
        queue.comes("handshake", urgent=True, limit_s=0.05)
        time.sleep(0.1)
        assert queue.served == ["handshake gave up"]
    assert queue.goes() == ["handshake gave up", "key"]


def test_an_error_inside_gives_the_turn_back(queue: Queue) -> None:
    with pytest.raises(ValueError, match="broken"), queue.turns.turn(urgent=True):
        raise ValueError("broken")
    queue.comes("next", urgent=False)
    assert queue.goes() == ["next"]


@pytest.mark.parametrize("urgent", [lambda n: n % 3 == 0, lambda _: True, lambda _: False])
def test_thirty_at_once_are_all_served(queue: Queue, urgent: Callable[[int], bool]) -> None:
    with queue.turns.turn(urgent=False):
        for number in range(30):
            queue.comes(str(number), urgent=urgent(number), limit_s=10)
    assert sorted(queue.goes(), key=int) == [str(number) for number in range(30)]
