"""The BasicAuth password: sealed by the TPM, in no file in the clear, and there again after a restart."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certs.tpm import Tpm
from firmware.journal import SqliteJournal
from firmware.secrets import PASSWORD, SealedSecrets
from ocpp_client.config import OcppConfig
from ocpp_client.ports import SecretStoreError
from ocpp_client.station import OcppStation
from sim.csms.server import Csms
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm

FIRST, SECOND = "the-first-password", "the-second-password"
NAMED = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": PASSWORD}}


@pytest.fixture
def tpm() -> Iterator[Tpm]:
    if not Swtpm.available():
        pytest.skip("swtpm is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name,
        Swtpm(Path(name)) as swtpm,
        Proxy(swtpm.socket, Path(name)) as proxy,
    ):
        tpm = Tpm(proxy.tcti)
        tpm.ensure_srk()
        yield tpm
        tpm.close()


async def test_what_is_put_is_there_after_a_restart(tmp_path: Path, tpm: Tpm) -> None:
    directory = tmp_path / "vault"
    secrets = SealedSecrets(directory, tpm)
    assert await secrets.get(PASSWORD) is None
    assert not directory.exists(), "nothing is made for a station without secrets"
    await secrets.put(PASSWORD, FIRST)
    assert await secrets.get("another") is None
    assert await SealedSecrets(directory, tpm).get(PASSWORD) == FIRST
    assert all(FIRST.encode() not in file.read_bytes() for file in directory.iterdir())


async def test_another_boards_tpm_does_not_open_it(tmp_path: Path, tpm: Tpm) -> None:
    await SealedSecrets(tmp_path / "vault", tpm).put(PASSWORD, FIRST)
    with (
        tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name,
        Swtpm(Path(name)) as swtpm,
        Proxy(swtpm.socket, Path(name)) as proxy,
    ):
        other = Tpm(proxy.tcti)
        other.ensure_srk()
        with pytest.raises(SecretStoreError):
            await SealedSecrets(tmp_path / "vault", other).get(PASSWORD)
        other.close()


async def test_a_tpm_that_does_not_answer_is_said(tmp_path: Path) -> None:
    secrets = SealedSecrets(tmp_path / "vault", Tpm("swtpm:path=/nowhere"))
    with pytest.raises(SecretStoreError, match="does not answer"):
        await secrets.put(PASSWORD, FIRST)


async def run_station(directory: Path, csms: Csms, secrets: Any, boots: int) -> tuple[OcppStation, SqliteJournal]:
    journal = await SqliteJournal.open(directory / "journal.sqlite")
    config = OcppConfig(
        "CS-1",
        csms.url,
        "maker",
        "demo",
        security_profile=1,
        password=FIRST,
        retry_back_off_min_s=0.1,
        retry_back_off_random_s=0.1,
    )
    station = OcppStation(config, journal, lambda _fact: None, secrets=secrets)
    await station.start()
    await csms.until_received("BootNotification", boots)
    return station, journal


def holders(directory: Path) -> list[Path]:
    """The files in which the second password can be read."""
    return [file for file in directory.rglob("*") if file.is_file() and SECOND.encode() in file.read_bytes()]


async def test_a_password_from_the_csms_is_sealed_and_used(tmp_path: Path, tpm: Tpm) -> None:
    """A01: set, the link made anew with it; and after a restart, with the old one still in the configuration."""
    async with Csms(password=FIRST) as csms:
        secrets = SealedSecrets(tmp_path / "vault", tpm)
        station, journal = await run_station(tmp_path, csms, secrets, 1)
        setting = {"setVariableData": [{**NAMED, "attributeValue": SECOND}]}
        answer = await csms.call("SetVariables", setting)
        assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
        csms._password = SECOND
        await csms.until(lambda: [event.action for event in csms.events].count("#connected") == 2)
        await station.stop()
        await journal.close()
        assert await secrets.get(PASSWORD) == SECOND

        assert holders(tmp_path) == []
        station, journal = await run_station(tmp_path, csms, SealedSecrets(tmp_path / "vault", tpm), 2)
        await station.stop()
        await journal.close()


async def test_one_that_an_older_journal_holds_moves_into_the_tpm(tmp_path: Path, tpm: Tpm) -> None:
    async with Csms(password=FIRST) as csms:
        station, journal = await run_station(tmp_path, csms, None, 1)
        await csms.call("SetVariables", {"setVariableData": [{**NAMED, "attributeValue": SECOND}]})
        csms._password = SECOND
        await station.stop()
        await journal.close()
        secrets = SealedSecrets(tmp_path / "vault", tpm)
        station, journal = await run_station(tmp_path, csms, secrets, 2)
        assert await secrets.get(PASSWORD) == SECOND
        await station.stop()
        await journal.close()
