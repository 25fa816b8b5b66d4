"""Bundles: whole, without secrets, and with --redact without anybody in them."""

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import config
from firmware.cli import main
from firmware.cli.bundle import PARTS
from firmware.cli.identities import Identities
from firmware.control.bundle import HIDDEN, without_secrets
from firmware.control.roles import Role
from hal import ports as hal
from tests.firmware.control_bench import Bench, bench, charges
from tests.firmware.test_firmware_cli import evse

SECRETS = ("hunter2", "MIIEvQ", "s3same")
IDENTITIES = ("DEABCC12345678", "02:00:00:00:00:01", "04A2B3C4", "CS-1", "AA:BB:CC:00:11:22", "DE8ABC1234567X")
LOG = """2026-11-21T10:00:00.000Z INFO    evsed: password = hunter2
2026-11-21T10:00:01.000Z INFO    evse.1: token 04A2B3C4 of contract DEABCC12345678, vehicle 02:00:00:00:00:01
2026-11-21T10:00:02.000Z INFO    ocpp: wss://user:s3same@csms/CS-1
-----BEGIN PRIVATE KEY-----
MIIEvQ
-----END PRIVATE KEY-----
2026-11-21T10:00:03.000Z INFO    evse.1: another one at AA:BB:CC:00:11:22, DE8ABC1234567X
"""


def with_secrets(made: Bench) -> None:
    """A station whose configuration, log and events hold whatever must not get out."""
    file = made.path.parent / "evsed.log"
    file.with_name("evsed.log.1").write_text("older\n")
    file.write_text(LOG)
    settings = replace(
        made.config,
        csms=config.Csms("wss://user:s3same@csms", password="hunter2hunter2"),
        log=config.Log(file=file),
    )
    made.dispatcher._station = replace(made.station, config=settings)
    charges(made)
    made.hears(hal.TokenPresented("04A2B3C4", "ISO14443", 0.0))


def texts(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        return {name: content.read().decode() for name, content in members.items() if content is not None}


async def test_a_bundle_is_whole_and_has_no_secret(tmp_path: Path) -> None:
    async with bench() as made:
        with_secrets(made)
        file = tmp_path / "b.tar.gz"
        code, written, _ = await evse(made.path, "bundle", str(file), "--json")
        assert code == 0
        told, found = json.loads(written), texts(file)
        assert set(told["missing"]) == {"slac.json", "plc.json"}, "this station has no modem"
        assert set(found) == {*PARTS, "evsed.log", "missing.json", "why-1.json", "session-1.json"} - {
            *told["missing"],
            "log.json",
        }
        everything = "".join(found.values())
        assert not [secret for secret in SECRETS if secret in everything]
        assert json.loads(found["config.json"])["config"]["csms"]["password"] == HIDDEN
        assert "DEABCC12345678" in found["session-1.json"], "not asked to be redacted"
        assert found["evsed.log"].startswith("older\n")
        assert file.stat().st_mode & 0o077 == 0


async def test_redacted_nobody_is_in_it_and_the_files_still_fit_together(tmp_path: Path) -> None:
    async with bench() as made:
        with_secrets(made)
        file = tmp_path / "b.tar.gz"
        assert (await evse(made.path, "bundle", str(file), "--redact"))[0] == 0
        found = texts(file)
        everything = "".join(found.values())
        assert not [value for value in (*SECRETS, *IDENTITIES) if value.lower() in everything.lower()]
        session = json.loads(found["session-1.json"])
        word = next(entry["data"]["emaid"] for entry in session["entries"] if "emaid" in entry["data"])
        assert word.startswith("id~")
        assert word in found["evsed.log"], "the same one by the same word"


async def test_by_an_observer_what_he_may_not_see_is_missing(tmp_path: Path) -> None:
    async with bench(service=frozenset()) as made:
        made.server._groups = {Role.OBSERVER: os.getegid()}
        file = tmp_path / "b.tar.gz"
        code, written, _ = await evse(made.path, "bundle", str(file))
        assert code == 0
        assert "without audit.json: Audit.Show needs role service" in written
        assert "status.json" in texts(file)


async def test_names_that_will_not_do(tmp_path: Path) -> None:
    async with bench() as made:
        assert (await evse(made.path, "bundle", str(tmp_path / "b.zip")))[0] == 2
        assert (await evse(made.path, "bundle", str(tmp_path / "no" / "b.tar.gz")))[0] == 1
    assert main(["bundle", str(tmp_path / "b.tar.gz"), "--socket", "/nowhere"]) == 3


async def test_zstd_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "zstd"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec gzip -c\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    async with bench() as made:
        file = tmp_path / "b.tar.zst"
        assert (await evse(made.path, "bundle", str(file)))[0] == 0
        assert "status.json" in texts(file)
        monkeypatch.setenv("PATH", str(tmp_path))
        code, _, said = await evse(made.path, "bundle", str(file))
        assert (code, "zstd is not installed" in said) == (2, True)


def test_secrets_in_free_text() -> None:
    assert without_secrets("basicAuthPassword: 'abc' next") == f"basicAuthPassword: '{HIDDEN}' next"
    assert "KEY" not in without_secrets("-----BEGIN EC PRIVATE KEY-----\ncut off")
    assert without_secrets("wss://a:b@host/x") == f"wss://{HIDDEN}@host/x"
    assert without_secrets("nothing here") == "nothing here"


def test_the_longer_identity_goes_first() -> None:
    identities = Identities()
    identities.learn({"identity": "CS-1", "other": "CS-1", "list": [{"serial": "CS-100"}], "mac": None, "emaid": "ab"})
    told = identities.struck_out("CS-100 and CS-1 and cs-1, ab")
    first, second, third = told.removesuffix(", ab").split(" and ")
    assert second == third != first
    assert "CS" not in told.upper().replace("ID~", "")
