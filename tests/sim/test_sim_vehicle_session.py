"""The whole ISO 15118-2 vehicle against the iso15118 package's own SECC, in network namespaces.

Neither end of the conversation is ours but for the EXI codec and the vehicle's controller.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sim.namespaces import End, Topology, World, missing_right
from sim.pki.bad import expired
from sim.pki.evcc import export_evcc
from sim.pki.pki import EMAID, build
from tests.sim.vehicle_pki import export_both_ends

STATION = "tests.sim.vehicle_package_secc"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if (missing := missing_right()) is not None:
        pytest.skip(missing)
    with World(Topology(((End("station", "plc0"), End("vehicle", "ev0")),))) as world:
        yield world


@dataclass(frozen=True)
class Visit:
    exit_code: int
    last_line: str
    events: list[dict[str, Any]]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def messages(self, *, sent: bool) -> list[str]:
        return [event["name"] for event in self.of("message") if event["sent"] is sent]


class Site:
    """A station of the package's making and a place for vehicles to visit it."""

    def __init__(self, world: World, pki: Path, directory: Path) -> None:
        self._world = world
        self._pki = pki
        self._directory = directory

    def station(self, *options: str) -> None:
        log = (self._directory / "station.log").open("w")
        self._process = self._world.spawn(
            "station", [sys.executable, "-m", STATION, "plc0", str(self._pki), *options], stdout=log, stderr=log
        )
        log.close()
        self._until_it_says("UDP server started")

    def _until_it_says(self, words: str) -> None:
        for _ in range(300):
            if words in (self._directory / "station.log").read_text():
                return
            time.sleep(0.05)
        raise AssertionError((self._directory / "station.log").read_text())

    def visit(self, kind: str, *options: str, pki: Path | None = None) -> Visit:
        path = self._directory / "vehicle.jsonl"
        ran = self._world.run(
            "vehicle",
            [
                sys.executable, "-m", "tests.sim.vehicle_bench", kind, "--interface", "ev0", "--cable", "-",
                "--pki", str(pki or self._pki), "--log", str(path), "--charge-s", "0.3", "--loop-delay-s", "0.1",
                "--timeout-s", "20", *options,
            ],
        )  # fmt: skip
        events = [json.loads(line) for line in path.read_text().splitlines()]
        return Visit(ran.returncode, ran.stderr.strip().splitlines()[-1], events)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def site(world: World, pki: Path, tmp_path: Path) -> Iterator[Site]:
    site = Site(world, pki, tmp_path)
    yield site
    site.close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both ends' files, as the package lays them out."""
    directory = tmp_path_factory.mktemp("pki")
    authorities = build(directory / "authorities")
    exported = export_both_ends(authorities, directory / "good")
    export_evcc(authorities, directory / "expired", contract=expired(authorities).leaf)
    export_evcc(build(directory / "others"), directory / "stranger")
    return exported


def assert_pilot_goes_with_power_delivery(visit: Visit) -> None:
    start, stop = (e["t"] for e in visit.of("message") if e["name"] == "PowerDeliveryReq" and e["sent"])
    to_c, to_b = visit.of("pilot")
    assert (to_c["state"], to_b["state"]) == ("C", "B")
    assert abs(to_c["t"] - start) < 0.25
    assert 0 <= to_b["t"] - stop < 0.25


def test_plug_and_charge(site: Site) -> None:
    site.station("PNC,EIM")
    visit = site.visit("iso2-ac-pnc")
    assert (visit.exit_code, visit.last_line) == (0, "vehicle: charged")
    assert visit.of("tls")[0]["version"] == "TLSv1.2"
    assert visit.of("tls")[0]["cipher"] == "ECDHE-ECDSA-AES128-SHA256"
    assert visit.of("payment")[0]["option"] == "Contract"
    assert visit.of("contract")[0]["emaid"] == EMAID
    assert len(visit.of("session")[0]["session_id"]) == 16
    loop = visit.messages(sent=True).count("ChargingStatusReq")
    assert visit.messages(sent=True) == [
        "supportedAppProtocolReq",
        "SessionSetupReq",
        "ServiceDiscoveryReq",
        "PaymentServiceSelectionReq",
        "PaymentDetailsReq",
        "AuthorizationReq",
        "ChargeParameterDiscoveryReq",
        "PowerDeliveryReq",
        *["ChargingStatusReq"] * loop,
        "PowerDeliveryReq",
        "SessionStopReq",
    ]
    assert loop >= 2
    assert_pilot_goes_with_power_delivery(visit)
    assert visit.events[0]["event"] == "plugged"
    assert [e["event"] for e in visit.events][-2:] == ["unplugged", "ended"]


@pytest.mark.parametrize(("options", "secured"), [((), "tls"), (("--tcp",), "tcp")])
def test_external_payment(site: Site, options: tuple[str, ...], secured: str) -> None:
    site.station("PNC,EIM", *options)
    visit = site.visit("iso2-ac-eim", *options)
    assert visit.exit_code == 0
    assert len(visit.of(secured)) == 1
    assert visit.of("payment")[0]["option"] == "ExternalPayment"


def test_it_waits_for_the_card_without_hurry(site: Site) -> None:
    site.station("EIM", "--tcp", "--authorize-after-s", "1.5")
    visit = site.visit("iso2-ac-eim", "--tcp")
    assert visit.exit_code == 0
    assert 6 <= visit.messages(sent=True).count("AuthorizationReq") <= 10


def test_the_current_follows_the_responses(site: Site) -> None:
    site.station("EIM", "--tcp", "--limits", "16,12,5,8")
    visit = site.visit("iso2-ac-eim", "--tcp", "--charge-s", "0.7", "--max-a", "20")
    assert visit.exit_code == 0
    seen = [e["evse_max_current_a"] for e in visit.of("limit_seen") if "evse_max_current_a" in e]
    assert seen == [32.0, 16.0, 12.0, 5.0, 8.0]
    # 15.94 A is the package's PMax of 11 kW.
    assert [e["current_a"] for e in visit.of("draw")] == [15.94, 12.0, 0.0, 8.0, 0.0]
    assert visit.of("limit_seen")[1]["p_max_w"] == 11000


def test_it_signs_the_receipts_it_is_asked_for(site: Site) -> None:
    site.station("PNC", "--receipts", "2")
    visit = site.visit("iso2-ac-pnc")
    assert visit.exit_code == 0, "the station verifies each signature"
    assert [e["meter_reading_wh"] for e in visit.of("receipt")] == [1001, 1002]
    assert visit.messages(sent=False).count("MeteringReceiptRes") == 2


@pytest.mark.parametrize("receipts", ["0", "3"])
def test_it_stops_when_the_station_says_so(site: Site, receipts: str) -> None:
    site.station("PNC", "--stop-after", "3", "--receipts", receipts)
    visit = site.visit("iso2-ac-pnc", "--charge-s", "60")
    assert visit.exit_code == 0
    assert visit.of("notification")[0]["evse_notification"] == "StopCharging"
    assert visit.messages(sent=True)[-2:] == ["PowerDeliveryReq", "SessionStopReq"]


def test_an_expired_contract_is_refused_with_its_code(site: Site, pki: Path) -> None:
    site.station("PNC")
    visit = site.visit("iso2-ac-pnc", pki=pki.with_name("expired"))
    assert visit.exit_code == 3
    assert visit.last_line == "vehicle: refused: PaymentDetailsRes FAILED_CertificateExpired"
    assert visit.of("response_code")[0]["code"] == "FAILED_CertificateExpired"
    assert visit.of("pilot") == []
    assert [e["event"] for e in visit.events][-2:] == ["unplugged", "ended"]


def test_it_can_claim_anothers_emaid(site: Site) -> None:
    site.station("PNC")
    visit = site.visit("iso2-ac-pnc", "--emaid", "DEABCC12345678")
    assert visit.of("contract")[0]["emaid"] == "DEABCC12345678"


def test_a_station_of_another_root_is_not_talked_to(site: Site, pki: Path) -> None:
    site.station("PNC")
    visit = site.visit("iso2-ac-pnc", pki=pki.with_name("stranger"))
    assert visit.exit_code == 1
    assert visit.last_line.startswith("vehicle: no TCP or TLS connection: fe80::")
    assert visit.messages(sent=True) == []


def test_a_station_that_hangs_up(site: Site) -> None:
    site.station("PNC", "--hang-up-after", "2")
    visit = site.visit("iso2-ac-pnc", "--charge-s", "60")
    assert visit.exit_code == 1
    assert visit.last_line == "vehicle: connection lost: the station closed the connection after ChargingStatusReq"
    assert [e["state"] for e in visit.of("pilot")] == ["C", "B"]
    assert visit.of("draw")[-1]["current_a"] == 0.0


def test_a_station_that_falls_silent(site: Site) -> None:
    site.station("PNC", "--stall-after", "2")
    visit = site.visit("iso2-ac-pnc", "--charge-s", "60")
    assert visit.exit_code == 1
    assert visit.last_line == "vehicle: connection lost: no answer in time after ChargingStatusReq"
    asked = [e["t"] for e in visit.of("message") if e["name"] == "ChargingStatusReq"][-1]
    assert 1.9 < visit.of("pilot")[-1]["t"] - asked < 2.5, "the message's timeout is 2 s"


def test_a_station_without_plug_and_charge(site: Site) -> None:
    site.station("EIM")
    visit = site.visit("iso2-ac-pnc")
    assert (visit.exit_code, visit.last_line) == (1, "vehicle: Plug & Charge is not offered")


def test_nobody_answers_sdp(world: World, site: Site) -> None:
    site.station("PNC")
    site.close()
    visit = site.visit("iso2-ac-pnc", "--timeout-s", "2")
    assert visit.exit_code == 1
    assert visit.last_line == "vehicle: gave up after 2 s"
