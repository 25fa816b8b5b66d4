"""Each method's answer on a station of one EVSE, asked over its socket."""

import logging
import time
from datetime import UTC, datetime

import pytest

from certs.store import CertificateStore
from firmware.control import methods as methods_module
from firmware.control.methods import METHODS
from firmware.control.params import Param, checked
from firmware.control.rpc import Code, RpcError
from firmware.control.sources import Certificates
from hal import ports as hal
from hal.plc.link import GreenPhyLink
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from secc.schedules import ProfilePeriod, ScheduleSelected
from tests.firmware.control_bench import bench, certificate, charges, connected


async def test_status_of_an_idle_station() -> None:
    async with bench() as made, connected(made.path) as line:
        told = await line.result("Station.Status")
        (evse,) = told["evses"]
        assert (evse["evse"], evse["evse_id"], evse["connector_status"]) == (1, "DE*EVS*E0001", "Available")
        assert evse["board"]["cp"] == "A"
        assert evse["limits"] == {
            "offer_a": 32.0,
            "lowest": "board",
            "board_a": 32.0,
            "cable_a": None,
            "profile_a": None,
            "heat_a": None,
            "site_a": None,
            "technician_a": None,
            "start_a": None,
        }
        assert evse["v2g"]["session_id"] is None
        assert evse["transaction"]["open"] is False
        assert told["csms"] == {"url": "wss://csms", "security_profile": 3, "online": True, "queue_length": 0}
        assert [info["use"] for info in told["certificates"]] == ["secc"]
        assert told["certificates"][0]["days_left"] == pytest.approx(365, abs=0.1)
        assert told["tpm"]["manufacturer"] == "IBM"


async def test_status_while_a_vehicle_charges() -> None:
    async with bench() as made, connected(made.path) as line:
        charges(made)
        (evse,) = (await line.result("Station.Status"))["evses"]
        assert evse["board"]["duty_percent"] == 26.67
        assert 0 <= evse["board"]["age_s"] < 5
        assert evse["meter"]["current_a"] == [16.0, 16.0, 16.0]
        assert (evse["limits"]["offer_a"], evse["limits"]["lowest"]) == (16.0, "site")
        assert evse["slac"]["ev_mac"] == "02:00:00:00:00:01"
        assert evse["slac"]["attenuation_db"] == 9.0
        assert evse["v2g"]["session_id"] == "AB12"
        assert evse["authorization"]["id_token"] == "DEABCC12345678"
        assert (evse["transaction"]["transaction_id"], evse["transaction"]["open"]) == ("tx-1234", True)


async def test_status_when_parts_are_silent() -> None:
    async with bench() as made, connected(made.path) as line:
        made.board.levels = made.board.reading = None
        made.csms.is_broken = True
        told = await line.result("Station.Status")
        assert told["csms"]["queue_length"] is None
        assert (told["evses"][0]["board"], told["evses"][0]["meter"]) == (None, None)
        assert await line.error("Ocpp.Queue") == -32003
        made.certificates.is_broken = True
        assert await line.error("Certs.List") == -32003


async def test_an_observer_sees_tokens_masked() -> None:
    async with bench() as made, connected(made.path) as line:
        charges(made)
        assert (await line.result("Control.WhoAmI"))["role"] == "service"
        (connection,) = made.server._connections
        connection.role = methods_module.Role.OBSERVER
        status = await line.result("Station.Status")
        assert status["evses"][0]["authorization"]["id_token"] == "**********5678"
        events = (await line.result("Events.List"))["events"]
        (answer,) = [event for event in events if event["event"] == "AuthorizationAnswered"]
        assert answer["data"]["id_token"] == "**********5678"
        shown = await line.result("Session.Show", id="1")
        assert "DEABCC1234" not in str(shown)
        connection.role = methods_module.Role.TECHNICIAN
        assert "DEABCC12345678" in str(await line.result("Session.Show", id="1"))


async def test_why() -> None:
    async with bench() as made, connected(made.path) as line:
        told = await line.result("Evse.Why", evse=1)
        assert [blocker["code"] for blocker in told["blockers"]] == ["no_vehicle"]
        charges(made)
        told = await line.result("Evse.Why", evse=1)
        assert (told["charging"], told["blockers"], told["notes"]) == (True, [], [])
        made.certificates.infos = [certificate("secc", "leaf", 3)]
        made.hears(ocpp.CsmsOnline(False, "refused"))
        told = await line.result("Evse.Why", evse=1)
        assert [note["code"] for note in told["notes"]] == ["csms_link", "secc_expiry"]
        answer = await line.ask("Evse.Why", {"evse": 2})
        assert answer["error"] == {"code": -32002, "message": "there is no EVSE 2; there are 1"}


async def test_events_by_time_evse_and_source() -> None:
    async with bench() as made, connected(made.path) as line:
        charges(made)
        names = [event["event"] for event in (await line.result("Events.List"))["events"]]
        assert names[:3] == ["CsmsOnline", "ModemReady", "PluggedIn"]
        assert "MeterSampled" not in names
        plc = await line.result("Events.List", sources=["plc"], evse=1)
        assert [event["event"] for event in plc["events"]] == ["ModemReady", "SlacMatched", "LinkReady"]
        assert (await line.result("Events.List", evse=2))["events"] == []
        assert len((await line.result("Events.List", limit=2))["events"]) == 2
        later = datetime.fromtimestamp(time.time() + 60, UTC).isoformat()
        assert (await line.result("Events.List", since=later))["events"] == []


async def test_an_event_may_hold_a_list_of_things() -> None:
    async with bench() as made, connected(made.path) as line:
        made.hears(ScheduleSelected(1, (ProfilePeriod(0.0, 11000.0, 3), ProfilePeriod(60.0, 0.0))))
        (event,) = (await line.result("Events.List"))["events"]
        assert event["data"] == {
            "tuple_id": 1,
            "profile": [{"start_s": 0.0, "power_w": 11000.0, "phases": 3}, {"start_s": 60.0, "power_w": 0.0}],
        }


async def test_faults_stand_and_stay_in_the_history() -> None:
    async with bench() as made, connected(made.path) as line:
        charges(made)
        made.hears(
            hal.BoardFault(hal.Fault.RESIDUAL_CURRENT, True, hal.Severity.EMERGENCY, "6 mA DC", 0.0),
            hal.BoardFault(hal.Fault.RESIDUAL_CURRENT, True, hal.Severity.EMERGENCY, "7 mA DC", 0.0),
            hal.ModemFault("interface down", True, 0.0),
        )
        faults = (await line.result("Faults.List"))["faults"]
        assert [(fault["fault"], fault["detail"], fault["until"]) for fault in faults] == [
            ("ResidualCurrent", "7 mA DC", None),
            ("ModemFault", "interface down", None),
        ]
        assert "snapshot" not in faults[0]
        made.hears(
            hal.BoardFault(hal.Fault.RESIDUAL_CURRENT, False, hal.Severity.EMERGENCY, "", 0.0),
            hal.ModemFault("", False, 0.0),
            hal.ModemFault("", False, 0.0),
        )
        assert (await line.result("Faults.List"))["faults"] == []
        first, _second = (await line.result("Faults.List", history=True))["faults"]
        assert first["until"] is not None
        assert first["snapshot"]["board"]["cp"] == "C"
        assert first["snapshot"]["meter"]["current_a"] == [16.0, 16.0, 16.0]
        assert (await line.result("Faults.List", history=True, evse=2))["faults"] == []


async def test_sessions_by_either_id() -> None:
    async with bench() as made, connected(made.path) as line:
        assert (await line.result("Session.List"))["sessions"] == []
        charges(made)
        (session,) = (await line.result("Session.List"))["sessions"]
        assert (session["session"], session["energy_wh"], session["ended"]) == (1, 500.0, None)
        for key in ("1", "AB12", "ab12", "tx-1", "tx-1234"):
            shown = await line.result("Session.Show", id=key)
            assert shown["transaction_ids"] == ["tx-1234"]
            assert shown["v2g_session_ids"] == ["AB12"]
        assert shown["entries"][0]["event"] == "PluggedIn"
        assert await line.error("Session.Show", id="none") == -32002
        assert await line.error("Session.Show", id="") == -32002


async def test_the_powerline_modem() -> None:
    async with bench() as made, connected(made.path) as line:
        assert await line.error("Plc.Info") == -32003
        assert await line.error("Slac.Last") == -32003
        plc = GreenPhyLink("no-such-if", EvseId(1), lambda _: None)
        made.evse.plc = plc
        (modem,) = (await line.result("Plc.Info"))["modems"]
        assert (modem["evse"], modem["interface"], modem["modem"]) == (1, "no-such-if", "interface down")
        assert modem["vendor"] is None
        assert (await line.result("Slac.Last", evse=1))["evses"] == [{"evse": 1, "runs": []}]
        (evse,) = (await line.result("Station.Status"))["evses"]
        assert evse["slac"]["matching"] == "unarmed"


async def test_the_csms_and_its_queue() -> None:
    async with bench() as made, connected(made.path) as line:
        made.csms.messages = [
            ocpp.QueuedMessage(order, "TransactionEvent", '{"secret": 1}', "tx-1", order) for order in range(1, 4)
        ]
        told = await line.result("Ocpp.Status")
        assert (told["queue_length"], told["counts"]) == (3, {"late answer": 2})
        queue = await line.result("Ocpp.Queue", limit=2)
        assert queue["queue_length"] == 3
        assert queue["messages"][0] == {
            "order": 1,
            "action": "TransactionEvent",
            "transaction_id": "tx-1",
            "attempts": 1,
            "bytes": 13,
        }
        assert len(queue["messages"]) == 2


async def test_certificates_by_their_end() -> None:
    async with bench() as made, connected(made.path) as line:
        made.certificates.infos = [
            certificate("secc", "leaf", 10),
            certificate("mo", "root", 1000),
            certificate("csms", "leaf", -2),
        ]
        assert len((await line.result("Certs.List"))["certificates"]) == 3
        told = await line.result("Certs.Expiry")
        assert told["expiring"] == 2
        assert [info["use"] for info in told["certificates"]] == ["csms", "secc", "mo"]
        assert (await line.result("Certs.Expiry", within_days=0))["expiring"] == 1


async def test_log_levels_change_and_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as made, connected(made.path) as line:
        before = logging.getLogger("hal").getEffectiveLevel()
        told = await line.result("Log.SetLevel", logger="hal", level="ERROR", for_s=1)
        assert told["levels"]["hal"] == "ERROR"
        assert logging.getLogger("hal").level == logging.ERROR
        made.log_levels._restore("hal", 0)
        assert logging.getLogger("hal").getEffectiveLevel() == before
        await line.result("Log.SetLevel", logger="firmware.control.server", level="DEBUG")
        await line.result("Log.SetLevel", logger="firmware.control.server", level="INFO", for_s=60)
        await line.result("Log.SetLevel", logger="firmware.control.server", level="DEBUG")
        assert (await line.result("Log.Levels"))["levels"]["firmware.control.server"] == "DEBUG"
        assert await line.error("Log.SetLevel", logger="websockets", level="DEBUG") == -32602
        assert await line.error("Log.SetLevel", logger="hal.no.such", level="DEBUG") == -32002
        assert await line.error("Log.SetLevel", logger="hal", level="TRACE") == -32602
    assert logging.getLogger("firmware.control.server").level == 0


async def test_the_audit_log_shows_itself_to_service() -> None:
    async with bench() as made, connected(made.path) as line:
        await line.result("Log.SetLevel", logger="hal", level="INFO")
        await line.error("Log.SetLevel", logger="websockets", level="INFO")
        told = await line.result("Audit.Show")
        assert (told["entries"], told["broken"]) == (2, None)
        assert [entry["outcome"][:12] for entry in told["latest"]] == ["ok", "error -32602"]
        made.audit_path.unlink()
        made.audit_path.mkdir()
        assert await line.error("Audit.Show") == -32003


async def test_security_events_and_a_broken_chain() -> None:
    async with bench() as made, connected(made.path) as line:
        told = await line.result("Log.Security", limit=1)
        assert (told["entries"], told["breaks"]) == (2, [])
        assert told["latest"] == [
            {
                "number": 2,
                "wall_time": "2026-01-02T00:00:00.000Z",
                "type": "TamperDetectionActivated",
                "info": "EVSE 1",
            }
        ]
        made.csms.is_broken = True
        assert (await line.result("Log.Security"))["breaks"] == [2]


async def test_certificates_are_read_from_the_store_and_kept_a_while(
    tmp_path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,  # type: ignore[no-untyped-def]
) -> None:
    certificates = Certificates(CertificateStore(tmp_path))
    assert list(await certificates.all()) == []
    assert await certificates.secc_not_after() is None
    (tmp_path / "chains").mkdir()
    (tmp_path / "chains" / "secc.json").write_text("broken")
    assert list(await certificates.all()) == [], "still what was read before"
    monkeypatch.setattr("firmware.control.sources.CERTIFICATES_KEPT_S", -1.0)
    assert await certificates.chains() == []
    assert "certificates cannot be shown" in caplog.text


# --- Parameters ---

TABLE = {
    "evse": Param(int, required=True, low=1, high=9),
    "name": Param(str, "none", choices=("a", "b", "none")),
    "since": Param(str, is_time=True),
    "many": Param(list, choices=("a", "b")),
    "flag": Param(bool, False),
}


def test_parameters_are_checked_and_filled_in() -> None:
    assert checked(TABLE, {"evse": 1}) == {"evse": 1, "name": "none", "since": None, "many": None, "flag": False}
    given = {"evse": 9, "name": "a", "since": "2026-01-31T08:00:00+01:00", "many": ["a"], "flag": True}
    assert checked(TABLE, given) == {**given, "since": datetime(2026, 1, 31, 7, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "evse is missing"),
        ({"evse": None}, "evse is missing"),
        ({"evse": 0}, "1 to 9"),
        ({"evse": 10**30}, "1 to 9"),
        ({"evse": True}, "a whole number"),
        ({"evse": 1.0}, "a whole number"),
        ({"evse": "1"}, "a whole number"),
        ({"evse": 1, "no": 1}, "unknown parameter 'no'; known: evse, name"),
        ({"evse": 1, "name": "c"}, "one of a, b, none"),
        ({"evse": 1, "name": "a" * 201}, "at most 200"),
        ({"evse": 1, "flag": 1}, "true or false"),
        ({"evse": 1, "many": ["c"]}, "one of a, b"),
        ({"evse": 1, "many": [1]}, "a list of strings"),
        ({"evse": 1, "many": "a"}, "a list of strings"),
        ({"evse": 1, "since": "yesterday"}, "ISO 8601"),
        ({"evse": 1, "since": "2026-01-31T08:00:00"}, "offset"),
    ],
)
def test_wrong_parameters_are_told(given: dict[str, object], said: str) -> None:
    with pytest.raises(RpcError, match=said.replace("(", ".")) as caught:
        checked(TABLE, given)
    assert caught.value.code is Code.INVALID_PARAMS


def test_a_method_without_parameters_knows_none() -> None:
    with pytest.raises(RpcError, match="known: none"):
        checked({}, {"x": 1})


def test_every_method_says_what_it_does() -> None:
    assert all(method.says and name.count(".") == 1 for name, method in METHODS.items())
