"""Reservations of EVSEs: by number, by connector type, or of any one (H01-H04). Pure.

A reservation that names no EVSE holds one back only when none may be given away any more: as many are open as are
reserved. Then all of these are Reserved, for whoever holds one of the reservations.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from hal.quantities import EvseId
from ocpp_client.ports import IdToken, ReservationHolder, ReservationsChanged
from ocpp_client.wire import Payload, format_time, parse_time, text_at


class Standing(Enum):
    """What an EVSE can do for a reservation."""

    OPEN = "open"
    PLUGGED = "plugged"
    """A vehicle is there that nobody has authorised: its driver may hold the reservation."""
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"


_REFUSALS = (
    (Standing.PLUGGED, "Occupied"),
    (Standing.BUSY, "Occupied"),
    (Standing.UNAVAILABLE, "Unavailable"),
    (Standing.FAULTED, "Faulted"),
)
"""ReserveNowStatusEnumType, the first that holds of any EVSE in question."""
_LOST = (Standing.UNAVAILABLE, Standing.FAULTED)
_USABLE = (Standing.OPEN, Standing.PLUGGED)

Standings = Mapping[EvseId, Standing]


@dataclass(frozen=True, slots=True)
class Reservation:
    id: int
    token: IdToken
    group_id: str | None
    expires_at: datetime
    evse_id: EvseId | None
    connector_type: str | None

    def holder(self) -> ReservationHolder:
        return ReservationHolder(self.id, self.token, self.group_id, self.expires_at)


def reservation_of(request: Payload) -> Reservation:
    """A ReserveNowRequest, checked by its schema."""
    token = request["idToken"]
    return Reservation(
        request["id"],
        IdToken(token["idToken"], token["type"]),
        text_at(request, "groupIdToken", "idToken"),
        parse_time(request["expiryDateTime"]),
        EvseId(request["evseId"]) if "evseId" in request else None,
        request.get("connectorType"),
    )


class Reservations:
    """`types` is each EVSE's connector type (ConnectorEnumType)."""

    def __init__(self, types: Mapping[EvseId, str]) -> None:
        self._types = dict(types)
        self._held: dict[int, Reservation] = {}

    def all(self) -> tuple[Reservation, ...]:
        return tuple(self._held.values())

    def reserve(self, wanted: Reservation, standings: Standings) -> str:
        """A ReserveNowStatusEnumType. One of the same id is replaced when the new one is accepted."""
        others = [held for held in self._held.values() if held.id != wanted.id]
        if not (suitable := self._suitable(wanted)):
            return "Rejected"
        if wanted.evse_id is not None:
            answer = self._reserve_one(wanted.evse_id, others, standings)
        else:
            answer = self._reserve_any(wanted, others, suitable, standings)
        if answer == "Accepted":
            self._held.pop(wanted.id, None)
            self._held[wanted.id] = wanted
        return answer

    def _suitable(self, wanted: Reservation) -> list[EvseId]:
        return [
            evse
            for evse, kind in self._types.items()
            if wanted.evse_id in (None, evse) and wanted.connector_type in (None, kind)
        ]

    def _reserve_one(self, evse: EvseId, others: Iterable[Reservation], standings: Standings) -> str:
        if standings[evse] is not Standing.OPEN:
            return _refusal([standings[evse]])
        taken = any(held.evse_id == evse for held in others)
        left = self._free(standings, (Standing.OPEN,), others) - {evse}
        return "Occupied" if taken or not self._fit(others, left) else "Accepted"

    def _reserve_any(
        self, wanted: Reservation, others: list[Reservation], suitable: list[EvseId], standings: Standings
    ) -> str:
        free = self._free(standings, (Standing.OPEN,), others)
        if not free.intersection(suitable):
            left = [standings[evse] for evse in suitable if standings[evse] is not Standing.OPEN]
            return _refusal(left)
        return "Accepted" if self._fit([*others, wanted], free) else "Occupied"

    def _free(self, standings: Standings, kinds: tuple[Standing, ...], held: Iterable[Reservation]) -> set[EvseId]:
        """EVSEs of that standing which no reservation names."""
        named = {one.evse_id for one in held}
        return {evse for evse, standing in standings.items() if standing in kinds and evse not in named}

    def _fit(self, held: Iterable[Reservation], free: set[EvseId]) -> bool:
        """Whether every reservation without an EVSE can still have one of these."""
        unnamed = [one for one in held if one.evse_id is None]
        open_types = Counter(self._types[evse] for evse in free)
        typed = Counter(one.connector_type for one in unnamed if one.connector_type is not None)
        return len(unnamed) <= len(free) and all(count <= open_types[kind] for kind, count in typed.items())

    def remove(self, reservation_id: int) -> Reservation | None:
        """Cancelled, or used."""
        return self._held.pop(reservation_id, None)

    def expire(self, now: datetime) -> list[Reservation]:
        return self._drop([held for held in self._held.values() if held.expires_at <= now])

    def lose(self, standings: Standings) -> list[Reservation]:
        """Take away those that cannot be kept: their EVSE is faulted or out of service. The latest go first."""
        lost = self._drop([held for held in self._held.values() if standings.get(held.evse_id or EvseId(0)) in _LOST])
        keeping = tuple(standing for standing in Standing if standing not in _LOST)
        for held in reversed([one for one in self._held.values() if one.evse_id is None]):
            if self._fit(self._held.values(), self._free(standings, keeping, self._held.values())):
                break
            lost += self._drop([held])
        return lost

    def _drop(self, gone: list[Reservation]) -> list[Reservation]:
        for held in gone:
            del self._held[held.id]
        return gone

    def next_expiry(self) -> datetime | None:
        return min((held.expires_at for held in self._held.values()), default=None)

    def on(self, evse: EvseId, standings: Standings) -> ReservationsChanged:
        """Who holds a reservation that this EVSE can serve, and whether it is for them alone."""
        named = [held for held in self._held.values() if held.evse_id == evse]
        if named:
            return ReservationsChanged(evse, tuple(held.holder() for held in named), exclusive=True)
        kind = self._types[evse]
        fitting = [held for held in self._held.values() if held.evse_id is None and held.connector_type in (None, kind)]
        left = self._free(standings, _USABLE, self._held.values()) - {evse}
        exclusive = bool(fitting) and standings[evse] in _USABLE and not self._fit(self._held.values(), left)
        return ReservationsChanged(evse, tuple(held.holder() for held in fitting), exclusive)

    def dump(self) -> str:
        return json.dumps(
            [
                [one.id, *_parts(one.token), one.group_id, format_time(one.expires_at), one.evse_id, one.connector_type]
                for one in self._held.values()
            ]
        )

    def restore(self, text: str) -> None:
        """Raises ValueError, TypeError. What names an EVSE that is gone is left out."""
        for number, name, kind, group_id, expires_at, evse, connector_type in json.loads(text):
            if evse is None or evse in self._types:
                self._held[number] = Reservation(
                    number, IdToken(name, kind), group_id, parse_time(expires_at), evse, connector_type
                )


def _parts(token: IdToken) -> tuple[str, str]:
    return token.id_token, token.kind


def _refusal(standings: Iterable[Standing]) -> str:
    found = set(standings)
    return next((answer for standing, answer in _REFUSALS if standing in found), "Occupied")
