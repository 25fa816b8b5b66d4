"""How a vehicle behaves on the wire; by default well."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manners:
    think_s: float = 0.0
    """How long it takes before each request."""
    one_byte_segments: bool = False
    twice: str = ""
    """A request that goes out two times in one segment, and is answered two times."""
    silent_after: str = ""
    """The request after whose response it says nothing any more, and stays connected."""
    leaves_after: str = ""
    """The request after whose response it closes the connection."""
    leaves_before_response: str = ""
    """The request after which it closes the connection at once."""
    out_of_order: tuple[str, str] = ("", "")
    """Before the first request of the one name it sends an empty one of the other."""
