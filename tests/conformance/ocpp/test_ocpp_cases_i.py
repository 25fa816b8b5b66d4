"""TC_I: tariff and cost, as the driver is shown them."""

from typing import Any

CARD = "04AABBCC"


def greeted(site: Any, text: str, language: str) -> None:
    """The CSMS tells CARD's driver a tariff."""
    info = {
        "status": "Accepted",
        "language1": language,
        "personalMessage": {"format": "UTF8", "content": text, "language": language},
    }
    site.csms.behaviour.answers["Authorize"] = {"idTokenInfo": info}


async def test_tc_i_01(running: Any) -> None:
    """Running cost by CostUpdated, in the driver's language"""
    greeted(running, "0,55 EUR je kWh", "de-DE")
    transaction_id = await running.charge()
    assert running.told() == ["0,55 EUR je kWh"]
    for cost, shown in ((1.5, "Kosten bisher: 1.50 EUR"), (3.456, "Kosten bisher: 3.46 EUR")):
        assert await running.call("CostUpdated", transactionId=transaction_id, totalCost=cost) == {}
        await running.until(lambda shown=shown: running.told() == ["0,55 EUR je kWh", shown])


async def test_tc_i_02(running: Any) -> None:
    """The total at the end of the transaction"""
    await running.charge()
    running.csms.behaviour.answers["TransactionEvent"] = {"totalCost": 5.25}
    running.board.unplug()
    await running.event("Ended")
    await running.until(lambda: running.told() == ["Total cost: 5.25 EUR"])
    running.board.plug()
    running.board.swipe()
    await running.until(lambda: running.told() != ["Total cost: 5.25 EUR"])


async def test_tc_i_07(running: Any) -> None:
    """Running cost in the answers to TransactionEvents"""
    await running.configure(TariffCostCtrlr_Currency="SEK")
    await running.charge()
    running.csms.behaviour.answers["TransactionEvent"] = {"totalCost": 2}
    running.board.stop_drawing()
    await running.event("Updated", chargingState="SuspendedEV")
    await running.until(lambda: running.told() == ["Cost so far: 2.00 SEK"])


async def test_the_fallback_tariff_and_the_fallback_total(running: Any) -> None:
    await running.configure(
        TariffCostCtrlr_TariffFallbackMessage="0.79 EUR/kWh", TariffCostCtrlr_TotalCostFallbackMessage="See your bill"
    )
    await running.charge()
    assert running.told() == ["0.79 EUR/kWh"]
    await running.go_offline()
    running.board.unplug()
    await running.until(lambda: running.told() == ["See your bill"])
    running.csms.behaviour.answers["TransactionEvent"] = {"totalCost": 4}
    await running.come_back()
    await running.until(lambda: running.told() == ["Total cost: 4.00 EUR"])


async def test_another_tariff_while_it_charges(running: Any) -> None:
    greeted(running, "0.55 EUR/kWh", "en")
    await running.charge()
    changed = {"updatedPersonalMessage": {"format": "UTF8", "content": "0.65 EUR/kWh from 18:00"}}
    running.csms.behaviour.answers["TransactionEvent"] = changed
    running.board.stop_drawing()
    await running.until(lambda: running.told() == ["0.65 EUR/kWh from 18:00"])


async def test_what_is_switched_off_is_not_shown(running: Any) -> None:
    greeted(running, "0.55 EUR/kWh", "en")
    transaction_id = await running.charge()
    await running.call("CostUpdated", transactionId=transaction_id, totalCost=1.0)
    await running.until(lambda: len(running.told()) == 2)
    assert await running.set("TariffCostCtrlr", "Enabled", "false", instance="Cost") == "Accepted"
    await running.until(lambda: running.told() == ["0.55 EUR/kWh"])
    assert await running.set("TariffCostCtrlr", "Enabled", "false", instance="Tariff") == "Accepted"
    await running.until(lambda: running.told() == [])


async def test_the_costs_of_nobody_and_rubbish_change_nothing(running: Any) -> None:
    await running.charge()
    assert await running.call("CostUpdated", transactionId="nobody", totalCost=9) == {}
    running.csms.behaviour.answers["TransactionEvent"] = {"totalCost": "dear", "updatedPersonalMessage": 7}
    running.board.stop_drawing()
    await running.event("Updated", chargingState="SuspendedEV")
    await running.settle()
    assert running.told() == []
    assert await running.set("TariffCostCtrlr", "Currency", "euro") == "Rejected"
