"""The iso15118 package's EVCC over ISO 15118-20: TLS 1.3, mutual, the vehicle's certificate verified."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from certs.file import SoftwareKey
from certs.keystore import Origin
from certs.tls.identity import Identity
from certs.tls.vehicle import VehicleContext
from secc.exi import Namespace, decode
from secc.ports import (
    Authorization,
    CertificateAction,
    CertificateRequested,
    Contract,
    ContractFault,
    EndReason,
    PaymentOption,
    PaymentSelected,
    PowerWanted,
    SessionSetUp,
    StopReason,
    TlsEstablished,
    V2GEnded,
)
from secc.v2g.protocols import DEFAULT, ISO_15118_20
from sim.pki import evcc as evcc_files
from sim.pki.authority import Blank
from sim.pki.pki import EMAID, Pki, build
from sim.vehicle.evcc import Ending, SessionEnd
from tests.secc.driven_station import DrivenStation, RefusingStation
from tests.secc.package_car import charge
from tests.secc.private_net import run_in_private_net
from tests.secc.support import DC, StubCertificates, reading
from tests.secc.test_secc_server import station

# The package asks OpenSSL for its protocols the old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"),
]

ALL = (*DEFAULT, *ISO_15118_20)
BPT = {"discharge_limit_a": 10.0}
DC_BPT = replace(DC, max_discharge_current_a=50.0, max_discharge_power_w=20_000.0)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki20"))


@pytest.fixture(scope="module")
def files(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evcc_files.export_evcc(pki, tmp_path_factory.mktemp("evcc20"))


@pytest.fixture(scope="module")
def context(pki: Pki) -> VehicleContext:
    leaf = pki.cpo_sub_ca2.child(Blank("SECCCert", "CPO"))
    identity = Identity(SoftwareKey("secc", leaf.key, Origin.FILE), tuple(leaf.chain_der))
    return VehicleContext([identity], [identity], [pki.oem_root.der], vehicle_certificate_required=False)


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


@pytest.mark.parametrize(
    ("name", "services", "changes"),
    [
        ("ISO_15118_20_AC", ["AC"], {}),
        ("ISO_15118_20_AC", ["AC_BPT"], BPT),
        ("ISO_15118_20_DC", ["DC"], {"dc": DC}),
        ("ISO_15118_20_DC", ["DC_BPT"], {"dc": DC_BPT}),
    ],
    ids=["AC", "AC_BPT", "DC", "DC_BPT"],
)
def test_external_payment(
    cable: Callable,
    files: Path,
    context: ssl.SSLContext,
    tmp_path: Path,
    name: str,
    services: list[str],
    changes: dict,
) -> None:
    async def session() -> None:
        async with station(kind=DrivenStation, tls=lambda: context, allow_plain_tcp=False, protocols=ALL) as here:
            here.change(accepts_contract=False, meter=reading(100.0), **changes)
            end, heard = await charge(files, tmp_path, protocols=[name], services=services, tls=True)
            assert end.ending is Ending.STOPPED, (end, heard)
            assert (await here.ended()).reason is EndReason.TERMINATED
            assert here.facts_of(TlsEstablished)[0].version == "TLSv1.3"
            assert here.facts_of(SessionSetUp)[0].protocol == "ISO 15118-20"
            assert here.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
            loops = [code for response, code in heard if response.endswith("ChargeLoopRes")]
            assert loops == ["OK"] * len(loops)
            assert len(loops) >= 3

    cable(session)


@pytest.mark.parametrize("name", ["ISO_15118_20_AC", "ISO_15118_20_DC"])
def test_plug_and_charge(
    cable: Callable, pki: Pki, files: Path, context: ssl.SSLContext, tmp_path: Path, name: str
) -> None:
    async def session() -> None:
        certificates = StubCertificates(Contract(EMAID, "PEM", ()))
        options = {"tls": lambda: context, "allow_plain_tcp": False, "certificates": certificates, "protocols": ALL}
        async with station(kind=DrivenStation, **options) as here:
            here.change(dc=DC if name.endswith("DC") else None)
            end, heard = await charge(files, tmp_path, protocols=[name], services=[name[-2:]], tls=True)
            assert end.ending is Ending.STOPPED, (end, heard)
            assert here.facts_of(PaymentSelected) == [PaymentSelected(PaymentOption.CONTRACT)]
            assert certificates.asked == [(pki.contract.chain_der, EMAID)]
            assert here.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]

    cable(session)


@pytest.mark.parametrize("pays", ["card", "contract"])
def test_a_refused_vehicle_that_goes_on_regardless_is_ended(
    cable: Callable, files: Path, context: ssl.SSLContext, tmp_path: Path, pays: str
) -> None:
    """This EVCC takes no notice of the code, and asks for services: with the package's own SECC it would charge."""

    async def session() -> None:
        options = {"tls": lambda: context, "allow_plain_tcp": False, "protocols": ALL}
        certificates = StubCertificates(Contract(EMAID, "PEM", ()))
        async with station(kind=RefusingStation, certificates=certificates, **options) as here:
            here.change(accepts_contract=pays == "contract")
            end, _ = await charge(files, tmp_path, protocols=["ISO_15118_20_AC"], services=["AC"], tls=True)
            assert end == SessionEnd(Ending.REFUSED, "ServiceDiscoveryRes FAILED_SequenceError")
            assert not here.facts_of(PowerWanted)
            assert (await here.ended()).reason is EndReason.REFUSED

    cable(session)


def test_a_contract_that_does_not_hold_is_not_charged(
    cable: Callable, files: Path, context: ssl.SSLContext, tmp_path: Path
) -> None:
    async def session() -> None:
        options = {"tls": lambda: context, "certificates": StubCertificates(ContractFault.UNKNOWN_ROOT)}
        async with station(kind=DrivenStation, protocols=ALL, **options) as here:
            end, heard = await charge(files, tmp_path, protocols=["ISO_15118_20_AC"], services=["AC"], tls=True)
            assert end.ending is Ending.REFUSED
            assert ("AuthorizationRes", "WARNING_CertificateValidationError") in heard
            assert not here.facts_of(PowerWanted)

    cable(session)


@pytest.mark.parametrize(("tls", "tls_13"), [(False, False), (True, False)], ids=["TCP", "TLS 1.2"])
def test_it_is_refused_without_mutual_tls_13(
    cable: Callable, files: Path, context: ssl.SSLContext, tmp_path: Path, tls: bool, tls_13: bool
) -> None:
    async def session() -> None:
        async with station(kind=DrivenStation, tls=lambda: context, protocols=ALL) as here:
            end, heard = await charge(
                files, tmp_path, protocols=["ISO_15118_20_AC"], services=["AC"], tls=tls, tls_13=tls_13
            )
            assert end == SessionEnd(Ending.REFUSED, "supportedAppProtocolRes Failed_NoNegotiation"), heard
            assert not here.facts_of(SessionSetUp)

    cable(session)


def test_one_station_serves_iso_15118_2_and_20_on_one_port(
    cable: Callable, files: Path, context: ssl.SSLContext, tmp_path: Path
) -> None:
    async def session() -> None:
        async with station(kind=DrivenStation, tls=lambda: context, protocols=ALL) as here:
            here.change(accepts_contract=False)
            for tls_13, name, spoken in (
                (True, "ISO_15118_20_AC", "ISO 15118-20"),
                (False, "ISO_15118_2", "ISO 15118-2"),
            ):
                end, heard = await charge(files, tmp_path, protocols=[name], services=["AC"], tls=True, tls_13=tls_13)
                assert end.ending is Ending.STOPPED, heard
                await here.until(lambda: len(here.facts_of(V2GEnded)) == 1)
                assert here.facts_of(SessionSetUp)[0].protocol == spoken
                here.facts.clear()
                here.change(authorization=Authorization.PENDING)

    cable(session)


def test_the_station_stops(cable: Callable, files: Path, context: ssl.SSLContext, tmp_path: Path) -> None:
    async def session() -> None:
        async with station(kind=DrivenStation, tls=lambda: context, protocols=ALL) as here:
            here.change(accepts_contract=False)
            asyncio.get_running_loop().call_later(1.2, lambda: here.change(stop=StopReason.OPERATOR))
            end, heard = await charge(
                files, tmp_path, protocols=["ISO_15118_20_AC"], services=["AC"], tls=True, loops=1000
            )
            assert end.ending is Ending.STOPPED, heard
            assert (await here.ended()).reason is EndReason.TERMINATED

    cable(session)


def test_certificate_installation_reaches_the_operator(
    cable: Callable, pki: Pki, files: Path, context: ssl.SSLContext, tmp_path: Path
) -> None:
    """The package's EVCC cannot read the response, whatever it is; its request is what counts."""

    async def session() -> None:
        async with station(kind=DrivenStation, tls=lambda: context, protocols=ALL) as here:
            here.change(offers_certificates=True)
            wish = asyncio.create_task(
                charge(
                    files,
                    tmp_path,
                    protocols=["ISO_15118_20_AC"],
                    services=["AC"],
                    tls=True,
                    isCertInstallNeeded=True,
                )
            )
            await here.until(lambda: bool(here.facts_of(CertificateRequested)), 5.0)
            (asked,) = here.facts_of(CertificateRequested)
            assert (asked.action, asked.schema) == (CertificateAction.INSTALL, Namespace.ISO_20_COMMON)
            request = decode(Namespace.ISO_20_COMMON, asked.exi_request)["CertificateInstallationReq"]
            assert request["OEMProvisioningCertificateChain"]["Certificate"] == pki.oem.der
            wish.cancel()
            await asyncio.gather(wish, return_exceptions=True)

    cable(session)
