"""What the daemon's command line says before the configuration."""

import argparse
from pathlib import Path

import pytest

from firmware.config import Config, ConfigError, parse
from firmware.overrides import add_arguments, overridden, variable
from ocpp_client.config import Override
from tests.firmware.test_firmware_config import GOOD


def started_with(*words: str) -> Config:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    add_arguments(parser)
    return overridden(parse(GOOD, Path("evsed.toml")), parser.parse_args(["evsed.toml", *words]))


def test_another_csms_and_another_name() -> None:
    config = started_with("--csms-url", "wss://127.0.0.1:9000/", "--identity", "CS-BENCH")
    assert (config.csms.url, config.station.identity) == ("wss://127.0.0.1:9000/", "CS-BENCH")
    assert started_with() == parse(GOOD, Path("evsed.toml"))


def test_the_whole_must_still_hold_together() -> None:
    with pytest.raises(ConfigError, match="security profile 3 needs a wss:// url"):
        started_with("--csms-url", "ws://127.0.0.1:9000/")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TxCtrlr.EVConnectionTimeOut=30", Override("TxCtrlr", "EVConnectionTimeOut", "30")),
        ("OCPPCommCtrlr.MessageTimeout[Default]=5", Override("OCPPCommCtrlr", "MessageTimeout", "5", "Default")),
        ("SecurityCtrlr.BasicAuthPassword=a=b[c]", Override("SecurityCtrlr", "BasicAuthPassword", "a=b[c]")),
        ("TxCtrlr.TxStartPoint=", Override("TxCtrlr", "TxStartPoint", "")),
    ],
)
def test_a_variable_is_read(text: str, found: Override) -> None:
    assert variable(text) == found


@pytest.mark.parametrize("text", ["", "TxCtrlr=1", "TxCtrlr.EVConnectionTimeOut", "a.b[c", "a b.c=1"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not COMPONENT"):
        variable(text)
