"""The document of faults says what the code does."""

from pathlib import Path

from hal.faults import EMERGENCIES, LATCHED, MREC
from hal.ports import Fault
from tests.hal.faults_document import document

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_committed_document_is_current() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m tests.hal.faults_document > docs/faults.md"


def test_every_fault_is_in_it_once() -> None:
    rows = [line.split(" | ")[0].removeprefix("| ") for line in document().splitlines() if line.startswith("| ")]
    assert rows[1:] == [fault.value for fault in Fault]


def test_what_is_latched_opens_at_once() -> None:
    assert LATCHED <= EMERGENCIES


def test_no_number_is_given_twice() -> None:
    assert len(set(MREC.values())) == len(MREC)
