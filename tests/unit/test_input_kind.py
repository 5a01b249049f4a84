"""What a row may bring for a declared type."""

import pytest

from keepfit.backends.input_kind import InputKind


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        ("a text", "5", "5"),
        ("a whole number", 5, 5),
        ("a whole number", 5.0, 5),
        ("a whole number", -(2**63), -(2**63)),
        ("a number", 5, 5.0),
        ("a number", True, 1.0),
        ("true or false", False, False),
        *((kind, None, None) for kind in InputKind),
    ],
)
def test_a_value_is_taken_as_it_is_declared(kind: str, given: object, taken: object) -> None:
    found = InputKind(kind).read(given)
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [
        ("a text", 5, "5"),
        ("a whole number", "5", "'5'"),
        ("a whole number", True, "True"),
        ("a whole number", 5.5, "5.5"),
        ("a whole number", 2**63, "9223372036854775808"),
        ("a whole number of 32 bits", 2**31, "2147483648"),
        ("a number", "much", "'much'"),
        ("a number", 10**400, "100000000000000000...0000000000000000000"),
        ("true or false", 1, "1"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_what_it_must_be(
    kind: str, given: object, shown: str
) -> None:
    with pytest.raises(TypeError) as refused:
        InputKind(kind).read(given)
    assert str(refused.value) == f"must be {kind} or null, not {shown}."
