"""Installing into the slot that does not run, and proving what was installed.

A new slot runs on trial: it is marked good only once the boards' links and the CSMS have been up for a while, or the
boards' alone for `prove_s` (a station may be without its CSMS for days). Where even that fails the slot is marked bad
and the old one started again; a slot that does not get so far is left by the bootloader, which counts its attempts.

The rollback floor is a counter in the TPM that only grows. Firmware names its security epoch in its version; once it is
marked good the counter is raised to it, and an older epoch is not installed any more.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from certs.errors import CertsError
from certs.store import write_atomically
from firmware.update.rauc import Bundle, Rauc, RaucError, Slot, SlotStatus, epoch_of
from ocpp_client.ports import FirmwareError, FirmwareFault, UpdateOutcome

log = logging.getLogger(__name__)

PROVE_S = 900.0
STEADY_S = 10.0
"""How long all must be up without a break."""
LOOK_S = 0.5
MAX_RAISE = 100
"""Steps of the rollback counter for one update: the chip's memory wears, and no release is so far ahead."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NOT_THE_IMAGE = ("signature", "compatible", "verif", "checksum", "bundle format", "manifest")


class Floor(Protocol):
    """The TPM's rollback counter. Blocks; raises CertsError."""

    def rollback_counter(self) -> int: ...

    def raise_rollback_counter(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Health:
    boards_up: Callable[[], bool]
    csms_online: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Trial:
    """The latest installation, as the disk keeps it."""

    slot: str
    boot_id: str
    """Of the run of the kernel that installed it."""
    version: str
    outcome: str = ""
    """An UpdateOutcome once it is settled."""


class RaucSlots:
    """Implements `firmware.update.updater.Slots`. All on one loop; `reboot` asks for a restart of the board."""

    def __init__(
        self,
        rauc: Rauc,
        directory: Path,
        floor: Floor,
        health: Health,
        reboot: Callable[[], None],
        prove_s: float = PROVE_S,
        boot_id: Callable[[], str] = lambda: BOOT_ID.read_text().strip(),
    ) -> None:
        self._rauc = rauc
        self._file = directory / "trial.json"
        self._floor = floor
        self._health = health
        self._reboot = reboot
        self._prove_s = prove_s
        self._boot_id = boot_id
        self._settled = asyncio.Event()
        self._restarting = False
        self._before: SlotStatus | None = None
        self.percent: int | None = None
        """Of an installation under way."""
        self.proving = False

    # --- Installing ---

    async def install(self, image: str) -> FirmwareFault | None:
        if self.percent is not None:
            log.error("another installation is under way")
            return FirmwareFault.INSTALLATION
        self.percent = 0
        try:
            return await self._install(image)
        finally:
            self.percent = self._before = None

    async def _install(self, image: str) -> FirmwareFault | None:
        try:
            status = self._before = await self._rauc.status()
        except RaucError as error:
            log.error("the slots cannot be read: %s", error)
            return FirmwareFault.INSTALLATION
        try:
            bundle = await self._checked(image, status)
        except (RaucError, CertsError) as error:
            log.error("the image is refused: %s", error)
            return FirmwareFault.VERIFICATION
        if await self._is_there(bundle, status):
            return None
        try:
            await self._rauc.install(image, self._progress)
            await self._note((await self._rauc.status()).primary, bundle)
        except (RaucError, OSError) as error:
            log.error("the image is not installed: %s", error)
            told = str(error).lower()
            of_image = isinstance(error, RaucError) and any(word in told for word in _NOT_THE_IMAGE)
            return FirmwareFault.VERIFICATION if of_image else FirmwareFault.INSTALLATION
        return None

    async def _checked(self, image: str, status: SlotStatus) -> Bundle:
        """Raises RaucError, CertsError."""
        bundle = await self._rauc.info(image)
        if bundle.compatible != status.compatible:
            raise RaucError(f"it is for {bundle.compatible!r}, this board is {status.compatible!r}")
        epoch, floor = epoch_of(bundle.version), await self.floor()
        if epoch < floor:
            raise RaucError(f"version {bundle.version!r} is of security epoch {epoch}, the floor is {floor}")
        if epoch > floor + MAX_RAISE:
            raise RaucError(f"security epoch {epoch} is more than {MAX_RAISE} above the floor {floor}")
        return bundle

    async def _is_there(self, bundle: Bundle, status: SlotStatus) -> bool:
        """Whether a power cut came between the end of the installation and our knowing of it.

        Then the slot that does not run may be the only one that is proven: it is not written.
        """
        trial = await asyncio.to_thread(self.trial)
        return (
            trial is not None and not trial.outcome and (trial.version, trial.slot) == (bundle.version, status.primary)
        )

    def _progress(self, percent: int) -> None:
        self.percent = percent

    async def _note(self, slot: str, bundle: Bundle) -> None:
        trial = Trial(slot, self._boot_id(), bundle.version)
        self._settled.clear()
        await asyncio.to_thread(self._store, trial)
        log.info("version %s is in slot %s, which starts next", bundle.version, slot)

    def _store(self, trial: Trial) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._file, json.dumps(asdict(trial)).encode())

    def trial(self) -> Trial | None:
        """The latest installation; None for none, or one that cannot be read."""
        try:
            return Trial(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.error("the latest installation cannot be read: %s", error)
            return None

    async def floor(self) -> int:
        """The lowest security epoch that is installed. Raises CertsError."""
        return _floor_of(await asyncio.to_thread(self._floor.rollback_counter))

    # --- Restarting ---

    async def activate(self) -> None:
        if self._restarting or not await self._waits_for_restart():
            return
        await self._restart()

    async def _waits_for_restart(self) -> bool:
        trial = await asyncio.to_thread(self.trial)
        return trial is not None and not trial.outcome and trial.boot_id == self._boot_id()

    async def _restart(self) -> None:
        """Raises FirmwareError."""
        self._restarting = True
        log.warning("restarting into the slot that starts next")
        try:
            await asyncio.to_thread(self._reboot)
        except OSError as error:
            raise FirmwareError(f"the restart cannot be asked for: {error}") from error

    async def outcome(self) -> UpdateOutcome:
        with contextlib.suppress(FirmwareError):
            # Where the daemon alone was restarted, the board not yet.
            await self.activate()
        await self._settled.wait()
        trial = await asyncio.to_thread(self.trial)
        return UpdateOutcome.GOOD if trial and trial.outcome == UpdateOutcome.GOOD else UpdateOutcome.FELL_BACK

    # --- Proving ---

    async def prove(self) -> None:
        """At every start: look after a slot on trial, and tell the bootloader that this one is good."""
        self.proving = True
        try:
            await self._prove()
        except RaucError as error:
            log.error("the slot that runs cannot be marked: %s", error)
        finally:
            self.proving = False

    async def _prove(self) -> None:
        trial = await asyncio.to_thread(self.trial)
        if await self._waits_for_restart():
            return
        booted = (await self._rauc.status()).booted
        on_trial = trial is not None and not trial.outcome and booted is not None and booted.name == trial.slot
        if trial is None or (not trial.outcome and not on_trial):
            await self._settle(trial, UpdateOutcome.FELL_BACK)
        elif trial.outcome:
            self._settled.set()
        if await self._healthy():
            await self.mark_good()
        elif on_trial and booted is not None:
            await self._fall_back(booted)

    async def _healthy(self) -> bool:
        """Steadily up with the CSMS, or after `prove_s` at least the boards."""
        began = time.monotonic()
        up_since: float | None = None
        while (now := time.monotonic()) < began + self._prove_s:
            if not (self._health.boards_up() and self._health.csms_online()):
                up_since = None
            elif up_since is None:
                up_since = now
            elif now - up_since >= min(STEADY_S, self._prove_s / 4):
                return True
            await asyncio.sleep(min(LOOK_S, self._prove_s / 20))
        return self._health.boards_up()

    async def mark_good(self) -> None:
        """What runs is good for ever: older security epochs are not installed from now on. Raises RaucError."""
        await self._rauc.mark("good")
        booted = (await self._rauc.status()).booted
        if booted is not None and booted.version:
            await self._raise_floor(epoch_of(booted.version))
        trial = await asyncio.to_thread(self.trial)
        if trial is not None and not trial.outcome and booted is not None and booted.name == trial.slot:
            await self._settle(trial, UpdateOutcome.GOOD)

    async def _raise_floor(self, epoch: int) -> None:
        def raise_to() -> None:
            floor = _floor_of(self._floor.rollback_counter())
            while floor < epoch <= floor + MAX_RAISE:
                floor = _floor_of(self._floor.raise_rollback_counter())

        try:
            await asyncio.to_thread(raise_to)
        except CertsError as error:
            log.error("the rollback floor is not raised to %s: %s", epoch, error)

    async def _settle(self, trial: Trial | None, outcome: UpdateOutcome) -> None:
        if trial is not None:
            log.warning("version %s: %s", trial.version, outcome.value)
            try:
                await asyncio.to_thread(self._store, replace(trial, outcome=outcome.value))
            except OSError as error:
                log.error("the outcome is not kept: %s", error)
        self._settled.set()

    async def _fall_back(self, booted: Slot) -> None:
        log.error("slot %s does not come healthy in %.0f s: back to the other", booted.name, self._prove_s)
        await self._rauc.mark("bad", booted.name)
        await self._rauc.mark("active", "other")
        try:
            await self._restart()
        except FirmwareError as error:
            log.error("%s", error)

    async def roll_back(self) -> Slot:
        """Have the other slot start next, and restart. Raises RaucError, CertsError: it is not fit to."""
        other = (await self._rauc.status()).other
        if other is None or not other.good:
            raise RaucError("the other slot holds no firmware that was found good")
        floor = await self.floor()
        if epoch_of(other.version) < floor:
            raise RaucError(f"version {other.version!r} of the other slot is below the floor {floor}")
        await self._rauc.mark("active", "other")
        await asyncio.to_thread(self._store, Trial(other.name, self._boot_id(), other.version))
        await self._restart()
        return other

    async def status(self) -> SlotStatus:
        """As it was before, while an installation is under way. Raises RaucError."""
        if self._before is not None:
            return self._before
        return await self._rauc.status()


def _floor_of(counter: int) -> int:
    """A TPM's counter begins at 1, which provisioning makes it do: that stands for epoch 0."""
    return max(counter - 1, 0)
