"""`python -m sim.plc --modem evse1:m-evse1:evse --modem ev1:m-ev1:ev`: virtual modems, each at one interface.

While it runs it obeys lines on its standard input:

    deaf NAME SECONDS          hear nothing for a while; the key is kept
    restart NAME SECONDS       the same, and the key is lost
    set-key NAME MODE          normal, other, refuse-once, late, never
    drop MMTYPE N              drop the Nth management message of that type from now on, as in `drop 0x607d 1`
    loss SHARE                 lose that share (0..1) of the management messages
    attenuation NAME NAME DB
    join-delay SECONDS         how long modems of one key take to find each other
"""

import argparse
import logging
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from hal.plc.vendor_mme import Vendor
from sim.plc.powerline import Delivery, Faults, Powerline, Role, SetKey, VirtualModem

log = logging.getLogger(__name__)

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
_FRAMES_A_WAKE = 64
_LONGEST_FRAME = 65536


class Bridge:
    """The modems' packet sockets and the line between them."""

    def __init__(self, line: Powerline, interfaces: dict[str, str]) -> None:
        self.line = line
        self._selector = selectors.DefaultSelector()
        self._rest = b""
        self._sockets: dict[str, socket.socket] = {}
        for modem in line.modems:
            port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            port.setblocking(False)
            port.bind((interfaces[modem.name], ETH_P_ALL))
            self._sockets[modem.name] = port
            self._selector.register(port, selectors.EVENT_READ, modem)

    def listen(self, commands: int) -> None:
        """Take commands from a descriptor; one that cannot be waited for, such as /dev/null, has none."""
        with suppress(PermissionError):
            self._selector.register(commands, selectors.EVENT_READ, None)

    def run(self) -> None:
        """For ever."""
        while True:
            deadline = self.line.deadline
            wait = None if deadline is None else max(deadline - time.monotonic(), 0)
            for key, _ in self._selector.select(wait):
                if key.data is not None:
                    self._receive(key.data)
                elif not self._obey(key.fd):
                    self._selector.unregister(key.fileobj)
            self._deliver(self.line.tick(time.monotonic()))

    def _receive(self, modem: VirtualModem) -> None:
        for _ in range(_FRAMES_A_WAKE):
            try:
                frame = self._sockets[modem.name].recv(_LONGEST_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("%s: %s", modem.name, error.strerror)
                return
            self._deliver(self.line.from_host(modem, frame, time.monotonic()))

    def _deliver(self, deliveries: list[Delivery]) -> None:
        for modem, frame in deliveries:
            try:
                self._sockets[modem.name].send(frame)
            except OSError as error:
                log.warning("%s: %s", modem.name, error.strerror)

    def _obey(self, commands: int) -> bool:
        """Whether there may be more to come."""
        chunk = os.read(commands, 4096)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            try:
                obey(self.line, line.decode().split(), time.monotonic())
            except (KeyError, ValueError, IndexError, TypeError) as error:
                log.error("not understood: %s (%s)", line.decode("ascii", "replace"), error)
        return bool(chunk)


def obey(line: Powerline, words: Sequence[str], now: float) -> None:
    """Carry out one command line. Raises KeyError, ValueError or TypeError for one that is not understood."""
    modems = {modem.name: modem for modem in line.modems}

    def deaf(name: str, seconds: str) -> None:
        modems[name].deaf_until = now + float(seconds)

    def restart(name: str, seconds: str) -> None:
        modems[name].restart(float(seconds), now)

    def set_key(name: str, mode: str) -> None:
        modems[name].set_key = SetKey(mode)

    def drop(mmtype: str, nth: str) -> None:
        kind = int(mmtype, 16)
        line.faults.drop.setdefault(kind, set()).add(line.seen[kind] + int(nth))

    def loss(share: str) -> None:
        line.faults.loss = float(share)

    def attenuation(a: str, b: str, level: str) -> None:
        line.attenuation_db[frozenset((modems[a].name, modems[b].name))] = int(level)

    def join_delay(seconds: str) -> None:
        line.join_delay_s = float(seconds)

    commands: dict[str, Callable[..., None]] = {
        "deaf": deaf,
        "restart": restart,
        "set-key": set_key,
        "drop": drop,
        "loss": loss,
        "attenuation": attenuation,
        "join-delay": join_delay,
    }
    commands[words[0]](*words[1:])


def _modem(text: str, number: int) -> tuple[VirtualModem, str]:
    name, interface, role, *vendor = text.split(":")
    make = {"qualcomm": Vendor.QUALCOMM, "lumissil": Vendor.LUMISSIL}[vendor[0] if vendor else "qualcomm"]
    mac = bytes.fromhex("00b052aa" if make is Vendor.QUALCOMM else "0016e8aa") + number.to_bytes(2, "big")
    return VirtualModem(name, Role(role), mac, vendor=make), interface


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.plc", description="Virtual Green PHY modems on one line.")
    parser.add_argument("--modem", action="append", required=True, metavar="NAME:INTERFACE:evse|ev[:VENDOR]")
    parser.add_argument("--join-delay", type=float, default=0.5, metavar="SECONDS")
    parser.add_argument("--attenuation", action="append", default=[], metavar="NAME:NAME:DB")
    parser.add_argument("--default-db", type=int, default=8, help="attenuation between modems not named (default 8)")
    parser.add_argument("--loss", type=float, default=0.0, help="share of management messages lost")
    parser.add_argument("--one-start-only", action="store_true", help="forward one CM_START_ATTEN_CHAR.IND of three")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    try:
        modems = [_modem(text, number) for number, text in enumerate(options.modem, 1)]
    except (KeyError, ValueError):
        parser.error("a modem is NAME:INTERFACE:evse|ev, and :lumissil where it is one")
    line = Powerline(
        [modem for modem, _ in modems],
        default_db=options.default_db,
        join_delay_s=options.join_delay,
        faults=Faults(loss=options.loss, one_start_only=options.one_start_only),
        seed=options.seed,
    )
    for text in options.attenuation:
        obey(line, ["attenuation", *text.split(":")], 0.0)
    bridge = Bridge(line, {modem.name: interface for modem, interface in modems})
    if not sys.stdin.closed:
        bridge.listen(sys.stdin.fileno())
    print("ready", flush=True)
    bridge.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
