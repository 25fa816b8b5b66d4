"""In a network namespace of its own: plc0, and a vehicle at the other end; prints which doors are open to it.

unshare -n python vehicle_doors.py [evsed.nft]
"""

import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

CLONE_NEWNET = 0x40000000
TENTATIVE = 0x40
SDP, OTHER, V2G, SSH = 15118, 15119, 50001, 22
ALL_NODES = "ff02::1"
DEADLINE_S = 10.0


def run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=DEADLINE_S)


def address_of(interface: str) -> str:
    """Its link-local address, once it may be used."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            address, _index, _length, _scope, flags, name = line.split()
            if name == interface and not int(flags, 16) & TENTATIVE:
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
        time.sleep(0.02)
    raise TimeoutError(interface)


def vehicle(ready: int, go: int) -> None:
    """Knocks at every door once."""
    assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0
    os.write(ready, b"x")
    os.read(go, 1)
    run("ip", "link", "set", "car0", "up")
    address_of("car0")
    index, station = socket.if_nametoindex("car0"), os.read(go, 64).decode()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        for port in (SDP, OTHER):
            sender.sendto(b"x", (ALL_NODES, port, 0, index))
    for port in (V2G, SSH):
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as line:
            line.settimeout(0.5)
            line.connect_ex((station, port, 0, index))


def listen_udp(port: int, index: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind(("::", port))
    group = socket.inet_pton(socket.AF_INET6, ALL_NODES) + index.to_bytes(4, sys.byteorder)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
    return made


def listen_tcp(port: int, own: str, index: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    made.bind((own, port, 0, index))
    made.listen()
    return made


def heard(door: socket.socket) -> bool:
    door.settimeout(0.1)
    try:
        door.recv(10) if door.type == socket.SOCK_DGRAM else door.accept()
    except OSError:
        return False
    return True


def main() -> None:
    run("ip", "link", "add", "plc0", "type", "veth", "peer", "name", "car0")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        vehicle(ready[1], go[0])
        os._exit(0)
    os.read(ready[0], 1)
    run("ip", "link", "set", "car0", "netns", str(child))
    run("ip", "link", "set", "plc0", "up")
    for rules in sys.argv[1:]:
        run("nft", "-f", rules)
    os.write(go[1], b"x")
    own, index = address_of("plc0"), socket.if_nametoindex("plc0")
    doors = {
        "sdp": listen_udp(SDP, index),
        "other": listen_udp(OTHER, index),
        "v2g": listen_tcp(V2G, own, index),
        "ssh": listen_tcp(SSH, own, index),
    }
    os.write(go[1], own.encode())
    os.waitpid(child, 0)
    print(*(name for name, door in doors.items() if heard(door)))


if __name__ == "__main__":
    main()
