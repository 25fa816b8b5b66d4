"""The configuration file: what it gives, and how it refuses."""

from pathlib import Path

import pytest

from firmware.config import Config, ConfigError, load, parse

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"

GOOD = """\
[station]
identity = "CS-1"
vendor = "evsed"
model = "demo"
serial = "0001"
state_dir = "state"

[csms]
url = "wss://csms.example/ocpp"

[[evse]]
id = 1
evse_id = "DE*EVS*E0001"
device = "/dev/ttyS1"
plc_interface = "plc0"
max_current_a = 16
"""


def read(text: str) -> Config:
    return parse(text, Path("/etc/evsed/evsed.toml"))


def test_a_good_file_fills_defaults_and_anchors_paths() -> None:
    config = read(GOOD)
    assert config.station.state_dir == Path("/etc/evsed/state")
    assert config.csms.security_profile == 3
    assert config.evse[0].max_current_a == 16.0
    assert config.tpm.tcti == "device:/dev/tpmrm0"
    assert config.log.events is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('serial = "0001"', 'serail = "0001"', ":5: station.serail: unknown key"),
        ('serial = "0001"', "", ":1: station.serial: missing"),
        ('plc_interface = "plc0"', 'plc_iface = "plc0"', ":15: evse[0].plc_iface: unknown key"),
        ("max_current_a = 16", 'max_current_a = "16"', ":16: evse[0].max_current_a: must be a number"),
        ("max_current_a = 16", "max_current_a = 100", "max_current_a must be 6 to 80"),
        ("max_current_a = 16", '[[evse.other_services]]\nid = 5\nname = "wash"', "other_services need an id of 60001"),
        ("max_current_a = 16", "attenuation_offset_db = 41", "attenuation_offset_db must be -40 to 40"),
        ("max_current_a = 16", "attenuation_offset_db = 1.5", "must be a whole number"),
        ("max_current_a = 16", "phases = 2", ":16: evse[0].phases: must be one of 1, 3, not 2"),
        ("max_current_a = 16", "allow_plain_tcp = 1", "must be true or false"),
        ("id = 1", "id = 2", "must count from 1"),
        ("id = 1", "id = true", ":12: evse[0].id: must be a whole number"),
        ("id = 1", 'id = "1"', "must be a whole number"),
        ("wss://csms.example", "https://csms.example", "must begin with ws:// or wss://"),
        ("wss://csms.example", "ws://csms.example", "security profile 3 needs a wss:// url"),
        ('/ocpp"', '/ocpp"\nsecurity_profile = 2', "needs csms.password"),
        ("[csms]", "[cmss]", ":8: cmss: unknown key"),
        ('identity = "CS-1"', "identity = 7", ":2: station.identity: must be a string"),
        ("[station]", "[station", "Expected"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"evsed\.toml") as caught:
        read(GOOD.replace(old, new, 1))
    assert message in str(caught.value)


def test_no_evse_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="missing"):
        read(GOOD.split("[[evse]]", maxsplit=1)[0])
    with pytest.raises(ConfigError, match="needs at least one"):
        read("evse = []\n" + GOOD.split("[[evse]]", maxsplit=1)[0])


def test_a_driver_with_its_options_a_meter_and_protocols() -> None:
    more = """
driver = "chargebyte"
protocols = ["iso15118-20", "iso15118-2"]
options = { reset_line = "/run/reset" }
meter = { model = "eastron-sdm630", host = "10.0.0.5", unit = 3 }
"""
    evse = read(GOOD + more).evse[0]
    assert evse.options == {"reset_line": "/run/reset"}
    assert evse.meter is not None
    assert (evse.meter.host, evse.meter.port, evse.meter.unit) == ("10.0.0.5", 0, 3)
    assert evse.protocols == ("iso15118-20", "iso15118-2")
    with pytest.raises(ConfigError, match="must be a table of plain values"):
        read(GOOD + "options = { a = [1] }")
    with pytest.raises(ConfigError, match="must be one of din-70121"):
        read(GOOD + 'protocols = ["iso15118-3"]')
    with pytest.raises(ConfigError, match=r"evse\[0\]\.meter\.modell: unknown key"):
        read(GOOD + 'meter = { modell = "x" }')


def test_a_table_must_be_a_table() -> None:
    with pytest.raises(ConfigError, match="log: must be a table"):
        read('log = "INFO"\n' + GOOD)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="decode"):
        load(binary)


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evsed.toml"
    path.write_text(GOOD + '\n[log]\nlevel = "DEBUG"\nevents = "events.jsonl"\n')
    assert load(path).log.events == tmp_path / "events.jsonl"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_good(path: Path) -> None:
    assert load(path).evse[0].max_current_a == 32.0


def test_a_csms_that_wants_the_envelope_of_data_transfer() -> None:
    url = 'url = "wss://csms.example/ocpp"\n'
    config = read(GOOD.replace(url, f'{url}iso15118_data_transfer = "ISO15118-2"\n'))
    assert config.csms.iso15118_data_transfer == "ISO15118-2"
    with pytest.raises(ConfigError, match="at most 255"):
        read(GOOD.replace(url, f'{url}iso15118_data_transfer = "{"x" * 256}"\n'))
