"""The file of V2G messages, and the laboratory's switch."""

import json
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import config
from firmware.control.status import lab_switches
from firmware.evse import services_of
from firmware.message_file import MessageFile, message_file
from firmware.vehicle_side import protocols_of
from hal.quantities import EvseId
from secc.connection import Passing
from secc.ports import InternetAccess, OtherService, ParkingStatus
from secc.v2g.protocols import ISO_15118_20
from secc.v2gtp import Frame, PayloadType
from tests.secc.support import ISO_2_WISH, app_protocol_req

HELLO = Passing(True, Frame(PayloadType.EXI, app_protocol_req(ISO_2_WISH)), None, "AB")
STATION = config.Station("CS", "v", "m", "s", Path("state"))
EVSE = config.Evse(1, "DE*EVS*E0001", "/dev/null", protocols=("iso15118-20",))


def configured(path: Path | None) -> config.Config:
    csms = config.Csms("wss://csms")
    return config.Config(STATION, csms, (EVSE,), log=config.Log(v2g=path))


async def test_a_line_a_message(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "v2g.jsonl"
    async with AsyncExitStack() as stack:
        file = message_file(configured(path), stack)
        assert file is not None
        file.write(EvseId(2), HELLO)
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["evse"], line["v2g_session_id"], line["from"]) == (2, "AB", "vehicle")
    assert "supportedAppProtocolReq" in line["message"]


async def test_none_unless_it_is_wanted_and_none_where_it_cannot_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    async with AsyncExitStack() as stack:
        assert message_file(configured(None), stack) is None
        assert message_file(configured(tmp_path / "file" / "v2g.jsonl"), stack) is None
    assert "V2G messages cannot be written" in caplog.text


def test_a_full_disk_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    file = MessageFile(Path("/dev/full"))
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        file.write(EvseId(1), HELLO)
    file.close()
    assert caplog.text.count("V2G messages are lost") == 1


def test_the_laboratory_s_switch_opens_iso_15118_20_and_every_status_tells(caplog: pytest.LogCaptureFixture) -> None:
    assert [protocol.only_mutual_tls_13 for protocol in protocols_of(EVSE)] == [True, True]
    assert lab_switches(EVSE) == []
    lab = replace(EVSE, lab_iso15118_20_without_mutual_tls=True)
    assert [protocol.only_mutual_tls_13 for protocol in protocols_of(lab)] == [False, False]
    assert [protocol.name for protocol in protocols_of(lab)] == [protocol.name for protocol in ISO_15118_20]
    assert lab_switches(lab) == ["ISO 15118-20 without mutual TLS 1.3"]
    assert "LAB SWITCH" in caplog.text


def test_value_added_services_by_configuration() -> None:
    own = config.OtherService(60_001, "Car wash", free=False)
    settings = replace(EVSE, value_added_services=("internet", "parking-status"), other_services=(own,))
    assert services_of(settings) == (InternetAccess(), ParkingStatus(), OtherService(60_001, "Car wash", free=False))
    assert services_of(EVSE) == ()
