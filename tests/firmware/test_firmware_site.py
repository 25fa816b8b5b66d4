"""The site's shares as the EVSEs hear of them: real sessions, facts in their order, no clock but the test's."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from firmware import config
from firmware.dispatch import Dispatcher
from firmware.evse import Observation
from firmware.facts import AuthorizationAnswered
from firmware.limits import Limits
from firmware.session import Session
from firmware.site import Site, loaded_phases
from hal import ports as hal
from hal.quantities import EvseId, MeterReading
from ocpp_client import ports as ocpp
from secc.ports import LimitSent, MessageAnswered
from secc.schedules import EnergyRequested

CARD = ocpp.IdToken("04AABBCC", "ISO14443")
YES = ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED)
ONE, TWO = EvseId(1), EvseId(2)


class StandIn:
    """An EVSE without its loop: it takes each fact at once, and tells the site."""

    def __init__(self, settings: config.Evse, rig: "Rig") -> None:
        self.settings = settings
        self._rig = rig
        self._session = Session(Limits(32.0), has_plc=False)

    @property
    def state(self) -> Any:
        return self._session.state

    def report(self, fact: Any) -> None:
        self._session.feed(fact, self._rig.now)
        seen = Observation(EvseId(self.settings.id), fact, "", "", self._rig.now, datetime.now(UTC))
        self._rig.waiting.append(seen)


class Rig:
    def __init__(self, limit_a: float, *settings: config.Evse) -> None:
        self.now = 0.0
        self.waiting: list[Observation] = []
        self.evses = {EvseId(item.id): StandIn(item, self) for item in settings}
        self.site = Site(self.evses, settings, limit_a, lambda: self.now)  # type: ignore[arg-type]
        self.site.share()
        self.drain()

    def hear(self, evse: EvseId, *facts: Any) -> None:
        for fact in facts:
            self.evses[evse].report(fact)
            self.drain()

    def drain(self) -> None:
        while self.waiting:
            self.site(self.waiting.pop(0))

    def come(self, evse: EvseId) -> None:
        token = hal.TokenPresented(CARD.id_token, CARD.kind, self.now)
        self.hear(evse, hal.PluggedIn(self.now), token, AuthorizationAnswered(CARD, YES))

    def offers(self) -> list[float]:
        return [evse.state.limits.offer_a for evse in self.evses.values()]


def evse(number: int, **options: Any) -> config.Evse:
    return config.Evse(id=number, evse_id=f"DE*EVS*E{number}", device="/dev/null", **options)


def offered(duty: float, mode: hal.CpMode = hal.CpMode.X2) -> hal.PilotOffered:
    return hal.PilotOffered(mode, duty, 0.0)


def reading(amps: float, at_s: float) -> hal.MeterSampled:
    return hal.MeterSampled(MeterReading(0.0, 0.0, (amps,) * 3, (230.0,) * 3, at_s, datetime.now(UTC)))


@pytest.fixture
async def rig() -> Any:
    made = Rig(32.0, evse(1), evse(2))
    yield made
    made.site.close()


async def test_a_site_with_room_for_all_bounds_nobody() -> None:
    rig = Rig(1000.0, evse(1), evse(2))
    assert rig.offers() == [32.0, 32.0]
    rig.come(ONE)
    assert rig.offers() == [32.0, 32.0]
    rig.site.close()


async def test_the_second_vehicle_gets_its_share_once_the_first_has_followed(rig: Rig) -> None:
    assert rig.offers() == [16.0, 16.0], "ready for whoever comes first"
    rig.come(ONE)
    assert rig.offers() == [32.0, 0.0], "nobody is at the other, so its readiness is free at once"
    rig.hear(ONE, offered(53.33), hal.ContactorChanged(hal.Contactor.CLOSED, 0.0), reading(32.0, 0.0))
    rig.now = 60.0
    rig.come(TWO)
    assert rig.offers() == [16.0, 0.0]
    rig.hear(ONE, offered(26.66))
    rig.now = 61.0
    rig.hear(ONE, reading(16.2, 61.0))
    assert rig.offers() == [16.0, 16.0]


async def test_a_vehicle_under_iso_15118_is_told_by_its_responses(rig: Rig) -> None:
    rig.come(ONE)
    rig.hear(ONE, offered(5.0), LimitSent("AB", 32.0, "ChargeParameterDiscoveryRes"))
    rig.come(TWO)
    assert rig.offers() == [16.0, 0.0]
    rig.hear(ONE, MessageAnswered("AB", "ChargingStatusReq", "OK", 0.001))
    rig.hear(ONE, LimitSent("AB", 16.0, "ChargingStatusRes"), hal.ContactorChanged(hal.Contactor.OPEN, 0.0))
    assert rig.offers() == [16.0, 16.0]


async def test_a_lower_limit_of_the_csms_or_the_grid_holds_at_once(rig: Rig) -> None:
    rig.come(ONE)
    dispatcher = Dispatcher(rig.evses, lambda: None, rig.site)  # type: ignore[arg-type]
    dispatcher.take(ocpp.CsmsLimit(EvseId(0), 20.0, 0.0))
    rig.drain()
    assert rig.offers() == [20.0, 0.0]
    rig.site.limit("grid", (10.0, 12.0, 14.0))
    rig.drain()
    assert rig.offers() == [10.0, 0.0]
    rig.site.limit("grid", None)
    rig.now = 10.0
    rig.hear(ONE, offered(16.66), reading(10.0, 10.0))
    assert rig.offers() == [20.0, 0.0]
    dispatcher.take(ocpp.CsmsLimit(EvseId(0), -5.0, 0.0))
    rig.drain()
    assert rig.offers() == [0.0, 0.0]


async def test_who_must_leave_soon_is_served_first(rig: Rig) -> None:
    rig.come(ONE)
    rig.come(TWO)
    rig.now = 20.0
    rig.site.share()
    rig.drain()
    assert rig.offers() == [16.0, 16.0]
    needs = EnergyRequested("AC_three_phase_core", 15_000.0, 3600.0, 25.0, 6.0)
    rig.hear(TWO, needs)
    rig.hear(ONE, replace(needs, energy_wh=3000.0, max_current_a=32.0))
    rig.now = 40.0
    rig.hear(ONE, offered(16.66), reading(10.0, 40.0))
    rig.site.share()
    rig.drain()
    assert sum(rig.offers()) == pytest.approx(32.0, abs=0.2)
    assert rig.offers()[1] > 16.0
    rig.hear(TWO, hal.Unplugged(41.0))
    rig.now = 60.0
    rig.hear(TWO, offered(100.0, hal.CpMode.X1))
    assert rig.offers()[0] == 32.0


async def test_phases_by_their_wiring() -> None:
    assert loaded_phases(evse(1)) == (0, 1, 2)
    assert loaded_phases(evse(1, phase_rotation="STR")) == (1, 2, 0)
    assert loaded_phases(evse(1, phases=1, phase_rotation="TRS")) == (2,)
    rig = Rig(20.0, evse(1, phases=1), evse(2, phases=1, phase_rotation="STR"))
    rig.come(ONE)
    rig.come(TWO)
    assert rig.offers() == [20.0, 20.0], "each has a phase of its own"
    rig.site.close()


async def test_it_looks_again_by_itself_when_a_vehicle_had_its_time(rig: Rig) -> None:
    rig.come(ONE)
    rig.hear(ONE, offered(53.33), hal.ContactorChanged(hal.Contactor.CLOSED, 0.0))
    rig.now = 1.0
    rig.come(TWO)
    rig.hear(ONE, offered(26.66))
    assert rig.site._timer is not None
    assert rig.site._timer.when() - asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.5)
    rig.now = 6.0
    rig.site.share()
    rig.drain()
    assert rig.offers() == [16.0, 16.0]


async def test_what_a_vehicle_leaves_unused_goes_to_the_others(rig: Rig) -> None:
    for evse in (ONE, TWO):
        rig.come(evse)
        rig.hear(evse, hal.ContactorChanged(hal.Contactor.CLOSED, rig.now))
        rig.now += 20.0
        rig.site.share()
        rig.drain()
    rig.hear(ONE, offered(26.66), reading(7.0, rig.now))
    rig.now += 1.0
    rig.hear(TWO, offered(26.66), reading(16.0, rig.now))
    assert rig.offers() == [16.0, 16.0]
    for _ in range(70):
        rig.now += 1.0
        rig.hear(ONE, reading(7.0, rig.now), offered(rig.offers()[0] / 0.6))
        rig.hear(TWO, reading(rig.offers()[1], rig.now), offered(rig.offers()[1] / 0.6))
    assert rig.offers() == [10.0, 22.0], "7 A and some room to show that it wants more"
    for _ in range(30):
        rig.now += 1.0
        rig.hear(ONE, reading(rig.offers()[0], rig.now), offered(rig.offers()[0] / 0.6))
        rig.hear(TWO, reading(rig.offers()[1], rig.now), offered(rig.offers()[1] / 0.6))
    assert rig.offers() == [16.0, 16.0]
    rig.hear(ONE, hal.ContactorChanged(hal.Contactor.OPEN, rig.now))
    rig.now += 1.0
    rig.hear(ONE, offered(rig.offers()[0] / 0.6))
    assert rig.offers() == [6.5, 25.5], "one that paused keeps what it needs to wake"
