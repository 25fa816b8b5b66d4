"""docs/mcu-link.md is what a firmware engineer works from: its tables and its example are those of the code."""

import re
from pathlib import Path

import pytest

from hal.mcu.faults import BITS
from hal.mcu.frames import VERSION, decode
from hal.mcu.payloads import MAX_PAYLOAD, PAYLOADS, Control, FrameType

DOCUMENT = (Path(__file__).parents[3] / "docs" / "mcu-link.md").read_text()
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i16": 2, "i32": 4, "u16[3]": 6, "char[16]": 16, "char[]": 0, "u8[]": 0}


def section(kind: FrameType) -> str:
    found = re.search(rf"^### {kind.name} 0x{kind:02x}\n(.*?)^##", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found, f"{kind.name} is not documented"
    return found[1]


@pytest.mark.parametrize("kind", list(FrameType))
def test_the_fields_follow_each_other_and_fill_the_layout(kind: FrameType) -> None:
    rows = re.findall(r"^\| (\d+) \| (\S+) \|", section(kind), re.MULTILINE)
    at = 0
    for offset, size in rows:
        assert int(offset) == at
        at += SIZES[size]
    assert at == PAYLOADS[kind].layout.size


def test_every_fault_bit_is_in_the_table() -> None:
    documented = dict(re.findall(r"\| (\d+) \| ([A-Za-z]+)", DOCUMENT.split("## Faults")[1].split("##")[0]))
    assert {int(bit): name for bit, name in documented.items()} == {bit: str(fault) for bit, fault in enumerate(BITS)}


def test_the_example_is_the_frame_it_says() -> None:
    wire = bytes.fromhex(DOCUMENT.rsplit("On the wire:", 1)[1])
    frame = decode(wire[:-1])
    assert isinstance(frame.payload, Control)
    assert (frame.seq, frame.payload.duty_centi, frame.payload.token_seen) == (0x1234, 2666, 7)


def test_version_and_size_are_those_of_the_code() -> None:
    assert f"`0x{VERSION:02x}`" in DOCUMENT
    assert f"at most {MAX_PAYLOAD} bytes" in DOCUMENT
