"""How fast the SECC answers: `python -m tests.bench.v2g [--json] [--rounds N]`.

Three ways of measuring the same AC session with Plug & Charge, signatures by software:
- handler: a decoded request to a response model, without EXI;
- engine: EXI octets in to EXI octets out;
- wire: over a TCP socket pair through the server's own connection, the vehicle's half included.

answer_ms_p50 and answer_ms_p99 are the engine's, over all messages of all sessions; answer_cpu_ms_p99 is the same by
the processor's time alone, for machines that others use too. What a vehicle sees of each phase `make vehicles` tells.
"""

import argparse
import asyncio
import gc
import json
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from secc.connection import Connection
from secc.exi import Namespace, decode
from secc.ports import Authorization, SeccFact
from secc.v2g.conversation import Channel, Conversation
from secc.v2g.iso2.protocol import respond
from secc.v2g.iso2.reading import read
from secc.v2g.protocols import DEFAULT
from secc.v2g.session import Session, Surroundings
from secc.v2gtp import HEADER, Frame, PayloadType
from tests.secc.support import (
    AUTHORIZATION,
    CHARGE_PARAMETERS,
    ENTROPY,
    EVCC_ID,
    ISO_2_WISH,
    PAYMENT_DETAILS,
    SESSION_ID,
    VIEW,
    WALL_TIME,
    StubCertificates,
    app_protocol_req,
    message,
    power,
    reading,
    selection,
    signature_of,
)

LOOPS = 20
"""ChargingStatusReq in a session."""

Times = dict[str, list[float]]


def station() -> Surroundings:
    view = replace(VIEW, authorization=Authorization.ACCEPTED, contactor_closed=True, meter=reading(1234.0))
    return Surroundings(view, StubCertificates(), WALL_TIME, ENTROPY)


def requests() -> list[tuple[str, bytes]]:
    """One session in order: names and EXI octets."""
    script: list[tuple[str, dict, dict | None]] = [
        ("SessionSetupReq", {"EVCCID": EVCC_ID}, None),
        ("ServiceDiscoveryReq", {}, None),
        ("PaymentServiceSelectionReq", selection("Contract"), None),
        ("PaymentDetailsReq", PAYMENT_DETAILS, None),
        ("AuthorizationReq", AUTHORIZATION, signature_of("AuthorizationReq", AUTHORIZATION)),
        ("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS, None),
        ("PowerDeliveryReq", power("Start"), None),
        *[("ChargingStatusReq", {}, None)] * LOOPS,
        ("PowerDeliveryReq", power("Stop"), None),
        ("SessionStopReq", {"ChargingSession": "Terminate"}, None),
    ]
    return [(name, message(name, elements, SESSION_ID, signature)) for name, elements, signature in script]


def measure_handlers(script: list[tuple[str, bytes]], times: Times) -> None:
    session, around = Session(tls=True), station()
    for name, octets in script:
        request = read(decode(Namespace.ISO_2, octets), octets, 0.0)
        started = time.perf_counter()
        answer = respond(request, session, around, 0.0)
        if answer.response is None:
            answer = respond(request, answer.session, around, 0.0)
        times[name].append(time.perf_counter() - started)
        session = answer.session


def measure_cpu(script: list[tuple[str, bytes]], times: Times) -> None:
    measure_engine(script, times, time.thread_time)


def measure_engine(
    script: list[tuple[str, bytes]], times: Times, clock: Callable[[], float] = time.perf_counter
) -> None:
    conversation, around = Conversation(Channel(tls=True), now=0.0), station()
    for name, octets in [("supportedAppProtocolReq", app_protocol_req(ISO_2_WISH)), *script]:
        started = clock()
        out = conversation.feed(Frame(PayloadType.EXI, octets), around, 0.0)
        if conversation.holding:
            out = conversation.tick(around, 0.0)
        times[name].append(clock() - started)
        assert len(out.frames) == 1, (name, out)


async def measure_wire(script: list[tuple[str, bytes]], times: Times) -> None:
    ours, theirs = socket.socketpair()
    around, facts = station(), list[SeccFact]()
    loop = asyncio.get_running_loop()
    connection = Connection(
        surroundings=lambda: around,
        report=facts.append,
        paused=None,
        offered=DEFAULT,
        accepted_s=0.0,
        on_end=lambda _: None,
    )
    transport, _ = await loop.connect_accepted_socket(lambda: connection, ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    # A plain connection offers no contract.
    plain = [("PaymentServiceSelectionReq", message(*_plain_selection(), SESSION_ID))]
    kept = [step for step in script if not step[0].startswith(("Payment", "Authorization"))]
    kept[2:2] = [*plain, ("AuthorizationReq", message("AuthorizationReq", {}, SESSION_ID))]
    for name, octets in [("supportedAppProtocolReq", app_protocol_req(ISO_2_WISH)), *kept]:
        started = time.perf_counter()
        writer.write(Frame(PayloadType.EXI, octets).to_bytes())
        if name == "PowerDeliveryReq":
            loop.call_later(0.005, connection.station_changed)
        _, _, _, length = HEADER.unpack(await reader.readexactly(HEADER.size))
        await reader.readexactly(length)
        if name != "PowerDeliveryReq":
            times[name].append(time.perf_counter() - started)
    writer.close()
    transport.close()
    await writer.wait_closed()


def _plain_selection() -> tuple[str, dict]:
    return "PaymentServiceSelectionReq", selection("ExternalPayment")


def rss_mb() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def rss_with(sessions: int, script: list[tuple[str, bytes]]) -> float:
    """Resident memory with so many sessions in the charge loop at once."""
    kept = []
    for _ in range(sessions):
        conversation, around = Conversation(Channel(tls=True), now=0.0), station()
        for octets in (app_protocol_req(ISO_2_WISH), *(octets for _, octets in script[:10])):
            conversation.feed(Frame(PayloadType.EXI, octets), around, 0.0)
            conversation.tick(around, 0.0)
        kept.append(conversation)
    gc.collect()
    return rss_mb()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def rows(times: Times) -> Iterator[str]:
    for name, values in times.items():
        yield f"  {name:28} {1000 * median(values):8.3f} {1000 * percentile(values, 0.99):8.3f}"


def repeat(rounds: int, measure: Callable[[list[tuple[str, bytes]], Times], None], script: list) -> Times:
    measure(script, defaultdict(list))
    times: Times = defaultdict(list)
    for _ in range(rounds):
        measure(script, times)
    return times


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=100)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    script = requests()
    memory = {f"rss_mb_{count}": round(rss_with(count, script), 1) for count in (1, 4)}
    engine = repeat(chosen.rounds, measure_engine, script)
    every = [value for values in engine.values() for value in values]
    cpu = [value for values in repeat(chosen.rounds, measure_cpu, script).values() for value in values]
    figures = {
        "answer_cpu_ms_p99": round(1000 * percentile(cpu, 0.99), 3),
        "answer_ms_p50": round(1000 * median(every), 3),
        "answer_ms_p99": round(1000 * percentile(every, 0.99), 3),
        **memory,
    }
    if chosen.json:
        json.dump(figures, sys.stdout)
        print()
        return
    handlers = repeat(chosen.rounds, measure_handlers, script)
    wire = repeat(chosen.rounds, lambda script, times: asyncio.run(measure_wire(script, times)), script)
    for title, times in (("handler", handlers), ("engine", engine), ("wire", wire)):
        print(f"{title}: milliseconds, median and p99")
        print("\n".join(rows(times)))
    print(figures)


if __name__ == "__main__":
    main()
