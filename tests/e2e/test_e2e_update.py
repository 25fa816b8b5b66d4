"""The daemon as a process updates its board: a signed image from a web server, the real RAUC, the TPM's counter.

The restart is played: RAUC's service starts anew in the slot that the bootloader chose, under another boot id.
"""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs.store import CertificateStore, RootKind
from sim.namespaces import REPOSITORY, missing_right
from sim.pki.authority import Blank, root
from sim.site import Event, Options, Site
from tests.firmware.rauc_board import RaucBoard

RUN = """
mount --bind {boot_id} /proc/sys/kernel/random/boot_id
exec {python} -m firmware.app "$@"
"""
WRAPPER = """#!/bin/sh
export DBUS_SYSTEM_BUS_ADDRESS={address} DBUS_SESSION_BUS_ADDRESS={address}
exec rauc -c {conf} "$@"
"""


class UpdateSite(Site):
    """A site whose board has slots; the daemon asks for a restart by a file, and `restart_board` grants it."""

    def __init__(self, directory: Path) -> None:
        self.boot_id = directory / "boot_id"
        script = RUN.format(boot_id=self.boot_id, python=sys.executable)
        super().__init__(directory, Options(daemon=("unshare", "-m", "sh", "-c", script, "sh")))
        self.rauc_folder = directory / "rauc"
        self.rauc_folder.mkdir()
        self.rauc = RaucBoard(self.rauc_folder)
        self.reboot = directory / "reboot"
        self.authority = root(Blank("Manufacturer root"))
        self.signer = self.authority.child(Blank("Firmware signing"))

    def run_all(self) -> None:
        self.prepare()
        CertificateStore(self.directory / "state" / "certs").install_root(
            RootKind.MANUFACTURER, self.authority.pem.decode()
        )
        update = {"command": str(self.rauc_folder / "rauc"), "reboot_request": str(self.reboot), "prove_s": 60.0}
        with (self.directory / "evsed.toml").open("a") as file:
            file.write("[update]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in update.items()))
        self.power_on_rauc()
        self.start_csms()
        self.start_modems()
        self.start_board()
        self.start_daemon()
        self.wait_for(lambda: self.calls("BootNotification"), "the station at its CSMS", 20)

    def power_on_rauc(self) -> None:
        self.boot_id.write_text(f"{self.rauc.boot_id}\n")
        if self.rauc.boots == 1:
            self.rauc.power_on()
        wrapper = self.rauc_folder / "rauc"
        address = self.rauc.environment["DBUS_SYSTEM_BUS_ADDRESS"]
        wrapper.write_text(WRAPPER.format(address=address, conf=self.rauc.conf))
        wrapper.chmod(0o755)

    def restart_board(self) -> str:
        self.wait_for(self.reboot.exists, "the request for a restart", 30)
        self.kill("evsed", signal.SIGTERM)
        self.reboot.unlink()
        slot = self.rauc.restart()
        self.power_on_rauc()
        self.start_daemon()
        return slot

    def calls(self, action: str) -> list[Event]:
        return [line["payload"] for line in self.read("csms") if line["action"] == action]

    def told(self) -> list[str]:
        return [payload["status"] for payload in self.calls("FirmwareStatusNotification")]

    def ask(self, url: str, bundle: Path) -> None:
        key = self.signer.key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        firmware = {
            "location": f"{url}/{bundle.name}",
            "retrieveDateTime": "2026-01-01T00:00:00Z",
            "signingCertificate": self.signer.pem.decode(),
            "signature": base64.b64encode(key.sign(bundle.read_bytes(), ec.ECDSA(hashes.SHA256()))).decode(),
        }
        payload = {"requestId": 1, "retries": 2, "retryInterval": 1, "firmware": firmware}
        assert self.command_csms({"call": "UpdateFirmware", "payload": payload})["ok"]["status"] == "Accepted"

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.rauc.power_off()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UpdateSite]:
    if right := missing_right():
        pytest.skip(right)
    with UpdateSite(tmp_path) as made:
        made.run_all()
        yield made


@pytest.fixture
def files(site: UpdateSite) -> Iterator[str]:
    """A web server on the station's loopback."""
    ready = site.directory / "files.port"
    code = (
        "import sys, pathlib\n"
        "from functools import partial\n"
        "from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer\n"
        "made = ThreadingHTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=sys.argv[1]))\n"
        "pathlib.Path(sys.argv[2]).write_text(str(made.server_port))\n"
        "made.serve_forever()\n"
    )
    words = [sys.executable, "-c", code, str(site.rauc_folder), str(ready)]
    server = site.world.spawn(
        "station", words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    site.wait_for(lambda: ready.exists() and ready.read_text(), "the web server", 10)
    yield f"http://127.0.0.1:{ready.read_text()}"
    os.kill(server.pid, signal.SIGKILL)
    server.wait()


def test_an_update_from_request_to_proof(site: UpdateSite, files: str) -> None:
    site.ask(files, site.rauc.bundle("2.0.0+epoch.1"))
    assert site.restart_board() == "B"
    site.wait_for(lambda: "Installed" in site.told(), "the proof", 40)
    assert site.told() == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "InstallRebooting",
        "Installed",
    ]
    assert [boot["reason"] for boot in site.calls("BootNotification")] == ["PowerUp", "FirmwareUpdate"]
    site.wait_for(lambda: "FirmwareUpdated" in kinds(site), "the security event", 10)
    shown = command(site, "fw", "status")
    assert [slot["slot"] for slot in shown["slots"] if slot["booted"]] == ["rootfs.1"]
    assert shown["rollback_floor"] == 1
    assert shown["latest"] == {"slot": "rootfs.1", "version": "2.0.0+epoch.1", "outcome": "good"}


def kinds(site: UpdateSite) -> list[str]:
    return [event["type"] for event in site.calls("SecurityEventNotification")]


def command(site: UpdateSite, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "firmware.cli", *words, "--json", "--socket", site.directory / "control.sock"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
