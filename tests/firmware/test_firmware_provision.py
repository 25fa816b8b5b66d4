"""`evse provision` and `evse factory-reset`, as the factory and the technician run them, on a TPM that is real."""

import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Purpose
from certs.store import CertificateStore, RootKind
from certs.tpm import SRK, Tpm
from firmware import provisioning
from firmware.cli import main
from firmware.config import load
from firmware.credentials import Credentials
from firmware.journal import SqliteJournal
from firmware.secrets import PASSWORD, SealedSecrets
from sim.pki.pki import Pki, build
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm

CONFIG = """
[station]
identity = "CS-1"
vendor = "maker"
organization = "operator"
model = "demo"
serial = "0001"
state_dir = "state"
[csms]
url = "wss://localhost:1/ocpp"
[control]
socket = "control.sock"
[[evse]]
id = 1
evse_id = "DE*EVS*E0001"
device = "/dev/null"
plc_interface = "plc0"
[tpm]
tcti = "{tcti}"
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


class Factory:
    """A board on the bench, its configuration, and the directory that goes to the CA and back."""

    def __init__(self, directory: Path, proxy: Proxy, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.proxy, self._pki, self._capsys = directory, proxy, pki, capsys
        self.config = directory / "evsed.toml"
        self.exchange = directory / "exchange"
        self.config.write_text(CONFIG.format(tcti=proxy.tcti))

    def run(self, *arguments: str) -> int:
        return main([*arguments[:1], "--config", str(self.config), *arguments[1:]])

    def provision(self, *more: str) -> tuple[int, dict[str, Any]]:
        code = self.run("provision", "--exchange", str(self.exchange), "--json", *more)
        return code, json.loads(self._capsys.readouterr().out.splitlines()[-1])

    def said(self) -> str:
        return self._capsys.readouterr().err

    def give_roots(self) -> None:
        roots = ((RootKind.V2G, self._pki.v2g_root), (RootKind.MO, self._pki.mo_root))
        for kind, entity in (*roots, (RootKind.CSMS, self._pki.csms_root)):
            folder = self.exchange / "roots" / kind.value
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "root.pem").write_bytes(entity.pem)

    def sign(self, *names: str) -> None:
        """What the CA does."""
        for name in names:
            issue: Callable[[bytes], bytes] = self._pki.issue_station if name == "csms" else self._pki.issue_secc
            answer = issue((self.exchange / f"{name}.csr.pem").read_bytes())
            (self.exchange / f"{name}.chain.pem").write_bytes(answer)

    @property
    def tpm(self) -> Tpm:
        return Tpm(self.proxy.tcti)


@pytest.fixture
def factory(tmp_path: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> Iterator[Factory]:
    if not Swtpm.available():
        pytest.skip("swtpm is not installed")
    with tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name:
        directory = Path(name)
        with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
            yield Factory(tmp_path, proxy, pki, capsys)


def states(report: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in report["steps"]}


def test_from_a_bare_board_to_a_station_that_starts(factory: Factory) -> None:
    code, report = factory.provision()
    assert (code, report["state"]) == (1, "waiting")
    waiting = {step["name"]: step["detail"] for step in report["steps"] if step["state"] == "waiting"}
    assert waiting == {
        "roots": "roots/csms/*.pem, roots/v2g/*.pem",
        "key secc": "secc.chain.pem for secc.csr.pem",
        "key csms": "csms.chain.pem for csms.csr.pem",
    }
    request = x509.load_pem_x509_csr((factory.exchange / "secc.csr.pem").read_bytes())
    assert request.is_signature_valid
    names = {name.oid: name.value for name in request.subject}
    assert names == {
        NameOID.COMMON_NAME: "DEEVSE0001",
        NameOID.ORGANIZATION_NAME: "operator",
        NameOID.COUNTRY_NAME: "DE",
        NameOID.DOMAIN_COMPONENT: "CPO",
    }

    factory.give_roots()
    factory.sign("secc", "csms")
    code, report = factory.provision()
    assert (code, report["state"]) == (0, "done"), report
    assert {key["purpose"]: key["origin"] for key in report["keys"]} == {"secc": "tpm", "csms": "tpm"}
    assert all("fixedTPM" in key["attributes"] and "noDA" in key["attributes"] for key in report["keys"])
    assert report["chip"]["lockout_counter"] == 0
    assert "secp256r1" in report["chip"]["curves"]

    credentials = Credentials(load(factory.config))
    assert credentials.rotation(Purpose.SECC).identity() is not None
    assert credentials.csms_context() is not None
    credentials.close()


def test_a_second_run_changes_nothing(factory: Factory) -> None:
    factory.give_roots()
    factory.provision()
    requested = (factory.exchange / "csms.csr.pem").read_bytes()
    handles = factory.tpm.handles()
    factory.provision()
    again = (factory.exchange / "csms.csr.pem").read_bytes()
    keys = [x509.load_pem_x509_csr(pem).public_key().public_numbers() for pem in (requested, again)]
    assert keys[0] == keys[1], "the key that was asked for is asked for again"
    assert factory.tpm.handles() == handles
    factory.sign("secc", "csms")
    first, second = factory.provision()[1], factory.provision()[1]
    assert first["keys"] == second["keys"]
    counters = [step["detail"] for step in second["steps"] if step["name"] == "rollback counter"]
    assert counters == [str(factory.tpm.rollback_counter())]


def test_a_chain_that_does_not_fit_fails_with_its_reason(factory: Factory) -> None:
    factory.give_roots()
    factory.provision()
    factory.sign("secc", "csms")
    (factory.exchange / "secc.chain.pem").write_bytes((factory.exchange / "csms.chain.pem").read_bytes())
    code, report = factory.provision()
    assert (code, report["state"]) == (1, "failed")
    assert report["steps"][-1]["name"] == "key secc"
    assert "unknown root" in report["steps"][-1]["detail"]
    factory.sign("secc")
    assert factory.provision()[0] == 0


def test_a_key_for_iso_15118_20(factory: Factory) -> None:
    """The simulated chip has P-521; a chip without seals a software key, and says so."""
    factory.give_roots()
    code, report = factory.provision("--iso20")
    assert states(report)["key secc-20"] == "waiting"
    request = x509.load_pem_x509_csr((factory.exchange / "secc-20.csr.pem").read_bytes())
    assert request.public_key().curve.name == "secp521r1"
    factory.sign("secc", "csms", "secc-20")
    code, report = factory.provision("--iso20")
    assert code == 0, report
    assert [key["purpose"] for key in report["keys"]] == ["csms", "secc", "secc-20"]


def test_a_station_without_plug_and_charge_needs_no_secc_key(factory: Factory) -> None:
    factory.config.write_text(factory.config.read_text().replace('plc_interface = "plc0"\n', ""))
    _, report = factory.provision()
    assert "key secc" not in states(report)


async def test_a_basic_auth_password_is_sealed(factory: Factory) -> None:
    """Security profile 2 without the password in the configuration."""
    text = factory.config.read_text().replace('/ocpp"\n', '/ocpp"\nsecurity_profile = 2\npassword_sealed = true\n')
    factory.config.write_text(text)
    factory.exchange.mkdir()
    (factory.exchange / "csms.password").write_text("a-long-enough-password\n")
    _, report = factory.provision()
    assert states(report)["vault"] == "done"
    secrets = SealedSecrets(factory.directory / "state" / "certs" / "vault", factory.tpm)
    assert await secrets.get(PASSWORD) == "a-long-enough-password"


# --- ownership ---


def test_the_owner_password_is_made_once_and_kept(factory: Factory) -> None:
    factory.config.write_text(factory.config.read_text() + 'owner_auth_file = "owner"\n')
    file = factory.directory / "owner"
    _, report = factory.provision()
    assert states(report)["ownership"] == "done"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_bytes()
    assert len(password) == 32
    with pytest.raises(KeyUnavailable) as refused:
        factory.tpm.take_ownership(b"another")
    assert refused.value.reason is KeyFault.NOT_AUTHORISED
    assert states(factory.provision()[1])["ownership"] == "done"
    assert file.read_bytes() == password
    assert factory.tpm.chip().lockout_counter == 0


def test_a_power_cut_between_the_file_and_the_chip_loses_nothing(factory: Factory) -> None:
    """The file is there, the chip has no password yet: the next run sets it."""
    factory.config.write_text(factory.config.read_text() + 'owner_auth_file = "owner"\n')
    (factory.directory / "owner").write_bytes(b"made before the cut")
    assert states(factory.provision()[1])["ownership"] == "done"
    Tpm(factory.proxy.tcti, b"made before the cut").take_ownership(b"made before the cut")


def test_anothers_password_is_an_error_and_nothing_is_changed(factory: Factory) -> None:
    factory.tpm.take_ownership(b"somebody else's")
    factory.config.write_text(factory.config.read_text() + 'owner_auth_file = "owner"\n')
    code, report = factory.provision()
    assert (code, report["steps"][-1]["name"]) == (1, "ownership")
    assert "owner password" in report["steps"][-1]["detail"]
    assert factory.tpm.handles() == []


# --- refusals ---


def test_not_beside_a_daemon_that_runs(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as daemon:
        monkeypatch.chdir(factory.directory)
        daemon.bind("control.sock")
        daemon.listen()
        for command in (("provision", "--exchange", "x"), ("factory-reset", "--yes")):
            assert factory.run(*command) == 2
            assert "the daemon runs" in factory.said()


def test_a_configuration_that_cannot_be_read(factory: Factory) -> None:
    factory.config.write_text("nonsense")
    assert factory.run("factory-reset", "--yes") == 2
    assert "evsed.toml" in factory.said()


def test_a_tpm_that_does_not_answer(factory: Factory) -> None:
    factory.config.write_text(factory.config.read_text().replace(factory.proxy.tcti, "swtpm:path=/nowhere"))
    code, report = factory.provision()
    assert (code, report["steps"][-1]["name"], report["steps"][-1]["state"]) == (1, "chip", "failed")
    assert factory.run("factory-reset", "--yes") == 1
    assert "does not answer" in factory.said()


# --- factory reset ---


async def test_messages_that_go_with_a_factory_reset_are_told(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.provision()
    journal = await SqliteJournal.open(factory.directory / "state" / "journal.sqlite", bytes(32))
    for _ in range(3):
        await journal.append("NotifyEvent", "{}", None)
    await journal.close()
    assert factory.run("factory-reset") == 2
    assert "and 3 messages that the CSMS has not had: say --yes" in factory.said()
    assert factory.run("factory-reset", "--yes") == 0
    assert "3 messages that the CSMS has not had cannot be read any more" in capsys.readouterr().out
    assert factory.run("factory-reset", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["messages_lost"] == 3


def test_after_a_factory_reset_nothing_signs_any_more(factory: Factory, capsys: pytest.CaptureFixture[str]) -> None:
    factory.give_roots()
    factory.provision()
    factory.sign("secc", "csms")
    factory.provision()
    assert len(factory.tpm.handles()) == 2
    assert factory.run("factory-reset") == 2
    assert len(factory.tpm.handles()) == 2, "not without --yes"
    assert factory.run("factory-reset", "--yes", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["destroyed"]) == 2
    assert factory.tpm.handles() == []
    store = CertificateStore(factory.directory / "state" / "certs")
    assert store.roots() == []
    assert store.chain(Purpose.SECC) is None
    assert not (factory.directory / "state" / "certs").exists()
    assert factory.run("factory-reset", "--yes") == 0, "a reset board can be reset"
    assert factory.provision()[1]["state"] == "waiting", "and provisioned anew"


class Killed(BaseException):
    pass


def cut_after(last: int) -> Callable[..., bool]:
    """Provisioning's step, and after number `last` no further."""
    real, done = provisioning.Provisioning._do, []

    def cut(self: provisioning.Provisioning, name: str, step: Callable[[], str]) -> bool:
        more = real(self, name, step)
        done.append(name)
        if len(done) > last:
            raise Killed
        return more

    return cut


def test_a_kill_at_each_step_is_taken_up_again(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step was the last: the next run ends complete, and with as many keys as there are purposes."""
    factory.give_roots()
    factory.provision()
    factory.sign("secc", "csms")
    names = list(states(factory.provision()[1]))
    assert factory.run("factory-reset", "--yes") == 0
    for last in range(len(names)):
        with monkeypatch.context() as patch:
            patch.setattr(provisioning.Provisioning, "_do", cut_after(last))
            with pytest.raises(Killed):
                factory.provision()
        factory.provision()
        factory.sign("secc", "csms")
        code, report = factory.provision()
        assert (code, len(factory.tpm.handles())) == (0, 2), (names[last], report)
        assert factory.run("factory-reset", "--yes") == 0
    assert SRK not in factory.tpm.handles()
