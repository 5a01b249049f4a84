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


@pytest.mark.parametrize("sticky", [b'"anna"', b"0"])
def test_a_sticky_key_beside_rows_is_refused_as_the_rows_have_their_own(sticky: bytes) -> None:
    error = refused(b'{"sticky":' + sticky + b',"rows":[{}]}')
    assert (error.status, error.fields) == (422, ("sticky",))
    assert error.detail == "The body has `rows` and sticky beside it. Put them into the rows."


@pytest.mark.parametrize("number", [b"1e39", b"-1e39", b"3.41e38", b"9" * 400])
def test_a_number_that_no_learner_takes_is_refused_with_its_feature(number: bytes) -> None:
    error = refused(b'{"features":{"b":1,"a":' + number + b"}}")
    assert (error.status, error.fields) == (422, ("features.a",))
    assert error.detail == (
        "features.a is too large: a number is from -3.403e+38 to 3.403e+38. "
        "Write null where a value is not known."
    )
    assert refused(b'{"rows":[{},{"features":{"a":' + number + b"}}]}").fields == ("rows[1].features.a",)


def test_large_numbers_texts_and_what_is_not_known_are_read() -> None:
    body = b'{"features":{"a":3.4e38,"b":-99999999999999999999,"c":"1e39","d":null,"e":true}}'
    assert list(read_question(body, 10).features.values()) == [3.4e38, -(10**20 - 1), "1e39", None, True]


@pytest.mark.parametrize("moment", [b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00"])
def test_a_moment_that_has_no_utc_is_refused(moment: bytes) -> None:
    error = refused(b'{"event_time":"' + moment + b'"}')
    assert (error.status, error.fields) == (422, ("event_time",))
    assert error.detail == "event_time is not within the years 1 to 9999 in UTC."
    assert read_question(b'{"event_time":"0001-01-01T00:00:00Z"}', 10).event_time is not None
