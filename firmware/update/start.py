"""Builds the firmware update of a station from its configuration."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from certs.store import RootKind
from firmware.config import Config
from firmware.credentials import Credentials
from firmware.update.download import Downloads, Limits
from firmware.update.rauc import Rauc
from firmware.update.slots import Health, RaucSlots
from firmware.update.updater import Updater
from ocpp_client.ports import OcspRequestData
from ocpp_client.station import OcppStation

MB = 1_000_000


@dataclass
class FirmwareUpdate:
    """All on the loop of the CSMS link. `station` comes once it is built: it is given the updater."""

    updater: Updater
    slots: RaucSlots
    station: OcppStation | None = None

    def online(self) -> bool:
        return self.station is not None and self.station.online


def make_update(config: Config, credentials: Credentials, boards_up: Callable[[], bool]) -> FirmwareUpdate | None:
    """None for a station that is configured without."""
    settings = config.update
    if settings is None:
        return None
    directory = config.station.state_dir / "update"

    def tls() -> ssl.SSLContext:
        """By the system's roots and ours: the image is signed besides."""
        context = ssl.create_default_context()
        for root in credentials.store.certificates(RootKind.CSMS, RootKind.MANUFACTURER):
            context.load_verify_locations(cadata=root.public_bytes(Encoding.DER))
        return context

    async def ocsp_status(asked: OcspRequestData) -> bytes | None:
        return None if update.station is None else await update.station.certificate_status(asked)

    slots = RaucSlots(
        Rauc((settings.command,)),
        directory,
        credentials.tpm,
        Health(boards_up, lambda: update.online()),
        lambda: _ask_for_reboot(settings.reboot_request),
        settings.prove_s,
    )
    updater = Updater(
        Downloads(directory, Limits(settings.max_image_mb * MB), tls),
        slots,
        lambda: credentials.store.certificates(RootKind.MANUFACTURER),
        lambda: credentials.now(),
        ocsp_status,
    )
    update = FirmwareUpdate(updater, slots)
    return update


def _ask_for_reboot(file: Path) -> None:
    """Raises OSError."""
    file.touch()
