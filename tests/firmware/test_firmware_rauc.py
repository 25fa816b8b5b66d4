"""Updates by the real RAUC into slots that are files: which slot runs in the end, and what the CSMS was told."""

import asyncio
import base64
import hashlib
import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from certs.errors import KeyFault, KeyUnavailable
from firmware.journal import SqliteJournal
from firmware.update import rauc as rauc_module
from firmware.update.download import Downloads, Limits
from firmware.update.rauc import Rauc, RaucError, epoch_of
from firmware.update.slots import Health, RaucSlots, Trial
from firmware.update.updater import Updater
from ocpp_client.config import OcppConfig
from ocpp_client.ports import FirmwareError, FirmwareFault, OcspRequestData, UpdateOutcome
from ocpp_client.station import OcppStation
from sim.csms.server import Csms
from sim.pki.authority import Blank, Entity, root
from tests.firmware import rauc_board

WHOLE = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]
PROVE_S = 1.0


@dataclass
class Counter:
    """The TPM's rollback counter; tests/certs/test_certs_tpm.py has the real one."""

    value: int = 1
    absent: bool = False

    def rollback_counter(self) -> int:
        if self.absent:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, "no TPM")
        return self.value

    def raise_rollback_counter(self) -> int:
        self.value += 1
        return self.rollback_counter()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Any]:
    board = rauc_board.RaucBoard(tmp_path)
    board.power_on()
    yield board
    board.power_off()


@dataclass
class Bench:
    """Board, station and CSMS; what runs is healthy unless `up` or `online` say otherwise."""

    board: Any
    csms: Csms
    journal: Any
    folder: Path
    url: str
    authority: Entity = field(default_factory=lambda: root(Blank("Manufacturer root")))
    counter: Counter = field(default_factory=Counter)
    up: bool = True
    reboots: int = 0

    def __post_init__(self) -> None:
        self.signer = self.authority.child(Blank("Firmware signing"))
        self.station: OcppStation | None = None
        self.proving: asyncio.Task[None] | None = None

    def slots(self) -> RaucSlots:
        health = Health(lambda: self.up, lambda: self.station is None or self.station.online)
        return RaucSlots(
            self.board.rauc,
            self.folder / "state",
            self.counter,
            health,
            self._reboot,
            prove_s=PROVE_S,
            boot_id=lambda: str(self.board.boot_id),
        )

    def _reboot(self) -> None:
        self.reboots += 1

    async def start(self) -> RaucSlots:
        """The daemon in the slot that runs."""
        await self.board.ready()
        slots = self.slots()
        downloads = Downloads(self.folder / "update", Limits(1 << 24, 0), ssl.create_default_context)

        async def no_ocsp(_asked: OcspRequestData) -> bytes | None:
            return None

        updater = Updater(downloads, slots, lambda: [self.authority.certificate], lambda: datetime.now(UTC), no_ocsp)
        config = OcppConfig("CS-1", self.csms.url, "V", "M", security_profile=1, retry_back_off_min_s=0)
        self.station = OcppStation(config, self.journal, lambda _fact: None, updater=updater)
        await self.station.start()
        self.proving = asyncio.create_task(slots.prove())
        return slots

    async def stop(self) -> None:
        if self.proving is not None:
            self.proving.cancel()
            await asyncio.gather(self.proving, return_exceptions=True)
        if self.station is not None:
            await self.station.stop()
        self.station = self.proving = None

    async def restart(self) -> str:
        """As the bootloader has it; the daemon comes up again."""
        await self.stop()
        slot: str = self.board.restart()
        await self.start()
        return slot

    async def ask(self, bundle: Path, request_id: int = 1) -> None:
        key = self.signer.key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        digest = hashlib.sha256(await asyncio.to_thread(bundle.read_bytes)).digest()
        signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        firmware = {
            "location": f"{self.url}/{bundle.name}",
            "retrieveDateTime": "2026-01-01T00:00:00Z",
            "signingCertificate": self.signer.pem.decode(),
            "signature": base64.b64encode(signature).decode(),
        }
        assert self.station is not None
        await self.csms.until(lambda: bool(self.csms.stations))
        await until(lambda: self.station is not None and self.station.online)
        answer = await self.csms.call("UpdateFirmware", {"requestId": request_id, "firmware": firmware})
        assert answer["status"] == "Accepted"

    def told(self, request_id: int = 1) -> list[str]:
        heard = self.csms.received("FirmwareStatusNotification")
        return [told["status"] for told in heard if told.get("requestId") == request_id]

    async def hear(self, status: str) -> list[str]:
        await self.csms.until(lambda: status in self.told(), 15.0)
        return self.told()


async def until(condition: Any, timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def bench(board: Any, tmp_path: Path) -> AsyncIterator[Bench]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base's name

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    journal = await SqliteJournal.open(tmp_path / "journal.sqlite")
    async with Csms() as csms:
        bench = Bench(board, csms, journal, tmp_path, f"http://127.0.0.1:{server.server_port}")
        await bench.start()
        yield bench
        await bench.stop()
        assert csms.faults() == []
    await journal.close()
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_good_update_runs_in_the_other_slot(bench: Bench) -> None:
    await bench.ask(bench.board.bundle("2.0.0+epoch.2"))
    assert await bench.hear("InstallRebooting") == WHOLE[:-1]
    await until(lambda: bench.reboots == 1)
    assert bench.board.content("A") == b""
    assert bench.board.content("B") == b"new firmware"
    assert await bench.restart() == "B"
    assert await bench.hear("Installed") == WHOLE
    assert bench.counter.value == 3, "epoch 2"
    heard = bench.csms.received
    await until(lambda: "FirmwareUpdated" in [event["type"] for event in heard("SecurityEventNotification")])
    for _ in range(4):
        assert await bench.restart() == "B", "marked good at every start: the bootloader keeps it"
        assert bench.proving is not None
        await bench.proving


@pytest.mark.parametrize("kind", ["wrong board", "foreign key", "tampered", "older than the floor", "far ahead"])
async def test_an_image_that_is_no_good_is_never_written(bench: Bench, kind: str) -> None:
    board, bench.counter.value = bench.board, 4
    match kind:
        case "wrong board":
            bundle = board.bundle("2.0.0+epoch.3", compatible="another-board")
        case "foreign key":
            bundle = board.bundle("2.0.0+epoch.3", signer=rauc_board.signing(root(Blank("Stranger"))))
        case "tampered":
            bundle = board.bundle("2.0.0+epoch.3", content=os.urandom(100_000))
            octets = bytearray(bundle.read_bytes())
            octets[50_000] ^= 1
            bundle.write_bytes(octets)
        case "far ahead":
            bundle = board.bundle("2.0.0+epoch.4000")
        case _:
            bundle = board.bundle("2.0.0+epoch.2")
    await bench.ask(bundle)
    assert (await bench.hear("InstallVerificationFailed"))[-2:] == ["Installing", "InstallVerificationFailed"]
    assert bench.reboots == 0
    assert board.content("B") == b""
    assert board.restart() == "A"


async def test_power_is_cut_while_a_slot_is_written(bench: Bench) -> None:
    """The half-written slot is not started; the installation is done again, and ends well."""
    hold = bench.folder / "hold"
    hold.touch()
    await bench.ask(bench.board.bundle("2.0.0", hook=f"while [ -e {hold} ]; do sleep 0.05; done"))
    await bench.hear("Installing")
    await until(lambda: bench.board.content("B") != b"")
    await bench.stop()
    assert bench.board.restart() == "A"
    hold.unlink()
    await bench.start()
    assert await bench.hear("InstallRebooting") == [*WHOLE[:3], "Installing", *WHOLE[3:-1]]
    await until(lambda: bench.reboots == 1)
    assert await bench.restart() == "B"
    assert (await bench.hear("Installed"))[-1] == "Installed"
    assert bench.board.content("B") == b"new firmware"


async def test_a_slot_that_does_not_come_healthy_is_left(bench: Bench) -> None:
    await bench.ask(bench.board.bundle("2.0.0+epoch.1"))
    await bench.hear("InstallRebooting")
    await until(lambda: bench.reboots == 1)
    bench.up = False
    assert await bench.restart() == "B"
    await until(lambda: bench.reboots == 2)
    bench.up = True
    assert await bench.restart() == "A"
    assert (await bench.hear("InstallationFailed"))[-2:] == ["InstallRebooting", "InstallationFailed"]
    assert bench.counter.value == 1
    assert bench.board.restart() == "A"


async def test_a_slot_whose_daemon_never_runs_is_left_by_the_bootloader(bench: Bench) -> None:
    await bench.ask(bench.board.bundle())
    await bench.hear("InstallRebooting")
    await until(lambda: bench.reboots == 1)
    await bench.stop()
    assert [bench.board.restart() for _ in range(4)] == ["B", "B", "B", "A"]
    await bench.start()
    assert (await bench.hear("InstallationFailed"))[-1] == "InstallationFailed"


async def test_without_a_csms_the_boards_are_enough_in_the_end(bench: Bench) -> None:
    await bench.ask(bench.board.bundle())
    await bench.hear("InstallRebooting")
    await until(lambda: bench.reboots == 1)
    await bench.csms.stop()
    assert await bench.restart() == "B"
    assert bench.proving is not None
    await bench.proving
    assert (await bench.slots().status()).booted.good  # type: ignore[union-attr]
    await bench.csms.start()
    assert await bench.hear("Installed")


async def test_a_daemon_that_restarts_alone_asks_for_the_restart_again(bench: Bench) -> None:
    await bench.ask(bench.board.bundle())
    await bench.hear("InstallRebooting")
    await until(lambda: bench.reboots == 1)
    await bench.stop()
    await bench.start()
    await until(lambda: bench.reboots == 2)
    assert bench.told() == WHOLE[:-1]


# --- The slots alone ---


async def test_rolling_back(bench: Bench) -> None:
    slots = bench.slots()
    assert await slots.install(str(bench.board.bundle("2.0.0+epoch.1"))) is None
    assert await bench.restart() == "B"
    assert bench.proving is not None
    await bench.proving
    slots = bench.slots()
    bench.counter.value = 2
    with pytest.raises(RaucError, match="below the floor"):
        await slots.roll_back()
    bench.counter.value = 1
    assert (await slots.roll_back()).bootname == "A"
    assert await bench.restart() == "A"
    assert bench.proving is not None
    await bench.proving
    assert slots.trial() == Trial("rootfs.0", "boot 2", "", "good")


async def test_rolling_back_to_nothing_is_refused(bench: Bench) -> None:
    await bench.board.rauc.mark("bad", "other")
    with pytest.raises(RaucError, match="no firmware"):
        await bench.slots().roll_back()


async def test_one_installation_at_a_time(bench: Bench) -> None:
    slots = bench.slots()
    slots.percent = 30
    assert await slots.install("image") is FirmwareFault.INSTALLATION


async def test_without_the_tpm_nothing_is_installed(bench: Bench) -> None:
    bench.counter.absent = True
    assert await bench.slots().install(str(bench.board.bundle())) is FirmwareFault.VERIFICATION
    await bench.slots().mark_good()


async def test_a_slot_that_cannot_be_written_is_told(bench: Bench) -> None:
    (bench.folder / "B.img").unlink()
    assert await bench.slots().install(str(bench.board.bundle())) is FirmwareFault.INSTALLATION


async def test_a_busy_service_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rauc_module, "BUSY_WAIT_S", 0.05)
    hold = bench.folder / "hold"
    hold.touch()
    first = bench.board.bundle("1.0.0", hook=f"while [ -e {hold} ]; do sleep 0.05; done")
    second = bench.board.bundle("2.0.0", content=b"second")
    before = asyncio.create_task(bench.board.rauc.install(str(first), lambda _percent: None))
    await until(lambda: bench.board.content("B") != b"")
    mine = asyncio.create_task(bench.slots().install(str(second)))
    await asyncio.sleep(0.3)
    assert not mine.done()
    hold.unlink()
    await before
    assert await mine is None
    assert bench.board.content("B") == b"second"


async def test_a_restart_that_cannot_be_asked_for(bench: Bench) -> None:
    def refuse() -> None:
        raise PermissionError("no")

    slots = bench.slots()
    assert await slots.install(str(bench.board.bundle())) is None
    slots._reboot = refuse
    with pytest.raises(FirmwareError):
        await slots.activate()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"slot": "B", "odd": 1}'])
async def test_a_record_that_cannot_be_read_counts_as_none(bench: Bench, text: str) -> None:
    (bench.folder / "state").mkdir()
    (bench.folder / "state" / "trial.json").write_text(text)
    slots = bench.slots()
    assert slots.trial() is None
    await slots.prove()
    assert await slots.outcome() is UpdateOutcome.FELL_BACK


# --- The command ---


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo no", "no JSON"),
        ("echo []", "no object"),
        ("echo '{}'", "cannot be read"),
        ('echo \'{"compatible": 1, "boot_primary": null, "slots": [{"a": {}}]}\'', "cannot be read"),
        ("echo 'Error: broken' >&2; exit 1", "Error: broken"),
        ("exit 3", "says nothing"),
        ("exec sleep 60", "no answer"),
    ],
)
async def test_what_rauc_may_answer(tmp_path: Path, script: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.update.rauc.QUICK_S", 0.5)
    command = tmp_path / "rauc"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    with pytest.raises(RaucError, match=why):
        await Rauc((str(command),)).status()


async def test_a_board_without_rauc() -> None:
    with pytest.raises(RaucError, match="nowhere"):
        await Rauc(("/nowhere/rauc",)).info("image")


@pytest.mark.parametrize(
    ("version", "epoch"),
    [("2.0.0", 0), ("2.0.0+epoch.7", 7), ("", 0), ("1+epoch.x", 0), ("1+epoch.1.2", 0), ("1+epoch.9999999999", 0)],
)
def test_epochs(version: str, epoch: int) -> None:
    assert epoch_of(version) == epoch
