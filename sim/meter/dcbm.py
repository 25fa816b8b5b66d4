"""LEM's DCBM from the inside: what it measures, one transaction at a time, records in OCMF, over HTTP."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sim.meter.ocmf import OcmfMeter

Answer = tuple[int, str]


class Dcbm:
    """`answer(method, target, body)` gives status and body. The attributes are what the meter measures.

    `tamper` changes each record that is handed out, as somebody on the line might.
    """

    def __init__(self, ocmf: OcmfMeter | None = None, serial: str = "SIM00001") -> None:
        self.ocmf = ocmf or OcmfMeter(serial)
        self.serial = serial
        self.energy_wh = 0.0
        self.power_w = 0.0
        self.current_a = 0.0
        self.voltage_v = 230.0
        self.silent = False
        self.refuses = False
        self.utc: datetime | None = None
        self.tamper: Callable[[str], str] = lambda record: record
        self.transaction = ""
        self.records: dict[str, str] = {}

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        parts = urlsplit(target)
        wanted = parse_qs(parts.query).get("transactionId", [""])[0]
        match method, parts.path.removeprefix("/v1/"):
            case "GET", "status":
                return _json(200, self._status())
            case "GET", "livemeasure":
                return _json(200, self._live())
            case "PUT", "settings":
                self.utc = datetime.fromisoformat(json.loads(body)["time"]["utc"])
                return 200, body.decode()
            case "POST", "legal":
                return self._begin(json.loads(body))
            case "GET", "legal":
                return _json(200, {"transactionId": self.transaction or (list(self.records) or [""])[-1]})
            case "PUT", "legal":
                return self._end(wanted)
            case "GET", "ocmf":
                return self._record(wanted)
        return 404, ""

    def _status(self) -> dict[str, Any]:
        bits = {"transactionIsOnGoing": bool(self.transaction)}
        return {"meterId": self.serial, "publicKeyOcmf": self.ocmf.public_key, "status": {"bits": bits}}

    def _live(self) -> dict[str, Any]:
        return {
            "voltage": self.voltage_v,
            "current": self.current_a,
            "power": self.power_w / 1000,
            "energyImportTotal": self.energy_wh / 1000,
            "timestamp": datetime.now(UTC).isoformat(),
        }

    def _begin(self, asked: dict[str, Any]) -> Answer:
        if self.transaction or self.utc is None or self.refuses:
            return _json(400, {"running": False})
        self.transaction = asked["transactionId"]
        self.ocmf.start(asked["clientId"], self.energy_wh, datetime.now(UTC))
        return _json(201, {**asked, "running": True})

    def _end(self, wanted: str) -> Answer:
        if not self.transaction or wanted != self.transaction:
            return _json(400, {"error": "no such transaction runs"})
        self.records[self.transaction] = self.ocmf.stop(self.energy_wh, datetime.now(UTC))
        self.transaction = ""
        return _json(200, {"transactionId": wanted, "meterValue": {"transactionStatus": 0}})

    def _record(self, wanted: str) -> Answer:
        if wanted and wanted == self.transaction:
            return 200, self.tamper(self.ocmf.so_far(self.energy_wh, datetime.now(UTC)))
        record = self.records.get(wanted)
        return (404, "") if record is None else (200, self.tamper(record))


def _json(status: int, body: dict[str, Any]) -> Answer:
    return status, json.dumps(body)


async def serve(meter: Dcbm, port: int = 0) -> asyncio.Server:
    """On localhost; port 0 takes a free one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(EOFError, ConnectionError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            lengths = [line.split(":")[1] for line in head if line.lower().startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0]) if lengths else 0)
            if meter.silent:
                await reader.read()
            status, content = meter.answer(method, target, body)
            raw = content.encode()
            writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)
