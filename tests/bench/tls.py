"""Handshakes of the vehicle's TLS: a software key against a TPM key, and a chip that takes 200 ms a signature.

    python tests/bench/tls.py [--json] [--rounds N]

The server is what the SECC runs: `VehicleContext` on an asyncio loop of its own; the vehicle is a blocking client in
this process. Times are in ms for one handshake as the vehicle sees it, medians of all rounds. `slow_chip_ratio` is the
handshake's time over the signature's; `lag_ms_p99` is how late the main loop's timers ring while ten vehicles shake
hands one after another with the slow chip. `rss_mb` is this process, both ends and the PKI in it.
"""

import argparse
import asyncio
import json
import socket
import ssl
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from certs.csr import Subject
from certs.file import FileKeyStore
from certs.keystore import KeyStore, Purpose
from certs.provision import ensure_identity
from certs.store import CertificateStore, RootKind
from certs.tls.loop import LoopThread
from certs.tls.vehicle import VehicleContext
from certs.tpm import Tpm, TpmKeyStore
from sim.pki.pki import Pki, build
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm

SIGNATURE_S = 0.2
VEHICLES = 10
TIMER_S = 0.001


def server_context(directory: Path, keys: KeyStore, pki: Pki) -> VehicleContext:
    store = CertificateStore(directory)
    store.install_root(RootKind.V2G, pki.v2g_root.pem.decode())
    subject = Subject("DE*EVS*E0001", "evsed", "DE")
    identity = ensure_identity(store, keys, Purpose.SECC, subject, pki.issue_secc, datetime.now(UTC))
    return VehicleContext([identity])


def vehicle_context(pki: Pki) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pki.v2g_root.der)
    return context


class Listener:
    """The SECC's side on a loop of its own."""

    def __init__(self, context: VehicleContext) -> None:
        self._context = context
        self._thread = LoopThread("secc tls")

    def __enter__(self) -> int:
        self._thread.start()
        self._server = self._thread.submit(self._listen()).result(10)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._thread.call(self._server.close)
        self._thread.stop()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=self._context)


def shake_hands(port: int, vehicle: ssl.SSLContext, rounds: int) -> list[float]:
    """Seconds of each handshake."""
    took = []
    for _ in range(rounds):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            started = time.perf_counter()
            with vehicle.wrap_socket(plain):
                took.append(time.perf_counter() - started)
    return took


async def lag_while(port: int, vehicle: ssl.SSLContext) -> tuple[list[float], list[float]]:
    """Handshake times, and how late the main loop's timers ring meanwhile; seconds."""
    lags: list[float] = []

    async def watch() -> None:
        while True:
            due = time.perf_counter() + TIMER_S
            await asyncio.sleep(TIMER_S)
            lags.append(time.perf_counter() - due)

    watcher = asyncio.create_task(watch())
    took = await asyncio.to_thread(shake_hands, port, vehicle, VEHICLES)
    watcher.cancel()
    return took, lags


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def run(rounds: int, directory: Path) -> dict[str, float]:
    pki = build(directory / "pki")
    vehicle = vehicle_context(pki)
    software = server_context(directory / "software", FileKeyStore(directory / "keys", allowed=True), pki)
    with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
        tpm = Tpm(proxy.tcti)
        tpm.ensure_srk()
        with_tpm = server_context(directory / "tpm", TpmKeyStore(tpm), pki)
        with Listener(software) as port:
            shake_hands(port, vehicle, 10)
            software_s = shake_hands(port, vehicle, rounds)
        with Listener(with_tpm) as port:
            shake_hands(port, vehicle, 10)
            tpm_s = shake_hands(port, vehicle, rounds)
            proxy.delay("Sign", SIGNATURE_S)
            slow_s, lags_s = asyncio.run(lag_while(port, vehicle))
        signs = [command.took_s for command in proxy.commands if command.name == "Sign"][-VEHICLES:]
        tpm.close()
    return {
        "software_ms_p50": round(1000 * statistics.median(software_s), 2),
        "software_per_s": round(rounds / sum(software_s), 1),
        "tpm_ms_p50": round(1000 * statistics.median(tpm_s), 2),
        "tpm_per_s": round(rounds / sum(tpm_s), 1),
        "slow_chip_ms_p50": round(1000 * statistics.median(slow_s), 1),
        "slow_chip_ratio": round(statistics.median(slow_s) / statistics.median(signs), 3),
        "lag_ms_p50": round(1000 * statistics.median(lags_s), 2),
        "lag_ms_p99": round(1000 * statistics.quantiles(lags_s, n=100)[98], 2),
        "rss_mb": round(rss_mb(), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Handshakes with a software key and with a TPM key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evsed-tls-") as name:
        results = run(options.rounds, Path(name))
    if options.json:
        print(json.dumps(results))
    else:
        for key, value in results.items():
            print(f"{key:>18} {value}")


if __name__ == "__main__":
    main()
