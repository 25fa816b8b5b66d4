"""Who is at the other end of the control socket, by the kernel's word, and what they may do.

Root and the daemon's own user are service: both could change the daemon itself.
"""

import errno
import grp
import logging
import os
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

log = logging.getLogger(__name__)

SO_PEERGROUPS = 59
_INT = struct.calcsize("i")
_CREDENTIALS = "iII"
MAX_GROUPS = 256
"""As many as Python's getsockopt can return."""


class Role(IntEnum):
    """Each may do what those before it may."""

    NOBODY = 0
    OBSERVER = 1
    TECHNICIAN = 2
    SERVICE = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Peer:
    """A connected process; `groups` are its primary and supplementary ones when it connected."""

    pid: int
    uid: int
    groups: frozenset[int]


class SocketOptions(Protocol):
    """A socket, or the view of one that asyncio gives."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def peer_of(connection: SocketOptions) -> Peer:
    """Raises OSError."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    pid, uid, gid = struct.unpack(_CREDENTIALS, raw)
    return Peer(pid, uid, frozenset({gid, *_supplementary(connection, uid)}))


def _supplementary(connection: SocketOptions, uid: int) -> tuple[int, ...]:
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MAX_GROUPS * _INT)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        log.warning("uid %s is in more than %s groups; only the primary one counts", uid, MAX_GROUPS)
        return ()
    return struct.unpack(f"{len(packed) // _INT}I", packed)


def role_of(peer: Peer, groups: Mapping[Role, int], service_uids: Collection[int]) -> Role:
    """The highest role that one of the peer's groups gives it."""
    if peer.uid in service_uids:
        return Role.SERVICE
    return max((role for role, gid in groups.items() if gid in peer.groups), default=Role.NOBODY)


def service_uids() -> frozenset[int]:
    return frozenset({0, os.geteuid()})


def groups_by_name(names: Mapping[Role, str]) -> dict[Role, int]:
    """The groups that exist; a role whose group does not is nobody's."""
    found = {}
    for role, name in names.items():
        try:
            found[role] = grp.getgrnam(name).gr_gid
        except KeyError:
            log.warning("there is no group %s: nobody gets the role %s by it", name, role)
    return found
