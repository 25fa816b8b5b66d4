"""The iso15118 package's own EVCC against the server: a far end that is not our code."""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from iso15118.evcc.evcc_config import EVCCConfig

from secc.exi import Namespace, decode
from secc.ports import (
    Authorization,
    CertificateAction,
    CertificateAnswer,
    CertificateRequested,
    Contract,
    ContractFault,
    ContractPresented,
    EndReason,
    LimitSent,
    PaymentOption,
    PaymentSelected,
    PowerWanted,
    ReceiptVerified,
    SeccFact,
    StopReason,
    V2GEnded,
)
from sim.pki import evcc as evcc_files
from sim.pki.authority import Blank
from sim.pki.pki import EMAID, Pki, build
from sim.vehicle import evcc
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import Demand
from sim.vehicle.evcc import Ending, EvccOptions, SessionEnd
from sim.vehicle.exi_codec import ExiCodec
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from tests.secc.private_net import EVCC, run_in_private_net
from tests.secc.support import StubCertificates, reading
from tests.secc.test_secc_server import Station, station

# The package's EVCC asks OpenSSL for TLS 1.2 the old way.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning")


@dataclass
class Cable:
    """A cable on which the vehicle draws nothing: only the digital side is looked at here."""

    cp_mode: str = "X2"
    duty_percent: float = 5.0
    contactor: str = "closed"
    locked: bool = True
    energy_wh: float = 0.0

    @property
    def levels(self) -> "Cable":
        return self

    async def set_cp(self, state: str) -> None: ...

    async def draw(self, *current_a: float) -> None: ...

    async def swipe(self, id_token: str, kind: str = "") -> None: ...

    async def wait_for(self, predicate: Callable, timeout_s: float = 0.0) -> "Cable":
        return self


class SelfDrivenStation(Station):
    """Closes its contactor when power is wanted, and says yes to contracts, as firmware would."""

    def _report(self, fact: SeccFact) -> None:
        super()._report(fact)
        if isinstance(fact, PowerWanted):
            asyncio.get_running_loop().call_later(0.05, lambda: self.change(contactor_closed=fact.wanted))
        if isinstance(fact, ContractPresented):
            asyncio.get_running_loop().call_later(0.3, lambda: self.change(authorization=Authorization.ACCEPTED))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


def secc_context(pki: Pki, folder: Path) -> ssl.SSLContext:
    leaf = pki.cpo_sub_ca2.child(Blank("SECCCert", "CPO"))
    (folder / "secc.pem").write_bytes(leaf.chain_pem + leaf.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "secc.pem")
    return context


async def charge(
    pki: Pki, folder: Path, *, tls: bool, contract: bool, charge_s: float
) -> tuple[SessionEnd, list[dict]]:
    options = EvccOptions(
        interface=EVCC,
        pki=evcc_files.export_evcc(pki, folder / "evcc"),
        tls=tls,
        contract=contract,
        goal=ChargeGoal(charge_s),
        loop_delay_s=0.1,
    )
    log = folder / "vehicle.jsonl"
    with EventLog(log) as events:
        charger = OnboardCharger(Cable(), events, Demand(vehicle_max_a=16.0, phases=3))
        end = await evcc.charge(options, ExiCodec(), charger, events)
    return end, [json.loads(line) for line in log.read_text().splitlines()]


def test_plug_and_charge_with_receipts_and_a_lower_limit(cable: Callable, pki: Pki, tmp_path: Path) -> None:
    async def session() -> None:
        context = secc_context(pki, tmp_path)
        certificates = StubCertificates(Contract(EMAID, "PEM", ()))
        options = {"tls": lambda: context, "allow_plain_tcp": False, "certificates": certificates}
        async with station(kind=SelfDrivenStation, **options) as here:
            here.change(meter=reading(100.0), receipt_required=True)
            asyncio.get_running_loop().call_later(1.5, lambda: here.change(limit_a=10.0))
            end, events = await charge(pki, tmp_path, tls=True, contract=True, charge_s=1.5)
            assert end.ending is Ending.STOPPED, end
            assert (await here.ended()).reason is EndReason.TERMINATED
            assert here.facts_of(PaymentSelected) == [PaymentSelected(PaymentOption.CONTRACT)]
            assert certificates.asked[0] == (pki.contract.chain_der, EMAID)
            assert here.facts_of(ReceiptVerified)[0].meter_wh == 100
            assert here.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
            assert here.facts_of(LimitSent)[-1].limit_a == 10.0
            assert [e for e in events if e["event"] == "limit_seen"][-1]["evse_max_current_a"] == 10.0

    cable(session)


def test_external_payment_over_plain_tcp_and_the_station_stops(cable: Callable, pki: Pki, tmp_path: Path) -> None:
    async def session() -> None:
        async with station(kind=SelfDrivenStation) as here:
            asyncio.get_running_loop().call_later(0.8, lambda: here.change(authorization=Authorization.ACCEPTED))
            asyncio.get_running_loop().call_later(2.0, lambda: here.change(stop=StopReason.OPERATOR))
            end, events = await charge(pki, tmp_path, tls=False, contract=False, charge_s=30.0)
            assert end.ending is Ending.STOPPED, end
            assert (await here.ended()).reason is EndReason.TERMINATED
            assert {"StopCharging"} == {e["evse_notification"] for e in events if e["event"] == "notification"}

    cable(session)


def test_a_refused_contract_reaches_the_vehicle(cable: Callable, pki: Pki, tmp_path: Path) -> None:
    async def session() -> None:
        context = secc_context(pki, tmp_path)
        certificates = StubCertificates(ContractFault.EXPIRED)
        async with station(kind=SelfDrivenStation, tls=lambda: context, certificates=certificates) as here:
            end, _events = await charge(pki, tmp_path, tls=True, contract=True, charge_s=1.0)
            assert end == SessionEnd(Ending.REFUSED, "PaymentDetailsRes FAILED_CertificateExpired")
            assert (await here.ended()) == V2GEnded(
                here.facts_of(V2GEnded)[0].session_id,
                EndReason.REFUSED,
                "PaymentDetailsReq: FAILED_CertificateExpired (expired)",
            )
            assert not here.facts_of(PowerWanted)

    cable(session)


class StationWithoutCertificates(SelfDrivenStation):
    """Forwards a CertificateInstallationReq, and hears that there is none for this vehicle."""

    def _report(self, fact: SeccFact) -> None:
        super()._report(fact)
        if isinstance(fact, CertificateRequested):
            answer = CertificateAnswer(fact.request_id, None)
            asyncio.get_running_loop().call_later(0.2, lambda: self.change(certificate_answer=answer))


def test_a_vehicle_that_wants_a_contract_certificate(
    cable: Callable, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure = evcc._config

    def wanting(options: EvccOptions, charger: OnboardCharger) -> EVCCConfig:
        config = configure(options, charger)
        config.is_cert_install_needed = True
        return config

    monkeypatch.setattr(evcc, "_config", wanting)

    async def session() -> None:
        context = secc_context(pki, tmp_path)
        async with station(kind=StationWithoutCertificates, tls=lambda: context) as here:
            here.change(offers_certificates=True)
            end, _events = await charge(pki, tmp_path, tls=True, contract=True, charge_s=1.0)
            assert end == SessionEnd(Ending.REFUSED, "CertificateInstallationRes FAILED_NoCertificateAvailable")
            (asked,) = here.facts_of(CertificateRequested)
            assert asked.action is CertificateAction.INSTALL
            body = decode(Namespace.ISO_2, asked.exi_request)["V2G_Message"]["Body"]
            assert body["CertificateInstallationReq"]["OEMProvisioningCert"] == pki.oem.der

    cable(session)
