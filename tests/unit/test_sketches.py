"""Sketches: joined in any order they are the sketch of all rows; the engine makes the same as NumPy."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.backends.sketches import (
    CAP,
    Kind,
    Sketch,
    read_sketches,
    sketch_columns,
    sketch_values,
    write_sketches,
)

Array = np.ndarray[Any, np.dtype[np.float64]]
CHANCE = np.random.default_rng(11)
SHAPES = ("normal", "lognormal", "pareto", "half zero", "far off", "tiny", "whole")
few = settings(max_examples=40, deadline=None)


@pytest.fixture(autouse=True)
def the_same_chance() -> None:
    """Draw the same for a test whichever were run before it."""
    CHANCE.bit_generator.state = np.random.default_rng(11).bit_generator.state


def drawn(shape: str, rows: int, seed: int) -> Array:
    chance = np.random.default_rng(seed)
    made: dict[str, Callable[[], Array]] = {
        "normal": lambda: chance.normal(size=rows),
        "lognormal": lambda: chance.lognormal(0, 2, rows),
        "pareto": lambda: chance.pareto(1.1, rows),
        "half zero": lambda: np.where(chance.random(rows) < 0.5, 0, chance.normal(size=rows)),
        "far off": lambda: 1.3e9 + chance.normal(size=rows),
        "tiny": lambda: chance.normal(size=rows) * 1e-12,
        "whole": lambda: chance.integers(0, 6000, rows).astype(float),
    }
    return np.asarray(made[shape]())


def sketched(columns: dict[str, Any], kinds: dict[str, Kind | None] | None = None) -> dict[str, Sketch]:
    with duckdb.connect() as connection:
        connection.register("rows", pa.table(columns))
        return sketch_columns(connection, "rows", list(columns), kinds)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def assert_same(one: Sketch, other: Sketch) -> None:
    names = ("kind", "rows", "missing", "infinite", "exponent", "folded", "n")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    assert one.counts.tolist() == other.counts.tolist()
    if one.kind != "number":
        assert one.values.tolist() == other.values.tolist()
        return
    np.testing.assert_allclose(
        one.values, other.values, rtol=1e-12, atol=0 if one.exponent is None else 1e-15
    )
    np.testing.assert_equal((one.low, one.high), (other.low, other.high))
    np.testing.assert_allclose(one.std, other.std, rtol=1e-6)


@few
@given(
    shape=st.sampled_from(SHAPES),
    sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 999),
)
def test_numbers_joined_in_any_order_are_the_sketch_of_all(
    shape: str, sizes: list[int], order: Any, seed: int
) -> None:
    values = drawn(shape, sum(sizes), seed)
    parts = [sketch_values(each) for each in np.split(values, np.cumsum(sizes)[:-1])]
    while len(parts) > 1:
        order.shuffle(parts)
        parts.append(parts.pop().merge(parts.pop()))
    whole = sketch_values(values)
    assert_same(parts[0], whole)
    assert len(whole.values) <= CAP
    assert whole.is_exact is (len(np.unique(values)) <= CAP)


odd = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.0, 1e300, 5e-324])


@few
@given(one=st.lists(odd, max_size=40), other=st.lists(odd, max_size=40))
def test_odd_numbers_are_counted_once_each(one: list[float], other: list[float]) -> None:
    parts = [sketch_values(np.array(each, np.float64)) for each in (one, other)]
    merged, whole = parts[0].merge(parts[1]), sketch_values(np.array([*one, *other], np.float64))
    assert merged.counts.tolist() == whole.counts.tolist()
    assert merged.missing == sum(map(math.isnan, [*one, *other]))
    assert merged.infinite == sum(abs(each) >= 1e150 for each in [*one, *other])
    assert merged.n + merged.missing + merged.infinite == merged.rows == len(one) + len(other)


words = st.lists(st.one_of(st.none(), st.text(max_size=2)), max_size=50)


@few
@given(one=words, other=words, third=words)
def test_categories_joined_in_any_order_are_the_sketch_of_all(
    connection: duckdb.DuckDBPyConnection,
    one: list[str | None],
    other: list[str | None],
    third: list[str | None],
) -> None:
    def sketched_texts(texts: list[str | None]) -> Sketch:
        connection.register("texts", pa.table({"x": pa.array(texts, pa.string())}))
        return sketch_columns(connection, "texts", ["x"])["x"]

    every = [*one, *other, *third]
    a, b, c, whole = (sketched_texts(each) for each in (one, other, third, every))
    assert_same(a.merge(b).merge(c), whole)
    assert_same(c.merge(b.merge(a)), whole)
    assert whole.missing == every.count(None)
    assert dict(zip(whole.values, whole.counts, strict=True)) == Counter(
        each for each in every if each is not None
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_engine_s_batches_make_the_sketch_of_all_values(shape: str) -> None:
    values = drawn(shape, 300_000, 5)
    values[::7], values[1] = np.nan, -np.inf
    found = sketched({"x": pa.array(values, mask=np.arange(len(values)) % 11 == 0)})["x"]
    values[::11] = np.nan
    assert_same(found, sketch_values(values))
    finite = values[np.isfinite(values)]
    assert found.std == pytest.approx(finite.std(), rel=1e-9)
    assert found.mean == pytest.approx(finite.mean(), rel=1e-9)


def test_a_column_s_kind_is_that_of_its_values_type() -> None:
    found = sketched(
        {
            "whole": pa.array([1, None, 3]),
            "truth": [True, False, True],
            "decimal": [Decimal("1.50"), Decimal("2.25"), None],
            "text": ["a", None, "b"],
            "label": pa.array(["a", "b", "b"]).dictionary_encode(),
            "time": pa.array([0, 1, None], pa.timestamp("us")),
            "list": [[1], [2], [3]],
            "nothing": pa.nulls(3),
        }
    )
    assert {name: (each.kind, each.n, each.missing) for name, each in found.items()} == {
        "whole": ("number", 2, 1),
        "truth": ("number", 3, 0),
        "decimal": ("number", 2, 1),
        "text": ("category", 2, 1),
        "label": ("category", 3, 0),
        "time": (None, 2, 1),
        "list": (None, 3, 0),
        "nothing": ("number", 0, 3),
    }
    assert found["truth"].values.tolist() == [0.0, 1.0]
    assert found["label"].values.tolist() == ["b", "a"]


def test_numbers_that_arrive_as_text_are_numbers_and_what_is_none_is_named() -> None:
    found = sketched({"x": ["1.5", "2", None, "n/a", "-"]}, {"x": "number"})["x"]
    assert (found.kind, found.values.tolist(), found.missing) == ("number", [1.5, 2.0], 3)
    assert found.strange == "-"
    time = sketched({"x": pa.array([0], pa.timestamp("us"))}, {"x": "number"})["x"]
    assert time.strange == "1970-01-01 00:00:00"


def test_an_empty_text_hides_no_other_that_is_no_number() -> None:
    found = sketched({"x": ["", "1.5", "n/a", None]}, {"x": "number"})["x"]
    assert (found.strange, found.missing) == ("n/a", 3)
    assert not sketched({"x": ["", "1.5"]}, {"x": "number"})["x"].strange, "an empty text is a missing value"


@pytest.mark.parametrize(("value", "rows"), [(0.1, (7, 3)), (1 / 3, (100, 33)), (123456.789, (131072, 5))])
def test_parts_of_one_value_have_no_spread_together(value: float, rows: tuple[int, int]) -> None:
    one, other = (sketch_values(np.full(each, value)) for each in rows)
    assert one.merge(other).std == 0.0


def test_codes_are_the_same_category_whether_whole_or_not() -> None:
    codes = sketched({"x": [10, 20, 20]}, {"x": "category"})["x"]
    with_gap = sketched({"x": [10.0, float("nan"), 20.0, 0.5, None]}, {"x": "category"})["x"]
    assert codes.values.tolist() == ["20", "10"]
    assert sorted(with_gap.values.tolist()) == ["0.5", "10", "20"]
    assert (with_gap.missing, with_gap.n) == (2, 3)


def test_a_column_that_is_not_there_is_left_out_and_an_empty_table_has_no_rows() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rows (x DOUBLE, y VARCHAR)")
        found = sketch_columns(connection, "rows", ["x", "gone", "y"])
    assert [(name, each.rows, each.n) for name, each in found.items()] == [("x", 0, 0), ("y", 0, 0)]
    assert math.isnan(found["x"].std)


def test_beyond_the_cap_the_rarest_categories_are_folded_and_no_row_is_lost() -> None:
    texts = np.array([f"id{number}" for number in range(3 * CAP)])
    drawn_texts = np.concatenate([texts, np.repeat(texts[:50], 20)])
    found = sketched({"x": drawn_texts})["x"]
    assert len(found.values) == CAP
    assert set(texts[:50]) <= set(found.values)
    assert (found.n, found.missing, found.is_exact) == (len(drawn_texts), 0, False)
    twice = found.merge(found)
    assert (twice.n, len(twice.values), twice.folded) == (2 * found.n, CAP, 2 * found.folded)


def test_nothing_joins_with_either_kind_and_numbers_not_with_categories() -> None:
    nothing, numbers = sketched({"x": pa.nulls(4)})["x"], sketch_values(np.arange(3.0))
    texts = sketched({"x": ["a"]})["x"]
    assert (nothing.merge(texts).kind, nothing.merge(texts).rows) == ("category", 5)
    assert (texts.merge(nothing).missing, numbers.merge(nothing).rows) == (4, 7)
    with pytest.raises(ValueError, match="of kind number cannot be merged with one of kind category"):
        numbers.merge(texts)


@pytest.mark.parametrize("rows", [500, 50_000])
def test_shifted_and_scaled_sketches_are_those_of_such_numbers(rows: int) -> None:
    values = CHANCE.normal(3, 2, rows)
    shifted, scaled = sketch_values(values).shifted(0.37), sketch_values(values).scaled(-2.2)
    for found, wanted in ((shifted, values + 0.37), (scaled, values * -2.2)):
        assert (found.n, len(found.values) <= CAP) == (rows, True)
        assert found.mean == pytest.approx(wanted.mean(), rel=1e-9)
        assert found.std == pytest.approx(wanted.std(), rel=1e-9)
        assert (found.low, found.high) == pytest.approx((wanted.min(), wanted.max()))
        assert np.all(np.diff(found.values) > 0)


def test_a_file_gives_back_what_was_written_in_a_few_kilobytes(tmp_path: Path) -> None:
    rows = 200_000
    values = CHANCE.normal(size=rows)
    wanted = sketched(
        {
            "n": values,
            "few": CHANCE.integers(0, 30, rows),
            "c": CHANCE.choice(list("abcdef"), rows),
            "t": pa.array(range(rows), pa.timestamp("us")),
            "odd": pa.array(["1", "x"] * (rows // 2)),
        },
        {"odd": "number"},
    )
    write_sketches(tmp_path / "s.parquet", wanted)
    found = read_sketches(tmp_path / "s.parquet")
    assert list(found) == list(wanted)
    for name, each in wanted.items():
        assert_same(found[name], each)
        assert found[name].strange == each.strange
    assert (tmp_path / "s.parquet").stat().st_size < 50_000
