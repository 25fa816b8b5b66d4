"""A chip that never answers: whoever asks is told in time, and the next one is served once it answers again."""

import threading
import time

import pytest

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve
from certs.tls.vehicle import VehicleContext
from certs.tpm import owner
from certs.turns import Turns
from sim.tpm.proxy import NEVER

DIGEST = bytes(range(32))
LIMIT_S = 0.3


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "SIGN_LIMIT_S", LIMIT_S)
    monkeypatch.setattr(owner.Tpm.run, "__defaults__", (False, LIMIT_S))


def silent(call, *arguments: object) -> float:
    """How long it took to be told."""
    begun = time.monotonic()
    with pytest.raises(KeyUnavailable) as refused:
        call(*arguments)
    assert refused.value.reason is KeyFault.SILENT
    return time.monotonic() - begun


def test_a_signature_that_never_comes(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.delay("Sign", NEVER)
    assert LIMIT_S <= silent(key.sign, DIGEST) < LIMIT_S + 1
    assert bench.tpm.health.busy_since_s is None
    assert bench.tpm.health.faults[KeyFault.SILENT] == 1
    bench.proxy.heal()
    assert key.sign(DIGEST)
    assert (bench.tpm.trouble, bench.tpm.health.last_fault) == (None, KeyFault.SILENT)


@pytest.mark.parametrize("command", ["ReadPublic", "GetCapability", "Create", "GetRandom"])
def test_any_command_that_never_ends(bench, command: str) -> None:
    bench.tpm.close()
    bench.proxy.delay(command, NEVER)
    asked = {
        "ReadPublic": bench.tpm.ensure_srk,
        "GetCapability": bench.tpm.chip,
        "Create": lambda: bench.keys.create(Curve.P256),
        "GetRandom": lambda: bench.tpm.random(8),
    }[command]
    silent(asked)
    bench.proxy.heal()
    asked()
    assert len(bench.keys.list()) == (command == "Create"), "what came too late went no further"


def test_a_handshake_fails_clean_and_the_next_one_stands(bench, secc, vehicle, meet) -> None:
    context = VehicleContext([secc])
    bench.proxy.delay("Sign", NEVER)
    begun = time.monotonic()
    met = meet(vehicle, context)
    assert not met.connected
    assert "INTERNAL_ERROR" in str(met.client).upper().replace(" ", "_")
    assert time.monotonic() - begun < LIMIT_S + 1
    assert bench.tpm.trouble is KeyFault.SILENT
    bench.proxy.heal()
    assert meet(vehicle, context).connected


def test_what_waits_behind_a_hanging_command_is_told_too(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.delay("GetRandom", NEVER)
    errors: list[KeyFault] = []

    def ask(work, *arguments: object) -> None:
        try:
            work(*arguments)
        except KeyUnavailable as error:
            errors.append(error.reason)

    work = [(bench.tpm.random, 8), (key.sign, DIGEST)]
    threads = [threading.Thread(target=ask, args=call) for call in work]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The proxy, as a chip, has one command at a time: the signature meets its silence too.
    assert set(errors) <= {KeyFault.SILENT, KeyFault.BUSY}
    assert len(errors) == 2
    assert time.monotonic() - begun < 3 * LIMIT_S + 1


def test_a_handshake_that_finds_the_chip_with_others_for_too_long_is_trouble_too(bench) -> None:
    key = bench.keys.create(Curve.P256)
    heard: list[KeyFault | None] = []
    bench.tpm.watcher = heard.append
    with bench.tpm._turns.turn(urgent=False), pytest.raises(KeyUnavailable, match=r"busy: for 0\.3 s with others"):
        key.sign(DIGEST)
    assert key.sign(DIGEST)
    assert heard == [KeyFault.BUSY, None]
    assert bench.tpm.health.faults[KeyFault.BUSY] == 1


def test_no_more_than_a_few_connections_hang(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.delay("*", NEVER)
    for _ in range(owner.MAX_HANGING):
        assert silent(key.sign, DIGEST) >= LIMIT_S
    assert silent(key.sign, DIGEST) < LIMIT_S / 2, "told at once"
    assert len(bench.tpm._hanging) == owner.MAX_HANGING
    bench.proxy.heal()
    deadline = time.monotonic() + 5
    while any(line.is_open for line in bench.tpm._hanging) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert key.sign(DIGEST)
    assert bench.tpm._hanging == []


def test_the_watcher_hears_of_each_change_once(bench) -> None:
    key = bench.keys.create(Curve.P256)
    heard: list[KeyFault | None] = []
    bench.tpm.watcher = heard.append
    bench.proxy.delay("Sign", NEVER)
    silent(key.sign, DIGEST)
    silent(key.sign, DIGEST)
    assert heard == [KeyFault.SILENT]
    bench.proxy.heal()
    key.sign(DIGEST)
    key.sign(DIGEST)
    assert heard == [KeyFault.SILENT, None]
    with pytest.raises(KeyUnavailable):
        bench.keys.open("tpm:81010014")
    assert heard == [KeyFault.SILENT, None], "that a key is missing is not the chip's fault"
    bench.swtpm.stop()
    with pytest.raises(KeyUnavailable):
        key.sign(DIGEST)
    assert heard[2:] == [KeyFault.ABSENT]


def test_a_chip_that_takes_its_time_is_waited_for(bench) -> None:
    key = bench.keys.create(Curve.P256)
    bench.proxy.delay("Sign", LIMIT_S / 2)
    assert key.sign(DIGEST)
    assert bench.tpm.trouble is None


def test_a_turn_is_not_waited_for_longer_than_told() -> None:
    turns = Turns()
    with turns.turn(urgent=False):
        for urgent in (True, False):
            with pytest.raises(TimeoutError), turns.turn(urgent, 0.01):
                raise AssertionError("nobody gave it away")
    with turns.turn(urgent=False, limit_s=0.01):
        pass  # Who gave up waiting holds up nobody.
