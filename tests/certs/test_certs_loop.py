"""A loop of its own: TLS with a slow chip does not hold the main loop up."""

import asyncio
import socket
import statistics
import threading
import time

import pytest

from certs.errors import CertsError
from certs.tls.loop import LoopThread
from certs.tls.vehicle import VehicleContext


async def thread_name() -> str:
    return threading.current_thread().name


async def test_submit_runs_there_and_answers_here() -> None:
    with LoopThread("evse.1 tls") as there:
        assert await asyncio.wrap_future(there.submit(thread_name())) == "evse.1 tls"


def test_call() -> None:
    called = threading.Event()
    with LoopThread("tls") as there:
        there.call(called.set)
        assert called.wait(5)


async def test_errors_come_back() -> None:
    async def fail() -> None:
        raise ValueError("from there")

    with LoopThread("tls") as there, pytest.raises(ValueError, match="from there"):
        await asyncio.wrap_future(there.submit(fail()))


def test_stop_cancels_what_runs() -> None:
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    there = LoopThread("tls")
    there.start()
    running = there.submit(forever())
    there.call(lambda: None)
    time.sleep(0.05)
    there.stop()
    assert ended.is_set()
    assert running.cancelled()
    there.stop()


def test_misuse_is_an_error() -> None:
    there = LoopThread("tls")
    with pytest.raises(CertsError, match="does not run"):
        there.call(print)
    there.start()
    with pytest.raises(CertsError, match="runs already"):
        there.start()
    there.stop()


async def test_a_slow_chip_does_not_hold_the_main_loop_up(bench, secc, vehicle) -> None:
    """200 ms a signature: handshakes take little more, and the main loop feels nothing of them."""
    bench.proxy.delay("Sign", 0.2)
    context = VehicleContext([secc])
    handshakes: list[float] = []
    lags: list[float] = []

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)

    def vehicles(port: int) -> None:
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", port)) as plain:
                started = time.monotonic()
                with vehicle.wrap_socket(plain) as secured:
                    handshakes.append(time.monotonic() - started)
                    assert secured.version() == "TLSv1.2"

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.002)
            lags.append(time.monotonic() - before - 0.002)

    with LoopThread("evse.1 tls") as there:
        server = await asyncio.wrap_future(there.submit(listen()))
        watcher = asyncio.create_task(watch())
        await asyncio.to_thread(vehicles, server.sockets[0].getsockname()[1])
        watcher.cancel()
        there.submit(close(server)).result(5)
    assert min(handshakes) >= 0.2
    assert statistics.median(handshakes) < 0.2 * 1.25
    assert statistics.quantiles(lags, n=100)[98] < 0.05


async def close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()
