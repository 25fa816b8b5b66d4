"""The manual page is what the parsers say now, and roff that a formatter takes without a warning."""

import re
from pathlib import Path

from firmware.cli import COMMANDS
from sim.manpage import page

COMMITTED = Path(__file__).parents[2] / "docs" / "evse.1"
REQUESTS = {"TH", "SH", "SS", "TP", "B", "I", "RI", "BR", "br", "RS", "RE"}
ESCAPES = re.compile(r"\\(?:-|e|&|\(ga)")


def test_the_committed_page_is_current() -> None:
    assert COMMITTED.read_text() == page(), "write it with `python -m sim.manpage docs/evse.1`"


def test_every_command_is_in_it() -> None:
    lines = page().splitlines()
    for command in COMMANDS:
        assert f".SS evse {command}".replace("-", "\\-") in lines


def test_it_is_clean_roff() -> None:
    """Known requests alone, sections in order, indents that match, ASCII, no escape a formatter does not know."""
    lines = page().splitlines()
    assert lines[0].startswith(".TH EVSE 1")
    sections = [line[4:] for line in lines if line.startswith(".SH ")]
    assert sections == ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT"]
    depth = 0
    for before, line in zip(["", *lines], lines, strict=False):
        assert line.isascii(), line
        assert line == line.rstrip() != "", "a blank line breaks a paragraph"
        assert "\\" not in ESCAPES.sub("", line), line
        assert not line.startswith("'"), "a request without a break"
        if line.startswith("."):
            request = line[1:].split(" ", 1)[0]
            assert request in REQUESTS, line
            assert request in {"TP", "RS", "RE", "br"} or len(line.split(" ", 1)) == 2, line
            assert not (before == ".TP" and request not in {"B", "BR", "RI", "I"}), f"{line} after .TP"
            depth += (request == "RS") - (request == "RE")
            assert depth in (0, 1)
    assert depth == 0
