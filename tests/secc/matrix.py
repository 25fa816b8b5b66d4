"""Every protocol x energy service x payment x control mode over a real cable, and the phases' times in a table.

`make vehicles` prints the table. The station's own waits are short: 20 ms for a contactor, 0.1 s for an insulation test
or an operator's word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from secc.ports import CertificateAnswer, CertificateRequested, DcView, SeccFact
from sim.ev.link import Exchange, Outcome
from sim.ev.wishes import Extra, Service, Speaks
from sim.pki.cps import install
from sim.pki.pki import Pki
from tests.secc.driven_station import DrivenStation
from tests.secc.support import DC

DC_BOTH_WAYS: DcView = replace(DC, max_discharge_current_a=50.0, max_discharge_power_w=20_000.0)
INSTALLED_EMAID = "DEEVSC0000002Y"


@dataclass(frozen=True, slots=True)
class Run:
    speaks: Speaks
    service: Service
    contract: bool = False
    dynamic: bool = False
    tls: bool = True
    extras: frozenset[Extra] = frozenset()

    @property
    def name(self) -> str:
        payment = "PnC" if self.contract else "EIM"
        parts = [self.speaks.removeprefix("ISO 15118").removesuffix(" SPEC 70121"), self.service, payment]
        if self.speaks is Speaks.ISO_20:
            parts.append("dynamic" if self.dynamic else "scheduled")
        parts.append("TLS" if self.tls else "TCP")
        return " ".join([*parts, *sorted(extra.name.lower() for extra in self.extras)])


def _extra(speaks: Speaks, service: Service, *extras: Extra, contract: bool = True, dynamic: bool = False) -> Run:
    return Run(speaks, service, contract, dynamic, extras=frozenset(extras))


PLAIN = [
    Run(Speaks.DIN, Service.DC, tls=False),
    *[Run(Speaks.ISO_2, service, tls=tls) for service in (Service.AC, Service.DC) for tls in (False, True)],
    *[Run(Speaks.ISO_2, service, contract=True) for service in (Service.AC, Service.DC)],
    *[
        Run(Speaks.ISO_20, service, contract, dynamic)
        for service in Service
        for contract in (False, True)
        for dynamic in (False, True)
    ],
]
BEYOND = [
    _extra(Speaks.ISO_2, Service.AC, Extra.INSTALL),
    _extra(Speaks.ISO_2, Service.AC, Extra.RENEGOTIATE),
    _extra(Speaks.ISO_2, Service.DC, Extra.RENEGOTIATE),
    _extra(Speaks.ISO_2, Service.AC, Extra.RECEIPTS),
    _extra(Speaks.ISO_20, Service.AC, Extra.INSTALL),
    _extra(Speaks.ISO_20, Service.AC, Extra.RENEGOTIATE),
    _extra(Speaks.ISO_20, Service.DC, Extra.RENEGOTIATE),
    _extra(Speaks.ISO_20, Service.AC, Extra.SERVICE_RENEGOTIATION),
    _extra(Speaks.ISO_20, Service.DC, Extra.SERVICE_RENEGOTIATION),
    _extra(Speaks.ISO_20, Service.AC, Extra.STANDBY),
    _extra(Speaks.ISO_20, Service.DC, Extra.STANDBY),
    _extra(Speaks.ISO_20, Service.AC, Extra.RECEIPTS),
    _extra(Speaks.ISO_20, Service.DC_BPT, Extra.DISCHARGE),
    _extra(Speaks.ISO_20, Service.AC_BPT, Extra.DISCHARGE, dynamic=True),
    _extra(Speaks.ISO_20, Service.DC, Extra.NEEDS_BY_STATION, contract=False, dynamic=True),
]


class ProvidingStation(DrivenStation):
    """Has a certificate provisioning service behind it."""

    pki: Pki

    def _report(self, fact: SeccFact) -> None:
        super()._report(fact)
        if isinstance(fact, CertificateRequested):
            issued = install(self.pki, INSTALLED_EMAID, fact.exi_request, fact.schema)
            self.change(certificate_answer=CertificateAnswer(fact.request_id, issued.exi))


PHASES: dict[str, Sequence[str]] = {
    "set up": ("supportedAppProtocolReq", "SessionSetupReq"),
    "pay": (
        "ServiceDiscoveryReq",
        "ServicePaymentSelectionReq",
        "PaymentServiceSelectionReq",
        "CertificateInstallationReq",
        "PaymentDetailsReq",
        "ContractAuthenticationReq",
        "AuthorizationSetupReq",
        "AuthorizationReq",
        "ServiceDetailReq",
        "ServiceSelectionReq",
    ),
    "plan": (
        "ChargeParameterDiscoveryReq",
        "AC_ChargeParameterDiscoveryReq",
        "DC_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
    ),
    "cable": ("CableCheckReq", "DC_CableCheckReq"),
    "match": ("PreChargeReq", "DC_PreChargeReq"),
    "power": ("PowerDeliveryReq",),
    "stop": ("WeldingDetectionReq", "DC_WeldingDetectionReq", "SessionStopReq"),
}
LOOPS = ("ChargingStatusReq", "CurrentDemandReq", "AC_ChargeLoopReq", "DC_ChargeLoopReq")


def table(done: Sequence[tuple[Run, Outcome]]) -> str:
    """Milliseconds. `loop` is the median of a turn; `first` is from SDP to the first turn's response."""
    lines = [f"{'run':52}{'tls':>6}" + "".join(f"{phase:>8}" for phase in PHASES) + f"{'loop':>8}{'first':>8}"]
    for run, outcome in done:
        lines.append(f"{run.name:52}" + "".join(f"{value:>{width}.1f}" for value, width in _row(outcome)))
    return "\n".join(lines)


def _row(outcome: Outcome) -> list[tuple[float, int]]:
    spent = [
        sum(_ms(exchange) for exchange in outcome.exchanges if exchange.name in names) for names in PHASES.values()
    ]
    loops = [exchange for exchange in outcome.exchanges if exchange.name in LOOPS]
    first_s = loops[0].answered_s - outcome.began_s
    connecting_s = outcome.connected_s - outcome.began_s
    values = [*spent, median(_ms(exchange) for exchange in loops), first_s * 1000]
    return [(connecting_s * 1000, 6), *((value, 8) for value in values)]


def _ms(exchange: Exchange) -> float:
    return (exchange.answered_s - exchange.sent_s) * 1000
