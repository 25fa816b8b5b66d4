"""What the engine must know of a protocol. One value of it a protocol; `protocols.py` holds them."""

from collections.abc import Callable
from dataclasses import dataclass

from secc.ports import PausedSession, StationView
from secc.v2g.session import Answer, Request, Response, Session, Surroundings
from secc.v2gtp import Frame, PayloadType

Written = tuple[Frame, str]
"""A response on the wire, and its response code."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol as SupportedAppProtocol names it, and the functions that speak it."""

    name: str
    namespace: str
    major: int
    minor: int
    serves: Callable[[StationView], bool]
    """Whether a station of this kind can charge by it at all."""
    only_mutual_tls_13: bool
    begin: Callable[[bool, PausedSession | None], Session]
    """The session before its first request; whether there is TLS, and who may join again."""
    read: Callable[[Frame, float], Request | None]
    """The request in a frame that arrived then. None for a payload type the protocol does not know, which is stepped
    over. Raises ExiError, NotARequest."""
    respond: Callable[[Request, Session, Surroundings, float], Answer]
    write: Callable[[Request, Response, Session, Surroundings], Written]
    sequence_timeout_s: Callable[[Session], float]
    """How long the next request may take."""
    side_streams: frozenset[PayloadType] = frozenset()
    """Payload types whose requests do not wait for the answer to another."""
