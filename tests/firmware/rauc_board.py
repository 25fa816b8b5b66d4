"""A board with two slots in files, a bootloader as a shell script, and the real RAUC on a D-Bus of its own.

`restart` is the bootloader's choice: the primary slot, or, when it has no attempts left, the other.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from firmware.update.rauc import Rauc, RaucError
from sim.pki.authority import Blank, Entity, root

COMPATIBLE = "evsed-test-board"
SLOT_BYTES = 4 << 20
ATTEMPTS = 3

_BACKEND = """#!/bin/sh
# RAUC's custom bootloader backend: what a real one keeps in its environment.
cd "{boot}" || exit 1
case "$1" in
get-primary) cat primary ;;
set-primary) echo "$2" >primary && echo good >"state.$2" && echo {attempts} >"left.$2" ;;
get-state) cat "state.$2" ;;
set-state) echo "$3" >"state.$2" && echo {attempts} >"left.$2" ;;
*) exit 1 ;;
esac
"""

_SYSTEM = """[system]
compatible={compatible}
bootloader=custom
statusfile={folder}/status.raucs
mountprefix={folder}/mounted

[keyring]
path={folder}/keyring.pem

[handlers]
bootloader-custom-backend={folder}/backend

[slot.rootfs.0]
device={folder}/A.img
type=raw
bootname=A

[slot.rootfs.1]
device={folder}/B.img
type=raw
bootname=B
"""


def signing(authority: Entity) -> Entity:
    """A certificate that may sign bundles."""
    return authority.child(Blank("Bundles", usage=frozenset({"digital_signature"})))


@dataclass
class RaucBoard:
    folder: Path
    keys: Entity = field(default_factory=lambda: root(Blank("RAUC keyring")))
    booted: str = "A"
    boots: int = 1

    def __post_init__(self) -> None:
        self.keys.saved(self.folder, "keyring")
        for slot in "AB":
            (self.folder / f"{slot}.img").write_bytes(bytes(SLOT_BYTES))
        boot = self.folder / "boot"
        boot.mkdir()
        (boot / "primary").write_text("A\n")
        for slot in "AB":
            (boot / f"state.{slot}").write_text("good\n")
            (boot / f"left.{slot}").write_text(f"{ATTEMPTS}\n")
        backend = self.folder / "backend"
        backend.write_text(_BACKEND.format(boot=boot, attempts=ATTEMPTS))
        backend.chmod(0o755)
        self.conf = self.folder / "system.conf"
        self.conf.write_text(_SYSTEM.format(compatible=COMPATIBLE, folder=self.folder))
        self._service: subprocess.Popen[bytes] | None = None
        self._bus: subprocess.Popen[bytes] | None = None

    # --- Power ---

    def power_on(self) -> None:
        """The bus and RAUC's service, in the slot the bootloader chose."""
        self._bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._bus.stdout is not None
        address = self._bus.stdout.readline().decode().strip()
        self.environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": address, "DBUS_SESSION_BUS_ADDRESS": address}
        self._service = subprocess.Popen(
            ["unshare", "-m", "rauc", "-c", str(self.conf), f"--override-boot-slot={self.booted}", "service"],
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def power_off(self) -> None:
        """At once, whatever runs."""
        if self._service is not None:
            # With what it runs; its mounts go with its namespace.
            os.killpg(self._service.pid, signal.SIGKILL)
            self._service.wait()
        if self._bus is not None and self._bus.stdout is not None:
            self._bus.kill()
            self._bus.wait()
            self._bus.stdout.close()
        self._service = self._bus = None

    def restart(self) -> str:
        """Power off, let the bootloader choose, power on; returns the slot."""
        self.power_off()
        primary = (self.folder / "boot" / "primary").read_text().strip()
        left = self.folder / "boot" / f"left.{primary}"
        attempts = int(left.read_text())
        good = (self.folder / "boot" / f"state.{primary}").read_text().strip() == "good"
        self.booted = primary if good and attempts > 0 else "BA"["AB".index(primary)]
        left.write_text(f"{max(attempts - 1, 0)}\n")
        self.boots += 1
        self.power_on()
        return self.booted

    @property
    def boot_id(self) -> str:
        return f"boot {self.boots}"

    @property
    def rauc(self) -> Rauc:
        return Rauc(("rauc", "-c", str(self.conf)), self.environment)

    async def ready(self) -> None:
        """Until the service answers."""
        async with asyncio.timeout(10):
            while True:
                try:
                    await self.rauc.status()
                except RaucError:
                    await asyncio.sleep(0.05)
                else:
                    return

    # --- Bundles ---

    def bundle(
        self,
        version: str = "2.0.0",
        *,
        compatible: str = COMPATIBLE,
        signer: Entity | None = None,
        content: bytes = b"new firmware",
        hook: str = "",
    ) -> Path:
        """An image for the slot, as large as one; `hook` is a shell script that RAUC runs once it is written."""
        folder, bundle = self.folder / "content", self.folder / f"{version}-{compatible}.raucb"
        folder.mkdir()
        (folder / "rootfs.img").write_bytes(content.ljust(SLOT_BYTES, b"\0"))
        manifest = f"[update]\ncompatible={compatible}\nversion={version}\n\n[bundle]\nformat=plain\n\n"
        if hook:
            (folder / "hook").write_text(f"#!/bin/sh\n{hook}\n")
            (folder / "hook").chmod(0o755)
            manifest += "[hooks]\nfilename=hook\n\n"
        manifest += "[image.rootfs]\nfilename=rootfs.img\n" + ("hooks=post-install\n" if hook else "")
        (folder / "manifest.raucm").write_text(manifest)
        (signer or signing(self.keys)).saved(self.folder, "signer")
        keys = (f"--cert={self.folder / 'signer.pem'}", f"--key={self.folder / 'signer.key'}")
        made = subprocess.run(["rauc", "bundle", *keys, str(folder), str(bundle)], capture_output=True, check=False)
        assert made.returncode == 0, made.stderr.decode()
        shutil.rmtree(folder)
        return bundle

    def content(self, slot: str) -> bytes:
        return (self.folder / f"{slot}.img").read_bytes().rstrip(b"\0")
