"""GetLog (N01): collect, upload, tell how it goes. One upload at a time; a new one takes the place of the old."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from ocpp_client.actions import Answer, Handlers, SendLater, status
from ocpp_client.ports import JournalError, LogSource
from ocpp_client.security_log import SecurityLog
from ocpp_client.upload import UploadFailed, check_location, upload
from ocpp_client.wire import Payload, parse_time

log = logging.getLogger(__name__)

MAX_RETRIES = 20
MAX_RETRY_INTERVAL_S = 3600


class LogActions:
    def __init__(
        self,
        identity: str,
        security_log: SecurityLog,
        diagnostics: LogSource | None,
        now_utc: Callable[[], datetime],
        send_later: SendLater,
    ) -> None:
        self._identity = identity
        self._security_log = security_log
        self._diagnostics = diagnostics
        self._now_utc = now_utc
        self._send_later = send_later
        self._running: tuple[int, asyncio.Task[None]] | None = None

    def handlers(self) -> Handlers:
        return {"GetLog": self.get_log}

    def status_payload(self) -> Payload:
        """For TriggerMessage LogStatusNotification."""
        if self._running is None or self._running[1].done():
            return {"status": "Idle"}
        return {"status": "Uploading", "requestId": self._running[0]}

    async def stop(self) -> None:
        if self._running is not None:
            self._running[1].cancel()
            await asyncio.gather(self._running[1], return_exceptions=True)

    async def get_log(self, request: Payload, _at_s: float) -> Answer:
        try:
            check_location(request["log"]["remoteLocation"])
        except ValueError as error:
            return status("Rejected", "InvalidURL", str(error))
        if request["logType"] == "DiagnosticsLog" and self._diagnostics is None:
            return status("Rejected", "UnsupportedRequest", "the station gives no diagnostics")
        answer = "AcceptedCanceled" if self._cancel_running() else "Accepted"
        stamp = self._now_utc().strftime("%Y%m%dT%H%M%SZ")
        name = f"{_file_part(self._identity)}-{request['logType']}-{stamp}.log"
        return Answer({"status": answer, "filename": name}, lambda: self._begin(request, name))

    def _cancel_running(self) -> bool:
        if self._running is None or self._running[1].done():
            return False
        request_id, task = self._running
        task.cancel()
        self._tell("AcceptedCanceled", request_id)
        return True

    def _begin(self, request: Payload, name: str) -> None:
        self._running = request["requestId"], asyncio.get_running_loop().create_task(self._run(request, name))

    async def _run(self, request: Payload, name: str) -> None:
        request_id = request["requestId"]
        self._tell("Uploading", request_id)
        try:
            content = await self._collect(request)
        except JournalError as error:
            log.error("the log cannot be read: %s", error)
            self._tell("UploadFailure", request_id)
            return
        attempts = 1 + min(max(request.get("retries", 0), 0), MAX_RETRIES)
        pause_s = min(max(request.get("retryInterval", 0), 0), MAX_RETRY_INTERVAL_S)
        for attempt in range(1, attempts + 1):
            try:
                await upload(request["log"]["remoteLocation"], name, content)
            except UploadFailed as error:
                log.warning("log upload failed (attempt %s of %s): %s", attempt, attempts, error)
                if attempt < attempts:
                    await asyncio.sleep(pause_s)
            else:
                self._tell("Uploaded", request_id)
                return
        self._tell("UploadFailure", request_id)

    async def _collect(self, request: Payload) -> bytes:
        oldest, latest = (_time(request["log"], name) for name in ("oldestTimestamp", "latestTimestamp"))
        if request["logType"] == "SecurityLog" or self._diagnostics is None:
            return await self._security_log.read(oldest, latest)
        return await self._diagnostics.collect(oldest, latest)

    def _tell(self, word: str, request_id: int) -> None:
        self._send_later("LogStatusNotification", {"status": word, "requestId": request_id})


def _time(payload: Payload, name: str) -> datetime | None:
    return parse_time(payload[name]) if name in payload else None


def _file_part(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in text)[:100]
