"""A whole site whose CSMS has a certificate desk: keys, chains, roots and OCSP responses come to a daemon that runs."""

import os
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keystore import Purpose
from certs.store import CertificateStore
from certs.tpm import Tpm
from sim.namespaces import missing_right
from sim.site import Event, Options, Site


class CertificateSite(Site):
    """The CSMS signs what it is asked to, and the daemon looks after its certificates every second."""

    def _start(self, name: str, netns: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
        if name == "csms":
            arguments = [*arguments, "--pki", str(self.directory / "pki")]
        return super()._start(name, netns, arguments)

    def run_all(self) -> None:
        self.prepare()
        with (self.directory / "evsed.toml").open("a") as file:
            file.write("[certificates]\ncheck_interval_s = 1\n")
        self.start_csms()
        self.start_modems()
        self.start_board()
        self.start_daemon()
        self.wait_for(lambda: self.calls("BootNotification"), "the station at its CSMS", 20)

    def calls(self, action: str) -> list[Event]:
        return [line for line in self.read("csms") if line["action"] == action]

    def trigger(self, message: str) -> None:
        command = {"call": "TriggerMessage", "payload": {"requestedMessage": message}}
        assert self.command_csms(command)["ok"]["status"] == "Accepted"

    @property
    def store(self) -> CertificateStore:
        return CertificateStore(self.directory / "state" / "certs")

    def key_in_use(self, purpose: Purpose) -> str:
        stored = self.store.chain(purpose)
        assert stored is not None
        return stored.key_id

    def until_rotated(self, purpose: Purpose, old_key_id: str) -> None:
        def rotated() -> bool:
            return self.key_in_use(purpose) != old_key_id and self.store.pending(purpose) is None

        self.wait_for(rotated, f"the new {purpose} certificate in use", 20)

    def handles(self) -> list[str]:
        config = tomllib.loads((self.directory / "evsed.toml").read_text())
        tpm = Tpm(config["tpm"]["tcti"])
        try:
            return [f"tpm:{handle:x}" for handle in tpm.handles()]
        finally:
            tpm.close()

    def tpm_told(self) -> list[str]:
        kinds = [line["payload"]["type"] for line in self.calls("SecurityEventNotification")]
        return [kind for kind in kinds if kind.startswith("Tpm")]

    def charge(self, contract: str = "good") -> None:
        vehicle = self.start_vehicle("iso2-ac-pnc", "--charge-s", "3", contract=contract)
        self.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
        assert vehicle.returncode == 0, self.log_of("vehicle")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CertificateSite]:
    if right := missing_right():
        pytest.skip(right)
    with CertificateSite(tmp_path, Options(sampled_interval_s=1.0)) as made:
        made.run_all()
        yield made


def test_both_certificates_are_rotated_under_a_running_station(site: CertificateSite) -> None:
    """A02, A03: the link to the CSMS changes over without a gap, vehicles see the new leaf, no old key is left."""
    old = {purpose: site.key_in_use(purpose) for purpose in (Purpose.CSMS, Purpose.SECC)}

    site.trigger("SignChargingStationCertificate")
    site.until_rotated(Purpose.CSMS, old[Purpose.CSMS])
    links = [line["action"] for line in site.read("csms") if line["action"] in ("#connected", "#disconnected")]
    assert links == ["#connected", "#connected", "#disconnected"], "the next link stood before the first was closed"
    assert len(site.calls("BootNotification")) == 1, "a registration outlives the link"

    site.trigger("SignV2GCertificate")
    site.until_rotated(Purpose.SECC, old[Purpose.SECC])
    site.wait_for(lambda: len(site.calls("#CertificateSigned")) == 2, "the station's answers", 5)
    answers = [line["payload"]["response"] for line in site.calls("#CertificateSigned")]
    assert answers == [{"status": "Accepted"}] * 2
    assert [line["payload"]["certificateType"] for line in site.calls("SignCertificate")] == [
        "ChargingStationCertificate",
        "V2GCertificate",
    ]
    new = sorted(site.key_in_use(purpose) for purpose in (Purpose.CSMS, Purpose.SECC))
    site.wait_for(lambda: site.handles() == new, "the old keys destroyed", 10)

    site.charge()
    assert [line for line in site.read("csms") if line["fault"]] == []
    commands = [line["command"] for line in site.read("tpm")]
    assert not {"Import", "LoadExternal"} & set(commands)
    token = next(line["payload"]["idToken"]["idToken"] for line in site.calls("Authorize"))
    kept = [file for file in (site.directory / "state").rglob("journal.sqlite*") if token.encode() in file.read_bytes()]
    assert kept == [], "who charged is sealed"


def test_ocsp_responses_come_by_the_csms_and_a_new_chain_gets_its_own(site: CertificateSite) -> None:
    """M06, for each certificate of the SECC chain; what is held is not asked for again until half its time is over."""
    held = site.directory / "state" / "certs" / "ocsp"

    def responses() -> int:
        return len(list(held.glob("*.ocsp"))) if held.exists() else 0

    site.wait_for(lambda: responses() == 3, "an OCSP response for each certificate", 20)
    site.charge()
    asked = [line["payload"]["ocspRequestData"]["serialNumber"] for line in site.calls("GetCertificateStatus")]
    assert len(asked) == len(set(asked)) == 3

    old = site.key_in_use(Purpose.SECC)
    site.trigger("SignV2GCertificate")
    site.until_rotated(Purpose.SECC, old)
    site.wait_for(lambda: responses() == 4, "the new leaf's response", 20)


def test_a_root_takes_effect_without_a_restart(site: CertificateSite) -> None:
    """M05: a contract of an unknown MO is refused, and taken once the CSMS has installed its root."""
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "3", contract="unknown_root")
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    assert vehicle.returncode == 3
    file = site.directory / "vehicle" / "unknown_root" / "iso15118_2" / "certs" / "moRootCACert.der"
    root = x509.load_der_x509_certificate(file.read_bytes()).public_bytes(Encoding.PEM).decode()
    payload = {"certificateType": "MORootCertificate", "certificate": root}
    assert site.command_csms({"call": "InstallCertificate", "payload": payload})["ok"]["status"] == "Accepted"
    site.charge(contract="unknown_root")


def test_a_tpm_that_falls_silent_under_a_running_station(site: CertificateSite) -> None:
    """Stopped in its tracks it answers nothing and hangs up nothing: a handshake fails in time, and the next stands."""
    tpm = site._processes["tpm"].pid
    os.kill(tpm, signal.SIGSTOP)
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "3")
    try:
        site.wait_for(lambda: "TLS handshake failed" in site.log_of("evsed"), "the handshake to fail", 40)
        site.wait_for(lambda: site.tpm_told() == ["TpmUnavailable"], "the operator to be told", 5)
        assert not [fault for fault in site.read("events") if fault.get("fault") == "CommunicationFault"], "the board"
    finally:
        os.kill(tpm, signal.SIGCONT)
    site.wait_for(lambda: site.tpm_told() == ["TpmUnavailable", "TpmAvailable"], "the operator to be told again", 40)
    site.wait_for(lambda: vehicle.poll() is not None, "the vehicle to leave", 60)
    site.charge()


@pytest.mark.parametrize("absent", ["refuse", "without-tls"])
def test_a_tpm_that_does_not_answer_at_start(tmp_path: Path, absent: str) -> None:
    """By the configuration's word: no start; or a start without TLS, told to the operator, until the TPM is back."""
    if right := missing_right():
        pytest.skip(right)
    with CertificateSite(tmp_path, Options(sampled_interval_s=1.0)) as site:
        site.prepare()
        text = (tmp_path / "evsed.toml").read_text().replace("[tpm]", f'[tpm]\nabsent = "{absent}"')
        (tmp_path / "evsed.toml").write_text(text + "[certificates]\ncheck_interval_s = 1\n")
        site.kill("tpm", signal.SIGTERM)
        site.start_csms()
        site.start_modems()
        site.start_board()
        if absent == "refuse":
            process = site._start("evsed", "station", ["firmware.app", str(tmp_path / "evsed.toml")])
            assert process.wait(20) == 1
            assert "the TPM does not answer" in site.log_of("evsed")
            return
        site.start_daemon()
        assert site.calls("BootNotification") == [], "security profile 3 needs the key"
        site.start_tpm()
        site.wait_for(lambda: len(site.calls("NotifyEvent")) >= 2, "the station to tell of it", 30)
        site.wait_for(lambda: site.tpm_told() == ["TpmUnavailable", "TpmAvailable"], "both security events", 10)
        problems = [line["payload"]["eventData"][0] for line in site.calls("NotifyEvent")]
        assert [problem["component"]["name"] for problem in problems][:2] == ["SecurityCtrlr"] * 2
        site.charge()
