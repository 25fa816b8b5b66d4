"""TC_J: meter values. TC_N: logs and customer information."""

import asyncio
import base64
from datetime import datetime
from typing import Any

import pytest

from hal.ocmf import parse
from hal.ocmf_signature import Verdict, verify
from sim.meter.ocmf import OcmfMeter

CARD = "04AABBCC"


async def sampling(site: Any) -> asyncio.Task[None]:
    """The board gives readings all the time."""

    async def run() -> None:
        while True:
            for board in site.boards.values():
                board.sample()
            await asyncio.sleep(0.1)

    return asyncio.get_running_loop().create_task(run())


def contexts(event: dict[str, Any]) -> set[str]:
    return {s["context"] for value in event.get("meterValue", ()) for s in value["sampledValue"]}


def told(event: dict[str, Any]) -> set[str]:
    return {s["measurand"] for value in event.get("meterValue", ()) for s in value["sampledValue"]}


async def test_tc_j_01(running: Any) -> None:
    """Clock-aligned values without a transaction, at multiples of the interval."""
    reading = await sampling(running)
    await running.configure(AlignedDataCtrlr_Interval="1")
    values = await running.csms.until_received("MeterValues", 2)
    reading.cancel()
    assert {s["context"] for s in values["meterValue"][0]["sampledValue"]} == {"Sample.Clock"}
    taken = datetime.fromisoformat(values["meterValue"][0]["timestamp"])
    assert taken.microsecond > 500_000 or taken.microsecond < 300_000


async def test_tc_j_02(running: Any) -> None:
    """Clock-aligned values within a transaction."""
    await running.charge()
    reading = await sampling(running)
    await running.configure(AlignedDataCtrlr_Interval="1")
    event = await running.event("Updated", triggerReason="MeterValueClock")
    reading.cancel()
    assert contexts(event) == {"Sample.Clock"}
    assert running.csms.received("MeterValues") == []


async def test_tc_j_03(running: Any) -> None:
    """Clock-aligned values of the whole transaction in Ended (AlignedDataCtrlr.TxEndedInterval)."""
    await running.configure(
        AlignedDataCtrlr_TxEndedMeasurands="Voltage",
        AlignedDataCtrlr_TxEndedInterval="1",
        SampledDataCtrlr_TxEndedMeasurands="",
    )
    await running.charge()
    reading = await sampling(running)
    await running.settle(2.3)
    reading.cancel()
    running.board.unplug()
    ended = await running.event("Ended")
    assert told(ended) == {"Voltage"}
    assert contexts(ended) == {"Sample.Clock"}
    stamps = [value["timestamp"] for value in ended["meterValue"]]
    assert len(stamps) >= 2
    assert stamps == sorted(stamps)
    assert all(event["triggerReason"] != "MeterValueClock" for event in running.events)


def records(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The SignedMeterValueType of each sampled value that has one."""
    samples = [sample for value in event.get("meterValue", ()) for sample in value["sampledValue"]]
    return [sample["signedMeterValue"] for sample in samples if "signedMeterValue" in sample]


def verdict(record: dict[str, Any], key: str) -> Verdict:
    assert record["encodingMethod"] == "OCMF"
    return verify(parse(base64.b64decode(record["signedMeterData"]).decode()), key)


def key_in(record: dict[str, Any]) -> str:
    """The public key as the application note on signed values writes it; empty for none."""
    return base64.b64decode(record["publicKey"]).decode().removeprefix("oca:base16:asn1:")


async def signing(site: Any, **variables: str) -> str:
    """Starts with a meter that signs each reading; its public key."""
    await site.start(signs=True)
    await site.configure(**variables)
    site.board.signing = OcmfMeter()
    key: str = site.board.signing.public_key
    return key


async def test_tc_j_04(site: Any) -> None:
    """Clock-aligned values signed (AlignedDataCtrlr.SignReadings), beside a transaction and within it."""
    key = await signing(
        site,
        AlignedDataCtrlr_SignReadings="true",
        SampledDataCtrlr_SignReadings="false",
        OCPPCommCtrlr_PublicKeyWithSignedMeterValue="EveryMeterValue",
    )
    reading = await sampling(site)
    await site.configure(AlignedDataCtrlr_Interval="1")
    beside = await site.csms.until_received("MeterValues")
    assert [verdict(record, key) for record in records(beside)] == [Verdict.VALID]
    await site.charge()
    within = await site.event("Updated", triggerReason="MeterValueClock")
    reading.cancel()
    assert [(verdict(record, key), key_in(record)) for record in records(within)] == [(Verdict.VALID, key)]
    assert all(not records(event) for event in site.events if event["triggerReason"] != "MeterValueClock")


@pytest.mark.parametrize("rule", ["Never", "OncePerTransaction", "EveryMeterValue"])
async def test_tc_j_11(site: Any, rule: str) -> None:
    """Sampled values signed in Started, Updated and Ended; the public key as PublicKeyWithSignedMeterValue says."""
    key = await signing(site, SampledDataCtrlr_TxUpdatedInterval="1", OCPPCommCtrlr_PublicKeyWithSignedMeterValue=rule)
    transaction_id = await site.charge()
    reading = await sampling(site)
    await site.event("Updated", triggerReason="MeterValuePeriodic")
    reading.cancel()
    site.board.unplug()
    await site.event("Ended")
    events = site.whole(transaction_id)
    signed = [record for event in events for record in records(event)]
    assert {event["eventType"] for event in events if records(event)} == {"Started", "Updated", "Ended"}
    assert {verdict(record, key) for record in signed} == {Verdict.VALID}
    keys = [key_in(record) for record in signed]
    told = {"Never": 0, "OncePerTransaction": 1, "EveryMeterValue": len(keys)}[rule]
    assert keys == [key] * told + [""] * (len(keys) - told)


async def test_a_signed_value_that_was_altered_on_the_way_shows(site: Any) -> None:
    key = await signing(site)
    await site.charge()
    record = records(await site.event("Started"))[0]
    data = base64.b64decode(record["signedMeterData"]).decode()
    altered = base64.b64encode(data.replace('"RV":1.0', '"RV":0.9').encode()).decode()
    assert verdict(record, key) is Verdict.VALID
    assert verdict(record | {"signedMeterData": altered}, key) is Verdict.TAMPERED


async def test_a_record_too_long_for_the_message_is_left_out_whole(site: Any, caplog: Any) -> None:
    await signing(site)
    site.board.signing = OcmfMeter("S" * 2000)
    await site.charge()
    started = await site.event("Started")
    assert records(started) == []
    assert told(started) == {"Energy.Active.Import.Register"}
    assert "too long for OCPP: OCMF|" in caplog.text


async def test_with_a_signing_meter_energy_is_too_late_for_a_start(site: Any) -> None:
    await signing(site)
    assert await site.set("TxCtrlr", "TxStartPoint", "EnergyTransfer") == "Rejected"
    assert await site.set("TxCtrlr", "TxStartPoint", "EVConnected") == "Accepted"


async def test_signing_can_be_switched_off_and_is_not_there_without_a_signing_meter(site: Any) -> None:
    await signing(site, SampledDataCtrlr_SignReadings="false")
    await site.charge()
    assert records(await site.event("Started")) == []
    await site.power_off()
    await site.start(signs=False)
    assert (await site.get("SampledDataCtrlr", "SignReadings"))["attributeStatus"] == "UnknownVariable"


async def test_tc_j_06(running: Any) -> None:
    """SendDuringIdle: no clock-aligned values during a transaction."""
    await running.charge()
    await running.configure(AlignedDataCtrlr_SendDuringIdle="true", AlignedDataCtrlr_Interval="1")
    reading = await sampling(running)
    await running.settle(1.3)
    reading.cancel()
    assert running.csms.received("MeterValues") == []
    assert all(event["triggerReason"] != "MeterValueClock" for event in running.events)


async def test_tc_j_07(running: Any) -> None:
    """Started holds the measurands of TxStartedMeasurands."""
    await running.configure(SampledDataCtrlr_TxStartedMeasurands="Energy.Active.Import.Register,Voltage")
    running.board.plug()
    running.board.swipe()
    started = await running.event("Started")
    assert told(started) == {"Energy.Active.Import.Register", "Voltage"}
    assert contexts(started) == {"Transaction.Begin"}


async def test_tc_j_09(running: Any) -> None:
    """Updated at TxUpdatedInterval holds the measurands of TxUpdatedMeasurands."""
    await running.configure(
        SampledDataCtrlr_TxUpdatedInterval="1", SampledDataCtrlr_TxUpdatedMeasurands="Power.Active.Import"
    )
    await running.charge()
    reading = await sampling(running)
    updated = await running.event("Updated", triggerReason="MeterValuePeriodic")
    reading.cancel()
    assert told(updated) == {"Power.Active.Import"}
    assert contexts(updated) == {"Sample.Periodic"}


async def test_tc_j_10(running: Any) -> None:
    """Ended holds the measurands of TxEndedMeasurands: of the beginning, of every TxEndedInterval, and of the end."""
    await running.configure(
        SampledDataCtrlr_TxEndedMeasurands="Energy.Active.Import.Register,Current.Import",
        SampledDataCtrlr_TxEndedInterval="1",
    )
    await running.charge()
    reading = await sampling(running)
    await running.settle(1.3)
    reading.cancel()
    running.board.unplug()
    ended = await running.event("Ended")
    assert told(ended) == {"Energy.Active.Import.Register", "Current.Import"}
    assert contexts(ended) == {"Transaction.Begin", "Sample.Periodic", "Transaction.End"}


async def test_what_was_kept_for_the_end_survives_a_power_cut(running: Any) -> None:
    await running.configure(SampledDataCtrlr_TxEndedInterval="1")
    await running.charge()
    reading = await sampling(running)
    await running.settle(1.3)
    reading.cancel()
    await running.power_off()
    await running.start()
    ended = await running.event("Ended", stoppedReason="PowerLoss")
    assert contexts(ended) == {"Transaction.Begin", "Sample.Periodic", "Transaction.End"}


# --- N ---


async def customer(site: Any, request_id: int, *, report: bool, clear: bool, **who: Any) -> str:
    answer = await site.call("CustomerInformation", requestId=request_id, report=report, clear=clear, **who)
    status: str = answer["status"]
    return status


KNOWN = {"idToken": {"idToken": CARD, "type": "ISO14443"}}


async def notified(site: Any, count: int = 1) -> str:
    payload = await site.csms.until_received("NotifyCustomerInformation", count)
    data: str = payload["data"]
    return data


async def charged_before(site: Any) -> None:
    await site.charge()
    site.board.unplug()
    await site.event("Ended")
    await site.settle()


async def test_tc_n_27(running: Any) -> None:
    """Customer information that there is."""
    await charged_before(running)
    assert await customer(running, 1, report=True, clear=False, **KNOWN) == "Accepted"
    assert CARD in await notified(running)


async def test_tc_n_28(running: Any) -> None:
    """Customer information that there is not."""
    assert await customer(running, 1, report=True, clear=False, **KNOWN) == "Accepted"
    assert CARD not in await notified(running)


async def test_tc_n_29(running: Any) -> None:
    """Customer information, neither to report nor to clear."""
    assert await customer(running, 1, report=False, clear=False, **KNOWN) == "Rejected"


async def test_tc_n_30(running: Any) -> None:
    """Customer information reported and cleared."""
    await charged_before(running)
    assert await customer(running, 1, report=True, clear=True, **KNOWN) == "Accepted"
    assert CARD in await notified(running)
    await customer(running, 2, report=True, clear=False, **KNOWN)
    assert CARD not in await notified(running, 2)


async def test_tc_n_31(running: Any) -> None:
    """Customer information to clear and report, and there is none."""
    assert await customer(running, 1, report=True, clear=True, **KNOWN) == "Accepted"
    assert CARD not in await notified(running)


async def test_tc_n_32(running: Any) -> None:
    """Customer information cleared without a report."""
    await charged_before(running)
    assert await customer(running, 1, report=False, clear=True, **KNOWN) == "Accepted"
    assert await notified(running) == ""
    await customer(running, 2, report=True, clear=False, **KNOWN)
    assert CARD not in await notified(running, 2)


async def test_tc_n_62(running: Any) -> None:
    """Customer information by an identifier of which the station keeps nothing."""
    assert await customer(running, 1, report=False, clear=True, customerIdentifier="somebody") == "Accepted"
    assert await notified(running) == ""


class Diagnostics:
    async def collect(self, oldest: datetime | None, latest: datetime | None) -> bytes:
        return b"what happened"


class FileServer:
    """Takes one PUT after another; `refuse` answers 503, `hold` waits."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.refuse = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(next(line for line in head.lower().split(b"\r\n") if b"content-length" in line).split(b":")[1])
        body = await reader.readexactly(length)
        await self.hold.wait()
        if not self.refuse:
            self.files.append(body)
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % (503 if self.refuse else 200))
        await writer.drain()
        writer.close()


@pytest.fixture
async def files() -> Any:
    server = FileServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        yield server, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"


async def get_log(site: Any, url: str, request_id: int, kind: str = "DiagnosticsLog", **more: Any) -> str:
    answer = await site.call("GetLog", logType=kind, requestId=request_id, log={"remoteLocation": url}, **more)
    status: str = answer["status"]
    return status


async def log_status(site: Any, status: str, request_id: int) -> None:
    def found() -> bool:
        return any(
            (told["status"], told.get("requestId")) == (status, request_id)
            for told in site.csms.received("LogStatusNotification")
        )

    await site.csms.until(found)


async def test_tc_n_25(site: Any, files: Any) -> None:
    """Diagnostics uploaded."""
    server, url = files
    site.station_options["logs"] = Diagnostics()
    await site.start()
    assert await get_log(site, url, 4) == "Accepted"
    await log_status(site, "Uploading", 4)
    await log_status(site, "Uploaded", 4)
    assert server.files == [b"what happened"]


async def test_tc_n_26(site: Any, files: Any) -> None:
    """Diagnostics that cannot be uploaded."""
    server, url = files
    server.refuse = True
    site.station_options["logs"] = Diagnostics()
    await site.start()
    assert await get_log(site, url, 4, retries=1, retryInterval=0) == "Accepted"
    await log_status(site, "UploadFailure", 4)


async def test_tc_n_34(site: Any) -> None:
    """A log the station does not have."""
    await site.start()
    assert await get_log(site, "http://127.0.0.1:9/", 4) == "Rejected"


async def test_tc_n_35(running: Any, files: Any) -> None:
    """The security log uploaded."""
    server, url = files
    await running.csms.until_security_event("StartupOfTheDevice")
    assert await get_log(running, url, 4, "SecurityLog") == "Accepted"
    await log_status(running, "Uploaded", 4)
    assert b"StartupOfTheDevice" in server.files[0]


async def test_tc_n_36(site: Any, files: Any) -> None:
    """A second request takes the place of the first."""
    server, url = files
    server.hold.clear()
    site.station_options["logs"] = Diagnostics()
    await site.start()
    assert await get_log(site, url, 4) == "Accepted"
    await log_status(site, "Uploading", 4)
    assert await get_log(site, url, 5) == "AcceptedCanceled"
    await log_status(site, "AcceptedCanceled", 4)
    server.hold.set()
    await log_status(site, "Uploaded", 5)


async def test_tc_f_16(site: Any, files: Any) -> None:
    """Trigger LogStatusNotification during an upload."""
    server, url = files
    server.hold.clear()
    site.station_options["logs"] = Diagnostics()
    await site.start()
    await get_log(site, url, 4)
    await log_status(site, "Uploading", 4)
    answer = await site.call("TriggerMessage", requestedMessage="LogStatusNotification")
    assert answer["status"] == "Accepted"
    told = await site.csms.until_received("LogStatusNotification", 2)
    assert told == {"status": "Uploading", "requestId": 4}
    server.hold.set()
    await log_status(site, "Uploaded", 4)
