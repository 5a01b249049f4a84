"""A transform: one SELECT over what it is shown, sorted rows of the window, each named once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.engine import engine
from keepfit.backends.lake import Lake
from keepfit.backends.select import read_select
from keepfit.errors import TransformError
from keepfit.spec import DatasetSpec, Window
from keepfit.spec.dataset import DatasetsSource
from keepfit.spec.project import EngineSpec
from keepfit.steps.transform import Transformed, transform
from keepfit.steps.transform_views import View, input_view, source_view

START = datetime(2013, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(START, START + 24 * HOUR)
MOMENT = pa.timestamp("us", "UTC")
SPEC: dict[str, Any] = {
    "name": "trips",
    "source": {"type": "files", "path": "data/*.csv"},
    "columns": {"key": "string", "seen": "timestamp", "size": "int64"},
    "key": ("key",),
    "event_time": "seen",
    "transform": "trips",
}
Run = Callable[..., Transformed]


def dataset(**changes: Any) -> DatasetSpec:
    return DatasetSpec.model_validate(SPEC | changes)


def hours(*values: int | None) -> pa.Array:
    return pa.array([None if each is None else START + each * HOUR for each in values], MOMENT)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run_it(
        sql: str | None, spec: DatasetSpec | None = None, rows: pa.Table | None = None, **more: Any
    ) -> Transformed:
        table = rows or pa.table({"key": ["c", "b", "a"], "seen": hours(2, 1, 1), "size": [3, 2, 1]})
        pq.write_table(table, tmp_path / "extracted")
        spec = spec or dataset()
        given: dict[str, Any] = {
            "views": [source_view(tmp_path / "extracted", spec)],
            "window": WINDOW,
            "bounds": EngineSpec(memory_limit="128MB", threads=2),
        }
        return transform(spec, sql, out=tmp_path / "out", scratch=tmp_path / "scratch", **given | more)

    return run_it


def published(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "out").to_pylist()
    return rows


def test_rows_are_sorted_by_event_time_and_key(run: Run, tmp_path: Path) -> None:
    done = run("SELECT key, seen, size * 2 AS size FROM source")
    assert (done.rows, done.outside) == (3, 0)
    assert done.columns == {"key": "string", "seen": "timestamp", "size": "int64"}
    assert [(row["key"], row["size"]) for row in published(tmp_path)] == [("a", 2), ("b", 4), ("c", 6)]
    assert pq.read_schema(tmp_path / "out").field("seen").type == MOMENT


def test_without_a_transform_the_extracted_rows_are_published(run: Run, tmp_path: Path) -> None:
    run(None, dataset(transform=None))
    assert [row["key"] for row in published(tmp_path)] == ["a", "b", "c"]


def test_the_same_rows_in_another_order_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    table = pa.table(
        {
            "key": [f"{each:06}" for each in range(300_000)],
            "seen": hours(*[1] * 300_000),
            "size": range(300_000),
        }
    )
    run("FROM source", rows=table)
    first = (tmp_path / "out").read_bytes()
    backwards = table.take(pa.array(range(299_999, -1, -1)))
    run("FROM source", rows=backwards, bounds=EngineSpec(memory_limit="64MB", threads=1))
    assert (tmp_path / "out").read_bytes() == first


def test_rows_outside_the_window_are_left_out_and_counted(run: Run, tmp_path: Path) -> None:
    rows = pa.table(
        {"key": ["early", "first", "last", "late"], "seen": hours(-1, 0, 23, 24), "size": [1] * 4}
    )
    assert run("FROM source", rows=rows).outside == 2
    assert [row["key"] for row in published(tmp_path)] == ["first", "last"]


def test_a_snapshot_keeps_all_its_rows(run: Run, tmp_path: Path) -> None:
    rows = pa.table({"key": ["early", "late"], "seen": hours(-1, 24), "size": [1, 1]})
    run("FROM source", dataset(snapshot=True), rows)
    assert len(published(tmp_path)) == 2


def test_rows_without_a_time_never_reach_the_select(run: Run) -> None:
    rows = pa.table({"key": ["a", "b"], "seen": hours(1, None), "size": [1, 1]})
    assert run("SELECT key, coalesce(seen, $window_start) AS seen FROM source", rows=rows).rows == 1


def test_the_windows_ends_are_parameters(run: Run, tmp_path: Path) -> None:
    day = "$window_end - $window_start = INTERVAL 1 DAY"
    run(f"SELECT 'k' AS key, $window_start::TIMESTAMP AS seen, {day} AS day")
    assert published(tmp_path) == [{"key": "k", "seen": START, "day": True}]


def test_comments_and_a_closing_semicolon_are_fine(run: Run) -> None:
    assert run("-- the rows\nWITH s AS (FROM source) /* all */ FROM s -- of it\n; -- really\n").rows == 3


def test_types_are_published_in_one_width(run: Run, tmp_path: Path) -> None:
    sql = """SELECT key, seen::TIMESTAMP_NS AS seen, 1::TINYINT AS a, sum(size) OVER () AS b,
        2::UINTEGER AS c, 1.5 AS d, 2::FLOAT AS e, 'x'::ENUM('x', 'y') AS f, uuid AS g, true AS h,
        DATE '2013-01-01' AS i, NULL AS j
        FROM source, (SELECT '00000000-0000-0000-0000-000000000000'::UUID AS uuid)"""
    run(sql)
    types = {field.name: field.type for field in pq.read_schema(tmp_path / "out")}
    assert types["seen"] == MOMENT
    assert [types[name] for name in "abcj"] == [pa.int64()] * 4
    assert [types[name] for name in "de"] == [pa.float64()] * 2
    assert [types[name] for name in "fg"] == [pa.string()] * 2
    assert [types[name] for name in "hi"] == [pa.bool_(), pa.date32()]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            "SELECT key,\n  nothing,\n  seen FROM source",
            'Binder Error: Referenced column "nothing" not found in FROM clause! (line 2)',
        ),
        ("SELECT key\nFORM source", 'Parser Error: syntax error at or near "source" (line 2)'),
        ("SELECT * FROM sauce", "Catalog Error: Table with name sauce does not exist! (line 1)"),
        (
            "SELECT key, seen, ('x' || key)::INT AS v FROM source",
            "Conversion Error: Could not convert string 'x",
        ),
        ("", "a transform is a single SELECT (it may begin with WITH), and this is nothing."),
        (
            "SELECT 1; SELECT 2",
            "a transform is a single SELECT (it may begin with WITH), and this is SELECT, SELECT.",
        ),
        ("DROP VIEW source", "a transform is a single SELECT (it may begin with WITH), and this is DROP."),
        (
            "COPY source TO '/tmp/x'",
            "a transform is a single SELECT (it may begin with WITH), and this is COPY.",
        ),
        (
            "SET memory_limit = '1TB'",
            "a transform is a single SELECT (it may begin with WITH), and this is SET.",
        ),
        ("SELECT * FROM read_text('/etc/passwd')", 'Permission Error: Cannot access file "/etc/passwd"'),
        ("SELECT * FROM '/etc/passwd.csv'", 'Permission Error: Cannot access file "/etc/passwd.csv"'),
        (
            "SELECT key, $begin AS seen FROM source",
            "$begin is no parameter. There are: $window_end, $window_start.",
        ),
        (
            "SELECT key, now() AS seen FROM source",
            "now reads the clock, so the same window would give other rows",
        ),
        ("SELECT key, seen FROM source WHERE seen < CURRENT_DATE", "current_date reads the clock"),
        (
            "SELECT key, seen, random() AS r FROM source",
            "random gives other rows each time. Derive it from the row",
        ),
        ("SELECT key, age(seen) AS a, seen FROM source", "age() reads the clock"),
        ("SELECT key, txid_current() AS t, seen FROM source", "txid_current reads the clock"),
        (
            "SELECT key, current_localtimestamp() AS seen FROM source",
            "current_localtimestamp reads the clock",
        ),
        ("SELECT key, seen, current_localtime() AS t FROM source", "current_localtime reads the clock"),
        ("SELECT key, seen FROM source WHERE seen > ago('1 day')", "ago reads the clock"),
        ("SELECT key, pg_postmaster_start_time() AS seen FROM source", "pg_postmaster_start_time reads the"),
        (
            "SELECT key, seen, current_setting('TimeZone') AS z FROM source",
            "current_setting reads or",
        ),
        ("SELECT key, seen, current_schema AS z FROM source", "current_schema reads or changes"),
        ("SELECT key, seen, write_log(key) AS w FROM source", "write_log reads or changes"),
        ("FROM json_execute_serialized_sql('{}')", "json_execute_serialized_sql runs a text as SQL"),
        ("FROM query('FROM source')", "query runs a text as SQL"),
        ("FROM query_table('source')", "query_table runs a text as SQL"),
        ("FROM source USING SAMPLE 10", "sample gives other rows each time"),
        ("FROM source TABLESAMPLE 10%", "sample gives other rows each time"),
        (
            "SELECT seen, size FROM source",
            "the rows lack key, which datasets/trips.yaml has as `key` or `event_time`.",
        ),
        ("SELECT key, seen AS moment FROM source", "They have: key, moment."),
        (
            "SELECT key, seen::DATE AS seen FROM source",
            "the event time 'seen' is DATE, not a timestamp. Cast it",
        ),
        (
            "SELECT key, seen, [size] AS list, INTERVAL 1 DAY AS i FROM source",
            "list (INTEGER[]), i (INTERVAL) cannot be",
        ),
    ],
)
def test_what_cannot_be_published_is_refused_by_file(run: Run, sql: str, said: str) -> None:
    rows = pa.table({"key": ["a"], "seen": hours(1), "size": pa.array([1], pa.int32())})
    with pytest.raises(TransformError) as refused:
        run(sql, rows=rows)
    assert str(refused.value).startswith("transforms/trips.sql: ")
    assert said in str(refused.value)


def test_every_function_whose_answer_may_change_is_refused(tmp_path: Path) -> None:
    with engine(EngineSpec(threads=1), tmp_path) as connection:
        listed = connection.execute(
            "SELECT DISTINCT function_name, stability, macro_definition FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'aggregate', 'macro')"
        ).fetchall()
        changing = {name for name, stability, _ in listed if stability not in (None, "CONSISTENT")}
        changing -= {"error"}  # It gives no answer at all.
        reaches = re.compile(rf"\b({'|'.join(sorted(changing | {'current_timestamp'}))})\b")
        changing |= {name for name, _, text in listed if text and reaches.search(text)}
        assert {"now", "random", "ago", "pg_postmaster_start_time", "current_query"} <= changing
        for name in sorted(changing):
            with pytest.raises(TransformError, match=rf"^t.sql: {name} (reads|gives)"):
                read_select(connection, f'SELECT "{name}"() FROM source', "t.sql", {})


def test_a_row_without_a_key_is_shown(run: Run) -> None:
    rows = pa.table({"key": ["a", None, None], "seen": hours(1, 2, 3), "size": [1, 2, 3]})
    with pytest.raises(TransformError) as refused:
        run("FROM source", rows=rows)
    assert str(refused.value) == (
        "transforms/trips.sql: 2 rows have no key, such as key=None, seen=2013-01-01 02:00:00+00; "
        "key=None, seen=2013-01-01 03:00:00+00. Leave them out with WHERE, or give them one."
    )


def test_a_row_whose_event_time_was_lost_is_shown(run: Run) -> None:
    with pytest.raises(TransformError, match="1 rows have no seen, such as key=c, seen=None"):
        run("SELECT key, CASE WHEN size < 3 THEN seen END AS seen FROM source")


def test_a_key_that_names_two_rows_is_shown(run: Run) -> None:
    rows = pa.table(
        {"key": ["a", "a", "b", "c", "c", "d", "d", "e", "e"], "seen": hours(*range(9)), "size": [1] * 9}
    )
    with pytest.raises(TransformError) as refused:
        run("FROM source", rows=rows)
    assert str(refused.value) == (
        "transforms/trips.sql: 4 keys name more than one row, such as key=a; key=c; key=d. "
        "Keep one row of each, or add a column to `key` in datasets/trips.yaml."
    )


def test_a_key_that_comes_again_outside_the_window_is_no_double(run: Run) -> None:
    rows = pa.table({"key": ["a", "a"], "seen": hours(1, 30), "size": [1, 1]})
    assert run("FROM source", rows=rows).rows == 1


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two published datasets: hours of three days, and a snapshot."""
    lake = Lake(tmp_path / "lake")
    three_days = pa.table(
        {"key": [str(each) for each in range(72)], "seen": hours(*range(-24, 48)), "size": range(72)}
    )
    pq.write_table(three_days, tmp_path / "trips")
    lake.publish("trips", tmp_path / "trips", time_column="seen")
    pq.write_table(pa.table({"key": ["old"], "seen": hours(-1000), "size": [7]}), tmp_path / "places")
    lake.publish("places", tmp_path / "places", time_column="seen")
    return lake


def inputs(lake: Lake, lookback: str) -> list[View]:
    source = DatasetsSource.model_validate(
        {"type": "datasets", "inputs": ("trips", "places"), "lookback": lookback}
    )
    given = dataset(), dataset(name="places", snapshot=True)
    return [input_view(lake, each, lake.version(each.name), source, WINDOW) for each in given]


def test_inputs_reach_from_the_lookback_to_the_windows_end_and_no_further(
    run: Run, tmp_path: Path, lake: Lake
) -> None:
    sql = "SELECT 'k' AS key, $window_start AS seen, min(seen) AS first, max(seen) AS last FROM trips"
    run(sql, views=inputs(lake, "6h"))
    row = published(tmp_path)[0]
    assert (row["first"], row["last"]) == (START - 6 * HOUR, START + 23 * HOUR)


def test_a_snapshot_among_the_inputs_is_seen_whole(run: Run, lake: Lake) -> None:
    assert run("SELECT trips.* FROM trips, places WHERE places.size = 7", views=inputs(lake, "0h")).rows == 24


def test_an_input_without_rows_has_its_columns(run: Run, tmp_path: Path, lake: Lake) -> None:
    pq.write_table(pq.read_table(tmp_path / "places").slice(0, 0), tmp_path / "none")
    lake.publish("places", tmp_path / "none", time_column="seen")
    done = run("SELECT trips.* FROM trips ANTI JOIN places USING (key, size)", views=inputs(lake, "0h"))
    assert done.rows == 24


def test_another_tables_files_cannot_be_read_past_the_views(run: Run, tmp_path: Path, lake: Lake) -> None:
    pq.write_table(pa.table({"secret": [1]}), tmp_path / "secret")
    lake.publish("secret", tmp_path / "secret")
    with pytest.raises(TransformError, match="Permission Error"):
        run(f"FROM read_parquet('{lake.files('secret')[0]}')", views=inputs(lake, "0h"))
