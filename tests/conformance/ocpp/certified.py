"""A station whose keys are in a TPM and whose certificates a CSMS manages: the real store behind the real link."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.hashdata import OcspHashData, hash_data
from certs.keystore import Purpose
from certs.provision import ensure_identity
from certs.store import CertificateStore, RootKind
from certs.tpm import Tpm, TpmKeyStore
from firmware.certificates import StationCertificates, subjects
from firmware.config import Config, parse
from firmware.credentials import Credentials
from sim.csms.pki import CertificateDesk
from sim.csms.server import Csms, Tls
from sim.pki.authority import Blank, Entity, root
from sim.pki.pki import CSMS_NAMES, Pki

Payload = dict[str, Any]
PASSWORD = "a-long-enough-password"
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
password = "{password}"
[tpm]
tcti = "{tcti}"
[[evse]]
id = 1
evse_id = "DE*EVS*E0001"
device = "/dev/null"
"""


def url_of(csms: Csms) -> str:
    return csms.url.replace("127.0.0.1", "localhost")


@dataclass
class Authority:
    """A root, and a CSMS's certificate under it."""

    root: Entity
    tls: Tls


def authority(name: str, directory: Path, client_ca: Path | None = None) -> Authority:
    made = root(Blank(name))
    server = Blank("localhost", extended_usages=(ExtendedKeyUsageOID.SERVER_AUTH,), alternative_names=CSMS_NAMES)
    made.child(server).saved(directory, "server")
    return Authority(made, Tls(directory / "server.chain.pem", directory / "server.key", client_ca))


@dataclass
class Certified:
    """`visit` brings the station to a CSMS; from then on `csms` is that one."""

    site: Any
    pki: Pki
    config: Config
    directory: Path
    credentials: Credentials = field(init=False)
    certificates: StationCertificates = field(init=False)
    csms: Csms = field(init=False)

    def provision(self, *purposes: Purpose) -> None:
        """As the factory does it: the roots, and keys with certificates for these purposes."""
        tpm, store = Tpm(self.config.tpm.tcti), CertificateStore(self.config.station.state_dir / "certs")
        tpm.ensure_srk()
        store.install_root(RootKind.CSMS, self.pki.csms_root.pem.decode())
        if Purpose.SECC in purposes:
            store.install_root(RootKind.V2G, self.pki.v2g_root.pem.decode())
        issuers = {Purpose.CSMS: self.pki.issue_station, Purpose.SECC: self.pki.issue_secc}
        for purpose in purposes:
            subject, issue = subjects(self.config)[purpose], issuers[purpose]
            ensure_identity(store, TpmKeyStore(tpm), purpose, subject, issue, datetime.now(UTC))
        tpm.close()

    def open(self) -> None:
        self.credentials = Credentials(self.config)
        self.certificates = StationCertificates(self.credentials, subjects(self.config))
        self.site.station_options["certificates"] = self.certificates
        self.site.before_start = self._renew_tls

    def _renew_tls(self) -> None:
        self.site.station_options["tls"] = self.credentials.csms_context()

    def close(self) -> None:
        self.certificates.close()
        self.credentials.close()

    def tls(self) -> Tls:
        return Tls(
            self.pki.path("csms.chain.pem"), self.pki.path("csms.key"), client_ca=self.pki.path("station_root.pem")
        )

    @property
    def desk(self) -> CertificateDesk:
        return CertificateDesk(self.pki)

    async def visit(self, csms: Csms, **options: Any) -> None:
        self.csms = csms
        profile = self.config.csms.security_profile
        await self.site.start(url=url_of(csms), security_profile=profile, password=PASSWORD, **options)

    async def call(self, action: str, **payload: Any) -> Payload:
        return await self.csms.call(action, payload)

    async def status_of(self, action: str, **payload: Any) -> str:
        status: str = (await self.call(action, **payload))["status"]
        return status

    async def set(self, component: str, variable: str, value: str) -> str:
        item = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
        answer = await self.call("SetVariables", setVariableData=[item])
        status: str = answer["setVariableResult"][0]["attributeStatus"]
        return status

    async def kinds(self, *kinds: str) -> list[str]:
        """What GetInstalledCertificateIds names, sorted; empty for NotFound."""
        answer = await self.call("GetInstalledCertificateIds", **({"certificateType": list(kinds)} if kinds else {}))
        chains = answer.get("certificateHashDataChain", [])
        assert (answer["status"] == "Accepted") == bool(chains)
        return sorted(entry["certificateType"] for entry in chains)

    async def install(self, kind: str, pem: str) -> str:
        return await self.status_of("InstallCertificate", certificateType=kind, certificate=pem)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(8):
            while not holds():
                await asyncio.sleep(0.01)

    def key_id(self) -> str | None:
        stored = self.credentials.store.chain(Purpose.CSMS)
        return None if stored is None else stored.key_id


def named(entity: Entity) -> Payload:
    """A root as OCPP's CertificateHashDataType."""
    return hash_data_type(hash_data(entity.certificate, entity.certificate))


def hash_data_type(data: OcspHashData) -> Payload:
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": data.issuer_name_hash,
        "issuerKeyHash": data.issuer_key_hash,
        "serialNumber": data.serial_number,
    }


def configured(directory: Path, tcti: str, profile: int) -> Config:
    text = CONFIG.format(directory=directory, tcti=tcti, profile=profile, password=PASSWORD)
    return parse(text, directory / "evsed.toml")
