"""Runs a test's coroutine in a network namespace of its own, in this process, so that coverage and debuggers see it.

As root a single thread can leave for a new namespace. An ordinary user can only take a whole new process there, so the
test is run again in one under `unshare`; where that is forbidden too, it is skipped.
"""

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
SECC, EVCC = "secc0", "evcc0"
_ROOT = Path(__file__).resolve().parents[2]


def run_in_private_net(node: str, test: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `test()` where `secc0` and `evcc0` are the two ends of a cable. `node` is the test's pytest node id."""
    if os.geteuid() == 0:
        _run_in_thread(test)
        return
    probe = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"needs root or user namespaces: {probe.stderr.decode().strip()}")
    command = ["unshare", "-rn", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node]
    inner = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert inner.returncode == 0, inner.stdout + inner.stderr


def _run_in_thread(test: Callable[[], Coroutine[None, None, None]]) -> None:
    errors: list[BaseException] = []

    def body() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            _lay_cable()
            asyncio.run(test())
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _lay_cable() -> None:
    """A new thread's children live in its namespace. Without duplicate address detection addresses serve at once."""
    script = f"""
        ip link set lo up
        ip link add {SECC} index 21 type veth peer name {EVCC} index 31
        for name in {SECC} {EVCC}; do
            echo 0 > /proc/sys/net/ipv6/conf/$name/accept_dad
            ip link set $name up
        done
        for attempt in $(seq 100); do
            test $(ip -6 -o address show scope link -tentative | wc -l) -eq 2 && exit 0
            sleep 0.05
        done
        exit 1
    """
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
