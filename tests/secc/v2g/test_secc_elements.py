"""Reading decoded EXI, values included that the decoder lets pass and the schema does not."""

import pytest

from secc.v2g.elements import MAX_SERVICE_ID, child, children, octets, physical, rational, service_id, text, whole
from secc.v2g.quantities import rational_number


def test_what_is_there_and_what_is_not() -> None:
    elements = {"A": {"B": 1}, "C": [{}], "D": "text", "E": b"\x01", "F": 7}
    assert child(elements, "A") == {"B": 1}
    assert children(elements, "C") == [{}]
    assert (text(elements, "D"), octets(elements, "E"), whole(elements, "F")) == ("text", b"\x01", 7)
    nothing = "absent"
    assert (child(elements, nothing), children(elements, nothing)) == ({}, [])
    assert (text(elements, nothing), octets(elements, nothing), whole(elements, nothing)) == ("", b"", None)
    assert rational(elements, nothing) is physical(elements, nothing) is None


def test_quantities() -> None:
    assert rational({"P": {"Exponent": 3, "Value": -11}}, "P") == -11_000.0
    assert physical({"V": {"Multiplier": -1, "Value": 4005}}, "V") == 400.5


@pytest.mark.parametrize(("named", "repeated"), [(1, 1), (MAX_SERVICE_ID, MAX_SERVICE_ID), (1_352_763, 0), (None, 0)])
def test_a_service_id_beyond_its_type_is_not_repeated(named: int | None, repeated: int) -> None:
    assert service_id({} if named is None else {"ServiceID": named}) == repeated


@pytest.mark.parametrize(
    ("value", "exponent", "digits"),
    [
        (0.0, 0, 0),
        (16.0, 0, 16),
        (3680.0, 0, 3680),
        (120.3, -1, 1203),
        (-47.6195, -2, -4761),
        (11_040.0, 0, 11_040),
        (50_000.0, 1, 5000),
        (123_456.0, 1, 12_345),
        (32_767.0, 0, 32_767),
        (3.5e8, 5, 3500),
    ],
)
def test_rational_numbers_are_exact_or_nearer_to_zero(value: float, exponent: int, digits: int) -> None:
    number = rational_number(value)
    assert (number["Value"] * 10.0 ** number["Exponent"]) == pytest.approx(digits * 10.0**exponent)
    assert abs(number["Value"]) <= 32_767
    assert abs(number["Value"] * 10.0 ** number["Exponent"]) <= abs(value) + 1e-9


def test_beyond_any_electrical_quantity() -> None:
    with pytest.raises(OverflowError):
        rational_number(1e15)
