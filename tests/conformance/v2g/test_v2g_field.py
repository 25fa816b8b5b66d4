"""Every known defect and every oddity of the field has tests by the names that `field.py` gives."""

import ast
from pathlib import Path

import pytest

from tests.conformance.v2g.field import DEFECTS, FIELD

ROOT = Path(__file__).resolve().parents[3]


def test_all_nineteen_defects_are_there() -> None:
    assert len(DEFECTS) == 19


@pytest.mark.parametrize("known", [*DEFECTS.items(), *FIELD.items()], ids=lambda known: known[0])
def test_it_is_shown_by_a_test(known: tuple[str, list[str]]) -> None:
    for name in known[1]:
        path, _, function = name.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
