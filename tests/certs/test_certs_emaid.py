import pytest

from certs.emaid import normalised, same_account


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DEABCC12345678", "DEABCC12345678"),
        ("DEABCC12345678X", "DEABCC12345678X"),
        ("deabcc12345678x", "DEABCC12345678X"),
        ("DE-ABC-C12345678", "DEABCC12345678"),
        ("DE-ABC-C12345678-X", "DEABCC12345678X"),
        ("NL-8AA-000000001", "NL8AA000000001"),
        ("DE-ABCC12345678", None),
        ("DE-ABC-C12345678X", None),
        ("D1ABCC12345678", None),
        ("DEABCC1234567", None),
        ("DEABCC12345678XX", None),
        ("DEABCC1234567*", None),
        ("DEABCC1234567\u0661", None),
        ("\u017fEABCC12345678", None),
        ("DEABCC12345678\n", None),
        ("", None),
    ],
)
def test_forms(text: str, expected: str | None) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("DEABCC12345678", "DE-ABC-C12345678-X", True),
        ("DEABCC12345678X", "deabcc12345678x", True),
        ("DEABCC12345678X", "DEABCC12345678Y", False),
        ("DEABCC12345678", "DEABCC12345679", False),
        ("nonsense", "nonsense", False),
        ("DEABCC12345678", "", False),
    ],
)
def test_same_account(first: str, second: str, same: bool) -> None:
    assert same_account(first, second) is same
    assert same_account(second, first) is same
