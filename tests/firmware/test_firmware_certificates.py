"""A CSMS manages the station's keys, chains and roots: a station of ours with its TPM, before a CSMS that signs."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import csr as requests
from certs.csr import Subject
from certs.hashdata import hash_data
from certs.keystore import Curve, Purpose
from certs.provision import ensure_identity
from certs.store import CertificateStore, RootKind
from certs.tls.loop import LoopThread
from certs.tpm import Tpm, TpmKeyStore
from firmware.certificate_watch import CertificateWatch, TpmNews
from firmware.certificates import HASHES, StationCertificates, subjects
from firmware.config import Config, parse
from firmware.credentials import Credentials
from firmware.journal import SqliteJournal
from ocpp_client.config import OcppConfig
from ocpp_client.ports import CertificateStoreError
from ocpp_client.station import OcppStation
from sim.csms.pki import CertificateDesk
from sim.csms.server import Csms, Tls
from sim.pki.authority import Blank, root
from sim.pki.pki import Pki, build
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm

CONFIG = """
[station]
identity = "CS-1"
vendor = "maker"
model = "demo"
serial = "0001"
state_dir = "{directory}"
[csms]
url = "wss://localhost:1/ocpp"
security_profile = {profile}
password = "a-long-enough-password"
[tpm]
tcti = "{tcti}"
absent = "{absent}"
[[evse]]
id = 1
evse_id = "DE*EVS*E0001"
device = "/dev/null"
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def tcti() -> Iterator[str]:
    if not Swtpm.available():
        pytest.skip("swtpm is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name,
        Swtpm(Path(name)) as swtpm,
        Proxy(swtpm.socket, Path(name)) as proxy,
    ):
        yield proxy.tcti


def configured(directory: Path, tcti: str, profile: int = 3, absent: str = "refuse") -> Config:
    text = CONFIG.format(directory=directory, tcti=tcti, profile=profile, absent=absent)
    return parse(text, directory / "evsed.toml")


def provision(config: Config, pki: Pki, lifetime: timedelta = timedelta(days=365)) -> None:
    """As the factory does it."""
    tpm, store = Tpm(config.tpm.tcti), CertificateStore(config.station.state_dir / "certs")
    tpm.ensure_srk()
    for kind, entity in ((RootKind.V2G, pki.v2g_root), (RootKind.MO, pki.mo_root), (RootKind.CSMS, pki.csms_root)):
        store.install_root(kind, entity.pem.decode())
    keys, now = TpmKeyStore(tpm), datetime.now(UTC)
    for purpose, issue in ((Purpose.SECC, pki.issue_secc), (Purpose.CSMS, pki.issue_station)):
        subject = subjects(config)[purpose]
        ensure_identity(store, keys, purpose, subject, lambda csr, issue=issue: issue(csr, lifetime), now)
    tpm.close()


@dataclass
class Bench:
    """A station at its CSMS."""

    csms: Csms
    credentials: Credentials
    certificates: StationCertificates
    station: OcppStation
    watch: CertificateWatch
    vehicles: LoopThread

    @property
    def store(self) -> CertificateStore:
        return self.credentials.store

    def key_id(self, purpose: Purpose) -> str:
        stored = self.store.chain(purpose)
        assert stored is not None
        return stored.key_id

    async def trigger(self, message: str) -> None:
        answer = await self.csms.call("TriggerMessage", {"requestedMessage": message})
        assert answer == {"status": "Accepted"}

    async def until(self, what: Any) -> None:
        async with asyncio.timeout(8):
            while not what():
                await asyncio.sleep(0.02)

    def links(self) -> list[str]:
        return [event.action for event in self.csms.events if event.action in ("#connected", "#disconnected")]


@pytest.fixture
async def bench(tmp_path: Path, tcti: str, pki: Pki) -> AsyncIterator[Bench]:
    config = configured(tmp_path, tcti)
    provision(config, pki)
    desk = CertificateDesk(pki)
    tls = Tls(pki.path("csms.chain.pem"), pki.path("csms.key"), pki.path("station_root.pem"))
    async with Csms(tls=tls, hooks=[desk]) as csms:
        csms.answers.certificate_status = desk.status
        credentials = Credentials(config)
        certificates = StationCertificates(credentials, subjects(config))
        journal = await SqliteJournal.open(tmp_path / "journal.sqlite")
        station = OcppStation(
            OcppConfig(
                "CS-1",
                csms.url.replace("127.0.0.1", "localhost"),
                "maker",
                "demo",
                retry_back_off_min_s=0.2,
                retry_back_off_random_s=0.1,
            ),
            journal,
            lambda _fact: None,
            tls=credentials.csms_context(),
            certificates=certificates,
        )
        certificates.use_tls = station.use_tls
        watch = CertificateWatch(
            certificates, station, TpmNews(station), interval_s=60, renew_before=timedelta(days=30)
        )
        with LoopThread("vehicles") as vehicles:
            await station.start()
            await csms.until_received("BootNotification")
            while not station.online:
                await asyncio.sleep(0.01)
            yield Bench(csms, credentials, certificates, station, watch, vehicles)
            await station.stop()
        await journal.close()
        certificates.close()
        credentials.close()


# --- A02: the certificate for the CSMS ---


async def test_the_next_link_stands_before_the_old_one_goes(bench: Bench) -> None:
    old = bench.key_id(Purpose.CSMS)
    await bench.trigger("SignChargingStationCertificate")
    await bench.until(lambda: bench.key_id(Purpose.CSMS) != old and bench.store.pending(Purpose.CSMS) is None)
    await bench.csms.until(lambda: "#disconnected" in bench.links())
    assert bench.links() == ["#connected", "#connected", "#disconnected"]
    await bench.until(lambda: old not in bench.credentials.keys.list())
    await bench.until(lambda: bench.station.online)
    bench.csms.drop()
    await bench.csms.until(lambda: bench.links().count("#connected") == 3, 8)
    assert len(bench.csms.received("BootNotification")) == 1


async def test_a_certificate_the_csms_refuses_is_given_up(bench: Bench) -> None:
    """Good in itself, but not of the CA that this CSMS takes: the link there is stays, the old key too."""
    old, foreign = bench.key_id(Purpose.CSMS), root(Blank("Another Root CA"))
    csr = await bench.certificates.signing_request("ChargingStationCertificate")
    request = x509.load_pem_x509_csr(csr.encode())
    chain = Blank("CS-1"), request.public_key()
    pem = foreign.issue(*chain).public_bytes(Encoding.PEM).decode()
    answer = await bench.csms.call(
        "CertificateSigned", {"certificateChain": pem, "certificateType": "ChargingStationCertificate"}
    )
    assert answer == {"status": "Accepted"}
    event = await bench.csms.until_security_event("InvalidChargingStationCertificate", timeout_s=8)
    assert event["techInfo"] == "refused by the CSMS"
    assert bench.links() == ["#connected"], "the link was never dropped"
    assert bench.key_id(Purpose.CSMS) == old
    assert bench.store.pending(Purpose.CSMS) is None
    assert sorted(bench.credentials.keys.list()) == sorted([old, bench.key_id(Purpose.SECC)])


async def test_a_csms_that_is_away_leaves_the_new_certificate_to_be_tried_later(bench: Bench, pki: Pki) -> None:
    old = bench.key_id(Purpose.CSMS)
    csr = await bench.certificates.signing_request("ChargingStationCertificate")
    await bench.csms.stop()
    assert await bench.certificates.signed(pki.issue_station(csr.encode()).decode(), "ChargingStationCertificate")
    bench.station._certificate_taken("ChargingStationCertificate")
    await asyncio.sleep(0.3)
    assert bench.key_id(Purpose.CSMS) == old
    assert bench.store.pending(Purpose.CSMS) is not None
    await bench.csms.start()
    await bench.until(lambda: bench.key_id(Purpose.CSMS) != old and bench.store.pending(Purpose.CSMS) is None)


@pytest.mark.parametrize("which", ["another key", "not asked for", "no certificate", "expired"])
async def test_a_chain_that_does_not_fit_is_rejected(bench: Bench, pki: Pki, which: str) -> None:
    use, before = "V2GCertificate", bench.store.chain(Purpose.SECC)
    csr = (await bench.certificates.signing_request(use)).encode()
    if which == "another key":
        stranger = bench.credentials.keys.create(Curve.P256)
        csr = requests.build(stranger, Purpose.SECC, Subject("X", "Y", "DE"))
    elif which == "not asked for":
        bench.credentials.rotation(Purpose.SECC).abandon()
    lifetime = timedelta(minutes=-30) if which == "expired" else timedelta(days=1)
    chain = "no certificate" if which == "no certificate" else pki.issue_secc(csr, lifetime).decode()
    answer = await bench.csms.call("CertificateSigned", {"certificateChain": chain, "certificateType": use})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidCertificate")
    await bench.csms.until_security_event("InvalidChargingStationCertificate")
    assert bench.store.chain(Purpose.SECC) == before


async def test_a_request_that_is_not_answered_is_made_again_and_then_no_more(bench: Bench) -> None:
    """A02.FR.17 to FR.19, with the waits of the device model."""
    bench.csms._hooks.clear()
    bench.station.model.assign("SecurityCtrlr", "CertSigningWaitMinimum", "0.1")
    bench.station.model.assign("SecurityCtrlr", "CertSigningRepeatTimes", "2")
    await bench.trigger("SignV2GCertificate")
    await bench.until(lambda: not bench.station._certificates.asked_for("V2GCertificate"))
    requests_made = bench.csms.received("SignCertificate")
    assert len(requests_made) == 3
    times = [event.at_s for event in bench.csms.events if event.action == "SignCertificate"]
    assert times[2] - times[1] > 1.5 * (times[1] - times[0]), "the wait doubles"
    keys = {x509.load_pem_x509_csr(payload["csr"].encode()).public_key().public_numbers() for payload in requests_made}
    assert len(keys) == 1, "one key, however often it is asked for"


async def test_a_csms_that_will_not_sign_is_not_asked_again(bench: Bench) -> None:
    bench.csms.behaviour.answers["SignCertificate"] = {"status": "Rejected"}
    await bench.trigger("SignV2GCertificate")
    await bench.csms.until_received("SignCertificate")
    await bench.until(lambda: not bench.station._certificates.asked_for("V2GCertificate"))
    assert len(bench.csms.received("SignCertificate")) == 1


# --- A03, M06: vehicles ---


async def test_vehicles_are_shown_the_new_leaf_and_its_staples(bench: Bench) -> None:
    tls = bench.credentials.vehicle_tls(bench.vehicles)
    context, old = tls(), bench.key_id(Purpose.SECC)
    await bench.watch.look()
    (first,) = context._identities
    assert [staple is not None for staple in first.identity.staples] == [True, True, True]
    assert len(bench.csms.received("GetCertificateStatus")) == 3
    await bench.watch.look()
    assert len(bench.csms.received("GetCertificateStatus")) == 3, "what is held is not asked for again"

    await bench.trigger("SignV2GCertificate")
    await bench.until(lambda: bench.key_id(Purpose.SECC) != old)
    await bench.until(lambda: old not in bench.credentials.keys.list())
    assert tls() is context, "a listener keeps its context"
    (second,) = context._identities
    assert second.identity.key.key_id == bench.key_id(Purpose.SECC)
    assert second.identity.staples[0] is None, "no response for the new leaf yet"
    await bench.watch.look()
    (third,) = context._identities
    assert [staple is not None for staple in third.identity.staples] == [True, True, True]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "Failed"},
        {"status": "Accepted", "ocspResult": "no base64!"},
        {"status": "Accepted", "ocspResult": "AAAA"},
        {"status": "Accepted"},
    ],
)
async def test_a_staple_stays_until_its_end_when_no_other_comes(bench: Bench, answer: dict[str, Any]) -> None:
    context = bench.credentials.vehicle_tls(bench.vehicles)()
    await bench.watch.look()
    bench.csms.behaviour.answers["GetCertificateStatus"] = answer
    start = datetime.now(UTC)
    bench.credentials.now = lambda: start + timedelta(days=1, hours=1)
    await bench.watch.look()
    assert len(bench.csms.received("GetCertificateStatus")) == 6, "past half their time"
    assert None not in context._identities[0].identity.staples
    bench.credentials.now = lambda: start + timedelta(days=2, hours=1)
    await bench.watch.look()
    assert context._identities[0].identity.staples == (None, None, None), "what has ended is stapled no more"


async def test_a_chain_near_its_end_is_renewed_unasked(bench: Bench) -> None:
    old = {purpose: bench.key_id(purpose) for purpose in (Purpose.SECC, Purpose.CSMS)}
    await bench.watch.look()
    assert bench.csms.received("SignCertificate") == []
    start = datetime.now(UTC)
    bench.credentials.now = lambda: start + timedelta(days=340)
    await bench.watch.look()
    await bench.csms.until_received("SignCertificate", 2)
    uses = {payload["certificateType"] for payload in bench.csms.received("SignCertificate")}
    assert uses == {"V2GCertificate", "ChargingStationCertificate"}
    await bench.until(lambda: all(bench.key_id(purpose) != old[purpose] for purpose in old))


@pytest.mark.parametrize(("before_days", "asked"), [(5, False), (100, True)])
async def test_how_long_before_its_end_is_the_operators_choice(bench: Bench, before_days: int, asked: bool) -> None:
    """Renewal at a fixed threshold: what users of other stations complain about."""
    news = TpmNews(bench.station)
    watch = CertificateWatch(
        bench.certificates, bench.station, news, interval_s=60, renew_before=timedelta(days=before_days)
    )
    start = datetime.now(UTC)
    bench.credentials.now = lambda: start + timedelta(days=300)
    await watch.look()
    await asyncio.sleep(0.2)
    assert bool(bench.csms.received("SignCertificate")) is asked


# --- M03, M04, M05: what is installed ---


async def test_roots_are_installed_told_and_deleted(bench: Bench) -> None:
    call, mo = bench.csms.call, root(Blank("New MO Root CA"))
    payload = {"certificateType": "MORootCertificate", "certificate": mo.pem.decode()}
    assert mo.certificate not in bench.credentials.contract_roots()
    assert await call("InstallCertificate", payload) == {"status": "Accepted"}
    assert mo.certificate in bench.credentials.contract_roots()

    answer = await call("GetInstalledCertificateIds", {})
    kinds = sorted(entry["certificateType"] for entry in answer["certificateHashDataChain"])
    assert kinds == [
        "CSMSRootCertificate",
        "MORootCertificate",
        "MORootCertificate",
        "V2GCertificateChain",
        "V2GRootCertificate",
    ]
    (chain,) = [e for e in answer["certificateHashDataChain"] if e["certificateType"] == "V2GCertificateChain"]
    assert len(chain["childCertificateHashData"]) == 2

    assert bench.certificates.entries == bench.store.count()
    held = bench.store.count() - 1
    for algorithm in ("SHA256", "SHA384", "SHA512"):
        assert await call("InstallCertificate", payload) == {"status": "Accepted"}
        assert bench.certificates.entries == held + 1
        data = hash_data(mo.certificate, mo.certificate, HASHES[algorithm]())
        named = {
            "hashAlgorithm": algorithm,
            "issuerNameHash": data.issuer_name_hash.upper(),
            "issuerKeyHash": data.issuer_key_hash,
            "serialNumber": data.serial_number.zfill(40),
        }
        assert await call("DeleteCertificate", {"certificateHashData": named}) == {"status": "Accepted"}
        assert await call("DeleteCertificate", {"certificateHashData": named}) == {"status": "NotFound"}
        assert bench.certificates.entries == held
    assert mo.certificate not in bench.credentials.contract_roots()


async def test_a_new_csms_root_is_in_use_for_the_next_link(bench: Bench) -> None:
    before = bench.station._tls
    new = root(Blank("New CSMS Root CA"))
    payload = {"certificateType": "CSMSRootCertificate", "certificate": new.pem.decode()}
    assert await bench.csms.call("InstallCertificate", payload) == {"status": "Accepted"}
    now = bench.station._tls
    assert now is not None
    assert now is not before
    assert new.der in now.get_ca_certs(binary_form=True)
    assert bench.links() == ["#connected"]


async def test_what_a_station_needs_is_not_deleted(bench: Bench) -> None:
    answer = await bench.csms.call("GetInstalledCertificateIds", {})
    for entry in answer["certificateHashDataChain"]:
        if entry["certificateType"] in ("CSMSRootCertificate", "V2GCertificateChain"):
            named = {"certificateHashData": entry["certificateHashData"]}
            assert await bench.csms.call("DeleteCertificate", named) == {"status": "Failed"}, entry


async def test_a_store_that_cannot_be_read_is_said(bench: Bench) -> None:
    """A chain's file is damaged: nothing is told, nothing deleted, nothing signed, and the dialogue goes on."""
    answer = await bench.csms.call("GetInstalledCertificateIds", {})
    named = {"certificateHashData": answer["certificateHashDataChain"][0]["certificateHashData"]}
    file = bench.credentials.directory / "chains" / "secc.json"
    good = file.read_text()
    file.write_text("{")
    assert (await bench.csms.call("GetInstalledCertificateIds", {}))["status"] == "NotFound"
    assert await bench.csms.call("DeleteCertificate", named) == {"status": "Failed"}
    with pytest.raises(CertificateStoreError, match="cannot be read"):
        await bench.watch.look()
    file.write_text(good)
    await bench.watch.look()
    assert bench.station.online


async def test_vehicles_that_cannot_be_reached_keep_the_old_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An EVSE's loop that hangs goes on with the old leaf: its key must not be destroyed under it."""
    old = bench.key_id(Purpose.SECC)
    bench.credentials.vehicle_tls(bench.vehicles)

    def hangs(*_: object) -> None:
        raise TimeoutError("the loop hangs")

    monkeypatch.setattr("firmware.vehicle_tls.VehicleTls.present", hangs)
    await bench.trigger("SignV2GCertificate")
    await bench.until(lambda: bench.key_id(Purpose.SECC) != old)
    await bench.until(lambda: "vehicles are shown the old certificate until the next start" in caplog.text)
    assert old in bench.credentials.keys.list()
    assert bench.store.reconcile(bench.credentials.keys).retired == (old,), "the next start destroys it"


@pytest.mark.parametrize("pem", ["no certificate", "leaf", "expired"])
async def test_a_root_that_is_none_is_rejected(bench: Bench, pki: Pki, pem: str) -> None:
    over = Blank("Old Root CA", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC))
    text = {"leaf": pki.contract.pem.decode(), "expired": root(over).pem.decode()}.get(pem, pem)
    payload = {"certificateType": "V2GRootCertificate", "certificate": text}
    assert await bench.csms.call("InstallCertificate", payload) == {"status": "Rejected"}


async def test_a_disk_that_cannot_be_written_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("certs.store.write_atomically", full)
    payload = {"certificateType": "MORootCertificate", "certificate": root(Blank("R")).pem.decode()}
    assert await bench.csms.call("InstallCertificate", payload) == {"status": "Failed"}
    await bench.trigger("SignV2GCertificate")
    await asyncio.sleep(0.3)
    assert bench.csms.received("SignCertificate") == []
    assert bench.station.online
