"""A transaction from before a power cut waits for its vehicle: a conversation for each row of the table."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from firmware import effects as e
from firmware.facts import AuthorizationAnswered, ConnectorEmpty, Fact, MasterPassShown
from firmware.resumption import CONTRACT_S, EMPTY_S, EmptyConnector
from hal import ports as hal
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from secc import ports as secc
from tests.firmware.test_firmware_session import (
    CARD,
    CONTRACT,
    EMAID,
    NO,
    OTHER,
    YES,
    Talk,
    closed,
    contract_presented,
    ended,
    fault,
    limit,
    link_ready,
    opened,
    other_swipe,
    plugged_in,
    rules,
    slac_failed,
    swipe,
    unplugged,
)

LEFT = ocpp.TransactionLeftOpen(EvseId(1), "tx-1", CARD, "fleet", 7, "Charging", 60.0)
BY_CONTRACT = replace(LEFT, id_token=EMAID, group_id=None)
RESUMED = e.ResumeTransaction("EVConnected")
GIVEN_UP = e.GiveUpTransaction()
STRANGE = secc.Contract("DEABCC99999999", "-----BEGIN CERTIFICATE-----", ())
TRANSACTION = (
    e.StartTransaction,
    e.UpdateTransaction,
    e.ResumeTransaction,
    e.GiveUpTransaction,
    e.EndTransaction,
    e.Authorize,
)


def after_a_cut(left: ocpp.TransactionLeftOpen = LEFT, **options: bool) -> Talk:
    talk = Talk(**options)
    talk.hears(left)
    assert told(talk) == [], "nothing moves what waits"
    return talk


def with_contract(left: ocpp.TransactionLeftOpen = BY_CONTRACT) -> Talk:
    talk = after_a_cut(left)
    talk.hears(plugged_in, link_ready)
    assert told(talk) == []
    return talk


def told(talk: Talk) -> list[e.Effect]:
    """What of the last effects is about a transaction."""
    return [effect for effect in talk.effects if isinstance(effect, TRANSACTION)]


def is_over(talk: Talk) -> bool:
    state = talk.session.state
    return not state.transaction_open and state.left_open is None and state.transaction_id == ""


def test_a_plain_vehicle_goes_on_by_the_kept_card() -> None:
    talk = after_a_cut(has_plc=False)
    assert talk.session.deadline() == talk.now + 60
    talk.hears(plugged_in)
    assert told(talk) == [RESUMED], "nobody is asked again"
    assert e.OfferCurrent(32.0) in talk.effects
    assert e.PermitPower(True) in talk.effects
    assert e.LockConnector(True) in talk.effects
    assert talk.session.deadline() is not None, "when it is told as suspending"
    talk.hears(closed)
    assert told(talk) == [e.UpdateTransaction("ChargingStateChanged", "Charging")]
    state = talk.session.state
    assert (state.transaction_id, state.group_id, state.remote_start_id) == ("tx-1", "fleet", 7)
    talk.hears(swipe, opened)
    assert talk.end() == e.EndTransaction("StopAuthorized", "Local", CARD)


def test_its_group_ends_it_as_before() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(plugged_in, closed, other_swipe)
    assert told(talk)[-1] == e.Authorize(OTHER, None)
    answer = replace(YES, group_id="fleet")
    talk.hears(AuthorizationAnswered(OTHER, answer), opened)
    assert talk.end() == e.EndTransaction("StopAuthorized", "Local", OTHER)


def test_a_vehicle_that_pays_by_card_over_iso_15118_goes_on() -> None:
    talk = after_a_cut()
    talk.hears(plugged_in)
    assert told(talk) == [RESUMED]
    talk.hears(link_ready, secc.PaymentSelected(secc.PaymentOption.EXTERNAL_PAYMENT), contract_presented)
    assert told(talk) == [], "the card pays"
    talk.hears(secc.PowerWanted(True), closed)
    assert told(talk) == [e.UpdateTransaction("ChargingStateChanged", "Charging")]


def test_a_vehicle_that_was_there_before_the_word_came() -> None:
    talk = Talk(has_plc=False)
    talk.hears(plugged_in, LEFT)
    assert told(talk) == [RESUMED]


def test_a_transaction_without_a_token_goes_on_without_one() -> None:
    talk = after_a_cut(replace(LEFT, id_token=None, group_id=None, remote_start_id=None), has_plc=False)
    talk.hears(plugged_in)
    assert told(talk) == [RESUMED]
    assert not any(isinstance(effect, e.PermitPower) for effect in talk.effects)
    talk.hears(swipe, AuthorizationAnswered(CARD, YES))
    assert told(talk)[-1] == e.UpdateTransaction("Authorized", "EVConnected", CARD)


def test_the_same_contract_goes_on_once_the_csms_has_accepted_it() -> None:
    talk = with_contract()
    talk.hears(contract_presented)
    assert told(talk) == [e.Authorize(EMAID, CONTRACT)]
    talk.hears(AuthorizationAnswered(EMAID, YES))
    assert told(talk)[0] == RESUMED
    assert talk.session.state.transaction_id == "tx-1"
    talk.hears(secc.PowerWanted(True), closed)
    assert told(talk) == [e.UpdateTransaction("ChargingStateChanged", "Charging")]


def test_another_contract_begins_anew() -> None:
    talk = with_contract()
    talk.hears(secc.ContractPresented(STRANGE))
    other = ocpp.IdToken(STRANGE.emaid, "eMAID")
    assert told(talk) == [GIVEN_UP, e.Authorize(other, STRANGE)]
    assert is_over(talk)
    talk.hears(AuthorizationAnswered(other, YES))
    assert told(talk) == [e.StartTransaction("Authorized", "EVConnected", other, None)]


def test_the_same_contract_refused_is_the_end() -> None:
    talk = with_contract()
    talk.hears(contract_presented, AuthorizationAnswered(EMAID, NO))
    assert told(talk)[-1] == GIVEN_UP
    assert is_over(talk)


WITHOUT_THE_CONTRACT: list[Callable[[], Fact]] = [
    lambda: secc.PaymentSelected(secc.PaymentOption.EXTERNAL_PAYMENT),
    lambda: ended(secc.EndReason.SETUP_TIMEOUT),
    lambda: unplugged,
]


@pytest.mark.parametrize("fact", WITHOUT_THE_CONTRACT)
def test_a_vehicle_that_will_not_show_the_contract(fact: Callable[[], Fact]) -> None:
    talk = with_contract()
    talk.hears(fact())
    assert told(talk) == [GIVEN_UP]
    assert is_over(talk)
    assert not any(isinstance(effect, e.PermitPower) for effect in talk.effects)


def test_a_vehicle_that_does_not_talk_has_no_contract() -> None:
    talk = after_a_cut(BY_CONTRACT)
    talk.hears(plugged_in, slac_failed)
    assert told(talk) == [GIVEN_UP]
    talk.hears(swipe, AuthorizationAnswered(CARD, YES))
    assert told(talk)[-1] == e.StartTransaction("Authorized", "EVConnected", CARD, None)


def test_the_contract_has_its_own_time() -> None:
    talk = after_a_cut(BY_CONTRACT)
    talk.waits(59)
    talk.hears(plugged_in, link_ready)
    talk.waits(CONTRACT_S - 1)
    assert told(talk) == []
    talk.waits(1)
    assert told(talk) == [GIVEN_UP]


def test_a_lost_link_may_come_back() -> None:
    talk = with_contract()
    talk.hears(hal.LinkLost("gone", 0))
    assert told(talk) == []
    talk.hears(link_ready, contract_presented, AuthorizationAnswered(EMAID, YES))
    assert RESUMED in told(talk)


def test_under_a_fault_nothing_goes_on() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(fault(hal.Fault.OVER_VOLTAGE, hal.Severity.STOP))
    assert told(talk) == [], "it may clear before the vehicle comes"
    talk.hears(plugged_in)
    assert told(talk) == [GIVEN_UP]
    assert not any(isinstance(effect, e.PermitPower) for effect in talk.effects)


def test_a_fault_that_has_cleared_is_none() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(fault(hal.Fault.COMMUNICATION_FAULT, hal.Severity.STOP))
    talk.hears(fault(hal.Fault.COMMUNICATION_FAULT, hal.Severity.STOP, active=False), plugged_in)
    assert told(talk) == [RESUMED]


def test_reserved_for_others_it_does_not_go_on() -> None:
    talk = after_a_cut(has_plc=False)
    holder = ocpp.ReservationHolder(9, OTHER, None, datetime(2026, 5, 1, 12, 30, tzinfo=UTC))
    talk.hears(ocpp.ReservationsChanged(EvseId(1), (holder,), exclusive=True), plugged_in)
    assert told(talk) == [GIVEN_UP]


@pytest.mark.parametrize("token", [CARD, OTHER])
def test_who_is_accepted_before_the_vehicle_came_begins_anew(token: ocpp.IdToken) -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(hal.TokenPresented(token.id_token, token.kind, 0))
    assert told(talk) == [e.Authorize(token, None)]
    talk.hears(AuthorizationAnswered(token, YES))
    assert told(talk) == [GIVEN_UP]
    talk.hears(plugged_in)
    assert told(talk) == [e.StartTransaction("CablePluggedIn", "EVConnected", token, None)]


def test_a_stranger_who_is_refused_changes_nothing() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(other_swipe, AuthorizationAnswered(OTHER, NO))
    assert told(talk) == [e.Authorize(OTHER, None)]
    talk.hears(plugged_in)
    assert told(talk) == [RESUMED]
    assert talk.session.state.token == CARD


def test_a_remote_start_begins_anew() -> None:
    talk = with_contract()
    talk.hears(ocpp.RemoteStart(EvseId(1), OTHER, 8))
    assert told(talk) == [GIVEN_UP, e.StartTransaction("RemoteStart", "EVConnected", OTHER, 8)]


def test_an_empty_connector_or_the_end_of_the_time() -> None:
    talk = after_a_cut()
    talk.hears(ConnectorEmpty())
    assert told(talk) == [GIVEN_UP]
    assert is_over(talk)
    talk.hears(ConnectorEmpty())
    assert told(talk) == []
    talk = after_a_cut()
    talk.waits(59)
    assert told(talk) == []
    talk.waits(1)
    assert told(talk) == [GIVEN_UP]
    assert is_over(talk)
    assert talk.session.deadline() is None


ORDERS: list[Fact] = [
    ocpp.TokenDeauthorized(EvseId(1), "tx-1", "Invalid"),
    ocpp.TokenDeauthorized(EvseId(1), "tx-1", "Invalid", suspend=True),
    ocpp.RemoteStop(EvseId(1), "tx-1"),
    ocpp.ResetRequested(None, immediate=True),
    MasterPassShown(OTHER),
]


@pytest.mark.parametrize("fact", ORDERS)
def test_an_order_ends_it(fact: Fact) -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(fact)
    assert told(talk) == [GIVEN_UP]
    talk.hears(plugged_in)
    assert told(talk) == []


def test_an_order_about_another_transaction_does_not() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(ocpp.RemoteStop(EvseId(1), "tx-0"), ocpp.TokenDeauthorized(EvseId(1), "tx-0", "Invalid"))
    assert told(talk) == []


def test_no_other_starts_while_it_waits() -> None:
    talk = Talk(start_points=(ocpp.TxPoint.EV_CONNECTED,))
    talk.hears(BY_CONTRACT, plugged_in, link_ready, limit(10.0))
    assert told(talk) == []
    talk.hears(unplugged)
    assert told(talk) == [GIVEN_UP]
    talk.hears(plugged_in)
    assert told(talk) == [e.StartTransaction("CablePluggedIn", "EVConnected", None, None)]


def test_a_second_word_of_the_same_is_none() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(plugged_in, LEFT)
    assert told(talk) == [RESUMED]


def test_out_of_service_comes_after_it() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(ocpp.AvailabilityChanged(EvseId(1), False))
    talk.hears(plugged_in)
    assert e.PermitPower(True) in talk.effects
    talk = after_a_cut(has_plc=False)
    talk.hears(ocpp.AvailabilityChanged(EvseId(1), False), ConnectorEmpty())
    assert not talk.session.state.operative


def test_tx_stop_points_hold_for_what_goes_on() -> None:
    talk = after_a_cut(has_plc=False)
    talk.hears(rules(stop_points=frozenset({ocpp.TxPoint.ENERGY_TRANSFER})), plugged_in, closed, opened)
    assert talk.end() == e.EndTransaction("ChargingStateChanged", "StoppedByEV")
    talk = after_a_cut(has_plc=False)
    talk.hears(rules(stop_points=frozenset({ocpp.TxPoint.EV_CONNECTED})), plugged_in, closed, swipe, opened)
    assert talk.end() is None
    talk.hears(unplugged)
    assert talk.end() == e.EndTransaction("EVCommunicationLost", "Local")


def test_state_a_must_stand_for_a_while() -> None:
    connector = EmptyConnector()
    assert not connector.seen(hal.CpState.A, 10.0)
    assert not connector.seen(hal.CpState.B, 11.0)
    assert not connector.seen(hal.CpState.A, 12.0)
    assert not connector.seen(hal.CpState.A, 12.0 + EMPTY_S - 0.1)
    assert connector.seen(hal.CpState.A, 12.0 + EMPTY_S)
