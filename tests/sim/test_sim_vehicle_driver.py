"""What a visit makes of the way its session ended, with the session itself left out."""

import asyncio
import json
from pathlib import Path

import pytest
from iso15118.shared.iexi_codec import IEXICodec

from sim.plc.ev import MatchFailed
from sim.plc.vehicle import MatchResult
from sim.vehicle import driver
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import Demand
from sim.vehicle.driver import Kind, Means, Vehicle, visit
from sim.vehicle.evcc import Ending, EvccOptions, SessionEnd
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from sim.vehicle.verdict import ExitCode, Verdict
from tests.sim.vehicle_fakes import FakeCable

MATCHED = MatchResult(bytes(6), bytes(8), bytes(7), attenuation_db=8.04, attempts=2, took_s=0.31, joined_s=0.8, nmk=b"")


class Session:
    """In the place of the package's EVCC: draws, or not, and ends as told."""

    def __init__(self, end: SessionEnd, *, draws: bool) -> None:
        self._end = end
        self._draws = draws
        self.options: EvccOptions | None = None

    async def charge(
        self, options: EvccOptions, _codec: IEXICodec, charger: OnboardCharger, _log: EventLog
    ) -> SessionEnd:
        self.options = options
        if self._draws:
            await charger.start()
            while not charger.drew:
                await asyncio.sleep(0.005)
        return self._end


async def visited(
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kind: Kind = Kind.ISO2_AC_PNC,
    cable: FakeCable | None = None,
) -> Verdict:
    async def match(interface: str) -> MatchResult:
        assert interface == "ev0"
        return MATCHED

    monkeypatch.setattr("sim.vehicle.evcc.charge", session.charge)
    if cable is None:
        cable = FakeCable()
        cable.pwm(5.0)
    vehicle = Vehicle(
        kind=kind,
        interface="ev0",
        pki=tmp_path,
        tls=True,
        demand=Demand(16.0),
        goal=ChargeGoal(1.0),
        loop_delay_s=0.1,
        emaid="DE8EV0000000X",
    )
    with EventLog(tmp_path / "vehicle.jsonl") as log:
        verdict = await visit(vehicle, cable, Means(match, lambda: None), log)  # type: ignore[arg-type,return-value]
    assert cable.cp == "A"
    assert cable.currents_a == [0.0, 0.0, 0.0]
    return verdict


@pytest.mark.parametrize(
    ("end", "draws", "exit_code", "text"),
    [
        (SessionEnd(Ending.STOPPED), True, ExitCode.AS_EXPECTED, "charged"),
        (
            SessionEnd(Ending.STOPPED),
            False,
            ExitCode.FAILED,
            "the session ended in order, but no current ever flowed",
        ),
        (
            SessionEnd(Ending.REFUSED, "PaymentDetailsRes FAILED_CertChainError"),
            False,
            ExitCode.REFUSED,
            "refused: PaymentDetailsRes FAILED_CertChainError",
        ),
        (SessionEnd(Ending.LOST, "why"), True, ExitCode.FAILED, "connection lost: why"),
        (SessionEnd(Ending.NOT_OFFERED), False, ExitCode.FAILED, "Plug & Charge is not offered"),
    ],
)
async def test_every_ending_has_its_exit_code(
    end: SessionEnd, draws: bool, exit_code: ExitCode, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await visited(Session(end, draws=draws), tmp_path, monkeypatch) == Verdict(exit_code, text)


@pytest.mark.parametrize(("kind", "contract"), [(Kind.ISO2_AC_PNC, True), (Kind.ISO2_AC_EIM, False)])
async def test_the_kind_says_how_to_pay(
    kind: Kind, contract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(SessionEnd(Ending.STOPPED), draws=True)
    await visited(session, tmp_path, monkeypatch, kind=kind)
    assert session.options is not None
    assert session.options.contract is contract
    assert session.options.emaid == "DE8EV0000000X"
    matched = next(
        json.loads(line) for line in (tmp_path / "vehicle.jsonl").read_text().splitlines() if "slac_matched" in line
    )
    assert (matched["attenuation_db"], matched["attempts"], matched["took_s"]) == (8.0, 2, 0.31)


async def test_slac_waits_for_the_pwm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PWM_LOOK_S", 0.02)
    cable = FakeCable()
    session = Session(SessionEnd(Ending.STOPPED), draws=True)
    visiting = asyncio.create_task(visited(session, tmp_path, monkeypatch, cable=cable))
    await asyncio.sleep(0.1)
    assert session.options is None
    cable.pwm(5.0)
    assert (await visiting).exit_code is ExitCode.AS_EXPECTED


async def test_without_a_match_there_is_no_session(tmp_path: Path) -> None:
    async def no_match(_interface: str) -> MatchResult:
        raise MatchFailed("no match after 3 attempts")

    cable = FakeCable()
    cable.pwm(5.0)
    vehicle = Vehicle(Kind.ISO2_AC_PNC, "ev0", tmp_path, True, Demand(16.0), ChargeGoal(1.0), 0.1)
    with EventLog(tmp_path / "vehicle.jsonl") as log, pytest.raises(ExceptionGroup) as caught:
        await visit(vehicle, cable, Means(no_match, lambda: None), log)  # type: ignore[arg-type,return-value]
    assert caught.group_contains(MatchFailed)
    assert cable.cp == "A"
