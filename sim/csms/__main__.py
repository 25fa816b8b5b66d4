"""`python -m sim.csms`: the development CSMS as a process.

Commands come as JSON lines on stdin or on a Unix socket (`--control`): `{"call": "Reset", "payload": {...}}`,
`{"drop": true}`, `{"behaviour": {"silent": ["Heartbeat"]}}`, `{"limit": 10}` (a TxProfile for the running transaction),
`{"stop": true}` (RequestStopTransaction of it), `{"quit": true}`. Each is answered by one JSON line.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

from sim.csms.answers import Policy
from sim.csms.hooks import LowerAfterUpdates, tx_profile
from sim.csms.pki import CertificateDesk
from sim.csms.server import Csms, CsmsError, Hook, Tls
from sim.pki.saved import load


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sim.csms", description="a development CSMS for OCPP 2.0.1")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path, help="written with the URL once the CSMS listens")
    parser.add_argument("--log", type=Path, help="every message as a JSON line")
    parser.add_argument("--cert", type=Path, help="server certificate chain in PEM: wss")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--client-ca", type=Path, help="stations need a certificate of this CA: security profile 3")
    parser.add_argument("--password", help="BasicAuth password of security profiles 1 and 2")
    parser.add_argument("--pki", type=Path, help="a test PKI: sign what stations ask for, answer for its certificates")
    parser.add_argument("--emaid", action="append", help="an eMAID to accept; without any, all are accepted")
    parser.add_argument("--rfid", action="append", help="an RFID token to accept; without any, all are accepted")
    parser.add_argument("--boot-interval", type=int, default=300)
    parser.add_argument("--lower-after-updates", type=int, metavar="N", help="lower the current after N Updated events")
    parser.add_argument("--lower-to", type=float, default=10.0, metavar="A")
    parser.add_argument("--script", type=Path, help="commands as JSON lines, each with an optional after_s")
    parser.add_argument("--control", type=Path, help="path of a Unix socket that takes commands")
    arguments = parser.parse_args()
    if bool(arguments.cert) != bool(arguments.key):
        parser.error("--cert and --key go together")
    return arguments


def _csms(arguments: argparse.Namespace, log: Any) -> Csms:
    policy = Policy(
        emaids=frozenset(arguments.emaid) if arguments.emaid else None,
        rfids=frozenset(arguments.rfid) if arguments.rfid else None,
        boot_interval_s=arguments.boot_interval,
    )
    hooks: list[Hook] = []
    if arguments.lower_after_updates:
        hooks.append(LowerAfterUpdates(arguments.lower_after_updates, arguments.lower_to))
    desk = CertificateDesk(load(arguments.pki)) if arguments.pki else None
    if desk is not None:
        hooks.append(desk)
    csms = Csms(
        policy,
        host=arguments.host,
        port=arguments.port,
        tls=Tls(arguments.cert, arguments.key, arguments.client_ca) if arguments.cert else None,
        password=arguments.password,
        log=log,
        hooks=hooks,
    )
    if desk is not None:
        csms.answers.certificate_status = desk.status
        csms.answers.ev_certificate = desk.ev_certificate
    return csms


class Commands:
    """One command in, one answer out; a bad command is an answer too."""

    def __init__(self, csms: Csms, quit_event: asyncio.Event) -> None:
        self._csms = csms
        self._quit = quit_event

    async def line(self, text: str) -> str:
        try:
            command = json.loads(text)
            return json.dumps({"ok": await self._run(command)})
        except (CsmsError, ValueError, KeyError, TypeError, AttributeError) as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}"})

    async def _run(self, command: dict[str, Any]) -> Any:
        if "after_s" in command:
            await asyncio.sleep(float(command["after_s"]))
        if "call" in command:
            return await self._csms.call(command["call"], command.get("payload", {}), command.get("station"))
        if "limit" in command:
            evse_id, transaction_id = self._transaction()
            return await self._csms.call(
                "SetChargingProfile", tx_profile(evse_id, transaction_id, float(command["limit"]))
            )
        if command.get("stop"):
            return await self._csms.call("RequestStopTransaction", {"transactionId": self._transaction()[1]})
        if command.get("drop"):
            return self._csms.drop()
        if command.get("quit"):
            return self._quit.set()
        if "behaviour" in command:
            return self._behave(command["behaviour"])
        raise ValueError("unknown command")

    def _behave(self, wanted: dict[str, Any]) -> None:
        for name, value in wanted.items():
            if not hasattr(self._csms.behaviour, name):
                raise ValueError(f"unknown behaviour {name}")
            setattr(self._csms.behaviour, name, set(value) if name in ("silent", "drop_on") else value)

    def _transaction(self) -> tuple[int, str]:
        """The latest transaction that has not ended."""
        events = self._csms.received("TransactionEvent")
        ended = {event["transactionInfo"]["transactionId"] for event in events if event["eventType"] == "Ended"}
        for event in reversed(events):
            transaction_id = event["transactionInfo"]["transactionId"]
            if transaction_id not in ended:
                return event.get("evse", {}).get("id", 1), transaction_id
        raise CsmsError("no transaction is running")


async def _take_lines(commands: Commands, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write((await commands.line(line.decode())).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _read_stdin(commands: Commands) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip():
            print(await commands.line(line.decode()), flush=True)


async def _play_script(commands: Commands, lines: list[str]) -> None:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            print(await commands.line(line), flush=True)


async def _serve(csms: Csms, arguments: argparse.Namespace, script: list[str]) -> None:
    quit_event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, quit_event.set)
    commands = Commands(csms, quit_event)
    async with csms, contextlib.AsyncExitStack() as stack:
        print(csms.url, flush=True)
        if arguments.control:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await _take_lines(commands, reader, writer)

            server = await asyncio.start_unix_server(serve, arguments.control)
            await stack.enter_async_context(server)
        tasks = [loop.create_task(_play_script(commands, script))]
        if not arguments.control and not sys.stdin.closed:
            tasks.append(loop.create_task(_read_stdin(commands)))
        if arguments.ready_file:
            _write_whole(arguments.ready_file, csms.url + "\n")
        await quit_event.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write_whole(path: Path, text: str) -> None:
    """So that nobody reads a half-written file."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


def main() -> None:
    arguments = _arguments()
    script = arguments.script.read_text(encoding="utf-8").splitlines() if arguments.script else []
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(arguments.log.open("a", encoding="utf-8")) if arguments.log else None
        asyncio.run(_serve(_csms(arguments, log), arguments, script))


if __name__ == "__main__":
    main()
