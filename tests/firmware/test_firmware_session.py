"""Sessions as conversations: facts in, effects out, in virtual time."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from firmware import effects as e
from firmware.facts import AuthorizationAnswered, Fact, LimitSource, LocalLimit, MasterPassShown, TransactionOpened
from firmware.limits import Limits
from firmware.record import CONTACTOR_S, STOP_PATIENCE_S
from firmware.session import READY_S, T_STEP_EF_S, T_STEP_X1_S, Session
from firmware.state import DEFAULT_RULES, Hlc
from hal import ports as hal
from hal.quantities import EvseId, MeterReading
from ocpp_client import ports as ocpp
from secc import ports as secc

CARD = ocpp.IdToken("04A2B3C4", "ISO14443")
OTHER = ocpp.IdToken("0BADCAFE", "ISO14443")
CONTRACT = secc.Contract("DEABCC12345678", "-----BEGIN CERTIFICATE-----", ())
EMAID = ocpp.IdToken("DEABCC12345678", "eMAID")
MAC = bytes.fromhex("020000000001")
YES = ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED)
NO = ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.INVALID)

plugged_in = hal.PluggedIn(0)
unplugged = hal.Unplugged(0)
modem_ready = hal.ModemReady(0)
other_swipe = hal.TokenPresented(OTHER.id_token, OTHER.kind, 0)
METER = MeterReading(1.0, 0.0, (0.0,) * 3, (230.0,) * 3, 0.0, datetime(2026, 1, 1, tzinfo=UTC))
slac_failed = hal.SlacFailed("no CM_SLAC_PARM.REQ", 0)
link_ready = hal.LinkReady(MAC, 0)
paused = hal.VehiclePaused(0)
swipe = hal.TokenPresented("04A2B3C4", "ISO14443", 0)
closed = hal.ContactorChanged(hal.Contactor.CLOSED, 0)
opened = hal.ContactorChanged(hal.Contactor.OPEN, 0)
contract_presented = secc.ContractPresented(CONTRACT)


def of_group(name: str) -> ocpp.AuthorizeAnswer:
    return ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED, group_id=name)


def rules(**changed: object) -> ocpp.TransactionRules:
    return replace(DEFAULT_RULES, **changed)  # type: ignore[arg-type]


def fault(name: hal.Fault, severity: hal.Severity, active: bool = True) -> hal.BoardFault:
    return hal.BoardFault(name, active, severity, "", 0)


def ended(reason: secc.EndReason) -> secc.V2GEnded:
    return secc.V2GEnded("AB", reason, "")


def limit(limit_a: float | None) -> ocpp.CsmsLimit:
    return ocpp.CsmsLimit(EvseId(1), limit_a, 0.0)


class Talk:
    """A session under a clock of its own; `hears` feeds facts, what came out stands in `effects`."""

    def __init__(self, *, has_plc: bool = True, **options: object) -> None:
        self.session = Session(Limits(32.0), has_plc=has_plc, **options)  # type: ignore[arg-type]
        self.now = 100.0
        self.effects: list[e.Effect] = []
        if has_plc:
            self.hears(modem_ready)

    def hears(self, *facts: Fact) -> list[e.Effect]:
        self.effects = [effect for fact in facts for effect in self.session.feed(fact, self.now)]
        return self.effects

    def waits(self, seconds: float) -> list[e.Effect]:
        self.now += seconds
        deadline = self.session.deadline()
        self.effects = self.session.tick(self.now) if deadline is not None and deadline <= self.now else []
        return self.effects

    def charges_by_contract(self) -> "Talk":
        self.hears(plugged_in, link_ready, secc.SessionSetUp("AB", "02", "iso15118-2"))
        self.hears(secc.PaymentSelected(secc.PaymentOption.CONTRACT), contract_presented)
        self.hears(AuthorizationAnswered(EMAID, YES), TransactionOpened("tx-1"))
        self.hears(secc.PowerWanted(True), closed)
        return self

    def charges_by_card(self) -> "Talk":
        self.hears(plugged_in, slac_failed, swipe, AuthorizationAnswered(CARD, YES), TransactionOpened("tx-1"), closed)
        return self

    def end(self) -> e.EndTransaction | None:
        return next((effect for effect in self.effects if isinstance(effect, e.EndTransaction)), None)


def test_a_contract_charges_from_plug_to_unplug() -> None:
    talk = Talk()
    assert talk.hears(plugged_in) == [e.OfferHlc(), e.ConnectVehicle(True), e.ReportStatus("Occupied")]
    assert talk.hears(link_ready) == [e.OpenSecc(MAC)]
    assert talk.hears(contract_presented) == [e.Authorize(EMAID, CONTRACT)]
    assert talk.hears(AuthorizationAnswered(EMAID, YES)) == [
        e.LockConnector(True),
        e.StartTransaction("Authorized", "EVConnected", EMAID, None),
    ]
    assert talk.hears(TransactionOpened("tx-1")) == []
    assert talk.hears(secc.PowerWanted(True)) == [e.OfferCurrent(32.0), e.PermitPower(True)]
    assert talk.hears(closed) == [e.UpdateTransaction("ChargingStateChanged", "Charging")]
    assert talk.hears(secc.PowerWanted(False)) == [e.PermitPower(False), e.OfferHlc()]
    assert talk.hears(opened) == [e.UpdateTransaction("ChargingStateChanged", "SuspendedEV")]
    assert talk.hears(ended(secc.EndReason.TERMINATED)) == [
        e.OfferNothing(),
        e.CloseSecc(),
        e.TerminateLink(),
        e.EndTransaction("ChargingStateChanged", "StoppedByEV"),
        e.LockConnector(False),
    ]
    assert talk.hears(unplugged) == [e.ConnectVehicle(False), e.ReportStatus("Available")]


def test_the_pilot_waits_for_the_modem() -> None:
    talk = Talk()
    talk.hears(hal.ModemFault("no answer", True, 0))
    assert e.OfferHlc() not in talk.hears(plugged_in)
    assert talk.hears(modem_ready) == [e.OfferHlc()]
    talk.hears(unplugged)
    assert e.OfferHlc() in talk.hears(plugged_in), "its next key is a matter of milliseconds"


def test_a_card_charges_a_vehicle_without_high_level_communication() -> None:
    talk = Talk()
    talk.hears(plugged_in)
    assert talk.hears(slac_failed) == [e.OfferNothing()]
    assert talk.hears(swipe) == [e.Authorize(CARD, None)]
    assert talk.hears(AuthorizationAnswered(CARD, YES)) == [
        e.OfferCurrent(32.0),
        e.LockConnector(True),
        e.PermitPower(True),
        e.StartTransaction("Authorized", "EVConnected", CARD, None),
    ]
    assert talk.hears(closed) == [e.UpdateTransaction("ChargingStateChanged", "Charging")]
    talk.hears(unplugged)
    assert talk.end() == e.EndTransaction("EVCommunicationLost", "EVDisconnected")
    assert talk.effects[0] == e.PermitPower(False)


def test_without_a_modem_the_pilot_alone_carries_the_session() -> None:
    talk = Talk(has_plc=False)
    talk.hears(plugged_in, swipe)
    assert e.OfferCurrent(32.0) in talk.hears(AuthorizationAnswered(CARD, YES))


def test_a_modem_that_fails_leaves_the_pilot() -> None:
    talk = Talk()
    talk.hears(plugged_in)
    assert talk.hears(hal.ModemFault("no answer", True, 0)) == [e.OfferNothing()]
    assert talk.hears(hal.ModemFault("no answer", False, 0)) == []
    talk.hears(swipe)
    assert e.OfferCurrent(32.0) in talk.hears(AuthorizationAnswered(CARD, YES))


def test_a_card_swiped_before_the_vehicle_comes() -> None:
    talk = Talk()
    assert talk.hears(swipe) == [e.Authorize(CARD, None)]
    talk.hears(AuthorizationAnswered(CARD, YES))
    talk.hears(plugged_in)
    assert e.StartTransaction("CablePluggedIn", "EVConnected", CARD, None) in talk.effects


def test_a_token_does_not_wait_for_ever() -> None:
    talk = Talk()
    talk.hears(swipe, AuthorizationAnswered(CARD, YES))
    assert talk.waits(59) == []
    talk.waits(2)
    talk.hears(plugged_in)
    assert not any(isinstance(effect, e.StartTransaction) for effect in talk.effects)


def test_a_token_that_waited_in_vain_ends_the_transaction_it_began() -> None:
    talk = Talk(start_points=["Authorized"])
    talk.hears(swipe, AuthorizationAnswered(CARD, YES))
    assert e.StartTransaction("Authorized", "Idle", CARD, None) in talk.effects
    talk.waits(61)
    assert talk.end() == e.EndTransaction("EVConnectTimeout", "Timeout")


def test_a_swipe_taken_back_before_the_vehicle_came() -> None:
    talk = Talk()
    talk.hears(swipe, AuthorizationAnswered(CARD, YES), swipe)
    talk.hears(plugged_in)
    assert not any(isinstance(effect, e.StartTransaction) for effect in talk.effects)


def test_a_refused_card_leaves_room_for_another() -> None:
    talk = Talk()
    talk.hears(plugged_in, slac_failed, swipe)
    assert talk.hears(AuthorizationAnswered(CARD, NO)) == []
    assert talk.hears(hal.TokenPresented(OTHER.id_token, OTHER.kind, 0)) == [e.Authorize(OTHER, None)]
    assert talk.hears(AuthorizationAnswered(CARD, YES)) == [], "an answer to the token before"
    assert e.PermitPower(True) in talk.hears(AuthorizationAnswered(OTHER, YES))


def test_another_card_cannot_stop_a_session() -> None:
    talk = Talk().charges_by_card()
    assert talk.hears(other_swipe) == [e.Authorize(OTHER, None)], "it may be of the same group"
    assert talk.hears(AuthorizationAnswered(OTHER, YES)) == []
    talk.hears(other_swipe)
    assert talk.hears(AuthorizationAnswered(OTHER, NO)) == []
    assert talk.session.state.token == CARD


def test_a_card_of_the_same_group_stops_a_session() -> None:
    talk = Talk(has_plc=False)
    talk.hears(plugged_in, swipe, AuthorizationAnswered(CARD, of_group("fleet")), TransactionOpened("tx-1"), closed)
    talk.hears(other_swipe)
    assert talk.hears(AuthorizationAnswered(OTHER, of_group("another"))) == []
    talk.hears(other_swipe, AuthorizationAnswered(OTHER, of_group("fleet")))
    talk.hears(paused, opened)
    assert talk.end() == e.EndTransaction("StopAuthorized", "Local", OTHER)


def test_a_master_pass_starts_nothing_and_stops_what_runs() -> None:
    talk = Talk(has_plc=False)
    talk.hears(rules(master_pass_group_id="master"), plugged_in, other_swipe)
    assert talk.hears(AuthorizationAnswered(OTHER, of_group("master"))) == []
    assert not talk.session.state.authorized
    talk.hears(swipe, AuthorizationAnswered(CARD, YES), TransactionOpened("tx-1"), closed)
    talk.hears(other_swipe, AuthorizationAnswered(OTHER, of_group("master")), MasterPassShown(OTHER), paused, opened)
    assert talk.end() == e.EndTransaction("StopAuthorized", "MasterPass", OTHER)


def test_the_letters_of_a_token_have_no_case() -> None:
    talk = Talk(has_plc=False)
    talk.hears(plugged_in, ocpp.RemoteStart(None, ocpp.IdToken("04a2b3c4", "ISO14443"), 7), TransactionOpened("tx-1"))
    talk.hears(closed, swipe, paused, opened)
    assert talk.end() == e.EndTransaction("StopAuthorized", "Local", CARD)


def test_with_stop_point_ev_connected_a_transaction_lasts_until_the_plug_is_out() -> None:
    talk = Talk(has_plc=False)
    talk.hears(rules(stop_points=frozenset({ocpp.TxPoint.EV_CONNECTED})))
    talk.charges_by_card()
    talk.hears(swipe, paused)
    assert talk.hears(opened) == [
        e.UpdateTransaction("ChargingStateChanged", "SuspendedEV"),
        e.UpdateTransaction("StopAuthorized", "EVConnected", CARD),
        e.LockConnector(False),
    ]
    assert talk.hears(hal.MeterSampled(METER)) == [], "nothing more is told"
    talk.hears(unplugged)
    assert talk.end() == e.EndTransaction("EVCommunicationLost", "Local", None)


def test_a_driver_who_parted_may_come_back_into_the_same_transaction() -> None:
    talk = Talk(has_plc=False)
    talk.hears(rules(stop_points=frozenset({ocpp.TxPoint.EV_CONNECTED})))
    talk.charges_by_card()
    talk.hears(swipe, paused, opened, swipe)
    talk.hears(AuthorizationAnswered(CARD, YES))
    assert e.UpdateTransaction("Authorized", "EVConnected", CARD) in talk.effects
    assert e.PermitPower(True) in talk.effects
    talk.hears(closed, unplugged)
    assert talk.end() == e.EndTransaction("EVCommunicationLost", "EVDisconnected", None)


def test_with_stop_point_energy_transfer_the_open_contactor_ends_a_transaction() -> None:
    talk = Talk(has_plc=False)
    talk.hears(rules(stop_points=frozenset({ocpp.TxPoint.ENERGY_TRANSFER})))
    talk.charges_by_card()
    talk.hears(paused, opened)
    assert talk.end() == e.EndTransaction("ChargingStateChanged", "StoppedByEV", None)


def test_a_token_refused_afterwards_may_only_cost_the_energy() -> None:
    talk = Talk(has_plc=False).charges_by_card()
    refused = ocpp.TokenDeauthorized(EvseId(1), "tx-1", "Invalid", suspend=True)
    assert talk.hears(refused) == [e.PermitPower(False), e.OfferNothing()]
    assert talk.hears(opened) == [e.UpdateTransaction("ChargingStateChanged", "SuspendedEVSE")]
    talk.hears(unplugged)
    assert talk.end() == e.EndTransaction("EVCommunicationLost", "EVDisconnected", None)
    talk.hears(plugged_in, swipe, AuthorizationAnswered(CARD, YES))
    assert e.PermitPower(True) in talk.effects, "the next session is not the worse for it"


def test_the_rules_of_the_csms_hold_at_once() -> None:
    talk = Talk(has_plc=False)
    talk.hears(rules(start_points=frozenset({ocpp.TxPoint.EV_CONNECTED}), ev_connection_timeout_s=5.0))
    talk.hears(plugged_in)
    assert e.StartTransaction("CablePluggedIn", "EVConnected", None, None) in talk.effects
    talk.hears(unplugged, swipe, AuthorizationAnswered(CARD, YES))
    assert talk.session.deadline() == talk.now + 5.0


def test_the_same_card_stops_the_session_and_starts_another() -> None:
    talk = Talk().charges_by_card()
    assert talk.hears(swipe) == [e.OfferNothing()], "the vehicle is asked first"
    assert talk.hears(paused) == [e.PermitPower(False)]
    talk.hears(opened)
    assert talk.end() == e.EndTransaction("StopAuthorized", "Local", CARD)
    talk.hears(swipe, AuthorizationAnswered(CARD, YES))
    assert e.StartTransaction("Authorized", "EVConnected", CARD, None) in talk.effects


def test_a_vehicle_that_will_not_stop_is_cut_off() -> None:
    talk = Talk().charges_by_card()
    talk.hears(swipe)
    assert talk.waits(STOP_PATIENCE_S - 1) == []
    assert talk.waits(1) == [e.PermitPower(False)]
    talk.hears(opened)
    assert talk.end() is not None


def test_a_record_does_not_wait_for_a_contactor_that_says_nothing() -> None:
    talk = Talk().charges_by_card()
    talk.hears(swipe)
    talk.waits(STOP_PATIENCE_S)
    talk.waits(CONTACTOR_S)
    assert talk.end() == e.EndTransaction("StopAuthorized", "Local", CARD)


def test_the_operator_stops_an_iso_15118_session() -> None:
    talk = Talk().charges_by_contract()
    assert talk.hears(ocpp.RemoteStop(EvseId(1), "another")) == []
    assert talk.hears(ocpp.RemoteStop(EvseId(1), "tx-1")) == []
    assert talk.session.stop is secc.StopReason.OPERATOR
    assert e.PermitPower(False) in talk.hears(secc.PowerWanted(False))
    talk.hears(opened)
    assert talk.end() == e.EndTransaction("RemoteStop", "Remote")
    assert talk.session.stop is secc.StopReason.OPERATOR, "the V2G session is not over yet"
    assert e.TerminateLink() in talk.hears(ended(secc.EndReason.TERMINATED))


def test_a_lost_connection_takes_power_away_at_once() -> None:
    for fact in (ended(secc.EndReason.CONNECTION_LOST), hal.LinkLost("no station in the AVLN", 0)):
        talk = Talk().charges_by_contract()
        talk.hears(fact)
        assert talk.effects[0] == e.PermitPower(False)
        talk.hears(opened)
        assert talk.end() == e.EndTransaction("EVCommunicationLost", "Other")


def test_a_vehicle_that_stops_under_load_loses_power_first() -> None:
    talk = Talk().charges_by_contract()
    assert talk.hears(ended(secc.EndReason.TERMINATED))[0] == e.PermitPower(False)
    assert talk.end() is None
    talk.hears(opened)
    assert talk.end() == e.EndTransaction("ChargingStateChanged", "StoppedByEV")


def test_a_paused_session_keeps_its_transaction_and_link() -> None:
    talk = Talk().charges_by_contract()
    talk.hears(secc.PowerWanted(False), opened, ended(secc.EndReason.PAUSED))
    assert talk.effects == [
        e.PermitPower(False),
        e.OfferHlc(),
        e.UpdateTransaction("ChargingStateChanged", "SuspendedEV"),
        e.CloseSecc(),
        e.PauseLink(),
    ]
    assert talk.hears(hal.LinkLost("paused", 0)) == []
    assert talk.hears(hal.VehicleReady(0, False)) == [e.ResumeLink()]
    assert talk.hears(link_ready) == [e.OpenSecc(MAC)]
    assert e.PermitPower(True) in talk.hears(secc.PowerWanted(True))


def test_a_bcb_toggle_is_counted_while_slac_runs() -> None:
    talk = Talk()
    talk.hears(plugged_in, hal.SlacBegun(MAC, 0), hal.VehicleReady(10.0, False), hal.VehiclePaused(10.3))
    assert talk.hears(hal.BcbToggled(10.3)) == [e.CountToggle()]
    talk.hears(link_ready)
    assert talk.hears(hal.BcbToggled(20.0)) == []


def test_slac_is_tried_again_over_state_f() -> None:
    talk = Talk(slac_retries=1)
    talk.hears(plugged_in)
    assert talk.hears(slac_failed) == [e.SignalError()]
    assert talk.hears(slac_failed) == []
    assert talk.waits(T_STEP_EF_S - 0.1) == []
    assert talk.waits(0.1) == [e.OfferNothing()]
    assert talk.waits(READY_S) == [e.OfferHlc(), e.RestartSlac()]
    assert talk.hears(slac_failed) == [e.OfferNothing()], "C_sequ_retry is used up"
    assert talk.session.state.hlc is Hlc.NONE


def test_a_run_that_goes_on_under_f_is_not_cancelled() -> None:
    talk = Talk(slac_retries=1)
    talk.hears(plugged_in, slac_failed)
    assert talk.hears(link_ready) == [e.OfferHlc(), e.OpenSecc(MAC)]
    assert talk.session.deadline() is None


def test_a_card_before_anybody_spoke_ends_the_waiting() -> None:
    talk = Talk()
    talk.hears(plugged_in, swipe)
    assert e.SignalError() in talk.hears(AuthorizationAnswered(CARD, YES))
    assert e.PermitPower(True) not in talk.effects
    assert talk.waits(T_STEP_EF_S) == [e.OfferCurrent(32.0), e.PermitPower(True)]


def test_a_card_while_a_vehicle_speaks_waits_for_it() -> None:
    talk = Talk()
    talk.hears(plugged_in, hal.SlacBegun(MAC, 0), swipe)
    assert e.SignalError() not in talk.hears(AuthorizationAnswered(CARD, YES))
    assert talk.hears(slac_failed) == [e.OfferNothing()]
    assert talk.waits(T_STEP_X1_S) == [e.OfferCurrent(32.0), e.PermitPower(True)]


def test_a_vehicle_that_leaves_during_a_step() -> None:
    talk = Talk(slac_retries=1)
    talk.hears(plugged_in, slac_failed, unplugged)
    assert talk.session.deadline() is None
    assert talk.hears(plugged_in)[0] == e.OfferHlc()


def test_a_refused_contract_gets_no_power_but_a_card_still_may() -> None:
    talk = Talk()
    talk.hears(plugged_in, link_ready, contract_presented, AuthorizationAnswered(EMAID, NO))
    assert talk.session.state.authorization is secc.Authorization.REJECTED
    talk.hears(ended(secc.EndReason.REFUSED))
    assert e.TerminateLink() in talk.effects
    assert e.OfferNothing() in talk.effects
    talk.hears(swipe)
    assert e.OfferCurrent(32.0) in talk.hears(AuthorizationAnswered(CARD, YES))


def test_a_contract_the_chain_check_refused_is_reported() -> None:
    refused = secc.ContractRefused("DEABCC12345678", secc.ContractFault.EXPIRED)
    talk = Talk()
    talk.hears(plugged_in, link_ready)
    assert talk.hears(refused) == [e.ReportProblem(refused)]


def test_another_contract_is_a_new_question_but_not_under_a_card() -> None:
    other = secc.ContractPresented(secc.Contract("DEABCC99999999", "", ()))
    talk = Talk()
    talk.hears(plugged_in, link_ready, contract_presented, AuthorizationAnswered(EMAID, YES))
    assert talk.session.contract == EMAID.id_token
    assert talk.hears(contract_presented) == []
    assert e.Authorize(ocpp.IdToken("DEABCC99999999", "eMAID"), other.contract) in talk.hears(other)
    talk = Talk()
    talk.hears(plugged_in, swipe, AuthorizationAnswered(CARD, YES), link_ready)
    assert talk.hears(other) == []
    assert talk.session.contract == ""


def test_a_failed_handshake_may_be_tried_again() -> None:
    talk = Talk()
    talk.hears(plugged_in, link_ready)
    failed = ended(secc.EndReason.TLS_FAILED)
    assert talk.hears(failed) == [e.ReportProblem(failed)]
    assert talk.session.state.hlc is Hlc.LINKED


def test_a_modem_without_a_v2g_session_charges_by_the_pilot() -> None:
    talk = Talk()
    talk.hears(swipe, AuthorizationAnswered(CARD, YES), plugged_in, link_ready, TransactionOpened("tx-1"))
    overdue = ended(secc.EndReason.SETUP_TIMEOUT)
    assert talk.hears(overdue) == [
        e.OfferCurrent(32.0),
        e.CloseSecc(),
        e.PermitPower(True),
        e.ReportProblem(overdue),
        e.TerminateLink(),
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ocpp.AuthorizeAnswer(None), secc.Authorization.NO_ANSWER),
        (NO, secc.Authorization.REJECTED),
        (
            ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.INVALID, "CertificateRevoked"),
            secc.Authorization.CERTIFICATE_REVOKED,
        ),
        (
            ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.EXPIRED, "CertificateExpired"),
            secc.Authorization.CERTIFICATE_EXPIRED,
        ),
    ],
)
def test_why_a_contract_is_refused(answer: ocpp.AuthorizeAnswer, expected: secc.Authorization) -> None:
    talk = Talk()
    talk.hears(plugged_in, link_ready, contract_presented, AuthorizationAnswered(EMAID, answer))
    assert talk.session.state.authorization is expected


def test_the_operators_limit_reaches_pilot_board_and_record() -> None:
    talk = Talk().charges_by_contract()
    assert talk.hears(limit(10.0)) == [
        e.LimitCurrent(10.0),
        e.OfferCurrent(10.0),
        e.UpdateTransaction("ChargingRateChanged", "Charging"),
    ]
    assert talk.hears(LocalLimit(LimitSource.SITE, 16.0)) == []
    assert talk.hears(limit(None)) == [
        e.LimitCurrent(16.0),
        e.OfferCurrent(16.0),
        e.UpdateTransaction("ChargingRateChanged", "Charging"),
    ]
    assert e.OfferCurrent(0.0) in talk.hears(limit(5.9)), "IEC 61851-1 offers nothing below 6 A"


def test_five_percent_stays_where_the_pilot_is_not_to_tell_the_limit() -> None:
    talk = Talk(nominal_under_hlc=False)
    talk.hears(plugged_in, link_ready, contract_presented, AuthorizationAnswered(EMAID, YES))
    assert talk.hears(secc.PowerWanted(True)) == [e.PermitPower(True)]


def test_a_fault_stops_in_order() -> None:
    talk = Talk().charges_by_card()
    stop = fault(hal.Fault.CABLE_OVER_TEMP_STOP, hal.Severity.STOP)
    assert talk.hears(stop) == [e.OfferNothing(), e.ReportStatus("Faulted"), e.ReportProblem(stop)]
    assert talk.session.stop is secc.StopReason.MALFUNCTION
    talk.hears(paused, opened)
    assert talk.end() == e.EndTransaction("AbnormalCondition", "Other")
    assert e.ReportStatus("Occupied") in talk.hears(
        fault(hal.Fault.CABLE_OVER_TEMP_STOP, hal.Severity.STOP, active=False)
    )
    assert talk.session.state.spent, "a vehicle does not charge on by itself after a fault"


def test_an_emergency_opens_at_once_and_shows_f() -> None:
    talk = Talk().charges_by_contract()
    talk.hears(fault(hal.Fault.GROUND_FAILURE, hal.Severity.EMERGENCY))
    assert talk.effects[0] == e.PermitPower(False)
    assert e.SignalError() in talk.effects
    talk.hears(opened)
    assert talk.end() == e.EndTransaction("AbnormalCondition", "GroundFault")


def test_a_warning_is_reported_and_charging_goes_on() -> None:
    talk = Talk().charges_by_card()
    warning = fault(hal.Fault.HIGH_TEMPERATURE, hal.Severity.WARNING)
    assert talk.hears(warning) == [e.ReportProblem(warning)]


def test_nothing_starts_under_a_fault() -> None:
    talk = Talk()
    talk.hears(fault(hal.Fault.PILOT_FAULT, hal.Severity.STOP))
    assert e.OfferHlc() not in talk.hears(plugged_in)
    assert talk.hears(swipe) == []
    assert talk.hears(ocpp.RemoteStart(None, CARD, 7)) == []


def test_a_remote_start_and_its_id() -> None:
    talk = Talk()
    talk.hears(plugged_in, slac_failed)
    assert e.StartTransaction("RemoteStart", "EVConnected", CARD, 7) in talk.hears(ocpp.RemoteStart(None, CARD, 7))


def test_an_unavailable_evse_finishes_what_runs() -> None:
    talk = Talk().charges_by_card()
    assert talk.hears(ocpp.AvailabilityChanged(EvseId(1), False)) == []
    talk.hears(unplugged)
    assert e.ReportStatus("Unavailable") in talk.effects
    talk.hears(plugged_in)
    assert talk.hears(swipe) == []
    assert e.ReportStatus("Available") in talk.hears(unplugged, ocpp.AvailabilityChanged(EvseId(1), True))


def test_a_token_refused_after_an_offline_start_and_an_immediate_reset_end_the_transaction() -> None:
    talk = Talk().charges_by_card()
    talk.hears(ocpp.TokenDeauthorized(EvseId(1), "tx-1", "Blocked"), paused, opened)
    assert talk.end() == e.EndTransaction("Deauthorized", "DeAuthorized")
    talk = Talk().charges_by_card()
    talk.hears(ocpp.ResetRequested(None, immediate=False))
    assert talk.session.state.ending is None
    talk.hears(ocpp.ResetRequested(None, immediate=True), paused, opened)
    assert talk.end() == e.EndTransaction("ResetCommand", "ImmediateReset")


def test_a_transaction_may_start_with_the_cable() -> None:
    talk = Talk(start_points=["EVConnected"])
    assert e.StartTransaction("CablePluggedIn", "EVConnected", None, None) in talk.hears(plugged_in)
    talk.hears(slac_failed, swipe)
    assert e.UpdateTransaction("Authorized", "EVConnected", CARD) in talk.hears(AuthorizationAnswered(CARD, YES))
    talk.hears(unplugged)
    assert talk.end() == e.EndTransaction("EVCommunicationLost", "EVDisconnected")


READING = MeterReading(1.0, 2.0, (0.0, 0.0, 0.0), (230.0, 230.0, 230.0), 0.0, datetime(2026, 1, 1, tzinfo=UTC))
ANYTHING: list[Fact] = [
    plugged_in,
    unplugged,
    modem_ready,
    slac_failed,
    hal.SlacBegun(MAC, 0),
    hal.BcbToggled(0),
    link_ready,
    hal.LinkLost("", 0),
    paused,
    hal.VehicleReady(0, False),
    swipe,
    closed,
    opened,
    hal.MeterSampled(READING),
    contract_presented,
    secc.PaymentSelected(secc.PaymentOption.EXTERNAL_PAYMENT),
    secc.PowerWanted(True),
    secc.PowerWanted(False),
    *(ended(reason) for reason in secc.EndReason),
    AuthorizationAnswered(CARD, YES),
    AuthorizationAnswered(EMAID, YES),
    AuthorizationAnswered(CARD, NO),
    TransactionOpened("tx-1"),
    ocpp.RemoteStart(None, CARD, 7),
    ocpp.RemoteStop(EvseId(1), "tx-1"),
    ocpp.AvailabilityChanged(None, False),
    ocpp.AvailabilityChanged(None, True),
    limit(8.0),
    limit(None),
    fault(hal.Fault.PILOT_FAULT, hal.Severity.STOP),
    fault(hal.Fault.PILOT_FAULT, hal.Severity.STOP, active=False),
    fault(hal.Fault.EMERGENCY_STOP, hal.Severity.EMERGENCY),
    fault(hal.Fault.EMERGENCY_STOP, hal.Severity.EMERGENCY, active=False),
]


def test_whatever_comes_power_needs_a_vehicle_and_a_word_and_records_pair_up() -> None:
    """50,000 random facts: the interlocks hold, each transaction starts and ends once, and no state is dead."""
    rng = random.Random(15118)
    talk = Talk(slac_retries=1)
    permitted = False
    open_records = 0
    for _ in range(50_000):
        talk.hears(rng.choice(ANYTHING))
        came = list(talk.effects)
        came += talk.waits(rng.choice((0.0, 0.1, 1.0, 20.0)))
        for effect in came:
            if isinstance(effect, e.PermitPower):
                assert effect.permit != permitted
                permitted = effect.permit
            open_records += isinstance(effect, e.StartTransaction) - isinstance(effect, e.EndTransaction)
            assert open_records in (0, 1)
        state = talk.session.state
        if permitted:
            assert state.plugged
            assert state.authorized
            assert hal.Severity.EMERGENCY not in state.faults.values()
            assert state.operative
            assert state.hlc in (Hlc.LINKED, Hlc.NONE)
            assert state.hlc is not Hlc.LINKED or state.power_wanted
    for name in hal.Fault:
        talk.hears(fault(name, hal.Severity.STOP, active=False))
    talk.hears(ocpp.AvailabilityChanged(None, True), unplugged)
    talk.waits(100)
    assert open_records == 0 or talk.end() is not None
    talk.hears(modem_ready)
    talk.charges_by_contract()
    assert talk.session.state.charging_state == "Charging"
