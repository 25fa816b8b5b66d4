"""TC_M, and those of TC_A and TC_B that turn on certificates: managed by the CSMS, kept in the real store."""

import contextlib
import importlib.util
import socket
import ssl
import sys
import tempfile
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509

from certs import chain
from certs.hashdata import hash_data
from certs.keystore import Purpose
from firmware.certificate_watch import CertificateWatch, TpmNews
from sim.csms.server import Csms, Tls
from sim.pki.authority import Blank, root
from sim.pki.pki import Pki, build
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ocpp_certified", Path(__file__).with_name("certified.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ocpp_certified"] = module
    spec.loader.exec_module(module)
    return module


made = _load()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def tcti() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name,
        Swtpm(Path(name)) as swtpm,
        Proxy(swtpm.socket, Path(name)) as proxy,
    ):
        yield proxy.tcti


@pytest.fixture
async def certified(
    request: pytest.FixtureRequest, site: Any, tmp_path: Path, tcti: str, pki: Pki
) -> AsyncIterator[Any]:
    """By security profile 3, or that of the parameter."""
    profile = getattr(request, "param", 3)
    station = made.Certified(site, pki, made.configured(tmp_path, tcti, profile), tmp_path)
    station.provision(*((Purpose.CSMS, Purpose.SECC) if profile == 3 else ()))
    station.open()
    yield station
    await site.close()
    station.close()


@pytest.fixture
async def managed(certified: Any) -> AsyncIterator[Any]:
    """At its CSMS, which signs nothing by itself."""
    async with Csms(tls=certified.tls()) as csms:
        await certified.visit(csms)
        yield certified
        await certified.site.close()
        assert csms.faults() == []


# --- A: the station's own certificate ---


async def test_tc_a_11(certified: Any) -> None:
    """A new certificate for the station, asked for by the CSMS: signed, taken, and shown from then on."""
    async with Csms(tls=certified.tls(), hooks=[certified.desk]) as csms:
        await certified.visit(csms)
        old = certified.key_id()
        asked = await certified.status_of("TriggerMessage", requestedMessage="SignChargingStationCertificate")
        assert asked == "Accepted"
        request = await csms.until_received("SignCertificate")
        assert request["certificateType"] == "ChargingStationCertificate"
        await certified.until(lambda: certified.key_id() != old)
        await certified.until(lambda: certified.site.station.online)
        links = [event.action for event in csms.events if event.action in ("#connected", "#disconnected")]
        assert links[:2] == ["#connected", "#connected"], "the next link stands before the old one goes"
        await certified.site.close()
        assert csms.faults() == []


async def test_tc_a_14(managed: Any) -> None:
    """A signed certificate that does not hold: rejected, told, and the old one serves on."""
    old = managed.key_id()
    await managed.call("TriggerMessage", requestedMessage="SignChargingStationCertificate")
    csr = (await managed.csms.until_received("SignCertificate"))["csr"].encode()
    chain = managed.pki.issue_secc(csr).decode().replace("MII", "MIJ", 1)
    use = "ChargingStationCertificate"
    assert await managed.status_of("CertificateSigned", certificateChain=chain, certificateType=use) == "Rejected"
    await managed.csms.until_security_event("InvalidChargingStationCertificate")
    assert managed.key_id() == old


async def test_tc_a_15(managed: Any) -> None:
    """The CSMS does not sign: it is not asked again."""
    managed.csms.behaviour.answers["SignCertificate"] = {"status": "Rejected"}
    await managed.set("SecurityCtrlr", "CertSigningWaitMinimum", "1")
    await managed.call("TriggerMessage", requestedMessage="SignChargingStationCertificate")
    await managed.csms.until_received("SignCertificate")
    await managed.site.settle(1.3)
    assert len(managed.csms.received("SignCertificate")) == 1
    assert managed.site.station.online


async def test_tc_a_23(managed: Any) -> None:
    """The CSMS accepts but sends no certificate: it is asked again after CertSigningWaitMinimum, and then no more."""
    await managed.set("SecurityCtrlr", "CertSigningWaitMinimum", "1")
    await managed.set("SecurityCtrlr", "CertSigningRepeatTimes", "1")
    await managed.call("TriggerMessage", requestedMessage="SignChargingStationCertificate")
    first = await managed.csms.until_received("SignCertificate")
    second = await managed.csms.until_received("SignCertificate", 2)
    keys = {x509.load_pem_x509_csr(told["csr"].encode()).public_key().public_numbers() for told in (first, second)}
    assert len(keys) == 1, "one key, however often it is asked for"
    times = [event.at_s for event in managed.csms.events if event.action == "SignCertificate"]
    assert times[1] - times[0] > 0.9


@pytest.mark.parametrize("certified", [2], indirect=True)
async def test_tc_a_21(certified: Any) -> None:
    """To security profile 3 without a certificate of the station's own: refused."""
    tls = Tls(certified.tls().certificate, certified.tls().key)
    async with Csms(tls=tls, password=made.PASSWORD) as csms:
        await certified.visit(csms)
        wanted = connection(made.url_of(csms), 3)
        answer = await certified.call("SetNetworkProfile", configurationSlot=2, connectionData=wanted)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "MissingCertificate")
        wanted = connection(made.url_of(csms), 2)
        answer = await certified.call("SetNetworkProfile", configurationSlot=2, connectionData=wanted)
        assert answer["status"] == "Accepted"
        await certified.site.close()


@dataclass
class OldTls(Tls):
    """A CSMS that knows no TLS of this decade."""

    def context(self) -> ssl.SSLContext:
        context = super().context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        return context


@dataclass
class WeakTls(Tls):
    """A CSMS whose one suite the standard forbids."""

    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")
        return context


@contextlib.contextmanager
def shaking_hands(tls: Tls) -> Iterator[int]:
    """A server that shakes hands in a thread and says its alerts, as asyncio's does not."""
    context = tls.context()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


async def refused_then_told(certified: Any, bad: Tls, event: str) -> None:
    """The station does not speak to it; the next CSMS that it does speak to hears why."""
    with shaking_hands(bad) as port:
        await certified.site.start(wait=False, url=f"wss://localhost:{port}", security_profile=3)
        await certified.until(lambda: certified.site.station.counts.get("connect failed", 0) >= 2)
        assert not certified.site.station.online
    async with Csms(tls=certified.tls(), port=port) as csms:
        await csms.until_security_event(event)
        told = [notice["type"] for notice in csms.received("SecurityEventNotification")]
        assert told.count(event) == 1, "once, however often it was tried"
        await certified.site.close()


async def test_tc_a_06(certified: Any) -> None:
    """A TLS version too low: no connection, and the security event InvalidTLSVersion."""
    tls = certified.tls()
    await refused_then_told(certified, OldTls(tls.certificate, tls.key), "InvalidTLSVersion")


async def test_a_suite_the_standard_forbids(certified: Any) -> None:
    tls = certified.tls()
    await refused_then_told(certified, WeakTls(tls.certificate, tls.key), "InvalidTLSCipherSuite")


async def test_a_csms_nobody_vouches_for(certified: Any, tmp_path: Path) -> None:
    stranger = made.authority("A stranger", tmp_path / "stranger")
    await refused_then_told(certified, stranger.tls, "InvalidCsmsCertificate")


async def test_a_csms_that_does_not_know_the_station(certified: Any, tmp_path: Path, pki: Pki) -> None:
    tls = certified.tls()
    other_ca = Tls(tls.certificate, tls.key, client_ca=pki.path("v2g_root.pem"))
    await refused_then_told(certified, other_ca, "FailedToAuthenticateAtCsms")


# --- B: to another CSMS, under another root ---


def connection(url: str, security_profile: int) -> dict[str, Any]:
    return {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": security_profile,
        "ocppInterface": "Wired0",
    }


async def migrate(managed: Any, url: str) -> None:
    wanted = connection(url, 3)
    assert await managed.status_of("SetNetworkProfile", configurationSlot=2, connectionData=wanted) == "Accepted"
    assert await managed.set("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "2") == "Accepted"
    assert await managed.set("OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1") == "RebootRequired"
    assert await managed.status_of("Reset", type="OnIdle") == "Accepted"


async def test_tc_b_47(managed: Any, tmp_path: Path) -> None:
    """To a CSMS under a root that is not installed: back to the old one after NetworkProfileConnectionAttempts."""
    stranger = made.authority("Another CSMS Root", tmp_path / "other")
    async with Csms(tls=stranger.tls) as other:
        await migrate(managed, made.url_of(other))
        await managed.csms.until_received("BootNotification", 2, 10)
        assert other.events == []
    await managed.csms.until_security_event("InvalidCsmsCertificate")


async def test_tc_b_49(managed: Any, tmp_path: Path, pki: Pki) -> None:
    """The new CSMS, under its own root, goes away for good: back to the old one."""
    new = made.authority("Another CSMS Root", tmp_path / "other", pki.path("station_root.pem"))
    assert await managed.install("CSMSRootCertificate", new.root.pem.decode()) == "Accepted"
    async with Csms(tls=new.tls) as other:
        await migrate(managed, made.url_of(other))
        await other.until_received("BootNotification", timeout_s=10)
        before = len([event for event in managed.csms.events if event.action == "#connected"])
    await managed.csms.until(
        lambda: len([event for event in managed.csms.events if event.action == "#connected"]) > before, 10
    )
    await managed.until(lambda: managed.site.station.online)


async def test_tc_b_50(managed: Any, tmp_path: Path, pki: Pki) -> None:
    """To another CSMS under a root installed before: after the reset, and known there by its network profile."""
    new = made.authority("Another CSMS Root", tmp_path / "other", pki.path("station_root.pem"))
    assert await managed.install("CSMSRootCertificate", new.root.pem.decode()) == "Accepted"
    async with Csms(tls=new.tls) as other:
        await migrate(managed, made.url_of(other))
        await other.until_received("BootNotification", timeout_s=10)
        asked = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "ActiveNetworkProfile"}}
        answer = await other.call("GetVariables", {"getVariableData": [asked]})
        assert answer["getVariableResult"][0]["attributeValue"] == "2"
        await managed.site.close()
        assert other.faults() == []


# --- M: roots and chains ---


async def installs(managed: Any, kind: str) -> None:
    new = root(Blank(f"New {kind}"))
    before = await managed.kinds(kind)
    assert await managed.install(kind, new.pem.decode()) == "Accepted"
    assert await managed.kinds(kind) == [*before, kind]


async def test_tc_m_01(managed: Any) -> None:
    """A CSMS root is installed."""
    await installs(managed, "CSMSRootCertificate")


async def test_tc_m_02(managed: Any) -> None:
    """A manufacturer root is installed."""
    await installs(managed, "ManufacturerRootCertificate")


async def test_tc_m_07(managed: Any, pki: Pki) -> None:
    """What is no valid root is rejected: rubbish, or a leaf."""
    before = await managed.kinds()
    for pem in ("no certificate", pki.contract.pem.decode()):
        assert await managed.install("CSMSRootCertificate", pem) == "Rejected"
    assert await managed.kinds() == before


async def test_tc_m_12(managed: Any) -> None:
    """The CSMS roots are told."""
    assert await managed.kinds("CSMSRootCertificate") == ["CSMSRootCertificate"]


async def test_tc_m_13(managed: Any) -> None:
    """The manufacturer roots are told."""
    await managed.install("ManufacturerRootCertificate", root(Blank("Maker")).pem.decode())
    assert await managed.kinds("ManufacturerRootCertificate") == ["ManufacturerRootCertificate"]


async def test_tc_m_17(managed: Any) -> None:
    """CSMS and manufacturer roots are told in one answer."""
    await managed.install("ManufacturerRootCertificate", root(Blank("Maker")).pem.decode())
    both = ["CSMSRootCertificate", "ManufacturerRootCertificate"]
    assert await managed.kinds(*both) == both


async def test_tc_m_18(managed: Any) -> None:
    """All kinds are told, asked for by name or by none."""
    for kind, name in (("ManufacturerRootCertificate", "Maker"), ("MORootCertificate", "Operator")):
        await managed.install(kind, root(Blank(name)).pem.decode())
    everything = [
        "CSMSRootCertificate",
        "MORootCertificate",
        "ManufacturerRootCertificate",
        "V2GCertificateChain",
        "V2GRootCertificate",
    ]
    assert await managed.kinds(*everything) == everything
    assert await managed.kinds() == everything


async def test_tc_m_19(managed: Any) -> None:
    """None of the wanted kind."""
    assert await managed.status_of("GetInstalledCertificateIds", certificateType=["MORootCertificate"]) == "NotFound"


async def test_tc_m_20(managed: Any) -> None:
    """A root is deleted, and told no more."""
    maker = root(Blank("Maker"))
    await managed.install("ManufacturerRootCertificate", maker.pem.decode())
    assert await managed.status_of("DeleteCertificate", certificateHashData=made.named(maker)) == "Accepted"
    assert await managed.kinds("ManufacturerRootCertificate") == []


async def test_tc_m_22(managed: Any) -> None:
    """A certificate that is not there cannot be deleted."""
    unknown = made.named(root(Blank("Nobody's")))
    assert await managed.status_of("DeleteCertificate", certificateHashData=unknown) == "NotFound"


async def test_tc_m_23(managed: Any, pki: Pki) -> None:
    """The station's own certificate is not deleted by the CSMS."""
    stored = managed.credentials.store.chain(Purpose.CSMS)
    data = hash_data(chain.load(stored.chain_der[0]), pki.station_root.certificate)
    leaf = made.hash_data_type(data)
    assert await managed.status_of("DeleteCertificate", certificateHashData=leaf) == "Failed"
    assert managed.credentials.store.chain(Purpose.CSMS) == stored
    assert managed.site.station.online


# --- ISO 15118 Support ---


async def test_tc_a_12(certified: Any) -> None:
    """A new certificate for vehicles, asked for by the CSMS: signed, taken, in use; the link stays"""
    async with Csms(tls=certified.tls(), hooks=[certified.desk]) as csms:
        await certified.visit(csms)
        old = certified.credentials.store.chain(Purpose.SECC)
        assert await certified.status_of("TriggerMessage", requestedMessage="SignV2GCertificate") == "Accepted"
        await certified.until(lambda: certified.credentials.store.chain(Purpose.SECC) != old)
        asked = csms.received("SignCertificate")
        assert [request["certificateType"] for request in asked] == ["V2GCertificate"]
        assert len(csms.received("BootNotification")) == 1
        assert csms.faults() == []


async def test_the_csms_may_keep_certificates_for_vehicles_to_others(managed: Any) -> None:
    await managed.set("ISO15118Ctrlr", "V2GCertificateInstallationEnabled", "false")
    assert await managed.status_of("TriggerMessage", requestedMessage="SignV2GCertificate") == "Rejected"
    managed.site.station.sign_certificate("V2GCertificate")
    assert await managed.status_of("TriggerMessage", requestedMessage="SignChargingStationCertificate") == "Accepted"
    asked = await managed.csms.until_received("SignCertificate")
    assert asked["certificateType"] == "ChargingStationCertificate"


async def test_tc_m_03(managed: Any) -> None:
    """A V2G root is installed."""
    await installs(managed, "V2GRootCertificate")


async def test_tc_m_04(managed: Any) -> None:
    """An MO root is installed."""
    await installs(managed, "MORootCertificate")


async def test_tc_m_14(managed: Any) -> None:
    """The V2G roots are told."""
    assert await managed.kinds("V2GRootCertificate") == ["V2GRootCertificate"]


async def test_tc_m_15(managed: Any) -> None:
    """The chain for vehicles is told, with its sub-CAs."""
    answer = await managed.call("GetInstalledCertificateIds", certificateType=["V2GCertificateChain"])
    (entry,) = answer["certificateHashDataChain"]
    assert len(entry["childCertificateHashData"]) == 2
    stored = managed.credentials.store.chain(Purpose.SECC)
    serials = [f"{chain.load(der).serial_number:x}" for der in stored.chain_der]
    told = [entry["certificateHashData"], *entry["childCertificateHashData"]]
    assert [item["serialNumber"] for item in told] == serials


async def test_tc_m_16(managed: Any) -> None:
    """The MO roots are told."""
    await managed.install("MORootCertificate", root(Blank("Operator")).pem.decode())
    assert await managed.kinds("MORootCertificate") == ["MORootCertificate"]


async def looked_after(certified: Any) -> None:
    """What the daemon does each hour."""
    station, renew_before = certified.site.station, timedelta(days=1)
    watch = CertificateWatch(
        certified.certificates, station, TpmNews(station), interval_s=3600.0, renew_before=renew_before
    )
    await watch.look()


async def test_tc_m_24(certified: Any) -> None:
    """The state of each certificate of the chain for vehicles: asked for, checked, kept, not asked for again"""
    async with Csms(tls=certified.tls()) as csms:
        csms.answers.certificate_status = certified.desk.status
        await certified.visit(csms)
        await certified.until(lambda: certified.site.station.online)
        await looked_after(certified)
        asked = [request["ocspRequestData"]["serialNumber"] for request in csms.received("GetCertificateStatus")]
        stored = certified.credentials.store.chain(Purpose.SECC)
        assert asked == [f"{chain.load(der).serial_number:x}" for der in stored.chain_der]
        await looked_after(certified)
        assert len(csms.received("GetCertificateStatus")) == len(asked)
        assert csms.faults() == []


async def test_tc_m_25(managed: Any) -> None:
    """The CSMS has no state of a certificate: asked for again at the next look, nothing else changes"""
    await managed.until(lambda: managed.site.station.online)
    for looks in (1, 2):
        await looked_after(managed)
        assert len(managed.csms.received("GetCertificateStatus")) == 3 * looks
    assert managed.site.station.online
