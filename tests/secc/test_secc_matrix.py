"""The matrix of `tests.secc.matrix`, and a scripted vehicle's bad manners on a real cable."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs.file import SoftwareKey
from certs.keystore import Origin
from certs.tls.identity import Identity
from certs.tls.vehicle import VehicleContext
from firmware.vehicle_side import ContractCertificates
from secc.ports import (
    ContractPresented,
    DcTarget,
    EndReason,
    PowerWanted,
    ReceiptVerified,
    SessionSetUp,
    TlsEstablished,
    V2GEnded,
)
from secc.schedules import MobilityNeeds
from secc.v2g.protocols import ALL
from sim.ev.link import Ending, Outcome, drive
from sim.ev.manners import Manners
from sim.ev.tls import context_2, context_20
from sim.ev.wire import tongue_of
from sim.ev.wishes import Credential, Extra, Service, Speaks, Wishes
from sim.pki.authority import Blank, Entity, new_key
from sim.pki.pki import EMAID, Pki, build
from tests.secc.matrix import BEYOND, DC_BOTH_WAYS, INSTALLED_EMAID, LOOPS, PLAIN, ProvidingStation, Run, table
from tests.secc.private_net import EVCC, run_in_private_net
from tests.secc.support import VIEW, reading
from tests.secc.test_secc_server import station

done: list[tuple[Run, Outcome]] = []


@pytest.fixture(scope="module", autouse=True)
def print_table() -> Iterator[None]:
    yield
    print(f"\n{table(done)}")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def provisioning_20(pki: Pki) -> Entity:
    return pki.oem.issuer.child(Blank("WMIEVSED000000002", "OEM"), new_key(ec.SECP521R1()))


@pytest.fixture(scope="module")
def context(pki: Pki) -> VehicleContext:
    leaf = pki.cpo_sub_ca2.child(Blank("SECCCert", "CPO"))
    identity = Identity(SoftwareKey("secc", leaf.key, Origin.FILE), tuple(leaf.chain_der))
    return VehicleContext([identity], [identity], [pki.oem_root.der], vehicle_certificate_required=False)


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


def credential(entity: Entity, name: str = "") -> Credential:
    return Credential(tuple(entity.chain_der), entity.key, name)


class Bench:
    """A station that offers everything, and vehicles for it."""

    def __init__(self, pki: Pki, provisioning_20: Entity, context: ssl.SSLContext) -> None:
        self.pki = pki
        self._provisioning_20 = provisioning_20
        self._context = context

    def station(self, run: Run) -> object:
        view = replace(
            VIEW,
            offers_certificates=True,
            receipt_required=Extra.RECEIPTS in run.extras,
            meter=reading(1234.0),
            discharge_limit_a=10.0,
            discharge_a=8.0 if Extra.DISCHARGE in run.extras else 0.0,
            mobility_needs=MobilityNeeds(target_soc_percent=80),
            dc=DC_BOTH_WAYS if run.service.direct else None,
        )
        certificates = ContractCertificates(lambda: [self.pki.mo_root.certificate])

        class Kind(ProvidingStation):
            pki = self.pki

        made = station(
            kind=Kind, tls=lambda: self._context, allow_plain_tcp=True, protocols=ALL, certificates=certificates
        )
        return _Viewed(made, view)

    def wishes(self, run: Run, **changes: object) -> Wishes:
        installs = Extra.INSTALL in run.extras
        provisioning = self._provisioning_20 if run.speaks is Speaks.ISO_20 else self.pki.oem
        return Wishes(
            run.speaks,
            run.service,
            contract=credential(self.pki.contract, EMAID) if run.contract and not installs else None,
            provisioning=credential(provisioning) if installs else None,
            dynamic=run.dynamic,
            extras=run.extras,
            **changes,
        )

    def tls(self, run: Run) -> ssl.SSLContext | None:
        if not run.tls:
            return None
        root = self.pki.v2g_root.pem
        return context_20(root, credential(self.pki.oem)) if run.speaks is Speaks.ISO_20 else context_2(root)

    async def drive(self, run: Run, manners: Manners | None = None, **changes: object) -> Outcome:
        return await drive(self.wishes(run, **changes), EVCC, tls=self.tls(run), manners=manners)


class _Viewed:
    """The station with another view from the beginning."""

    def __init__(self, made: object, view: object) -> None:
        self._made, self._view = made, view

    async def __aenter__(self) -> ProvidingStation:
        here = await self._made.__aenter__()
        here.view = self._view
        return here

    async def __aexit__(self, *error: object) -> None:
        await self._made.__aexit__(*error)


@pytest.fixture(scope="module")
def bench(pki: Pki, provisioning_20: Entity, context: VehicleContext) -> Bench:
    return Bench(pki, provisioning_20, context)


@pytest.mark.parametrize("run", [*PLAIN, *BEYOND], ids=lambda run: run.name)
def test_a_session_completes(cable: Callable, bench: Bench, run: Run) -> None:
    async def session() -> None:
        async with bench.station(run) as here:
            outcome = await bench.drive(run)
            assert outcome.ending is Ending.FINISHED, (outcome.ending, outcome.detail, outcome.exchanges)
            assert (await here.ended()).reason is EndReason.TERMINATED
            done.append((run, outcome))
            _assert_as_wished(run, outcome, here)

    cable(session)


def _assert_as_wished(run: Run, outcome: Outcome, here: ProvidingStation) -> None:
    assert here.facts_of(SessionSetUp)[0].protocol == run.speaks
    assert outcome.tls_version == ({Speaks.ISO_20: "TLSv1.3"}.get(run.speaks, "TLSv1.2") if run.tls else "")
    assert bool(here.facts_of(TlsEstablished)) is run.tls
    wanted = [fact.wanted for fact in here.facts_of(PowerWanted)]
    assert (wanted[0], wanted[-1]) == (True, False)
    presented = [fact.contract.emaid for fact in here.facts_of(ContractPresented)]
    expected = INSTALLED_EMAID if Extra.INSTALL in run.extras else EMAID
    assert presented == ([expected] if run.contract else [])
    assert bool(here.facts_of(ReceiptVerified)) is (Extra.RECEIPTS in run.extras)
    if run.service.direct:
        assert here.facts_of(DcTarget)[-1] == DcTarget(0.0, 0.0)
    if Extra.DISCHARGE in run.extras and run.service.direct:
        assert min(target.current_a for target in here.facts_of(DcTarget)) == -30.0
    if Extra.DISCHARGE in run.extras and not run.service.direct:
        assert min(outcome.told.targets_w) < 0


@pytest.mark.parametrize("speaks", [Speaks.ISO_2, Speaks.ISO_20], ids=str)
def test_a_paused_session_is_joined_again(cable: Callable, bench: Bench, speaks: Speaks) -> None:
    run = Run(speaks, Service.AC, contract=True, extras=frozenset({Extra.PAUSE}))

    async def session() -> None:
        async with bench.station(run) as here:
            first = await bench.drive(run)
            assert first.ending is Ending.FINISHED, (first.ending, first.detail)
            assert (await here.ended()).reason is EndReason.PAUSED
            here.facts.clear()
            again = replace(run, extras=frozenset())
            second = await bench.drive(again, paused_session=first.told.session_id)
            assert second.ending is Ending.FINISHED, (second.ending, second.detail)
            assert second.told.joined
            assert second.told.session_id == first.told.session_id

    cable(session)


def test_a_vehicle_without_its_certificate_does_not_get_to_iso_15118_20(cable: Callable, bench: Bench) -> None:
    run = Run(Speaks.ISO_20, Service.AC)

    async def session() -> None:
        async with bench.station(run) as here:
            outcome = await drive(bench.wishes(run), EVCC, tls=context_20(bench.pki.v2g_root.pem, None))
            assert outcome.ending is Ending.NOT_NEGOTIATED
            assert not here.facts_of(SessionSetUp)

    cable(session)


def test_a_vehicle_takes_the_protocol_the_station_has(cable: Callable, bench: Bench) -> None:
    run = Run(Speaks.ISO_2, Service.AC, tls=False)

    async def session() -> None:
        async with bench.station(run):
            rather = (tongue_of(Speaks.ISO_20, Service.AC), tongue_of(Speaks.DIN, Service.DC))
            outcome = await drive(bench.wishes(run), EVCC, also=rather)
            assert outcome.ending is Ending.FINISHED, outcome.detail

    cable(session)


# --- Bad manners: after each, the next vehicle charges ---

EVERY_PROTOCOL = [
    Run(Speaks.DIN, Service.DC, tls=False),
    Run(Speaks.ISO_2, Service.AC, contract=True),
    Run(Speaks.ISO_20, Service.DC, contract=True),
]


def misbehave(cable: Callable, bench: Bench, run: Run, manners: Manners, check: Callable) -> None:
    async def session() -> None:
        async with bench.station(run) as here:
            outcome = await bench.drive(run, manners)
            check(outcome)
            if outcome.ending is not Ending.FINISHED:
                await here.until(lambda: bool(here.facts_of(V2GEnded)))
            wanted = [fact.wanted for fact in here.facts_of(PowerWanted)]
            assert not wanted or wanted[-1] is False
            here.facts.clear()
            # What a vehicle leaves open the station closes by itself, soon.
            await asyncio.sleep(0.05)
            after = await bench.drive(run)
            assert after.ending is Ending.FINISHED, (after.ending, after.detail)

    cable(session)


@pytest.mark.parametrize("run", EVERY_PROTOCOL, ids=lambda run: run.name)
def test_segments_of_one_byte(cable: Callable, bench: Bench, run: Run) -> None:
    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.FINISHED, (outcome.ending, outcome.detail)

    misbehave(cable, bench, run, Manners(one_byte_segments=True), check)


@pytest.mark.parametrize("run", EVERY_PROTOCOL, ids=lambda run: run.name)
def test_two_messages_in_one_segment(cable: Callable, bench: Bench, run: Run) -> None:
    loop = {
        Speaks.DIN: "CurrentDemandReq",
        Speaks.ISO_2: "ChargingStatusReq",
        Speaks.ISO_20: "DC_ChargeLoopReq",
    }[run.speaks]

    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.FINISHED, (outcome.ending, outcome.detail)
        assert sum(exchange.name in LOOPS for exchange in outcome.exchanges) == 6

    misbehave(cable, bench, run, Manners(twice=loop), check)


@pytest.mark.parametrize("run", EVERY_PROTOCOL, ids=lambda run: run.name)
def test_a_slow_vehicle(cable: Callable, bench: Bench, run: Run) -> None:
    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.FINISHED, (outcome.ending, outcome.detail)

    misbehave(cable, bench, run, Manners(think_s=0.03), check)


@pytest.mark.parametrize("run", EVERY_PROTOCOL, ids=lambda run: run.name)
@pytest.mark.parametrize("where", ["SessionSetupReq", "PowerDeliveryReq"])
def test_an_early_disconnect(cable: Callable, bench: Bench, run: Run, where: str) -> None:
    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.LEFT

    misbehave(cable, bench, run, Manners(leaves_after=where), check)


@pytest.mark.parametrize("run", EVERY_PROTOCOL, ids=lambda run: run.name)
def test_a_vehicle_that_goes_while_its_start_is_held(cable: Callable, bench: Bench, run: Run) -> None:
    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.LEFT

    misbehave(cable, bench, run, Manners(leaves_before_response="PowerDeliveryReq"), check)


@pytest.mark.parametrize("run", EVERY_PROTOCOL, ids=lambda run: run.name)
def test_out_of_order(cable: Callable, bench: Bench, run: Run) -> None:
    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.REFUSED
        assert outcome.detail.endswith("FAILED_SequenceError")

    misbehave(cable, bench, run, Manners(out_of_order=("ServiceDiscoveryReq", _sooner(run))), check)


def _sooner(run: Run) -> str:
    return {Speaks.DIN: "ContractAuthenticationReq", Speaks.ISO_2: "AuthorizationReq"}.get(
        run.speaks, "AuthorizationSetupReq"
    )


def test_a_vehicle_that_falls_silent_in_a_loop_of_iso_15118_20_is_ended_and_the_next_charges(
    cable: Callable, bench: Bench
) -> None:
    run = Run(Speaks.ISO_20, Service.AC)

    def check(outcome: Outcome) -> None:
        assert outcome.ending is Ending.LEFT
        assert outcome.detail == "silent after AC_ChargeLoopReq"

    misbehave(cable, bench, run, Manners(silent_after="AC_ChargeLoopReq"), check)
