"""The firmware update in the running station: the CSMS's request, the machine, and the updater's work.

Everything that happens goes through one queue, so that each state is durable before its work begins, and the restart
comes only after the CSMS has been told, or could not be.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol

from ocpp_client.actions import Answer, Handlers, status
from ocpp_client.firmware_update import (
    Activate,
    AwaitOutcome,
    Discard,
    Download,
    Effect,
    Effects,
    FirmwareUpdate,
    Hold,
    Install,
    MakeIdle,
    Tell,
    TellSecurity,
    UpdateRequest,
    UpdateRules,
    Verify,
    request_of,
)
from ocpp_client.ports import FirmwareError, FirmwareUpdater, SigningCertificate, UpdateOutcome
from ocpp_client.upload import check_location
from ocpp_client.wire import Payload

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 60.0
"""Schedules are in wall time, which may be set anew meanwhile."""
TOLD_S = 10.0
"""How long the restart waits for the CSMS to hear of it."""
KEY = "firmware_update"

Step = Callable[[], Effects]


class FirmwareHost(Protocol):
    """The station, as an update needs it."""

    @property
    def online(self) -> bool: ...

    async def put_now(self, key: str, value: str | None) -> None: ...

    async def store_notice(self, action: str, payload: Payload) -> None: ...

    async def messages_wait(self, transaction_id: str | None) -> bool: ...

    def security_event(self, kind: str, tech_info: str = "") -> None: ...

    def set_boot_reason(self, reason: str) -> None: ...

    def hold_evses(self, hold: bool) -> None:
        """Take no new transactions."""
        ...

    def end_transactions(self) -> None: ...


class FirmwareDesk:
    """`allow_unsigned` takes firmware without a signature of its own (L02)."""

    def __init__(
        self,
        host: FirmwareHost,
        updater: FirmwareUpdater,
        rules: UpdateRules,
        now_utc: Callable[[], datetime],
        *,
        allow_unsigned: bool = False,
    ) -> None:
        self._host = host
        self._updater = updater
        self._now_utc = now_utc
        self._allow_unsigned = allow_unsigned
        self._update = FirmwareUpdate(rules)
        self._steps: asyncio.Queue[Step] = asyncio.Queue()
        self._working: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def handlers(self) -> Handlers:
        return {"UpdateFirmware": self.update_firmware}

    def status_payload(self) -> Payload:
        """For TriggerMessage FirmwareStatusNotification."""
        return self._update.payload()

    def restore(self, text: str) -> None:
        """Before `start`. Raises what `FirmwareUpdate.restore` raises."""
        self._update.restore(text)

    def start(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._run(), name="firmware update")
        self._steps.put_nowait(lambda: self._update.resume(self._now_utc()))

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        tasks = [task for task in (self._running, self._working) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def transaction_ended(self) -> None:
        self._tick()

    # --- L01, L02: the request ---

    async def update_firmware(self, payload: Payload, _at_s: float) -> Answer:
        firmware = payload["firmware"]
        try:
            check_location(firmware["location"])
        except ValueError as error:
            return status("Rejected", "InvalidURL", str(error))
        certificate, signature = firmware.get("signingCertificate"), firmware.get("signature")
        if (certificate is None) != (signature is None):
            return status("Rejected", "MissingParam", "a signature and its certificate come together")
        if certificate is None and not self._allow_unsigned:
            return status("Rejected", "MissingParam", "only signed firmware is installed")
        if certificate is not None:
            verdict = await self._updater.check_certificate(certificate)
            if verdict is not SigningCertificate.VALID:
                refusal = status(verdict.value)
                return Answer(refusal.payload, lambda: self._refused(firmware["location"]))
        if not self._update.cancellable:
            return status("Rejected", "FwUpdateInProgress", "what is being installed cannot be stopped")
        word = "AcceptedCanceled" if self._update.under_way else "Accepted"
        request = request_of(payload)
        return Answer({"status": word}, lambda: self._steps.put_nowait(lambda: self._begin(request)))

    def _refused(self, location: str) -> None:
        self._host.security_event("InvalidFirmwareSigningCertificate", location[:255])

    def _begin(self, request: UpdateRequest) -> Effects:
        if not self._update.cancellable:
            log.error("update %s comes too late, the one before is being installed", request.request_id)
            return []
        return self._update.begin(request, self._now_utc())

    # --- One step after the other ---

    async def _run(self) -> None:
        while True:
            step = await self._steps.get()
            before = self._update.dump()
            effects = step()
            for effect in effects:
                await self._tell(effect)
            if (after := self._update.dump()) != before:
                await self._host.put_now(KEY, after)
            for effect in effects:
                await self._perform(effect)
            self._arm()

    def _tick(self) -> None:
        self._steps.put_nowait(lambda: self._update.tick(self._now_utc()))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if (at := self._update.deadline()) is not None:
            wait_s = min(max((at - self._now_utc()).total_seconds(), 0.0), LONGEST_SLEEP_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    async def _tell(self, effect: Effect) -> None:
        match effect:
            case Tell(status=word, request_id=request_id):
                log.info("firmware update %s: %s", request_id, word.value)
                payload = {"status": word.value, "requestId": request_id}
                await self._host.store_notice("FirmwareStatusNotification", payload)
            case TellSecurity(kind=kind, info=info):
                self._host.security_event(kind, info)
            case _:
                pass

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Download(request=request):
                self._work(self._download(request))
            case Verify(request=request):
                self._work(self._verify(request))
            case Install():
                self._work(self._install())
            case AwaitOutcome():
                self._work(self._outcome())
            case Activate():
                await self._activate()
            case Hold(on=on):
                self._host.hold_evses(on)
            case MakeIdle():
                self._host.end_transactions()
            case Discard():
                await self._discard()
            case _:
                pass

    # --- Work that takes its time ---

    def _work(self, work: Coroutine[Any, Any, Step]) -> None:
        request = self._update.request

        async def run() -> None:
            step = await work
            self._steps.put_nowait(lambda: step() if self._update.request is request else [])

        self._working = asyncio.get_running_loop().create_task(run())
        self._working.add_done_callback(_worked)

    async def _download(self, request: UpdateRequest) -> Step:
        complete = await self._succeeds(self._updater.download(request.location), "download")
        return lambda: self._update.download_ended(complete, self._now_utc())

    async def _verify(self, request: UpdateRequest) -> Step:
        good = False
        try:
            good = await self._updater.verify(request.signing_certificate or "", request.signature or "")
        except FirmwareError as error:
            log.error("firmware cannot be verified: %s", error)
        return lambda: self._update.verified(good, self._now_utc())

    async def _install(self) -> Step:
        fault = await self._updater.install()
        return lambda: self._update.install_ended(fault)

    async def _outcome(self) -> Step:
        outcome = await self._updater.outcome()
        return lambda: self._update.outcome(outcome)

    async def _activate(self) -> None:
        self._host.set_boot_reason("FirmwareUpdate")
        deadline = asyncio.get_running_loop().time() + TOLD_S
        while self._host.online and await self._host.messages_wait(None):
            if asyncio.get_running_loop().time() > deadline:
                log.warning("the CSMS does not take all messages before the restart; it hears them after")
                break
            await asyncio.sleep(0.05)
        if not await self._succeeds(self._updater.activate(), "restart"):
            self._steps.put_nowait(lambda: self._update.outcome(UpdateOutcome.FELL_BACK))

    async def _discard(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
            self._working = None
        await self._succeeds(self._updater.discard(), "clean-up")

    async def _succeeds(self, work: Awaitable[None], what: str) -> bool:
        try:
            await work
        except FirmwareError as error:
            log.error("firmware %s failed: %s", what, error)
            return False
        return True


def _worked(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the firmware update stopped by a defect", exc_info=error)
