"""`SigningMeter` for LEM's DCBM 400 and 600: a DC meter that signs in OCMF, over HTTP.

    GET  /v1/status                         serial number, public key, whether a transaction runs
    GET  /v1/livemeasure                    voltage, current, power and the energy register now
    POST /v1/legal                          begins a transaction
    PUT  /v1/legal?transactionId=ID         {"running": false} ends it
    GET  /v1/ocmf?transactionId=ID          its signed record, while it runs and afterwards
    PUT  /v1/settings                       {"time": {"utc": ...}}: records need a clock that was set

# unverified: LEM DCBM 400/600 communication protocol: the endpoints and fields are those that others' drivers use.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from hal.polled_meter import PERIOD_S, PolledMeter
from hal.ports import BoardUnavailable, MeteredTransaction, Report
from hal.quantities import EvseId, MeterReading, SignedReading
from hal.wall_clock import utc_now

TIMEOUT_S = 3.0
"""Of one request; a transaction's start and end take the meter about a second."""
MAX_ANSWER = 65536


class _Refused(Exception):
    """The meter answered something else than what was asked for."""


class DcbmMeter(PolledMeter):
    def __init__(
        self,
        host: str,
        port: int,
        evse: EvseId,
        report: Report,
        *,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        log = logging.getLogger(f"{__name__}.{evse}")
        super().__init__(f"meter {host}", log, report, period_s=period_s, clock=clock)
        self.serial = ""
        self.public_key = ""
        self._host = host
        self._port = port
        self._wall = wall
        self._running = ""
        """The transaction the meter measures for us."""

    # --- PowerMeter ---

    def _stale_after_s(self) -> float:
        return super()._stale_after_s() + TIMEOUT_S

    async def _measure(self) -> MeterReading:
        if not self.public_key:
            await self._identify()
        asked_s, running = self._clock(), self._running
        live = await self._ask("GET", "livemeasure")
        reading = self._reading_of(live, asked_s)
        if not running or running != self._running:
            return reading
        try:
            record = await self._record(running)
        except BoardUnavailable as error:
            self._log.warning("a reading without its record: %s", error)
            return reading
        return replace(reading, signed=record)

    def _reading_of(self, live: dict[str, Any], asked_s: float) -> MeterReading:
        """The meter tells kWh and kW."""
        try:
            current, voltage = float(live["current"]), float(live["voltage"])
            energy_wh, power_w = 1000 * float(live["energyImportTotal"]), 1000 * float(live["power"])
        except (KeyError, TypeError, ValueError) as error:
            raise BoardUnavailable(f"meter {self._host}: livemeasure: {error!r}") from error
        return MeterReading(
            energy_wh, power_w, (current, 0.0, 0.0), (voltage, 0.0, 0.0), asked_s, self._wall(), dc=True
        )

    # --- SigningMeter ---

    async def start_transaction(self, transaction: MeteredTransaction) -> SignedReading | None:
        await self.stop_forgotten()
        stamp = self._wall().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self._ask("PUT", "settings", {"time": {"utc": stamp}})
        asked = {
            "evseId": transaction.evse_id,
            "transactionId": transaction.transaction_id,
            "clientId": transaction.id_token,
            "tariffId": 0,
            "cableId": 0,
            "userData": "",
        }
        answer = await self._ask("POST", "legal", asked)
        if answer.get("running") is not True:
            raise BoardUnavailable(f"meter {self._host}: the transaction does not run: {answer!r:.200}")
        self._running = transaction.transaction_id
        return await self._record(transaction.transaction_id)

    async def stop_transaction(self, transaction_id: str) -> SignedReading:
        self._running = ""
        await self._end(transaction_id)
        return await self._record(transaction_id)

    async def _end(self, transaction_id: str) -> None:
        path = f"legal?transactionId={quote(transaction_id, safe='')}"
        # One that has ended is refused; its record is there all the same.
        with contextlib.suppress(_Refused):
            await self._request("PUT", path, {"running": False})

    async def stop_forgotten(self) -> None:
        status = await self._identify()
        bits = status.get("status", {}).get("bits", {})
        if not bits.get("transactionIsOnGoing"):
            return
        legal = await self._ask("GET", "legal")
        transaction_id = str(legal.get("transactionId", ""))
        self._log.warning("the meter still measured transaction %s, which is over", transaction_id)
        self._running = ""
        await self._end(transaction_id)

    async def _identify(self) -> dict[str, Any]:
        status = await self._ask("GET", "status")
        self.serial, self.public_key = str(status.get("meterId", "")), str(status.get("publicKeyOcmf", ""))
        return status

    async def _record(self, transaction_id: str) -> SignedReading:
        try:
            text = await self._request("GET", f"ocmf?transactionId={quote(transaction_id, safe='')}")
        except _Refused as error:
            raise BoardUnavailable(f"meter {self._host}: no record of transaction {transaction_id}: {error}") from error
        if not text.startswith("OCMF|"):
            raise BoardUnavailable(f"meter {self._host}: not an OCMF record: {text!r:.100}")
        return SignedReading(text, self.public_key)

    # --- HTTP ---

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises BoardUnavailable."""
        try:
            text = await self._request(method, path, body)
            answer = json.loads(text) if text else {}
        except (_Refused, ValueError, RecursionError) as error:
            raise BoardUnavailable(f"meter {self._host}: {path}: {error}") from error
        if not isinstance(answer, dict):
            raise BoardUnavailable(f"meter {self._host}: {path}: not an object")
        return answer

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        """The answer's body. Raises BoardUnavailable when none comes, _Refused for a status that is no 2xx."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._exchange(method, path, b"" if body is None else json.dumps(body).encode())
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            raise BoardUnavailable(f"meter {self._host}: {path}: {type(error).__name__} {error}") from error

    async def _exchange(self, method: str, path: str, body: bytes) -> str:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            head = f"{method} /v1/{path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode("ascii") + body)
            await writer.drain()
            top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(top[0].split(" ", 2)[1])
            headers = dict(line.lower().partition(":")[::2] for line in top[1:] if ":" in line)
            content = await _content(reader, headers)
        except IndexError as error:
            raise ValueError("not an HTTP answer") from error
        finally:
            writer.close()
        if not 200 <= status < 300:
            raise _Refused(f"status {status}: {content[:200]}")
        return content


async def _content(reader: asyncio.StreamReader, headers: dict[str, str]) -> str:
    """Raises ValueError for more than MAX_ANSWER."""
    if "chunked" in headers.get("transfer-encoding", ""):
        parts, size = [], 0
        while (length := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)) > 0:
            if (size := size + length) > MAX_ANSWER:
                raise ValueError("the answer is too long")
            parts.append(await reader.readexactly(length))
            await reader.readexactly(2)
        return b"".join(parts).decode()
    if (length := int(headers.get("content-length", "-1"))) > MAX_ANSWER:
        raise ValueError("the answer is too long")
    raw = await reader.readexactly(length) if length >= 0 else await reader.read(MAX_ANSWER)
    return raw.decode()
