"""The iso15118 package's EVCC over ISO 15118-2 wherever its own SECC completes: AC and DC, card and contract."""

from pathlib import Path

import pytest

from certs.file import SoftwareKey
from certs.keystore import Origin
from certs.tls.identity import Identity
from certs.tls.vehicle import VehicleContext
from secc.ports import Contract, DcTarget, EndReason, PaymentOption, PaymentSelected, PowerWanted, SessionSetUp
from secc.v2g.protocols import ALL
from sim.pki import evcc as evcc_files
from sim.pki.authority import Blank
from sim.pki.pki import EMAID, Pki, build
from sim.vehicle.evcc import Ending
from tests.secc.driven_station import DrivenStation
from tests.secc.package_car import charge
from tests.secc.private_net import run_in_private_net
from tests.secc.support import DC, StubCertificates
from tests.secc.test_secc_server import station

pytestmark = [
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki2"))


@pytest.mark.parametrize("contract", [False, True], ids=["EIM", "PnC"])
@pytest.mark.parametrize("service", ["AC", "DC"])
@pytest.mark.parametrize("tls", [False, True], ids=["TCP", "TLS"])
def test_it_charges_or_is_refused_where_it_may_pay_in_no_way(
    request: pytest.FixtureRequest, pki: Pki, tmp_path: Path, tls: bool, service: str, contract: bool
) -> None:
    if contract and not tls:
        contract, refused = False, True
    else:
        refused = False
    leaf = pki.cpo_sub_ca2.child(Blank("SECCCert", "CPO"))
    identity = Identity(SoftwareKey("secc", leaf.key, Origin.FILE), tuple(leaf.chain_der))
    context = VehicleContext([identity], [], [], vehicle_certificate_required=False)

    async def session() -> None:
        certificates = StubCertificates(Contract(EMAID, "PEM", ()))
        async with station(kind=DrivenStation, tls=lambda: context, protocols=ALL, certificates=certificates) as here:
            here.change(
                dc=DC if service == "DC" else None, accepts_contract=contract, accepts_external_payment=not refused
            )
            end, heard = await charge(
                evcc_files.export_evcc(pki, tmp_path / "evcc"),
                tmp_path,
                protocols=["ISO_15118_2"],
                services=[service],
                tls=tls,
                tls_13=False,
                energyTransferMode="DC_extended" if service == "DC" else "AC_three_phase_core",
            )
            if refused:
                assert end.ending is Ending.REFUSED, heard
                assert not here.facts_of(PowerWanted)
                return
            assert end.ending is Ending.STOPPED, (end, heard)
            assert (await here.ended()).reason is EndReason.TERMINATED
            assert here.facts_of(SessionSetUp)[0].protocol == "ISO 15118-2"
            paid = PaymentOption.CONTRACT if contract else PaymentOption.EXTERNAL_PAYMENT
            assert here.facts_of(PaymentSelected) == [PaymentSelected(paid)]
            assert here.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
            assert bool(here.facts_of(DcTarget)) is (service == "DC")

    run_in_private_net(request.node.nodeid, session)
