"""What a station does whose TPM does not answer: what the configuration says, and never a key in a file."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certs.errors import CertsError, KeyFault, KeyUnavailable
from certs.keystore import Origin, Purpose
from certs.provision import ensure_identity
from certs.store import CertificateStore, RootKind
from certs.tls.csms import ClientContext
from certs.tls.loop import LoopThread
from certs.tpm import Tpm, TpmKeyStore
from firmware import certificate_watch
from firmware.certificate_watch import CertificateWatch, TpmNews
from firmware.certificates import StationCertificates, subjects
from firmware.config import Config, ConfigError, parse
from firmware.credentials import NO_CHIP, Credentials
from ocpp_client.ports import CertificateStoreError, OcspRequestData
from secc.ports import TlsUnavailable
from sim.pki.pki import Pki, build
from sim.tpm.proxy import NEVER, Proxy
from sim.tpm.swtpm import Swtpm

CONFIG = """
[station]
identity = "CS-1"
vendor = "maker"
model = "demo"
serial = "0001"
state_dir = "state"
[csms]
url = "wss://localhost:1/ocpp"
security_profile = {profile}
password = "a-long-enough-password"
[[evse]]
id = 1
evse_id = "DE*EVS*E0001"
device = "/dev/null"
[tpm]
tcti = "{tcti}"
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def tpm_directory() -> Iterator[Path]:
    if not Swtpm.available():
        pytest.skip("swtpm is not installed")
    with tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name:
        yield Path(name)


@pytest.fixture
def provisioned(tmp_path: Path, tpm_directory: Path, pki: Pki) -> str:
    """A station that was given its keys, and whose TPM then went away; the TCTI that would reach it."""
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        config = configured(tmp_path, proxy.tcti)
        tpm, store = Tpm(proxy.tcti), CertificateStore(tmp_path / "state" / "certs")
        tpm.ensure_srk()
        for kind, entity in ((RootKind.V2G, pki.v2g_root), (RootKind.CSMS, pki.csms_root)):
            store.install_root(kind, entity.pem.decode())
        for purpose, issue in ((Purpose.SECC, pki.issue_secc), (Purpose.CSMS, pki.issue_station)):
            ensure_identity(store, TpmKeyStore(tpm), purpose, subjects(config)[purpose], issue, datetime.now(UTC))
        tpm.close()
        return proxy.tcti


def configured(directory: Path, tcti: str, more: str = "", profile: int = 3) -> Config:
    return parse(CONFIG.format(tcti=tcti, profile=profile) + more, directory / "evsed.toml")


WITHOUT_TLS = 'absent = "without-tls"\n'


def test_by_default_a_station_without_its_tpm_does_not_start(tmp_path: Path, provisioned: str) -> None:
    with pytest.raises(KeyUnavailable) as refused:
        Credentials(configured(tmp_path, provisioned))
    assert refused.value.reason is KeyFault.ABSENT


@pytest.mark.parametrize(("profile", "has_tls"), [(1, True), (2, True), (3, False)])
def test_without_tls_it_starts_and_uses_no_key(tmp_path: Path, provisioned: str, profile: int, has_tls: bool) -> None:
    """Security profiles 1 and 2 need no key of the station's; 3 does, and there is no link to the CSMS."""
    files = sorted((tmp_path / "state").rglob("*"))
    credentials = Credentials(configured(tmp_path, provisioned, WITHOUT_TLS, profile))
    assert "does not answer" in credentials.absence
    assert credentials.chip == NO_CHIP
    with LoopThread("vehicles") as loop, pytest.raises(TlsUnavailable):
        credentials.vehicle_tls(loop)()
    assert (credentials.csms_context() is not None) == has_tls
    assert credentials.keys.origin is Origin.TPM
    assert sorted((tmp_path / "state").rglob("*")) == files, "no key was made in a file"
    assert credentials.contract_roots() != [], "whom it trusts it knows without the chip"
    credentials.close()


@pytest.mark.parametrize("profile", [1, 2, 3])
def test_a_profile_may_be_raised_while_it_runs(
    tmp_path: Path, provisioned: str, tpm_directory: Path, profile: int
) -> None:
    """A05: the client certificate is there for whoever asks for it."""
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        credentials = Credentials(configured(tmp_path, proxy.tcti, profile=profile))
        context = credentials.csms_context()
        assert isinstance(context, ClientContext)
        assert context.identity is not None
        credentials.close()


def test_without_a_csms_root_there_is_only_profile_1(tmp_path: Path, provisioned: str, tpm_directory: Path) -> None:
    for file in (tmp_path / "state" / "certs" / "roots" / "csms").iterdir():
        file.unlink()
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        for profile in (2, 3):
            credentials = Credentials(configured(tmp_path, proxy.tcti, profile=profile))
            with pytest.raises(CertsError, match="no CSMS root"):
                credentials.csms_context()
            credentials.close()
        credentials = Credentials(configured(tmp_path, proxy.tcti, profile=1))
        assert credentials.csms_context() is None
        credentials.close()


class Asked:
    """A station that writes down what it is told."""

    online = False

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def sign_certificate(self, use: str) -> None:
        self.told.append(("sign", use))

    async def certificate_status(self, certificate: OcspRequestData) -> bytes | None:
        return None

    def security_event(self, kind: str, tech_info: str = "") -> None:
        self.told.append((kind, tech_info))

    def notify_event(self, component: str, variable: str, value: str, **more: Any) -> None:
        self.told.append((component, variable, value, more["cleared"]))


async def test_a_tpm_that_comes_back_is_taken_up_again(tmp_path: Path, provisioned: str, tpm_directory: Path) -> None:
    config = configured(tmp_path, provisioned, WITHOUT_TLS)
    credentials = Credentials(config)
    certificates, station, contexts = StationCertificates(credentials, subjects(config)), Asked(), []
    certificates.use_tls = contexts.append
    watch = CertificateWatch(certificates, station, TpmNews(station), interval_s=60, renew_before=timedelta(days=30))
    with LoopThread("vehicles") as loop:
        vehicle = credentials.vehicle_tls(loop)
        await watch.look()
        away = [("TpmUnavailable", credentials.absence), ("SecurityCtrlr", "Problem", "true", False)]
        assert station.told == away
        assert contexts == []
        status = credentials.tpm_status()
        assert (status.chip, status.trouble) == (NO_CHIP, credentials.absence)
        with pytest.raises(CertificateStoreError, match="does not answer"):
            await certificates.signing_request("V2GCertificate")
        assert await certificates.candidate() is None
        assert await certificates.expiring(timedelta(days=9999)) == []

        with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory):
            await watch.look()
            assert credentials.absence == ""
            assert vehicle() is not None
            assert contexts[0] is not None
            back = [("TpmAvailable", ""), ("SecurityCtrlr", "Problem", "false", True)]
            assert station.told == away + back
            assert (credentials.tpm_status().chip.manufacturer, credentials.tpm_status().trouble) == ("IBM", "")
            await watch.look()
            assert station.told == away + back, "told once"
            assert (await certificates.signing_request("V2GCertificate")).startswith("-----BEGIN CERTIFICATE REQUEST")
            certificates.close()
            credentials.close()


async def test_a_tpm_that_falls_silent_while_the_station_runs_is_told_and_asked_again(
    tmp_path: Path, provisioned: str, tpm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tpm.run, "__defaults__", (False, 0.2))
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        config = configured(tmp_path, proxy.tcti)
        credentials = Credentials(config)
        certificates, station = StationCertificates(credentials, subjects(config)), Asked()
        news = TpmNews(station)
        credentials.tpm.watcher = lambda _: news.tell(certificates.tpm_trouble)
        watch = CertificateWatch(certificates, station, news, interval_s=60, renew_before=timedelta(days=30))
        proxy.delay("GetCapability", NEVER)
        await watch.look()
        assert [told[0] for told in station.told] == ["TpmUnavailable", "SecurityCtrlr"]
        assert credentials.tpm_status().trouble == "the TPM has not answered in time"
        assert credentials.tpm_status().chip.manufacturer == "IBM", "as last read"
        assert not credentials.absence, "what is presented stays"
        proxy.heal()
        await watch.look()
        assert [told[0] for told in station.told[2:]] == ["TpmAvailable", "SecurityCtrlr"]
        assert credentials.tpm_status().trouble == ""
        credentials.forget_watcher()
        swtpm.stop()
        await watch.look()
        assert station.told[4][0] == "TpmUnavailable", "found by the look itself"
        certificates.close()
        credentials.close()


async def test_a_station_whose_tpm_is_away_looks_more_often(
    tmp_path: Path, provisioned: str, tpm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_watch, "OFFLINE_S", 0.02)
    config = configured(tmp_path, provisioned, WITHOUT_TLS)
    credentials = Credentials(config)
    certificates, station = StationCertificates(credentials, subjects(config)), Asked()
    station.online = True
    watch = CertificateWatch(certificates, station, TpmNews(station), interval_s=60, renew_before=timedelta(days=30))
    running = asyncio.create_task(watch.run())
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory):
        async with asyncio.timeout(10):
            while ("TpmAvailable", "") not in station.told:
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        certificates.close()
        credentials.close()


def test_a_key_that_is_gone_is_said_at_start(tmp_path: Path, provisioned: str, tpm_directory: Path) -> None:
    """A wiped chip, or another board's: clean, with the reason, and without TLS only where that is allowed."""
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        tpm = Tpm(proxy.tcti)
        for handle in tpm.handles():
            tpm.evict(handle)
        tpm.close()
        with pytest.raises(KeyUnavailable) as refused:
            Credentials(configured(tmp_path, proxy.tcti))
        assert refused.value.reason is KeyFault.NO_SUCH_KEY
        credentials = Credentials(configured(tmp_path, proxy.tcti, WITHOUT_TLS))
        assert "no key at this handle" in credentials.absence
        assert credentials.csms_context() is None
        credentials.close()


def test_the_chips_randomness_is_mixed_in_and_not_needed(
    tmp_path: Path, provisioned: str, tpm_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        Credentials(configured(tmp_path, proxy.tcti)).close()
        assert proxy.count()["GetRandom"] == 1
        proxy.fail("GetRandom", 0x101, 9)
        Credentials(configured(tmp_path, proxy.tcti)).close()
        assert "randomness is not mixed in" in caplog.text


class Failing(StationCertificates):
    """Whose disk is in a bad way for its first look."""

    looks = 0

    async def restaple(self) -> None:
        self.looks += 1
        if self.looks == 1:
            raise CertificateStoreError("the disk is gone")
        await super().restaple()


async def test_the_watch_goes_on_after_a_failure_and_looks_at_once_after_a_change(
    tmp_path: Path, provisioned: str, tpm_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        config = configured(tmp_path, proxy.tcti)
        credentials = Credentials(config)
        certificates, station = Failing(credentials, subjects(config)), Asked()
        station.online = True
        watch = CertificateWatch(
            certificates, station, TpmNews(station), interval_s=60, renew_before=timedelta(days=400)
        )
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(5):
            while certificates.looks < 1:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert "certificates cannot be looked after: the disk is gone" in caplog.text
            certificates.changed.set()
            while certificates.looks < 2:
                await asyncio.sleep(0.01)
        assert ("sign", "V2GCertificate") in station.told, "it ends within 400 days"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        certificates.close()
        credentials.close()


def test_the_owner_password_is_read_from_its_file(tmp_path: Path, provisioned: str, tpm_directory: Path) -> None:
    with Swtpm(tpm_directory) as swtpm, Proxy(swtpm.socket, tpm_directory) as proxy:
        tpm = Tpm(proxy.tcti)
        tpm.take_ownership(b"secret")
        tpm.close()
        with pytest.raises(ConfigError, match="owner_auth_file"):
            Credentials(configured(tmp_path, proxy.tcti, 'owner_auth_file = "missing"\n'))
        (tmp_path / "owner").write_bytes(b"secret\n")
        credentials = Credentials(configured(tmp_path, proxy.tcti, 'owner_auth_file = "owner"\n'))
        credentials.rotation(Purpose.SECC).begin(subjects(configured(tmp_path, proxy.tcti))[Purpose.SECC])
        credentials.close()
