"""TC_A: security profiles and passwords."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sim.csms.server import Csms, Tls

OLD, NEW = "old-password-0123", "new-password-0123"


class Pki:
    """A root, and what it signed for the CSMS and for the station."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
        self.root = self._write("root", self._sign("Root", self._key, ca=True))
        self.server = self._leaf("127.0.0.1")
        self.station = self._leaf("CS-1")

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.root))

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool = False) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + datetime.timedelta(days=1),
        ).add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if name[0].isdigit():
            address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
            builder = builder.add_extension(address, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _leaf(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(f"{name}.crt", self._sign(name, key)), self._write(f"{name}.key", secret)

    def _write(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        return path


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


async def visits(site: Any, csms: Csms, **options: Any) -> None:
    """The station goes to this CSMS."""
    await site.start(url=csms.url, **options)
    assert csms.stations == ["CS-1"]
    assert csms.faults() == []
    await site.power_off()


async def test_tc_a_01(site: Any) -> None:
    """Security profile 1: basic authentication."""
    async with Csms(password=OLD) as csms:
        await visits(site, csms, password=OLD)


async def test_tc_a_04(site: Any, pki: Pki) -> None:
    """Security profile 2: a CSMS with a valid certificate."""
    site.station_options["tls"] = pki.trust()
    async with Csms(password=OLD, tls=Tls(*pki.server)) as csms:
        await visits(site, csms, password=OLD, security_profile=2)


async def test_tc_a_05(site: Any, pki: Pki) -> None:
    """Security profile 2: a CSMS whose certificate nobody vouches for is not spoken to."""
    site.station_options["tls"] = ssl.create_default_context()
    async with Csms(password=OLD, tls=Tls(*pki.server)) as csms:
        await site.start(wait=False, url=csms.url, password=OLD, security_profile=2)
        await site.settle(0.3)
        assert csms.events == []
        assert not site.station.online
        await site.power_off()


async def test_tc_a_07(site: Any, pki: Pki) -> None:
    """Security profile 3: the station shows its certificate."""
    context = pki.trust()
    context.load_cert_chain(*pki.station)
    site.station_options["tls"] = context
    async with Csms(tls=Tls(*pki.server, client_ca=pki.root)) as csms:
        await visits(site, csms, security_profile=3)


async def password(csms: Csms, value: str) -> str:
    item = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": value,
    }
    answer = await csms.call("SetVariables", {"setVariableData": [item]})
    status: str = answer["setVariableResult"][0]["attributeStatus"]
    return status


async def test_tc_a_09(site: Any) -> None:
    """A new password: the station comes back with it, and not with the old one."""
    async with Csms(password=OLD) as csms:
        await site.start(url=csms.url, password=OLD)
        csms._password = NEW
        assert await password(csms, NEW) == "Accepted"
        await csms.until(lambda: sum(event.action == "#connected" for event in csms.events) == 2)
        await site.power_off()


async def test_tc_a_10(site: Any) -> None:
    """A password against the rules: refused, the old one holds."""
    async with Csms(password=OLD) as csms:
        await site.start(url=csms.url, password=OLD)
        assert await password(csms, "short") == "Rejected"
        csms.drop()
        await csms.until(lambda: sum(event.action == "#connected" for event in csms.events) == 2)
        await site.power_off()


def connection(url: str, security_profile: int) -> dict[str, Any]:
    return {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": security_profile,
        "ocppInterface": "Wired0",
    }


async def test_tc_a_19(site: Any, pki: Pki) -> None:
    """From security profile 1 to 2: after the reset, and told by SecurityProfile."""
    site.station_options["tls"] = pki.trust()
    async with Csms(password=OLD, tls=Tls(*pki.server)) as safe:
        await site.start(password=OLD)
        answer = await site.call("SetNetworkProfile", configurationSlot=2, connectionData=connection(safe.url, 2))
        assert answer["status"] == "Accepted"
        assert await site.set("OCPPCommCtrlr", "NetworkConfigurationPriority", "2") == "RebootRequired"
        await site.call("Reset", type="OnIdle")
        await safe.until_received("BootNotification")
        asked = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "SecurityProfile"}}
        answer = await safe.call("GetVariables", {"getVariableData": [asked]})
        assert answer["getVariableResult"][0]["attributeValue"] == "2"
        await site._restarting
        await site.power_off()


async def test_tc_a_20(running: Any) -> None:
    """To security profile 2 without TLS set up: refused."""
    url = "wss://127.0.0.1:9/"
    answer = await running.call("SetNetworkProfile", configurationSlot=2, connectionData=connection(url, 2))
    assert answer["status"] == "Rejected"


async def test_tc_a_22(site: Any, pki: Pki) -> None:
    """From security profile 2 to 1: refused."""
    site.station_options["tls"] = pki.trust()
    async with Csms(password=OLD, tls=Tls(*pki.server)) as csms:
        await site.start(url=csms.url, password=OLD, security_profile=2)
        wanted = {"configurationSlot": 2, "connectionData": connection("ws://127.0.0.1:9/", 1)}
        assert (await csms.call("SetNetworkProfile", wanted))["status"] == "Rejected"
        await site.power_off()
