"""What users of other stations complain about, each as a question to this one."""

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hal.ports import Fault, Severity
from ocpp_client.ports import AuthorizationStatus, IdToken
from ocpp_client.security_log import SecurityLog, chain_breaks
from sim.csms.server import Csms

CARD = "04AABBCC"


async def test_events_of_a_time_offline_are_neither_lost_nor_orphaned(running: Any) -> None:
    """Offline messages lost, results unmatched after a reconnect."""
    transaction_id = await running.charge()
    running.csms.behaviour.drop_on.add("TransactionEvent")
    running.board.stop_drawing()
    await running.csms.until(lambda: sum(event.action == "#disconnected" for event in running.csms.events) >= 2)
    running.csms.behaviour.drop_on.clear()
    running.board.draw()
    running.board.unplug()
    await running.event("Ended")
    assert running.whole(transaction_id)[-1]["eventType"] == "Ended"


async def test_a_start_offline_survives_a_power_cut(running: Any) -> None:
    """The start of an offline transaction lost on reset, only its stop sent."""
    await running.configure(AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    await running.go_offline()
    running.board.plug()
    running.board.swipe()
    await running.until(lambda: running.evses[1].transaction_id != "")
    await running.power_off()
    running.boards.clear()
    await running.csms.start()
    await running.start()
    ended = await running.event("Ended", stoppedReason="PowerLoss")
    kinds = [event["eventType"] for event in running.whole(ended["transactionInfo"]["transactionId"])]
    assert kinds == ["Started", "Ended"]


async def test_a_transaction_cut_by_a_power_loss_is_closed_and_the_next_one_can_start(running: Any) -> None:
    """What becomes of a transaction after a power loss; a station that fails to start with the vehicle still there."""
    await running.charge()
    await running.power_off()
    await running.start()
    await running.event("Ended", stoppedReason="PowerLoss")
    running.board.swipe()
    running.board.draw()
    await running.csms.until(lambda: sum(event["eventType"] == "Started" for event in running.events) == 2)


async def test_what_was_delivered_is_not_sent_again_after_a_restart(running: Any) -> None:
    """Events sent twice after a reboot."""
    await running.charge()
    running.board.unplug()
    await running.event("Ended")
    await running.settle()
    await running.power_off()
    told = len(running.events)
    await running.start()
    await running.settle(0.2)
    assert len(running.events) == told


async def test_a_csms_that_hangs_is_left_and_found_again(site: Any) -> None:
    """No reconnect after a missing pong; half-open for ever."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        port = deaf.getsockname()[1]
        async with Csms() as real:

            async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(65536):
                    if not frozen.is_set():
                        writer.write(data)

            frozen = asyncio.Event()
            tasks: list[asyncio.Task[None]] = []
            writers: list[asyncio.StreamWriter] = []

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                there = await asyncio.open_connection("127.0.0.1", real.port)
                writers.extend((writer, there[1]))
                tasks.append(asyncio.create_task(pipe(reader, there[1])))
                tasks.append(asyncio.create_task(pipe(there[0], writer)))

            deaf.close()
            async with await asyncio.start_server(relay, "127.0.0.1", port):
                await site.start(url=f"ws://127.0.0.1:{port}", web_socket_ping_s=1)
                frozen.set()
                begun_s = asyncio.get_running_loop().time()
                await site.until(lambda: not site.station.online, 10)
                assert asyncio.get_running_loop().time() - begun_s < 1 + 1 + 1 + 1
                frozen.clear()
                await site.until(lambda: site.station.online)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await site.power_off()
                for writer in writers:
                    writer.transport.abort()
                await site.settle()


async def test_offline_charging_needs_no_pre_authorization(running: Any) -> None:
    """Offline transactions only with LocalPreAuthorize; a transaction id of -1."""
    await running.configure(AuthCtrlr_LocalPreAuthorize="false")
    await running.charge()
    running.board.unplug()
    await running.event("Ended")
    running.csms.events.clear()
    await running.go_offline()
    running.board.plug()
    running.board.swipe()
    await running.until(lambda: running.evses[1].in_transaction)
    await running.come_back()
    started = await running.event("Started", offline=True)
    assert len(started["transactionInfo"]["transactionId"]) == 36


async def test_security_events_wait_for_the_registration(site: Any) -> None:
    """Security events sent before BootNotification is accepted."""
    site.csms.answers.policy.registration = ["Pending", "Accepted"]
    site.csms.answers.policy.boot_interval_s = 1
    await site.start(wait=False)
    await site.csms.until_security_event("StartupOfTheDevice")
    actions = [event.action for event in site.csms.events if not event.action.startswith("#")]
    assert actions.index("SecurityEventNotification") > 1
    assert actions[:2] == ["BootNotification", "BootNotification"]


async def test_no_event_is_of_1970(site: Any) -> None:
    """Timestamps of 1970 from a station that learns the time late."""
    awake = datetime.now(UTC)
    site.station_options["system_time"] = lambda: datetime(1970, 1, 1, tzinfo=UTC) + (datetime.now(UTC) - awake)
    site.csms.answers.policy.registration = ["Pending", "Accepted"]
    site.csms.answers.policy.boot_interval_s = 1
    await site.start(wait=False)
    site.board.fault(Fault.HIGH_TEMPERATURE, Severity.WARNING)
    notice = await site.csms.until_received("NotifyEvent")
    stamps = (notice["generatedAt"], notice["eventData"][0]["timestamp"])
    assert all(datetime.now(UTC) - datetime.fromisoformat(stamp) < timedelta(minutes=1) for stamp in stamps)


async def test_a_new_network_profile_waits_for_the_restart_and_leads_back(running: Any) -> None:
    """Network profiles taken too early, or without a way back."""
    async with Csms() as gone:
        url = gone.url
    connection = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": 1,
        "ocppInterface": "Wired0",
    }
    await running.call("SetNetworkProfile", configurationSlot=2, connectionData=connection)
    await running.set("OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1")
    running.csms.drop()
    await running.settle(0.2)
    assert running.station.online, "still with the old CSMS"
    await running.call("Reset", type="OnIdle")
    await running.csms.until_received("BootNotification", 2)


async def test_many_writers_do_not_lock_the_journal(site: Any) -> None:
    """ "Database is locked"."""
    await site.start(evse_count=4)
    await asyncio.gather(*(site.charge(f"04AA{number:02}", number) for number in range(1, 5)))
    for _ in range(20):
        for board in site.boards.values():
            board.sample()
        site.station.security_event("StartupOfTheDevice")
    for board in site.boards.values():
        board.unplug()
    await site.csms.until(lambda: sum(event["eventType"] == "Ended" for event in site.events) == 4)
    assert site.station.counts.get("not written", 0) == 0


async def test_a_composite_schedule_of_stacked_profiles(running: Any) -> None:
    """A composite schedule that is wrong."""
    transaction_id = await running.charge()

    def profile(number: int, level: int, limit: float, **more: Any) -> dict[str, Any]:
        periods = [{"startPeriod": 0, "limit": limit}]
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods, **more}
        return {
            "id": number,
            "stackLevel": level,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "transactionId": transaction_id,
            "chargingSchedule": [schedule],
        }

    for made in (profile(1, 0, 10.0), profile(2, 1, 20.0, duration=300)):
        answer = await running.call("SetChargingProfile", evseId=1, chargingProfile=made)
        assert answer["status"] == "Accepted"
    answer = await running.call("GetCompositeSchedule", evseId=1, duration=600, chargingRateUnit="A")
    periods = answer["schedule"]["chargingSchedulePeriod"]
    assert [period["limit"] for period in periods] == [20.0, 10.0]
    assert 295 <= periods[1]["startPeriod"] <= 300


async def test_a_profile_holds_while_offline(running: Any) -> None:
    """No limit, or none that is safe, while offline."""
    transaction_id = await running.charge()
    made = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "transactionId": transaction_id,
        "chargingSchedule": [
            {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
        ],
    }
    await running.call("SetChargingProfile", evseId=1, chargingProfile=made)
    await running.until(lambda: running.board.limit_a == 8.0)
    await running.go_offline()
    await running.settle()
    assert running.board.limit_a == 8.0


async def test_every_event_names_its_reason_and_its_connector(running: Any) -> None:
    """TransactionEvents without triggerReason, evse.connectorId, seqNo or the offline flag."""
    await running.charge()
    running.board.unplug()
    await running.event("Ended")
    for event in running.events:
        assert event["triggerReason"]
        assert event["evse"] == {"id": 1, "connectorId": 1}
        assert {"seqNo", "offline"} <= event.keys()


@pytest.mark.parametrize("offered", [("ocpp1.6",), ()])
async def test_a_csms_of_another_version_is_left_and_wedges_nothing(site: Any, offered: tuple[str, ...]) -> None:
    """A station wedged between versions of the protocol."""
    async with Csms(subprotocols=offered) as other:
        await site.start(wait=False, url=other.url)
        await site.settle(0.2)
        assert not site.station.online
        assert other.received("BootNotification") == []
        site.board.plug()
        site.board.swipe()
        await site.settle()
        await site.power_off()


async def test_whom_the_station_trusts_is_not_changed_unnoticed(site: Any) -> None:
    """Certificates changed over a link without TLS: by security profile 1 too, each change is told and logged."""
    site.station_options["certificates"] = Trusting()
    await site.start()
    await site.call("InstallCertificate", certificateType="CSMSRootCertificate", certificate="PEM")
    event = await site.csms.until_security_event("ReconfigurationOfSecurityParameters")
    assert event["techInfo"] == "CSMSRootCertificate installed"
    await site.settle()
    log = SecurityLog(site.journal)
    await log.open()
    lines = (await log.read(None, None)).decode().splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "StartupOfTheDevice",
        "ReconfigurationOfSecurityParameters",
    ]
    assert chain_breaks(lines) == []


class Trusting:
    """A certificate store that takes whatever comes."""

    async def install(self, kind: str, certificate_pem: str) -> str:
        return "Accepted"

    async def candidate(self) -> None:
        return None


async def test_a_contract_without_ocsp_data_is_asked_about_by_its_certificate(running: Any) -> None:
    """Contract certificates rejected because they name no OCSP responder."""
    running.csms.answers.policy.require_ocsp = False
    answer = await running.station.authorize(IdToken("DEEVSC0000001X", "eMAID"), "-----BEGIN CERTIFICATE-----", ())
    assert answer.status is AuthorizationStatus.ACCEPTED
    asked = running.csms.received("Authorize")[0]
    assert "iso15118CertificateHashData" not in asked
    assert asked["certificate"].startswith("-----BEGIN")


async def test_a_name_that_is_not_resolved_is_tried_again(site: Any) -> None:
    """A DNS server that is away for a while costs the link for as long, and no more."""
    await site.start(wait=False, url="ws://no-such-host.invalid")
    await site.until(lambda: site.station.counts.get("connect failed", 0) >= 2)
    await site.power_off()
    await site.start(url=site.csms.url)
