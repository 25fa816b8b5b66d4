"""The charging profiles that hold: set by the CSMS or by who else limits the station (OCPP 2.0.1 block K).

Pure. A rejected profile changes nothing. TxProfiles live as long as their transaction, external constraints as long as
whoever set them says so; the others outlive a restart, by `dump` and `restore`. EVSE 0 is the station. How the purposes
go together: a TxProfile outweighs the TxDefaultProfiles where it says something; ChargingStationMaxProfile and external
constraints bound whatever the others allow.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from typing import Any

from hal.quantities import EvseId
from ocpp_client.ports import TransactionState
from ocpp_client.profile_rules import (
    EXTERNAL,
    LIMITS,
    STATION_MAX,
    TX_DEFAULT,
    TX_PROFILE,
    ProfileLimits,
    ProfileRefused,
    check_shape,
)
from ocpp_client.schedule import Allowance, Profile, Supply, earliest, stack_allowance, together, unix
from ocpp_client.wire import Payload, parse_time

_FOREVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
CSO = "CSO"
"""ChargingLimitSourceEnumType of what the CSMS sets."""


@dataclass(frozen=True, slots=True)
class Installed:
    evse_id: int
    profile: Payload
    calculable: Profile
    source: str = CSO


class Profiles:
    def __init__(
        self,
        evse_count: int,
        supply: Supply,
        transaction_on: Callable[[EvseId], TransactionState | None],
        limits: ProfileLimits = LIMITS,
    ) -> None:
        self.evse_count = evse_count
        self.supply = supply
        self._transaction_on = transaction_on
        self._limits = limits
        self._installed: dict[int, Installed] = {}
        self._external: dict[tuple[str, int], Installed] = {}
        self._chosen: dict[int, int] = {}
        self._open: set[int] = set()

    def __len__(self) -> int:
        return len(self._installed)

    # --- Setting ---

    def set(self, evse_id: int, profile: Payload) -> None:
        """Install, replacing the one with the same id (K01.FR.05). Raises ProfileRefused."""
        self._check_place(evse_id, profile)
        self._check_transaction(evse_id, profile)
        check_shape(profile, self._limits, self.supply)
        self._check_stack(evse_id, profile)
        if profile["id"] not in self._installed and len(self._installed) >= self._limits.max_profiles:
            raise ProfileRefused("TooManyProfiles", f"at most {self._limits.max_profiles} profiles")
        self._installed[profile["id"]] = Installed(evse_id, profile, Profile.of(profile))
        self._forget_choice(profile["id"])

    def set_external(self, source: str, evse_id: int, profile: Payload | None) -> None:
        """What `source` (ChargingLimitSourceEnumType) bounds an EVSE or the station by; None lifts it."""
        if profile is None:
            self._external.pop((source, evse_id), None)
        else:
            self._external[source, evse_id] = Installed(evse_id, profile, Profile.of(profile), source)

    def leave_open(self, profile_id: int) -> None:
        """The vehicle is being asked which of the profile's schedules it chooses; before that, the first holds."""
        if len(self._installed[profile_id].calculable.schedules) > 1:
            self._open.add(profile_id)

    def choose(self, profile_id: int, schedule_id: int) -> None:
        """The vehicle's choice."""
        self._open.discard(profile_id)
        self._chosen[profile_id] = schedule_id

    @contextmanager
    def as_if_chosen(self, profile_id: int, schedule_id: int) -> Iterator[None]:
        """What would hold with this choice."""
        before = self._chosen, self._open
        self._chosen, self._open = {**self._chosen, profile_id: schedule_id}, self._open - {profile_id}
        try:
            yield
        finally:
            self._chosen, self._open = before

    def _forget_choice(self, profile_id: int) -> None:
        self._open.discard(profile_id)
        self._chosen.pop(profile_id, None)

    def _check_place(self, evse_id: int, profile: Payload) -> None:
        purpose = profile["chargingProfilePurpose"]
        if not 0 <= evse_id <= self.evse_count:
            raise ProfileRefused("UnknownEvse", f"no EVSE {evse_id}")
        if purpose == STATION_MAX and evse_id != 0:
            raise ProfileRefused("InvalidEvseId", "ChargingStationMaxProfile is for EVSE 0")
        if purpose == TX_PROFILE and evse_id == 0:
            raise ProfileRefused("InvalidEvseId", "TxProfile needs an EVSE")
        if purpose == EXTERNAL:
            raise ProfileRefused("InvalidProfile", "external constraints are not the CSMS's to set")
        if profile["id"] in (item.profile["id"] for item in self._external.values()):
            raise ProfileRefused("InvalidProfile", "the id is an external constraint's")

    def _check_transaction(self, evse_id: int, profile: Payload) -> None:
        if profile["chargingProfilePurpose"] != TX_PROFILE:
            if "transactionId" in profile:
                raise ProfileRefused("InvalidProfile", "transactionId is for a TxProfile")
            return
        state = self._transaction_on(EvseId(evse_id))
        if "transactionId" not in profile:
            raise ProfileRefused("MissingParam", "TxProfile needs a transactionId")
        if state is None or state.transaction_id != profile["transactionId"]:
            raise ProfileRefused("TxNotFound", f"no such transaction on EVSE {evse_id}")

    def _check_stack(self, evse_id: int, profile: Payload) -> None:
        """K01.FR.06, .39, .52, .53: two profiles of one purpose and stack level never hold at the same time."""
        start, end = _validity(profile)
        for other in self._installed.values():
            if other.profile["id"] == profile["id"] or not _same_slot(other, evse_id, profile):
                continue
            other_start, other_end = _validity(other.profile)
            if start < other_end and other_start < end:
                raise ProfileRefused("DuplicateProfile", f"stack level is taken by profile {other.profile['id']}")

    # --- Clearing and reporting ---

    def clear(self, profile_id: int | None, criteria: Payload | None) -> list[Installed]:
        """What was cleared (K10). An id outweighs criteria; neither clears all the CSMS has set."""
        chosen = [
            number
            for number, installed in self._installed.items()
            if (number == profile_id if profile_id is not None else _matches(installed, criteria or {}))
        ]
        for number in chosen:
            self._forget_choice(number)
        return [self._installed.pop(number) for number in chosen]

    def transaction_ended(self, transaction_id: str) -> None:
        for number, installed in list(self._installed.items()):
            if installed.profile.get("transactionId") == transaction_id:
                del self._installed[number]
                self._forget_choice(number)

    def find(self, evse_id: int | None, criterion: Payload) -> list[Installed]:
        """K09: `criterion` is a ChargingProfileCriterionType."""
        ids = criterion.get("chargingProfileId")
        sources = criterion.get("chargingLimitSource")
        return [
            installed
            for installed in sorted(self._all(), key=lambda item: int(item.profile["id"]))
            if (installed.profile["id"] in ids if ids else _matches(installed, criterion))
            and (evse_id is None or installed.evse_id == evse_id)
            and (sources is None or installed.source in sources)
        ]

    def tx_profile(self, transaction_id: str) -> Installed | None:
        """The TxProfile of a transaction that holds over its others: of the highest stack level."""
        own = [item for item in self._installed.values() if item.profile.get("transactionId") == transaction_id]
        return max(own, key=lambda item: item.calculable.stack_level, default=None)

    def _all(self) -> Iterator[Installed]:
        yield from self._installed.values()
        yield from self._external.values()

    # --- What holds ---

    def allowance(self, evse_id: int, at: int, *, asked_at: int | None = None) -> Allowance:
        """At `at` (Unix seconds), for an EVSE; for EVSE 0 what bounds the station in all.

        Without a transaction a relative default profile counts from `asked_at`, or has not begun.
        """
        station = together((self._stack(STATION_MAX, {0}, at, None), *self._constraints(0, at)))
        if evse_id == 0:
            return station
        state = self._transaction_on(EvseId(evse_id))
        if state is not None:
            started: int | None = unix(state.started_at)
            own = self._stack(TX_PROFILE, {evse_id}, at, started)
        else:
            started, own = asked_at, Allowance()
        if not own.limits:
            own = together((own, self._stack(TX_DEFAULT, {0, evse_id}, at, started)))
        return together((own, station, *self._constraints(evse_id, at)))

    def _stack(self, purpose: str, evse_ids: Iterable[int], at: int, relative_to: int | None) -> Allowance:
        return stack_allowance(
            (item.calculable.stack_level, self._says(item, at, relative_to))
            for item in self._installed.values()
            if item.calculable.purpose == purpose and item.evse_id in evse_ids
        )

    def _says(self, item: Installed, at: int, relative_to: int | None) -> Allowance:
        """While the vehicle has its choice of schedules, the highest of them: it may choose that one."""
        number = item.profile["id"]
        if number not in self._open:
            return item.calculable.at(at, relative_to, self._chosen.get(number))
        each = [item.calculable.at(at, relative_to, schedule.number) for schedule in item.calculable.schedules]
        highest = max(each, key=lambda allowance: _or_infinite(allowance.limit_a(self.supply)))
        return replace(highest, until=earliest(*(allowance.until for allowance in each)))

    def _constraints(self, evse_id: int, at: int) -> Iterator[Allowance]:
        """Each source's own: the lowest of them holds."""
        for item in self._external.values():
            if item.evse_id == evse_id:
                yield item.calculable.at(at, None)

    def limit_a(self, evse_id: int, at: datetime) -> float | None:
        """Per phase at a moment; None where nothing limits."""
        return self.allowance(evse_id, unix(at)).limit_a(self.supply)

    # --- Outliving a restart ---

    def dump(self) -> str:
        return json.dumps(
            [
                [installed.evse_id, installed.profile]
                for installed in self._installed.values()
                if installed.profile["chargingProfilePurpose"] != TX_PROFILE
            ]
        )

    def restore(self, text: str) -> int:
        """Puts back what `dump` wrote; what no longer fits the station is left out. Returns how many were."""
        left_out = 0
        entries: list[tuple[int, Any]] = json.loads(text)
        for evse_id, profile in entries:
            try:
                self.set(evse_id, profile)
            except ProfileRefused:
                left_out += 1
        return left_out


def _or_infinite(limit: float | None) -> float:
    return inf if limit is None else limit


def _same_slot(other: Installed, evse_id: int, profile: Payload) -> bool:
    mine, theirs = profile, other.profile
    if (mine["chargingProfilePurpose"], mine["stackLevel"]) != (
        theirs["chargingProfilePurpose"],
        theirs["stackLevel"],
    ):
        return False
    if mine["chargingProfilePurpose"] == TX_PROFILE:
        return other.evse_id == evse_id and bool(mine["transactionId"] == theirs["transactionId"])
    return other.evse_id == evse_id or 0 in (other.evse_id, evse_id)


def _matches(installed: Installed, criteria: Payload) -> bool:
    profile = installed.profile
    return (
        criteria.get("evseId") in (None, installed.evse_id)
        and criteria.get("chargingProfilePurpose") in (None, profile["chargingProfilePurpose"])
        and criteria.get("stackLevel") in (None, profile["stackLevel"])
    )


def _validity(profile: Payload) -> tuple[datetime, datetime]:
    start, end = profile.get("validFrom"), profile.get("validTo")
    return parse_time(start) if start else _FOREVER[0], parse_time(end) if end else _FOREVER[1]
