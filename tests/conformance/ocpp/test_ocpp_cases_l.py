"""TC_L: firmware updates. The image is fetched and verified by the daemon's own code; only the slots are scripted."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from firmware.update.download import Downloads, Limits
from firmware.update.updater import Updater
from ocpp_client.ports import FirmwareError, FirmwareFault, OcspRequestData, UpdateOutcome
from sim.csms.server import CallRefused
from sim.pki.authority import Blank, Entity, root
from sim.pki.ocsp import Responder

IMAGE = b"firmware " * 20_000
WHOLE = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]


@dataclass
class ScriptedSlots:
    """The other slot takes whatever comes, unless told otherwise; `activate` restarts the station."""

    site: Any
    fault: FirmwareFault | None = None
    result: UpdateOutcome = UpdateOutcome.GOOD
    installed: list[bytes] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    async def install(self, image: str) -> FirmwareFault | None:
        await self.hold.wait()
        if self.fault is None:
            self.installed.append(await asyncio.to_thread(Path(image).read_bytes))
        return self.fault

    async def activate(self) -> None:
        self.before = self.site.station
        self.site._reset()

    async def outcome(self) -> UpdateOutcome:
        while self.site.station is self.before:
            await asyncio.sleep(0.01)
        return self.result


class ImageServer:
    """Gives IMAGE at /image, from where it is asked; nothing else. `hold` makes it wait, `cuts` ends answers early."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cuts = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.asked.append(head)
        await self.hold.wait()
        if not head.startswith("get /image "):
            writer.write(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
        else:
            start = int(head.partition("range: bytes=")[2].partition("-")[0] or 0)
            status = f"206 x\r\nContent-Range: bytes {start}-{len(IMAGE) - 1}/{len(IMAGE)}" if start else "200 x"
            body = IMAGE[start:]
            writer.write(f'HTTP/1.1 {status}\r\nETag: "1"\r\nContent-Length: {len(body)}\r\n\r\n'.encode())
            if self.cuts:
                self.cuts -= 1
                body = body[:100_000]
            writer.write(body)
        await writer.drain()
        writer.close()


@dataclass
class Maker:
    """The manufacturer: a root the station trusts, and what it signs."""

    authority: Entity = field(default_factory=lambda: root(Blank("Manufacturer root")))
    ocsp: bytes | None = None

    def __post_init__(self) -> None:
        self.signer = self.authority.child(Blank("Firmware signing"))

    def signature(self, image: bytes = IMAGE, signer: Entity | None = None) -> str:
        key = (signer or self.signer).key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        digest = hashlib.sha256(image).digest()
        return base64.b64encode(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))).decode()


@dataclass
class Shop:
    """All that a case needs besides the station."""

    site: Any
    server: ImageServer
    url: str
    maker: Maker
    slots: ScriptedSlots

    async def ask(self, request_id: int = 7, *, signed: bool = True, **firmware: Any) -> str:
        """UpdateFirmware; the answer's status."""
        wanted: dict[str, Any] = {"location": f"{self.url}/image", "retrieveDateTime": stamp(-60)}
        if signed:
            wanted |= {"signingCertificate": self.maker.signer.pem.decode(), "signature": self.maker.signature()}
        answer = await self.site.call(
            "UpdateFirmware", requestId=request_id, retries=1, retryInterval=0, firmware=wanted | firmware
        )
        status: str = answer["status"]
        return status

    def told(self, request_id: int = 7) -> list[str]:
        heard = self.site.csms.received("FirmwareStatusNotification")
        return [told["status"] for told in heard if told.get("requestId") == request_id]

    async def until(self, status: str, request_id: int = 7) -> list[str]:
        await self.site.csms.until(lambda: status in self.told(request_id), 10.0)
        return self.told(request_id)

    async def security_event(self, kind: str) -> None:
        def heard() -> bool:
            return any(event["type"] == kind for event in self.site.csms.received("SecurityEventNotification"))

        await self.site.csms.until(heard, 5.0)


def stamp(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
async def shop(site: Any, tmp_path: Path) -> AsyncIterator[Shop]:
    maker, slots, server = Maker(), ScriptedSlots(site), ImageServer()
    slots.hold.set()

    async def ocsp(_asked: OcspRequestData) -> bytes | None:
        return maker.ocsp

    site.station_options["updater"] = Updater(
        Downloads(tmp_path / "update", Limits(1 << 20, 0), ssl.create_default_context),
        slots,
        lambda: [maker.authority.certificate],
        lambda: datetime.now(UTC),
        ocsp,
    )
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        await site.start()
        yield Shop(site, server, url, maker, slots)


async def test_tc_l_01(shop: Shop) -> None:
    """An update from request to Installed: verified, installed, restarted, and told as a security event."""
    assert await shop.ask() == "Accepted"
    assert await shop.until("Installed") == WHOLE
    assert shop.slots.installed == [IMAGE]
    await shop.security_event("FirmwareUpdated")
    boots = shop.site.csms.received("BootNotification")
    assert [boot["reason"] for boot in boots] == ["PowerUp", "FirmwareUpdate"]


async def test_tc_l_02(shop: Shop) -> None:
    """Installation scheduled for later."""
    assert await shop.ask(installDateTime=stamp(1.0)) == "Accepted"
    told = await shop.until("InstallScheduled")
    assert told == ["Downloading", "Downloaded", "SignatureVerified", "InstallScheduled"]
    assert shop.slots.installed == []
    assert (await shop.until("Installed"))[4:] == WHOLE[3:]


async def test_tc_l_03(shop: Shop) -> None:
    """Download scheduled for later."""
    assert await shop.ask(retrieveDateTime=stamp(0.5)) == "Accepted"
    assert await shop.until("DownloadScheduled") == ["DownloadScheduled"]
    assert shop.server.asked == []
    assert await shop.until("Installed") == ["DownloadScheduled", *WHOLE]


async def test_tc_l_05(shop: Shop) -> None:
    """A signing certificate that has ended, or of a stranger: refused with a security event, and nothing fetched."""
    ended = Blank("Firmware signing", not_after=datetime.now(UTC) - timedelta(minutes=1))
    for signer in (shop.maker.authority.child(ended), root(Blank("Stranger")).child(Blank("Firmware signing"))):
        answer = await shop.ask(signingCertificate=signer.pem.decode(), signature=shop.maker.signature(signer=signer))
        assert answer == "InvalidCertificate"
    await shop.security_event("InvalidFirmwareSigningCertificate")
    await shop.site.settle()
    assert (shop.told(), shop.server.asked) == ([], [])


async def test_a_revoked_signing_certificate_is_refused(shop: Shop) -> None:
    maker = shop.maker
    maker.signer = maker.authority.child(Blank("Firmware signing", ocsp_url="http://ocsp.invalid/"))
    responder = Responder([maker.authority])
    maker.ocsp = responder.status_of(maker.signer.certificate, maker.authority)
    assert await shop.ask(1, retrieveDateTime=stamp(60)) == "Accepted"
    responder.revoked.add(maker.signer.certificate.serial_number)
    maker.ocsp = responder.status_of(maker.signer.certificate, maker.authority)
    assert await shop.ask(2) == "RevokedCertificate"
    await shop.security_event("InvalidFirmwareSigningCertificate")


async def test_tc_l_06(shop: Shop) -> None:
    """A signature over something else."""
    assert await shop.ask(signature=shop.maker.signature(b"another image")) == "Accepted"
    assert await shop.until("InvalidSignature") == ["Downloading", "Downloaded", "InvalidSignature"]
    await shop.security_event("InvalidFirmwareSignature")
    assert shop.slots.installed == []


async def test_tc_l_07(shop: Shop) -> None:
    """Nothing is there to be downloaded: tried again, then given up."""
    assert await shop.ask(location=f"{shop.url}/elsewhere") == "Accepted"
    told = await shop.until("DownloadFailed")
    assert told == ["Downloading", "DownloadPaused", "Downloading", "DownloadFailed"]
    assert len(shop.server.asked) == 2


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (FirmwareFault.VERIFICATION, "InstallVerificationFailed"),
        (FirmwareFault.INSTALLATION, "InstallationFailed"),
    ],
)
async def test_tc_l_08(shop: Shop, fault: FirmwareFault, end: str) -> None:
    """An image that is signed but no good, or cannot be written: the EVSEs are free again."""
    shop.slots.fault = fault
    assert await shop.ask() == "Accepted"
    assert (await shop.until(end))[-2:] == ["Installing", end]
    await shop.site.until(lambda: shop.site.evses[1].state.operative)


async def test_tc_l_10(shop: Shop) -> None:
    """A second request takes the place of the first while that one can be cancelled."""
    assert await shop.ask(1, retrieveDateTime=stamp(60)) == "Accepted"
    await shop.until("DownloadScheduled", 1)
    assert await shop.ask(2) == "AcceptedCanceled"
    assert await shop.until("Installed", 2) == WHOLE
    assert shop.told(1) == ["DownloadScheduled"]


async def test_tc_l_11(shop: Shop) -> None:
    """A second request while the first is being installed: refused."""
    shop.slots.hold.clear()
    assert await shop.ask(1) == "Accepted"
    await shop.until("Installing", 1)
    assert await shop.ask(2) == "Rejected"
    shop.slots.hold.set()
    await shop.until("Installed", 1)
    assert shop.told(2) == []


async def test_tc_l_14(shop: Shop) -> None:
    """A transaction runs and new ones are allowed: downloaded now, installed after the last has ended."""
    site = shop.site
    await site.power_off()
    await site.start(evse_count=2)
    await site.configure(ChargingStation_AllowNewSessionsPendingFirmwareUpdate="true")
    await site.charge()
    assert await shop.ask() == "Accepted"
    await shop.until("InstallScheduled")
    await site.charge("04DDEEFF", 2)
    await end(site, 1, "04AABBCC")
    await site.settle()
    assert shop.slots.installed == []
    await end(site, 2, "04DDEEFF")
    assert (await shop.until("Installed"))[3:] == ["InstallScheduled", *WHOLE[3:]]


async def test_tc_l_15(shop: Shop) -> None:
    """A transaction runs and new ones are not allowed: free EVSEs become Unavailable until the update is done."""
    site = shop.site
    await site.power_off()
    await site.start(evse_count=2)
    await site.status("Available", 2)
    await site.charge()
    assert await shop.ask() == "Accepted"
    await shop.until("InstallScheduled")
    await site.status("Unavailable", 2)
    token = {"idToken": "04DDEEFF", "type": "ISO14443"}
    answer = await site.call("RequestStartTransaction", evseId=2, remoteStartId=1, idToken=token)
    assert answer["status"] == "Rejected"
    told = len(site.csms.received("StatusNotification"))
    await end(site, 1, "04AABBCC")
    await site.status("Unavailable", 1, after=told)
    await shop.until("Installed")
    await site.status("Available", 1, after=told)
    await site.status("Available", 2, after=told)


async def end(site: Any, evse_id: int, token: str) -> None:
    site.boards[evse_id].swipe(token)
    await site.until(lambda: site.boards[evse_id].contactor.value == "open")
    site.boards[evse_id].unplug()


async def test_tc_f_19(shop: Shop) -> None:
    """Trigger FirmwareStatusNotification during a download: its status with the request's number."""
    shop.server.hold.clear()
    assert await shop.ask() == "Accepted"
    await shop.until("Downloading")
    answer = await shop.site.call("TriggerMessage", requestedMessage="FirmwareStatusNotification")
    assert answer["status"] == "Accepted"
    await shop.site.csms.until(lambda: shop.told() == ["Downloading", "Downloading"], 5.0)
    shop.server.hold.set()
    await shop.until("Installed")


# --- Beyond the cases ---


async def test_a_broken_download_is_continued(shop: Shop) -> None:
    shop.server.cuts = 1
    assert await shop.ask() == "Accepted"
    told = await shop.until("Installed")
    assert told == ["Downloading", "DownloadPaused", *WHOLE]
    assert "range: bytes=100000-" in shop.server.asked[1]
    assert shop.slots.installed == [IMAGE]


async def test_an_unsigned_image_is_refused_unless_configured(shop: Shop) -> None:
    """L02."""
    assert await shop.ask(signed=False) == "Rejected"
    assert await shop.ask(signed=False, signature="AAAA") == "Rejected"
    await shop.site.power_off()
    await shop.site.start(allow_unsigned_firmware=True)
    assert await shop.ask(signed=False) == "Accepted"
    assert await shop.until("Installed") == [status for status in WHOLE if status != "SignatureVerified"]


async def test_an_address_of_another_kind_is_refused(shop: Shop) -> None:
    assert await shop.ask(location="sftp://host/image") == "Rejected"
    assert await shop.ask(location="http:///image") == "Rejected"


async def test_a_station_without_slots_says_so(running: Any) -> None:
    firmware = {"location": "http://127.0.0.1/image", "retrieveDateTime": stamp(0)}
    frame = await refused(running, "UpdateFirmware", requestId=1, firmware=firmware)
    assert frame == "NotSupported"


async def test_publishing_is_for_local_controllers(running: Any) -> None:
    """L03, L04."""
    asked = {"location": "http://127.0.0.1/", "checksum": "0" * 32, "requestId": 1}
    assert await refused(running, "PublishFirmware", **asked) == "NotSupported"
    assert await refused(running, "UnpublishFirmware", checksum="0" * 32) == "NotSupported"


async def refused(site: Any, action: str, **payload: Any) -> str:
    with pytest.raises(CallRefused) as refusal:
        await site.call(action, **payload)
    return refusal.value.code


async def test_a_fall_back_is_told(shop: Shop) -> None:
    shop.slots.result = UpdateOutcome.FELL_BACK
    assert await shop.ask() == "Accepted"
    assert (await shop.until("InstallationFailed"))[-2:] == ["InstallRebooting", "InstallationFailed"]
    await shop.site.settle()
    assert all(e["type"] != "FirmwareUpdated" for e in shop.site.csms.received("SecurityEventNotification"))


async def test_a_transaction_is_ended_where_configured(shop: Shop) -> None:
    await shop.site.power_off()
    await shop.site.start(update_stops_transactions=True)
    await shop.site.charge()
    assert await shop.ask() == "Accepted"
    ended = await shop.site.event("Ended")
    assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    await shop.until("Installed")


@pytest.mark.parametrize("status", ["Downloading", "InstallScheduled", "Installing"])
async def test_a_power_cut_is_survived(shop: Shop, status: str) -> None:
    """Each interrupted step is done again, and told once more only where it is entered again."""
    if status == "Downloading":
        shop.server.hold.clear()
    if status == "Installing":
        shop.slots.hold.clear()
    install = stamp(1.5) if status == "InstallScheduled" else stamp(-1)
    assert await shop.ask(installDateTime=install) == "Accepted"
    await shop.until(status)
    await shop.site.settle()
    await shop.site.power_off()
    shop.server.hold.set()
    shop.slots.hold.set()
    await shop.site.start()
    told = await shop.until("Installed")
    assert told.count("Installed") == told.count("Downloaded") == told.count("SignatureVerified") == 1
    assert told[-3:] == ["Installing", "InstallRebooting", "Installed"]
    assert len(shop.slots.installed) == 1


async def test_an_image_that_cannot_be_read_again_is_not_installed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_downloads: Downloads) -> bytes:
        raise OSError("I/O error")

    monkeypatch.setattr(Downloads, "sha256", unreadable)
    assert await shop.ask() == "Accepted"
    assert (await shop.until("InvalidSignature"))[-1] == "InvalidSignature"
    assert shop.slots.installed == []


async def test_a_restart_that_cannot_be_is_a_failed_installation(shop: Shop) -> None:
    async def refuse() -> None:
        raise FirmwareError("no")

    shop.slots.before = shop.site.station
    shop.slots.activate = refuse  # type: ignore[method-assign]
    assert await shop.ask() == "Accepted"
    assert (await shop.until("InstallationFailed"))[-2:] == ["InstallRebooting", "InstallationFailed"]


async def test_a_csms_that_takes_nothing_delays_the_restart_but_a_while(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpp_client.firmware_desk.TOLD_S", 0.2)
    shop.slots.hold.clear()
    assert await shop.ask() == "Accepted"
    await shop.until("Installing")
    shop.site.csms.behaviour.silent = {"FirmwareStatusNotification"}
    shop.slots.hold.set()
    await shop.site.until(lambda: hasattr(shop.slots, "before"))
    shop.site.csms.behaviour.silent = set()
    await shop.until("Installed")


async def test_two_requests_at_once_are_one_after_the_other(shop: Shop) -> None:
    first, second = await asyncio.gather(shop.ask(1), shop.ask(2))
    assert first == "Accepted"
    assert second in ("Accepted", "AcceptedCanceled")
    await shop.until("Installed", 2)
