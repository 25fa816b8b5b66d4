"""The BasicAuth password: sealed by the TPM, in no file in the clear, and there again after a restart."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from certs.errors import KeyUnavailable
from certs.tpm import Tpm
from firmware.journal import SqliteJournal
from firmware.secrets import PASSWORD, SealedSecrets, told_lost
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


@contextmanager
def another_tpm() -> Iterator[Tpm]:
    with (
        tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name,
        Swtpm(Path(name)) as swtpm,
        Proxy(swtpm.socket, Path(name)) as proxy,
    ):
        other = Tpm(proxy.tcti)
        other.ensure_srk()
        yield other
        other.close()


async def test_another_boards_tpm_does_not_open_it(tmp_path: Path, tpm: Tpm) -> None:
    """What it cannot open it sets aside; the board it came from opens it still."""
    await SealedSecrets(tmp_path / "vault", tpm).put(PASSWORD, FIRST)
    with another_tpm() as other:
        secrets = SealedSecrets(tmp_path / "vault", other)
        assert await secrets.get(PASSWORD) is None
        assert secrets.set_aside is not None
        await secrets.put(PASSWORD, SECOND)
        assert await SealedSecrets(tmp_path / "vault", other).get(PASSWORD) == SECOND
    assert await SealedSecrets(secrets.set_aside, tpm).get(PASSWORD) == FIRST


# --- the journal's key ---


async def kept(directory: Path, tpm: Tpm) -> tuple[list[str], str]:
    """A start: what the journal has, and what the operator is told; then one message more."""
    secrets = SealedSecrets(directory / "vault", tpm)
    journal = await SqliteJournal.open(directory / "journal.sqlite", await secrets.journal_key())
    waiting = [message.payload_json for message in await journal.pending()]
    await journal.append("NotifyEvent", f"message {len(waiting)}", None)
    told = told_lost(secrets, journal)
    await journal.close()
    return waiting, told


async def test_the_journals_key_is_the_same_after_a_power_cut_of_the_tpm(tmp_path: Path, tpm: Tpm) -> None:
    assert await kept(tmp_path, tpm) == ([], "")
    key = await SealedSecrets(tmp_path / "vault", tpm).journal_key()
    assert len(key) == 32
    tpm.close()
    assert await kept(tmp_path, tpm) == (["message 0"], "")
    assert (found(tmp_path, key), found(tmp_path, b"message 0")) == ([], [])


async def test_a_tpm_that_was_wiped_loses_the_past_and_nothing_else(tmp_path: Path, tpm: Tpm) -> None:
    await kept(tmp_path, tpm)
    await kept(tmp_path, tpm)
    with another_tpm() as other:
        waiting, told = await kept(tmp_path, other)
        assert waiting == []
        assert told.startswith("secrets of another TPM: vault.unreadable-")
        assert told.endswith("; 2 journal entries under a lost key")
        assert await kept(tmp_path, other) == (["message 0"], ""), "told once, and it goes on"


async def test_a_tpm_that_is_out_of_reach_loses_nothing(tmp_path: Path, tpm: Tpm) -> None:
    await kept(tmp_path, tpm)
    away = SealedSecrets(tmp_path / "vault", Tpm("swtpm:path=/nowhere"))
    with pytest.raises(KeyUnavailable, match="does not answer"):
        await away.journal_key()
    assert away.set_aside is None
    assert await kept(tmp_path, tpm) == (["message 0"], "")


async def test_a_sealed_key_cut_short_is_set_aside(tmp_path: Path, tpm: Tpm) -> None:
    await kept(tmp_path, tpm)
    sealed = tmp_path / "vault" / "kek.sealed"
    sealed.write_bytes(sealed.read_bytes()[:20])
    assert "secrets of another TPM" in (await kept(tmp_path, tpm))[1]


async def test_a_journal_that_is_damaged_is_told_too(tmp_path: Path, tpm: Tpm) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no database" * 100)
    assert (await kept(tmp_path, tpm))[1].startswith("damaged journal: journal.sqlite.unreadable-")


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


def found(directory: Path, octets: bytes) -> list[Path]:
    """The files in which they can be read."""
    return [file for file in directory.rglob("*") if file.is_file() and octets in file.read_bytes()]


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

        assert found(tmp_path, SECOND.encode()) == []
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
