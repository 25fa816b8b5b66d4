"""A DC EVSE above the board: its configuration, its session, its view for the SECC."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firmware import effects
from firmware.boards import Boards
from firmware.config import ConfigError, load, parse
from firmware.dc_view import dc_view
from firmware.effects import Effect
from firmware.facts import AuthorizationAnswered, LimitSource, LocalLimit
from firmware.limits import Limits
from firmware.session import Session
from firmware.state import Hlc
from hal.dc.board import DcBoard
from hal.dc.ports import DcLevels, DcStaged, Insulation, SupplyCapabilities
from hal.ports import (
    BoardFault,
    Contactor,
    ContactorChanged,
    Fault,
    LinkReady,
    ModemReady,
    PluggedIn,
    Severity,
    SlacBegun,
    SlacFailed,
    TokenPresented,
    Unplugged,
    VehicleReady,
)
from ocpp_client.ports import AuthorizationStatus, AuthorizeAnswer, ChargingState, IdToken
from secc import ports as secc
from secc.schedules import EnergyRequested

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples").glob("*.toml"))
TOKEN = IdToken("04A2B3C4", "ISO14443")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_good(path: Path) -> None:
    assert load(path).evse


def dc_text() -> str:
    return next(path for path in EXAMPLES if path.stem == "dc-single").read_text()


def test_the_example_makes_a_dc_board() -> None:
    settings = parse(dc_text(), Path("dc.toml")).evse[0]
    assert settings.dc is not None
    assert settings.dc.supply.modules == (0, 1)
    board = Boards().make(settings, lambda _: None, lambda: True)
    assert isinstance(board, DcBoard)


@pytest.mark.parametrize(
    ("said", "instead", "why"),
    [
        ('[evse.meter]\nmodel = "acrel-djsf1352"\nunit = 1\ndevice = "/dev/ttyRS485"\n', "", "needs a meter"),
        ('plc_interface = "plc0"\n', "", "needs a plc_interface"),
        ("min_voltage_v = 150", "min_voltage_v = 1200", "between 60 and 1500"),
        ("max_current_a = 150", "max_current_a = 0", "positive, and in order"),
        ('model = "infy"', 'model = "delta"', "must be one of infy"),
        ('model = "bender-isocha425"', 'model = "hioki"', "must be one of bender-isocha425"),
    ],
)
def test_what_a_dc_evse_needs(said: str, instead: str, why: str) -> None:
    assert said in dc_text()
    with pytest.raises(ConfigError, match=why):
        parse(dc_text().replace(said, instead), Path("dc.toml"))


class Talk:
    """A session of a DC EVSE, fed by facts at one second each."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = Session(Limits(board_a=None), has_plc=True, dc=True)
        self.done: list[Effect] = []

    def feed(self, *facts: object) -> list[Effect]:
        before = len(self.done)
        for fact in facts:
            self.now += 1
            self.done += self.session.feed(fact, self.now)  # type: ignore[arg-type]
        return self.done[before:]

    def linked(self) -> "Talk":
        self.feed(LocalLimit(LimitSource.BOARD, 80.0), ModemReady(0), PluggedIn(0), SlacBegun(b"\2" * 6, 0))
        self.feed(LinkReady(b"\2" * 6, 0), secc.SessionSetUp("AB" * 8, "02", "ISO 15118-2"))
        return self

    def authorized(self) -> "Talk":
        answer = AuthorizeAnswer(AuthorizationStatus.ACCEPTED)
        self.linked().feed(TokenPresented(TOKEN.id_token, TOKEN.kind, 0), AuthorizationAnswered(TOKEN, answer))
        return self

    def charging(self) -> "Talk":
        self.authorized().feed(
            VehicleReady(0, False),
            secc.CableCheckWanted("ID", 437.0),
            ContactorChanged(Contactor.CLOSED, 0),
            DcStaged("ready", False, Insulation.VALID, "", 0),
            secc.DcTarget(380.0, 2.0),
            secc.PowerWanted(True),
            DcStaged("charging", True, Insulation.VALID, "", 0),
        )
        return self


def last(done: list[Effect], kind: type) -> Effect:
    return [effect for effect in done if isinstance(effect, kind)][-1]


def test_the_permission_comes_with_the_token_and_the_link() -> None:
    """The cable check closes the contactor long before PowerDelivery."""
    talk = Talk().linked()
    assert not any(isinstance(effect, effects.PermitPower) and effect.permit for effect in talk.done)
    talk = Talk().authorized()
    assert last(talk.done, effects.PermitPower) == effects.PermitPower(True)
    assert not any(isinstance(effect, effects.DeliverPower) for effect in talk.done)


def test_the_pilot_stays_at_five_percent() -> None:
    talk = Talk().charging()
    assert last(talk.done, effects.OfferHlc)
    assert not any(isinstance(effect, effects.OfferCurrent) for effect in talk.done)


def test_what_the_vehicle_says_reaches_the_output() -> None:
    talk = Talk().authorized()
    assert talk.feed(secc.CableCheckWanted("ID", 437.0)) == [effects.CheckCable("ID", 437.0)]
    assert talk.feed(secc.DcTarget(380.0, 2.0)) == [effects.SetDcTarget(380.0, 2.0)]
    assert effects.DeliverPower(True) in talk.feed(secc.PowerWanted(True))
    assert effects.DeliverPower(False) in talk.feed(secc.PowerWanted(False))


def test_a_cable_check_is_no_charging() -> None:
    talk = Talk().authorized()
    talk.feed(ContactorChanged(Contactor.CLOSED, 0))
    assert talk.session.state.charging_state is ChargingState.EV_CONNECTED
    talk = Talk().charging()
    assert talk.session.state.charging_state is ChargingState.CHARGING
    talk.feed(DcStaged("ramp down", False, Insulation.VALID, "", 0))
    assert talk.session.state.charging_state is ChargingState.SUSPENDED_EV


ENDS: list[Callable[[], object]] = [
    lambda: secc.V2GEnded("AB" * 8, secc.EndReason.CONNECTION_LOST, ""),
    lambda: secc.V2GEnded("AB" * 8, secc.EndReason.TERMINATED, ""),
    lambda: Unplugged(0),
    lambda: BoardFault(Fault.RESISTANCE_FAULT, True, Severity.EMERGENCY, "", 0),
]


@pytest.mark.parametrize("end", ENDS)
def test_whatever_ends_it_takes_the_permission(end: Callable[[], object]) -> None:
    talk = Talk().charging()
    assert effects.PermitPower(False) in talk.feed(end())


def test_an_orderly_fault_lets_the_vehicle_stop_first() -> None:
    talk = Talk().charging()
    fault = BoardFault(Fault.POWER_SUPPLY_FAILURE, True, Severity.STOP, "", 0)
    assert effects.PermitPower(False) not in talk.feed(fault)
    assert talk.session.stop is secc.StopReason.MALFUNCTION


def test_without_talk_there_is_no_charging() -> None:
    """A DC vehicle that does not match is given another try, for as long as it takes."""
    talk = Talk()
    talk.feed(LocalLimit(LimitSource.BOARD, 80.0), ModemReady(0), PluggedIn(0))
    talk.feed(TokenPresented(TOKEN.id_token, TOKEN.kind, 0))
    talk.feed(AuthorizationAnswered(TOKEN, AuthorizeAnswer(AuthorizationStatus.ACCEPTED)))
    assert talk.session.state.hlc is Hlc.SOUGHT, "paid for, and still looked for"
    for _ in range(4):
        talk.feed(SlacFailed("no vehicle", 0))
        assert talk.session.state.hlc is Hlc.SOUGHT
        for _ in range(3):
            talk.now += 10
            talk.done += talk.session.tick(talk.now)
    assert sum(isinstance(effect, effects.RestartSlac) for effect in talk.done) == 4
    assert not any(isinstance(effect, effects.OfferCurrent) for effect in talk.done)


def test_the_state_of_charge_goes_with_the_vehicle() -> None:
    talk = Talk().authorized()
    talk.feed(EnergyRequested("DC_extended", 1000.0, None, 100.0, 0.0, soc_percent=42))
    assert talk.session.state.soc_percent == 42
    talk.feed(secc.StateOfCharge(43))
    assert talk.session.state.soc_percent == 43
    talk.feed(Unplugged(0))
    assert talk.session.state.soc_percent is None


def test_the_view_of_an_output() -> None:
    able = SupplyCapabilities(920, 150, 150, 60_000)
    levels = DcLevels("charging", True, 401.5, 60.2, "ID", Insulation.VALID, 30_000, able)
    settings = parse(dc_text(), Path("dc.toml")).evse[0].dc
    assert settings is not None
    view = dc_view(levels, settings)
    assert (view.present_voltage_v, view.present_current_a) == (401.5, 60.2)
    assert (view.max_voltage_v, view.max_current_a, view.max_power_w) == (920, 150, 30_000)
    assert (view.cable_check_id, view.cable_check) == ("ID", secc.Insulation.VALID)
    assert view.peak_ripple_a == 5
