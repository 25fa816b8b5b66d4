"""What every board driver must do, over its wire and against a peer that is a process of its own.

The peer is a simulated board in Python, or the reference MCU in C, which shares no line of code with the driver. What a
kind of board has not got is not asked of it: `tests/conformance/kinds.py`.
"""

import asyncio
import time
from pathlib import Path

import pytest

from hal.chargebyte.board import ChargebyteBoard
from hal.diagnostics import SelfTest, Verdict, diagnostics_of
from hal.mcu.payloads import AckResult, CommandCode
from hal.pionix.board import PionixBoard
from hal.ports import (
    BoardFault,
    BoardLink,
    BoardUnavailable,
    Contactor,
    ContactorChanged,
    CpMode,
    CpState,
    Fault,
    MeterSampled,
    PilotOffered,
    PluggedIn,
    TokenPresented,
    Unplugged,
    VehiclePaused,
    VehicleReady,
)
from tests.conformance.every_board import boards_with, every_board
from tests.conformance.mcu_peer import Bench, Maker, Peer, build_reference, ended, frozen, until
from tests.conformance.template_board import AcmeBoard


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(autouse=True)
def short_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated controller needs no time in reset."""
    monkeypatch.setattr("hal.chargebyte.board.RESET_PULSE_S", 0.02)


async def charge(stand: Bench, limit_a: float = 16) -> None:
    """From an open board to a closed contactor."""
    await stand.cable.set_cp("B")
    await stand.hears(PluggedIn)
    stand.board.lock_connector(True)
    stand.board.offer_current(limit_a)
    await stand.cable.wait_for(lambda levels: levels.cp_mode == "X2" and levels.locked is stand.kind.has_lock)
    stand.board.permit_power(True)
    await stand.cable.set_cp("C")
    await stand.cable.wait_for(lambda levels: levels.contactor == "closed")
    await stand.until(lambda: stand.board.snapshot().contactor is Contactor.CLOSED)


def refused(stand: Bench) -> BoardUnavailable | None:
    """Why there is no snapshot now."""
    try:
        stand.board.snapshot()
    except BoardUnavailable as error:
        return error
    return None


async def silence(stand: Bench) -> None:
    """The board says nothing more, from now on; a vehicle comes."""
    await stand.cable.fault("silence")
    await stand.cable.set_cp("B")
    await stand.cable.wait_for(lambda levels: levels.cp == "B")


def faults(stand: Bench) -> list[tuple[Fault, bool]]:
    return [(fact.fault, fact.active) for fact in stand.facts if isinstance(fact, BoardFault)]


async def reset(stand: Bench) -> None:
    """Somebody has seen to a fault: where the board keeps it, it is reset, and comes back."""
    if stand.kind.latches_faults:
        assert isinstance(stand.board, ChargebyteBoard)
        await stand.board.reset_faults()


def after(peer: Peer, event: str, value: object, since_s: float) -> float:
    """Seconds from `since_s` to the first such line of the trace after it."""
    return next(t for t, _, said in peer.trace(event) if said == value and t >= since_s) - since_s


# --- a session ---


@every_board
async def test_a_whole_charge(stand: Bench) -> None:
    capabilities = await stand.open()
    assert (capabilities.max_current_a, capabilities.phases) == (32, 3)
    assert capabilities.has_lock is stand.kind.has_lock
    await charge(stand)
    await stand.cable.draw(16, 16, 16)
    stand.board.offer_nothing()
    await stand.cable.wait_for(lambda levels: levels.cp_mode == "X1")
    await stand.cable.set_cp("B")
    await stand.cable.wait_for(lambda levels: levels.contactor == "open")
    assert stand.cable.levels.current_a == [0, 0, 0]
    await stand.hears(VehiclePaused)
    stand.board.lock_connector(False)
    await stand.cable.wait_for(lambda levels: not levels.locked)
    await stand.cable.set_cp("A")
    await stand.hears(Unplugged)
    kinds = (PluggedIn, VehicleReady, VehiclePaused, Unplugged, ContactorChanged, PilotOffered)
    told = [type(fact).__name__ for fact in stand.facts if isinstance(fact, kinds)]
    assert told == [
        "PilotOffered",
        "PluggedIn",
        "PilotOffered",
        "VehicleReady",
        "ContactorChanged",
        "PilotOffered",
        "ContactorChanged",
        "VehiclePaused",
        "Unplugged",
    ]
    assert faults(stand) == []


@boards_with(meter=True)
async def test_what_flows_is_measured(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.draw(16, 16, 16)
    before_wh = stand.peer.cable.levels.energy_wh
    await stand.until(lambda: stand.board.meter().current_a == (16, 16, 16))
    assert stand.board.meter().power_import_w == pytest.approx(3 * 230 * 16)
    await stand.until(lambda: stand.board.meter().energy_import_wh > before_wh)


@every_board
async def test_opened_with_the_vehicle_already_there(stand: Bench) -> None:
    await stand.cable.set_cp("C")
    await stand.open()
    await stand.hears(PluggedIn)
    await stand.hears(VehicleReady)
    assert stand.board.snapshot().cp is CpState.C
    assert not stand.cable.levels.permitted


@every_board
async def test_5_percent_and_power_under_messages(stand: Bench) -> None:
    await stand.open()
    await stand.cable.set_cp("B")
    await stand.hears(PluggedIn)
    stand.board.offer_hlc()
    await stand.cable.wait_for(lambda levels: levels.duty_percent == 5)
    stand.board.permit_power(True)
    await stand.cable.set_cp("C")
    await stand.cable.wait_for(lambda levels: levels.contactor == "closed")


@boards_with(reader=True)
async def test_a_swipe_arrives_once(stand: Bench) -> None:
    await stand.open()
    await stand.cable.swipe("04a2b3c4d5e6f7")
    await stand.hears(TokenPresented)
    await asyncio.sleep(0.4)
    (token,) = stand.heard(TokenPresented)
    assert isinstance(token, TokenPresented)
    assert (token.id_token, token.kind) == ("04A2B3C4D5E6F7", "ISO14443")


@every_board
async def test_close_leaves_f_and_an_open_contactor(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.board.close()
    await stand.cable.wait_for(lambda levels: levels.cp_mode == "F" and levels.contactor == "open", 0.5)
    link_facts = stand.heard(BoardLink)
    assert len(link_facts) == 1, "a close that was asked for is no loss"
    with pytest.raises(BoardUnavailable):
        stand.board.snapshot()


@every_board
async def test_closed_and_opened_again(stand: Bench) -> None:
    await stand.open()
    await stand.board.close()
    await stand.open()
    stand.board.offer_nothing()
    await stand.cable.wait_for(lambda levels: levels.cp_mode == "X1")


# --- a bad line ---


@every_board
async def test_nobody_at_the_other_end(stand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.serial_board.OPEN_TIMEOUT_S", 1.5)
    await silence(stand)
    with pytest.raises(BoardUnavailable, match=stand.kind.why_silent):
        await stand.open()
    await stand.cable.fault("silence", active=False)
    await stand.open()


@every_board
async def test_the_first_frames_are_lost(stand: Bench) -> None:
    await silence(stand)
    opening = asyncio.create_task(stand.open())
    await asyncio.sleep(0.5)
    await stand.cable.fault("silence", active=False)
    await opening
    await stand.hears(PluggedIn)


@every_board
async def test_no_such_device(stand: Bench, tmp_path: Path) -> None:
    (tmp_path / "tty").unlink()
    with pytest.raises(BoardUnavailable, match="tty"):
        await stand.open()


@every_board
async def test_one_byte_in_500_is_spoilt(make: Maker, tmp_path: Path) -> None:
    async with make(tmp_path, "--corrupt", "0.002", "--seed", "7", "--telemetry-s", "0.1") as stand:
        await stand.open()
        for _ in range(4):
            await charge(stand)
            await stand.cable.set_cp("B")
            await stand.cable.wait_for(lambda levels: levels.contactor == "open")
            await stand.cable.set_cp("A")
            await stand.until(lambda: len(stand.heard(Unplugged)) == len(stand.heard(PluggedIn)))
            stand.facts[:] = [fact for fact in stand.facts if isinstance(fact, BoardFault)]
        assert stand.board.frames_dropped.total() > 0
        assert faults(stand) == []


@every_board
async def test_one_byte_in_50_is_spoilt_and_nothing_unsafe_happens(make: Maker, tmp_path: Path) -> None:
    async with make(tmp_path, "--corrupt", "0.02", "--seed", "3", "--telemetry-s", "0.1") as stand:
        await stand.open()
        await stand.cable.set_cp("B")
        await stand.hears(PluggedIn)
        stand.board.offer_current(16)
        await stand.cable.set_cp("C")
        end = time.monotonic() + 1
        while time.monotonic() < end:
            stand.board.permit_power(True)
            await asyncio.sleep(0.1)
        assert stand.cable.levels.contactor == "closed" or stand.heard(BoardLink)[-1:]
        await stand.cable.set_cp("B")
        await stand.cable.wait_for(lambda levels: levels.contactor == "open", 1)
        assert stand.board.frames_dropped.total() > 3
        await stand.cable.set_cp("A")
        await stand.hears(Unplugged, timeout_s=10)


# --- silence and restarts ---


@every_board
async def test_the_daemon_stands_still_and_the_contactor_opens(make: Maker, tmp_path: Path) -> None:
    peer = await make.peer(tmp_path)
    daemon = make.daemon(tmp_path)
    try:
        await peer.cable.set_cp("C")
        await until((tmp_path / "closed").exists, 10)
        await peer.cable.wait_for(lambda levels: levels.contactor == "closed")
        async with frozen(daemon):
            stopped_s = time.monotonic()
            await peer.cable.wait_for(lambda levels: levels.contactor == "open", 3)
            assert after(peer, "contactor", "open", stopped_s) <= 1.1
            assert peer.cable.levels.cp_mode == "F"
            await asyncio.sleep(0.2)
        # It wakes up, learns of the trip and gets the pilot back, but no power without a new permission.
        await peer.cable.wait_for(lambda levels: levels.cp_mode == "X2", 3)
        await asyncio.sleep(0.3)
        assert peer.cable.levels.contactor == "open"
    finally:
        daemon.kill()
        await ended(daemon)
        await peer.stop()


@every_board
async def test_a_daemon_killed_in_mid_charge_is_followed_by_another(make: Maker, tmp_path: Path) -> None:
    async with make(tmp_path) as stand:
        daemon = make.daemon(tmp_path)
        await stand.cable.set_cp("C")
        await until((tmp_path / "closed").exists, 10)
        await stand.cable.wait_for(lambda levels: levels.contactor == "closed")
        killed_s = time.monotonic()
        daemon.kill()
        await ended(daemon)
        await stand.cable.wait_for(lambda levels: levels.contactor == "open", 3)
        assert after(stand.peer, "contactor", "open", killed_s) <= 1.1
        await stand.open()
        await stand.hears(PluggedIn)
        await stand.hears(VehicleReady)
        assert faults(stand) == []
        stand.board.offer_current(10)
        stand.board.permit_power(True)
        await stand.cable.wait_for(lambda levels: levels.contactor == "closed")


@every_board
async def test_a_loop_that_is_not_alive_loses_its_power(stand: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    await stand.open()
    await charge(stand)
    stand.alive = False
    since_s = time.monotonic()
    await stand.cable.wait_for(lambda levels: levels.contactor == "open", 2)
    assert after(stand.peer, "contactor", "open", since_s) <= 1.1
    if stand.kind.has_commands:
        await stand.until(lambda: "host silent: contactor open, pilot F" in caplog.text)
    stand.alive = True
    await stand.until(lambda: (Fault.COMMUNICATION_FAULT, False) in faults(stand))
    assert not stand.cable.levels.permitted
    stand.board.permit_power(True)
    await stand.cable.wait_for(lambda levels: levels.contactor == "closed")


@every_board
async def test_a_silent_board_is_noticed_and_its_set_points_are_replayed(
    stand: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.pilot_output.DUTY_INTERVAL_S", 0.5)
    await stand.open()
    await charge(stand)
    stand.facts.clear()
    await stand.cable.fault("silence")
    lost_s = time.monotonic()
    await stand.until(lambda: refused(stand) is not None)
    assert "no levels for" in str(refused(stand)), "stale already, not yet lost"
    await stand.until(lambda: (Fault.COMMUNICATION_FAULT, True) in faults(stand), 1)
    assert time.monotonic() - lost_s < stand.kind.lost_after_s
    with pytest.raises(BoardUnavailable):
        stand.board.snapshot()
    stand.board.offer_current(10)
    await stand.cable.wait_for(lambda levels: levels.contactor == "open", 2)
    await stand.cable.fault("silence", active=False)
    await stand.until(lambda: (Fault.COMMUNICATION_FAULT, False) in faults(stand))
    await stand.cable.wait_for(lambda levels: 16.6 <= levels.duty_percent <= 16.66, 6)
    assert stand.cable.levels.locked is stand.kind.has_lock
    assert not stand.cable.levels.permitted


@every_board
async def test_the_mcu_restarts_in_mid_charge(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.fault("reset")
    await stand.cable.wait_for(lambda levels: levels.contactor == "open")
    await stand.until(lambda: [fact.up for fact in stand.facts if isinstance(fact, BoardLink)] == [True, False, True])
    assert stand.heard(Unplugged) == []
    stand.board.permit_power(True)
    await stand.cable.wait_for(lambda levels: levels.contactor == "closed")


@every_board
async def test_the_line_is_unplugged_and_comes_back(make: Maker, tmp_path: Path) -> None:
    async with make(tmp_path) as stand:
        await stand.open()
        await stand.peer.stop()
        await stand.until(lambda: (Fault.COMMUNICATION_FAULT, True) in faults(stand))
        second = await make.peer(tmp_path)
        try:
            await second.cable.set_cp("B")
            await stand.hears(PluggedIn)
            assert (Fault.COMMUNICATION_FAULT, False) in faults(stand)
        finally:
            await stand.board.close()
            await second.stop()


@boards_with(meter=True)
async def test_an_old_meter_reading_is_not_repeated(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.serial_board.METER_STALE_AFTER_S", 0.3)
    async with make(tmp_path, "--telemetry-s", "0.6") as stand:
        with pytest.raises(BoardUnavailable, match="no reading yet"):
            stand.board.meter()
        await stand.open()
        await stand.hears(MeterSampled)
        stand.board.meter()
        await asyncio.sleep(0.35)
        with pytest.raises(BoardUnavailable, match="no reading for"):
            stand.board.meter()


# --- faults of the power path ---


@every_board
async def test_c_to_b_opens_within_100_ms(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.set_cp("B")
    await stand.cable.wait_for(lambda levels: levels.contactor == "open")
    left_s = [t for t, _, state in stand.peer.trace("cp") if state == "B"][-1]
    assert after(stand.peer, "contactor", "open", left_s) <= 0.1


@every_board
async def test_the_cable_is_pulled_under_load(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.draw(16, 16, 16)
    await stand.cable.set_cp("A")
    await stand.hears(Unplugged)
    pulled_s = [t for t, _, state in stand.peer.trace("cp") if state == "A"][-1]
    assert after(stand.peer, "contactor", "open", pulled_s) <= 0.1


@every_board
async def test_a_welded_contactor(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.fault("weld")
    stand.board.permit_power(False)
    stand.board.lock_connector(False)
    await stand.until(lambda: (Fault.EVSE_CONTACTOR_FAULT, True) in faults(stand))
    await stand.until(lambda: stand.board.snapshot().contactor is Contactor.WELDED)
    await stand.cable.wait_for(lambda levels: levels.cp_mode == "F")
    assert stand.cable.levels.locked is stand.kind.has_lock
    await stand.cable.fault("weld", active=False)
    await stand.cable.wait_for(lambda levels: levels.contactor == "open")
    assert stand.board.snapshot().cp_mode is CpMode.F, "latched"
    if stand.kind.has_commands:
        assert await stand.mcu_board.reset_faults() is AckResult.DONE
    else:
        assert isinstance(stand.board, ChargebyteBoard | AcmeBoard | PionixBoard)
        await stand.board.reset_faults()
    await stand.until(lambda: (Fault.EVSE_CONTACTOR_FAULT, False) in faults(stand))


@boards_with(commands=True)
async def test_a_weld_is_not_reset_while_it_stands(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.fault("weld")
    stand.board.permit_power(False)
    await stand.until(lambda: (Fault.EVSE_CONTACTOR_FAULT, True) in faults(stand))
    assert await stand.mcu_board.reset_faults() is AckResult.REFUSED
    assert (Fault.EVSE_CONTACTOR_FAULT, False) not in faults(stand)


@every_board
async def test_a_contactor_that_does_not_close(stand: Bench) -> None:
    await stand.open()
    await stand.cable.fault("stuck_open")
    await stand.cable.set_cp("B")
    await stand.hears(PluggedIn)
    stand.board.offer_current(16)
    stand.board.permit_power(True)
    await stand.cable.set_cp("C")
    await stand.until(lambda: (Fault.EVSE_CONTACTOR_FAULT, True) in faults(stand))
    await stand.cable.fault("stuck_open", active=False)
    stand.board.permit_power(False)
    await reset(stand)
    await stand.until(lambda: (Fault.EVSE_CONTACTOR_FAULT, False) in faults(stand))
    stand.board.permit_power(True)
    await stand.cable.wait_for(lambda levels: levels.contactor == "closed")


@pytest.mark.parametrize("fault", [Fault.RESIDUAL_CURRENT, Fault.EMERGENCY_STOP, Fault.PROXIMITY_FAULT])
@every_board
async def test_a_fault_of_the_board_opens_and_clears(stand: Bench, fault: Fault) -> None:
    await stand.open()
    await charge(stand)
    await stand.cable.fault(fault)
    await stand.cable.wait_for(lambda levels: levels.contactor == "open")
    if fault in stand.kind.cannot_tell:
        return
    await stand.until(lambda: faults(stand) == [(fault, True)])
    await stand.cable.fault(fault, active=False)
    await reset(stand)
    await stand.until(lambda: (fault, False) in faults(stand))
    others = [(other, active) for other, active in faults(stand) if other is not fault]
    assert others == ([(Fault.COMMUNICATION_FAULT, True), (Fault.COMMUNICATION_FAULT, False)] if others else [])
    assert bool(others) is stand.kind.latches_faults, "a reset is a loss of the link"


@boards_with(lock=True)
async def test_a_lock_that_jams(stand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.power_path.LOCK_LIMIT_S", 0.3)
    await stand.open()
    await stand.cable.fault("lock_jam")
    stand.board.lock_connector(True)
    await stand.until(lambda: faults(stand) == [(Fault.CONNECTOR_LOCK_FAILURE, True)])
    await stand.cable.fault("lock_jam", active=False)
    await stand.until(lambda: (Fault.CONNECTOR_LOCK_FAILURE, False) in faults(stand))


@every_board
async def test_a_bcb_toggle_of_200_ms_is_seen(stand: Bench) -> None:
    await stand.open()
    await stand.cable.set_cp("B")
    await stand.hears(PluggedIn)
    for state in "CBCB":
        await stand.cable.set_cp(state)
        await asyncio.sleep(0.2)
    await stand.hears(VehiclePaused, 2)
    assert len(stand.heard(VehicleReady)) == 2


# --- the technician ---


@boards_with(commands=True)
async def test_commands_are_answered(stand: Bench) -> None:
    await stand.open()
    assert await stand.mcu_board.command(CommandCode.LOCK_TEST) is AckResult.UNSUPPORTED
    assert await stand.mcu_board.command(CommandCode.REBOOT) is AckResult.DONE
    await stand.until(lambda: [fact.up for fact in stand.facts if isinstance(fact, BoardLink)] == [True, False, True])


@boards_with(commands=True)
async def test_a_command_nobody_answers(stand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.board.COMMAND_TIMEOUT_S", 0.05)
    await stand.open()
    await silence(stand)
    with pytest.raises(BoardUnavailable, match="no ACK to LOCK_TEST"):
        await stand.mcu_board.command(CommandCode.LOCK_TEST)


@boards_with(commands=True)
async def test_the_residual_current_device_tests_itself(stand: Bench) -> None:
    await stand.open()
    board = diagnostics_of(stand.board)
    assert board is not None
    await stand.until(lambda: refused(stand) is None)
    assert await board.self_test(SelfTest.RCD) is Verdict.PASSED
    assert (Fault.RESIDUAL_CURRENT, True) not in faults(stand), "what the test provokes is no fault"
    await stand.cable.fault("rcd_dead")
    assert await board.self_test(SelfTest.RCD) is Verdict.FAILED
    await stand.cable.fault("rcd_dead", active=False)
    await stand.cable.fault("rcd_stuck")
    assert await board.self_test(SelfTest.RCD) is Verdict.FAILED
    await stand.until(lambda: (Fault.RESIDUAL_CURRENT, True) in faults(stand))
    assert await board.self_test(SelfTest.RCD) is Verdict.REFUSED, "a residual current that is real"


@boards_with(commands=True)
async def test_no_residual_current_under_power(stand: Bench) -> None:
    await stand.open()
    await charge(stand)
    board = diagnostics_of(stand.board)
    assert board is not None
    assert await board.self_test(SelfTest.RCD) is Verdict.REFUSED
    assert stand.board.snapshot().contactor is Contactor.CLOSED
    measured = board.measurements()
    assert measured.cp_high_v == 6.0
    assert measured.cp_low_v == -12.0
    assert measured.pp_ampacity_a == 32.0
    assert 0 < (measured.contactor_ms or 0) <= 100
