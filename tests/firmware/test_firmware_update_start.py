"""The update of a station as its configuration has it, and what its parts may meet."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certs.store import CertificateStore, RootKind
from firmware.config import parse
from firmware.update.download import Downloads, Limits
from firmware.update.start import make_update
from firmware.update.updater import Updater
from ocpp_client.ports import FirmwareError, OcspRequestData, SigningCertificate
from sim.pki.authority import Blank, root

CONFIG = """
[station]
identity = "CS"
vendor = "V"
model = "M"
serial = "1"
state_dir = "state"
[csms]
url = "ws://localhost/"
security_profile = 1
password = "0123456789abcdef"
[[evse]]
id = 1
evse_id = "DE*EVS*E1"
device = "/dev/null"
"""


@pytest.fixture
def credentials(tmp_path: Path) -> Any:
    store = CertificateStore(tmp_path / "certs")
    return SimpleNamespace(store=store, tpm=SimpleNamespace(rollback_counter=lambda: 4), now=lambda: datetime.now(UTC))


def made(credentials: Any, tmp_path: Path, text: str = "[update]\n") -> Any:
    return make_update(parse(text + CONFIG, tmp_path / "evsed.toml"), credentials, lambda: True)


def test_without_its_table_there_are_no_updates(credentials: Any, tmp_path: Path) -> None:
    assert made(credentials, tmp_path, "") is None


async def test_a_restart_is_a_file(credentials: Any, tmp_path: Path) -> None:
    update = made(credentials, tmp_path, '[update]\nreboot_request = "reboot"\n')
    await update.slots._restart()
    assert (tmp_path / "reboot").exists()
    assert await update.slots.floor() == 3


async def test_downloads_trust_the_systems_roots_and_ours(credentials: Any, tmp_path: Path) -> None:
    update = made(credentials, tmp_path)
    before = len(ssl.create_default_context().get_ca_certs())
    for kind in (RootKind.CSMS, RootKind.MANUFACTURER, RootKind.V2G):
        credentials.store.install_root(kind, root(Blank(f"{kind} root")).pem.decode())
    assert len(update.updater._downloads._tls().get_ca_certs()) == before + 2


async def test_only_manufacturers_sign_firmware(credentials: Any, tmp_path: Path) -> None:
    update = made(credentials, tmp_path)
    authority = root(Blank("Maker"))
    signer = authority.child(Blank("Firmware signing", ocsp_url="http://ocsp.invalid/"))
    check = update.updater.check_certificate
    assert await check(signer.pem.decode()) is SigningCertificate.INVALID
    credentials.store.install_root(RootKind.CSMS, authority.pem.decode())
    assert await check(signer.pem.decode()) is SigningCertificate.INVALID
    credentials.store.install_root(RootKind.MANUFACTURER, authority.pem.decode())
    assert not update.online()
    assert await check(signer.pem.decode()) is SigningCertificate.VALID, "nothing is to be learned of it"


async def test_the_csms_is_asked_about_revocation(credentials: Any, tmp_path: Path) -> None:
    update = made(credentials, tmp_path)
    authority = root(Blank("Maker"))
    signer = authority.child(Blank("Firmware signing", ocsp_url="http://ocsp.invalid/"))
    credentials.store.install_root(RootKind.MANUFACTURER, authority.pem.decode())
    asked: list[OcspRequestData] = []

    async def status(certificate: OcspRequestData) -> bytes:
        asked.append(certificate)
        return b"no OCSP response"

    update.station = SimpleNamespace(certificate_status=status, online=True)
    assert update.online()
    assert await update.updater.check_certificate(signer.pem.decode()) is SigningCertificate.VALID
    assert [one.responder_url for one in asked] == ["http://ocsp.invalid/"]


async def test_what_the_disk_refuses_is_told(tmp_path: Path) -> None:
    async def ocsp(_asked: OcspRequestData) -> bytes | None:
        return None

    downloads = Downloads(tmp_path / "update", Limits(100, 0), ssl.create_default_context)
    updater = Updater(downloads, SimpleNamespace(), list, lambda: datetime.now(UTC), ocsp)  # type: ignore[arg-type]
    with pytest.raises(FirmwareError):
        await updater.verify("PEM", "")
    await asyncio.to_thread(downloads.image.mkdir, parents=True)
    with pytest.raises(FirmwareError):
        await updater.discard()
