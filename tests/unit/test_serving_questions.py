"""What a request may say, whatever somebody sends."""

import pytest

from keepfit.serving.question import read_question
from keepfit.serving.refused import RefusedError

DEEP = b"[" * 5000 + b"]" * 5000
INFINITE = "Infinite numbers are refused: write null where a value is not known."


def refused(body: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as found:
        read_question(body, 10)
    return found.value


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"bogus":1, "x": }', 422, "The body has an unknown field 'bogus'."),
        (b'{"bogus":1,"x":"\xff"}', 422, "The body has an unknown field 'bogus'."),
        (b'{"features":{"a":[1}}', 422, "The body does not fit: Expected "),
        (b'{"features":{"a":[1e999]}}', 422, "The body does not fit: Expected "),
        (b'{"features":{"a":' + DEEP + b"}}", 422, "The body does not fit: Expected "),
        (b'{"x":' + DEEP + b"}", 422, "The body has an unknown field 'x'."),
        (DEEP, 422, "The body does not fit: Expected `object`, got `array`."),
    ],
)
def test_a_body_that_is_broken_in_two_ways_is_refused_in_words(body: bytes, status: int, detail: str) -> None:
    error = refused(body)
    assert error.status == status
    assert error.detail.startswith(detail)


def test_only_what_is_out_of_range_is_told_about_infinite_numbers() -> None:
    assert refused(b'{"features":{"a":1e999}}').detail.endswith(INFINITE)
    assert refused(b"null").detail == "The body does not fit: Expected `object`, got `null`."


def test_an_unknown_field_of_any_length_is_shown_shortened() -> None:
    error = refused(b'{"' + b"x" * 100_000 + b'":1}')
    assert error.fields == ("x" * 64,)
    assert len(error.detail) < 300


def test_a_sticky_key_beside_rows_is_refused_as_the_rows_have_their_own() -> None:
    error = refused(b'{"sticky":"anna","rows":[{}]}')
    assert (error.status, error.fields) == (422, ("sticky",))
    assert error.detail == "The body has `rows` and sticky beside it. Put them into the rows."
