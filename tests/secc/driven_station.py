"""A station around the server that does by itself what firmware and its hardware would."""

import asyncio
from dataclasses import replace

from secc.ports import (
    Authorization,
    CableCheckWanted,
    ContractPresented,
    DcTarget,
    Insulation,
    PaymentOption,
    PaymentSelected,
    PowerWanted,
    SeccFact,
)
from tests.secc.test_secc_server import Station


class DrivenStation(Station):
    """Does what firmware and its hardware would: contactor, insulation test, output voltage, the operator's yes."""

    verdict = Authorization.ACCEPTED

    def _report(self, fact: SeccFact) -> None:
        super()._report(fact)
        loop = asyncio.get_running_loop()
        match fact:
            case PowerWanted(wanted):
                loop.call_later(0.02, lambda: self.change(contactor_closed=wanted))
            case ContractPresented(contract):
                word = {"authorization": self.verdict, "authorization_of": contract.emaid}
                loop.call_later(0.1, lambda: self.change(**word))
            case PaymentSelected(PaymentOption.EXTERNAL_PAYMENT):
                loop.call_later(0.1, lambda: self.change(authorization=self.verdict))
            case CableCheckWanted(check_id, _):
                done = {"cable_check_id": check_id, "cable_check": Insulation.VALID}
                loop.call_later(0.1, lambda: self.output(**done))
            case DcTarget(voltage_v, current_a):
                loop.call_soon(lambda: self.output(present_voltage_v=voltage_v, present_current_a=current_a))

    def output(self, **changes: object) -> None:
        self.change(dc=replace(self.view.dc, **changes))


class RefusingStation(DrivenStation):
    verdict = Authorization.REJECTED
