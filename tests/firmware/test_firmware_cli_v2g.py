"""`evse v2g`: octets to JSON and back, as a technician types it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from firmware.cli import main
from secc.exi import Namespace, encode
from tests.secc.exi.exi_messages import KINDS

SAP_RES = "80400040"


def json_of(output: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(output)
    return found


def test_hexadecimal_octets_become_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["v2g", "decode", SAP_RES]) == 0
    assert json_of(capsys.readouterr().out) == {
        "namespace": Namespace.SAP,
        "message": {"supportedAppProtocolRes": {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}},
    }


def test_positions_are_printed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["v2g", "decode", SAP_RES, "--bits", "--namespace", "sap"]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split() for line in lines] == [
        ["8..9", "supportedAppProtocolRes"],
        ["10..13", "ResponseCode", "=", "OK_SuccessfulNegotiation"],
        ["14..25", "SchemaID", "=", "1"],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_json_encodes_to_the_same_octets(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    namespace, message, fragment = KINDS[kind]
    octets = encode(namespace, message, fragment=fragment).hex()
    option = ["--fragment"] if fragment else []
    assert main(["v2g", "decode", octets, *option]) == 0
    decoded = capsys.readouterr().out
    assert json_of(decoded)["namespace"] == namespace
    assert main(["v2g", "encode", decoded, *option]) == 0
    assert capsys.readouterr().out.strip() == octets


def test_files_hold_octets_or_hexadecimal_and_may_have_a_v2gtp_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    framed = bytes.fromhex("01fe800100000004" + SAP_RES)
    (tmp_path / "raw").write_bytes(framed)
    (tmp_path / "text").write_text(framed.hex(" ") + "\n")
    for name in ("raw", "text"):
        assert main(["v2g", "decode", str(tmp_path / name)]) == 0
        assert json_of(capsys.readouterr().out)["namespace"] == Namespace.SAP


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SAP_RES.encode())))
    assert main(["v2g", "decode", "-"]) == 0
    assert "supportedAppProtocolRes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decode", "80"], "ends here"),
        (["decode", "no such file"], "neither hexadecimal octets nor a file"),
        (["decode", "00" * 600], "header"),
        (["encode", "{"], "Expecting property name"),
        (["encode", "[]"], "a JSON object of one key"),
        (["encode", '{"supportedAppProtocolRes": {"ResponseCode": "Perhaps"}}', "--namespace", "sap"], "Perhaps"),
        (["encode", '{"V2G_Message": {"Header": {"SessionID": "xy"}, "Body": {}}}'], "non-hexadecimal"),
    ],
)
def test_what_is_no_message_is_told_on_standard_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["v2g", *arguments]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert said in output.err
