"""The station before a CSMS that is not ours: npm's `ocpp-rpc` in strict mode, with a validator of its own."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hal.ports import Fault, Severity

PEER = Path(__file__).with_name("peer")
PATIENCE_S = 10.0
Line = dict[str, Any]


class Peer:
    """The process, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._changed = asyncio.Condition()
        self._answers: asyncio.Queue[Line] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())
        self.url = ""
        self.heard: list[Line] = []
        self.invalid: list[Line] = []

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            line = json.loads(text)
            if "answer" in line or "refused" in line:
                self._answers.put_nowait(line)
            async with self._changed:
                self.url = line.get("url", self.url)
                (self.invalid if "invalid" in line else self.heard).append(line)
                self._changed.notify_all()

    async def call(self, action: str, **payload: Any) -> Line:
        """The station's answer; a CALLERROR is a failure of the test."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": action, "payload": payload}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_S):
            line = await self._answers.get()
        assert "answer" in line, line
        answer: Line = line["answer"]
        return answer

    def received(self, action: str, **wanted: Any) -> list[Line]:
        told = [line["payload"] for line in self.heard if line.get("action") == action]
        return [payload for payload in told if wanted.items() <= payload.items()]

    async def until(self, action: str, count: int = 1, **wanted: Any) -> Line:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.received(action, **wanted)) >= count)
        return self.received(action, **wanted)[count - 1]

    async def listening(self) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: self.url)

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reader


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    if shutil.which("node") is None or not (PEER / "node_modules").is_dir():
        pytest.skip("node or the peer's packages are not installed: deploy/develop does it")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("node", str(PEER / "csms.js"), stdin=pipe, stdout=pipe)
    made = Peer(process)
    await made.listening()
    yield made
    await made.close()


async def variable(peer: Peer, component: str, name: str) -> Line:
    asked = {"component": {"name": component}, "variable": {"name": name}}
    answer: Line = (await peer.call("GetVariables", getVariableData=[asked]))["getVariableResult"][0]
    return answer


async def test_a_charge_a_reset_and_the_variables_before_a_strict_peer(site: Any, peer: Peer) -> None:
    await site.start(url=peer.url, sampled_interval_s=1)
    await peer.until("BootNotification", reason="PowerUp")
    await peer.until("StatusNotification", connectorStatus="Available")
    await peer.until("SecurityEventNotification", type="StartupOfTheDevice")

    report = await peer.call("GetBaseReport", requestId=1, reportBase="FullInventory")
    assert report["status"] == "Accepted"
    await peer.until("NotifyReport", tbc=False)
    changed = {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}, "attributeValue": "17"}
    answer = await peer.call("SetVariables", setVariableData=[changed])
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
    assert (await variable(peer, "TxCtrlr", "EVConnectionTimeOut"))["attributeValue"] == "17"
    assert (await variable(peer, "TxCtrlr", "NoSuchThing"))["attributeStatus"] == "UnknownVariable"

    site.board.plug()
    site.board.swipe()
    site.board.draw()
    await peer.until("Authorize")
    started = await peer.until("TransactionEvent", eventType="Started")
    transaction_id = started["transactionInfo"]["transactionId"]
    site.board.sample()
    await peer.until("TransactionEvent", eventType="Updated", triggerReason="MeterValuePeriodic")
    status = await peer.call("GetTransactionStatus", transactionId=transaction_id)
    assert status["ongoingIndicator"] is True
    assert (await peer.call("TriggerMessage", requestedMessage="Heartbeat"))["status"] == "Accepted"
    await peer.until("Heartbeat")
    assert (await peer.call("RequestStopTransaction", transactionId=transaction_id))["status"] == "Accepted"
    ended = await peer.until("TransactionEvent", eventType="Ended")
    assert ended["transactionInfo"]["stoppedReason"] == "Remote"
    numbers = [event["seqNo"] for event in peer.received("TransactionEvent")]
    assert numbers == list(range(len(numbers)))

    site.board.fault(Fault.HIGH_TEMPERATURE, Severity.WARNING)
    await peer.until("NotifyEvent")
    assert (await peer.call("Reset", type="OnIdle"))["status"] == "Accepted"
    await peer.until("BootNotification", reason="RemoteReset")
    await peer.until("SecurityEventNotification", type="ResetOrReboot")
    await site._restarting
    await site.power_off()
    assert peer.invalid == [], "not one frame that the peer's schemas refuse"
