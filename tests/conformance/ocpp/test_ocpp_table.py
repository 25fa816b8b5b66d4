"""docs/ocpp.md says what is: its table is made from the tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

DOCUMENT = Path(__file__).parents[3] / "docs" / "ocpp.md"


def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ocpp_table", Path(__file__).with_name("table.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_holds_the_table() -> None:
    made = table()
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "\n".join([made.summary(), "", *made.rows()]) in text


def test_a_case_has_one_standing() -> None:
    made = table()
    tested, off, missing = set(made.passing()), set(made.NOT_APPLICABLE), set(made.NOT_YET)
    assert not tested & (off | missing)
    assert not off & missing
    assert tested | off | missing == set(made.cases())
    assert all(made.passing().values()), "every case says in words what it shows"
