"""The SLAC scoreboard: `python tests/bench/slac.py [--json]`.

Single losses, crosstalk and random loss run in virtual time. CM_SLAC_PARM.REQ to CNF is measured in network namespaces;
without the right to make them it is null, with the reason on standard error. Plug-in to 5 % PWM is measured over a pty.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hal.board import McuBoard
from hal.plc import mme
from hal.plc.frame import BROADCAST
from hal.plc.link import GreenPhyLink
from hal.plc.port import PacketPort
from hal.plc.timings import Profile
from hal.ports import HalFact, ModemReady, PlcFact, PluggedIn, Unplugged
from hal.quantities import EvseId
from sim.namespaces import World, charging_site, missing_right
from tests.conformance.mcu_peer import start_peer
from tests.hal.plc.plc_rig import Rig
from tests.hal.plc.plc_scenarios import (
    SINGLE_LOSSES,
    crosstalk,
    foreign_delay_s,
    random_loss,
    sessions_per_s,
    survives_loss,
)

SEEDS = 50
REQUESTS = 300
PLUGS = 30
SO_TIMESTAMPNS = 35


def virtual_time_scores() -> dict[str, object]:
    rate, keyed = sessions_per_s(2000, 0.0)
    rate_lossy, keyed_lossy = sessions_per_s(2000, 0.2)
    return {
        "single_loss_ok": sum(survives_loss(lost, Profile.FIELD) for lost in SINGLE_LOSSES),
        "single_loss_strict_ok": sum(survives_loss(lost, Profile.STRICT) for lost in SINGLE_LOSSES),
        "single_loss_cases": len(SINGLE_LOSSES),
        "crosstalk_ok": sum(crosstalk(seed) == 3 for seed in range(SEEDS)),
        "loss_ok": sum(random_loss(seed) for seed in range(SEEDS)),
        "seeds": SEEDS,
        "sessions_per_s": round(rate),
        "sessions_keyed_of_2000": keyed,
        "sessions_20_percent_loss_per_s": round(rate_lossy),
        "sessions_20_percent_loss_keyed_of_2000": keyed_lossy,
        "foreign_delay_ms": round(foreign_delay_s() * 1000, 1),
    }


def wire_scores() -> dict[str, object]:
    """Measured between two processes over veth, the modem a process of its own."""
    why = missing_right()
    if why is not None:
        print(why, file=sys.stderr)
        return {"parm_cnf_ms_p50": None, "modem_to_ready_ms": None, "plug_to_ready_ms_p50": None}
    me = [sys.executable, __file__]
    pipe = {"stdin": -1, "stdout": -1, "text": True, "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}
    with World(charging_site()) as world:
        modem = [sys.executable, "-m", "sim.plc", "--modem", "evse1:m-evse1:evse", "--modem", "ev1:m-ev1:ev"]
        assert world.spawn("plc", modem, **pipe).stdout.readline() == "ready\n"
        station = world.spawn("station", [*me, "--station"], **pipe)
        ready_ms = float(station.stdout.readline())
        sniffer = world.spawn("plc", [*me, "--sniffer"], **pipe)
        assert sniffer.stdout.readline() == "ready\n"
        vehicle = world.run("vehicle1", [*me, "--vehicle"], timeout=60)
        station.stdin.close()
        own = json.loads(station.stdout.readline())
        at_interface_ms = json.loads(sniffer.stdout.readline())
    return {
        "parm_cnf_ms_p50": at_interface_ms,
        "parm_cnf_handler_ms_p50": own["parm_cnf_ms_p50"],
        "parm_cnf_over_modem_ms_p50": json.loads(vehicle.stdout),
        "modem_to_ready_ms": ready_ms,
        "plug_to_ready_ms_p50": own["plug_to_ready_ms_p50"],
    }


async def station() -> None:
    """Print when the modem is ready, then answer until the input closes; at the end print our own share."""
    facts: list[PlcFact] = []
    link = GreenPhyLink("plc0", EvseId(1), facts.append)
    begun = time.monotonic()
    await link.open()
    while not any(isinstance(fact, ModemReady) for fact in facts):
        await asyncio.sleep(0.0005)
    print(round((time.monotonic() - begun) * 1000, 2), flush=True)
    answers: list[float] = []
    timed(link, answers)
    plugs = [plug_cycle(link) for _ in range(100)]
    link.vehicle_connected(True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    await link.close()
    figures = {
        "parm_cnf_ms_p50": round(statistics.median(answers) * 1000, 3),
        "plug_to_ready_ms_p50": round(statistics.median(plugs) * 1000, 3),
    }
    print(json.dumps(figures), flush=True)


def timed(link: GreenPhyLink, answers: list[float]) -> None:
    """Note the time from a frame's receipt in this process to its answer's sending."""
    machine, feed = link.machine, link.machine.feed
    send = link._send

    def feed_and_note(frame: bytes, now: float) -> None:
        begun = time.perf_counter()
        feed(frame, now)
        send()
        if frame[15:17] == b"\x64\x60":
            answers.append(time.perf_counter() - begun)

    machine.feed = feed_and_note  # type: ignore[method-assign]


def plug_cycle(link: GreenPhyLink) -> float:
    """From the pilot's word to a link that may be offered 5 % PWM, which it may at once with the key in place."""
    begun = time.perf_counter()
    link.vehicle_connected(True)
    took = time.perf_counter() - begun
    assert link.machine.is_ready
    link.vehicle_connected(False)
    return took


async def plug_to_pwm_ms(plugs: int) -> list[float]:
    """From the pilot's edge to B at the MCU to 5 % on it, over the pty at 115200 Bd, with the modem's key in place."""
    rig = Rig()
    rig.boot()

    def react(fact: HalFact) -> None:
        if isinstance(fact, PluggedIn):
            rig.station.vehicle_connected(True, rig.now)
            if rig.station.is_ready:
                board.offer_hlc()
        elif isinstance(fact, Unplugged):
            rig.unplug()
            board.offer_nothing()

    with tempfile.TemporaryDirectory() as directory:
        peer = await start_peer(Path(directory), "--baudrate", "115200")
        board = McuBoard(peer.device, EvseId(1), react)
        await board.open()
        for number in range(plugs):
            await asyncio.sleep(0.05 + number * 0.013 % 0.1)
            await peer.cable.set_cp("B")
            await peer.cable.wait_for(lambda levels: levels.duty_percent == 5)
            await peer.cable.set_cp("A")
            await peer.cable.wait_for(lambda levels: levels.duty_percent == 100)
        trace = peer.trace()
        await board.close()
        await peer.stop()
    edges = [t for t, event, value in trace if (event, value) == ("cp", "B")]
    pwm = [t for t, event, value in trace if (event, value) == ("pilot", ["X2", 5.0])]
    return [(offered - edge) * 1000 for edge, offered in zip(edges, pwm, strict=True)]


def vehicle() -> None:
    """Ask many times over the whole wire; print the median time to the answer, in ms."""
    port = PacketPort("plc0")
    took = []
    with socket.fromfd(port.fileno(), socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.settimeout(1)
        for n in range(REQUESTS):
            frame = mme.encode(BROADCAST, port.mac, mme.SlacParmReq(run_id=n.to_bytes(8, "big")))
            begun = time.perf_counter()
            wire.send(frame)
            while wire.recv(2000)[15:17] != b"\x65\x60":
                pass
            took.append(time.perf_counter() - begun)
            time.sleep(0.002)
    print(round(statistics.median(took) * 1000, 3))


def sniffer() -> None:
    """Print the median time, by the kernel's stamps, from a request on the station's cable to the answer, in ms."""
    took, asked_at = [], 0.0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        tap.bind(("m-evse1", 0x0003))
        tap.settimeout(20)
        print("ready", flush=True)
        while len(took) < REQUESTS:
            frame, ancillary, _, _ = tap.recvmsg(2000, 64)
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            stamp = seconds + nanoseconds * 1e-9
            if frame[15:17] == b"\x64\x60":
                asked_at = stamp
            elif frame[15:17] == b"\x65\x60":
                took.append(stamp - asked_at)
    print(round(statistics.median(took) * 1000, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--station", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--sniffer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--vehicle", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.station:
        asyncio.run(station())
    elif options.sniffer:
        sniffer()
    elif options.vehicle:
        vehicle()
    else:
        scores = {**virtual_time_scores(), **wire_scores()}
        scores["plug_to_pwm_ms_p50"] = round(statistics.median(asyncio.run(plug_to_pwm_ms(PLUGS))), 2)
        print(json.dumps(scores) if options.json else "\n".join(f"{k:42} {v}" for k, v in scores.items()))


if __name__ == "__main__":
    main()
