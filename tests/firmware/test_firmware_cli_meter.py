"""`evse meter`: readings by the socket, and signed records judged without a daemon."""

import base64
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware.cli import main
from firmware.control.meter_methods import METER_METHODS
from firmware.control.method import Call
from hal.ports import BoardUnavailable
from hal.quantities import EvseId, MeterReading, SignedReading
from sim.meter.ocmf import OcmfMeter

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def meter() -> OcmfMeter:
    return OcmfMeter("M-7")


def whole(meter: OcmfMeter, wh: float = 500.0) -> str:
    meter.start("04A2B3C4", 1000, NOON)
    return meter.stop(1000 + wh, NOON + timedelta(hours=1))


def verify(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    exit_code = main(["meter", "verify", *words, "--json"])
    return exit_code, json.loads(capsys.readouterr().out)["records"]


def test_records_of_a_file(tmp_path: Path, meter: OcmfMeter, capsys: pytest.CaptureFixture[str]) -> None:
    good = whole(meter)
    file, key = tmp_path / "records", tmp_path / "key"
    key.write_text(meter.public_key)
    file.write_text(f"{good}\n\n{whole(meter)}\n")
    exit_code, records = verify(capsys, str(file), "--key", str(key))
    assert exit_code == 0
    assert [(record["verdict"], record["page"]) for record in records] == [("VALID", "T2"), ("VALID", "T4")]
    assert (records[0]["energy_wh"], records[0]["meter"], records[0]["id_token"]) == (500.0, "M-7", "04A2B3C4")
    file.write_text(good.replace("1.5", "9.5") + "\nOCMF|{}|{}\n")
    exit_code, records = verify(capsys, str(file), "--key", meter.public_key)
    assert exit_code == 1
    assert [record["verdict"] for record in records] == ["TAMPERED", "UNREADABLE"]
    assert main(["meter", "verify", str(file), "--key", meter.public_key]) == 1
    assert "TAMPERED\tM-7" in capsys.readouterr().out


def test_a_message_of_ocpp_from_stdin(
    meter: OcmfMeter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(record: str, key: str) -> dict[str, Any]:
        told = base64.b64encode(f"oca:base16:asn1:{key}".encode()).decode() if key else ""
        data = base64.b64encode(record.encode()).decode()
        signed = {"signedMeterData": data, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": told}
        return {"sampledValue": [{"value": 1, "signedMeterValue": signed}]}

    message = {"meterValue": [value(whole(meter), meter.public_key), value(whole(meter), "")]}
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(message).encode())))
    exit_code, records = verify(capsys, "-")
    assert (exit_code, [record["verdict"] for record in records]) == (0, ["VALID", "VALID"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "decode"),
        (b'{"a": ', "neither OCMF nor JSON"),
        (b"[" * 100_000, "neither OCMF nor JSON"),
        (b"{}", "no signedMeterValue"),
        (b"x" * (1 << 20) + b"xx", "more than"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str) -> None:
    file = tmp_path / "records"
    file.write_bytes(content)
    assert main(["meter", "verify", str(file)]) == 1
    assert says in capsys.readouterr().err


def test_nothing_to_judge_is_not_good(tmp_path: Path, meter: OcmfMeter, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "records"
    file.write_text("")
    assert verify(capsys, str(file)) == (1, [])
    file.write_text(whole(meter))
    assert verify(capsys, str(file))[1][0]["verdict"] == "NO_KEY"
    assert main(["meter", "verify", str(tmp_path / "absent")]) == 1
    assert "No such file" in capsys.readouterr().err


# --- Meter.Read ---


class Board:
    def __init__(self, reading: MeterReading | None) -> None:
        self._reading = reading

    def meter(self) -> MeterReading:
        if self._reading is None:
            raise BoardUnavailable("no reading yet")
        return self._reading


async def read(evse: int | None = None) -> list[dict[str, Any]]:
    signed = MeterReading(
        1500.0, 6900.0, (10.0, 0, 0), (690.0, 0, 0), 0.0, NOON, dc=True, signed=SignedReading("R", "30")
    )
    settings = SimpleNamespace(model="lem-dcbm")
    evses = {
        EvseId(1): SimpleNamespace(number=1, board=Board(signed), settings=SimpleNamespace(meter=settings)),
        EvseId(2): SimpleNamespace(number=2, board=Board(None), settings=SimpleNamespace(meter=None)),
        EvseId(3): SimpleNamespace(number=3, board=None, settings=SimpleNamespace(meter=None)),
    }
    station = SimpleNamespace(evses=evses, meters={EvseId(1): SimpleNamespace(serial="M-7", public_key="30")})
    told = await METER_METHODS["Meter.Read"].handler(Call(station, None), evse=evse)  # type: ignore[arg-type]
    meters: list[dict[str, Any]] = told["meters"]  # type: ignore[index]
    return meters


async def test_each_meter_is_told() -> None:
    one, two, three = await read()
    assert (one["model"], one["serial"], one["public_key"], one["signs"]) == ("lem-dcbm", "M-7", "30", True)
    assert (one["reading"]["energy_import_wh"], one["reading"]["record"]) == (1500.0, "R")
    assert one["reading"]["age_s"] > 0
    assert (two["model"], two["reading"], two["problem"], two["signs"]) == ("board", None, "no reading yet", False)
    assert three["problem"] == "no board"
    assert [meter["evse"] for meter in await read(2)] == [2]


def test_what_the_command_shows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    told = {"meters": asyncio.run(read())}
    monkeypatch.setattr("firmware.cli.meter.ask", lambda *_args, **_params: told)
    assert main(["meter"]) == 0
    shown = capsys.readouterr().out
    assert "1.5000 kWh" in shown
    assert "690.0 V" in shown
    assert "the meter signs nothing" in shown
    assert "no reading yet" in shown
    assert main(["meter", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["meters"][0]["serial"] == "M-7"
