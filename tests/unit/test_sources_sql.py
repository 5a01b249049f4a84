"""A database as a source: filtered there, streamed, and held to the declared types here."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from keepfit.backends.sources import sql as sql_source
from keepfit.backends.sources.sql import extract_sql
from keepfit.errors import SchemaError, SourceError
from keepfit.plugins import Access, SourceRequest
from keepfit.spec import DatasetSpec, Window
from keepfit.spec.project import EngineSpec

JANUARY = Window.parse("2013-01-01", "2013-02-01")
SPEC: dict[str, Any] = {
    "name": "trips",
    "source": {"type": "sql", "connection": "shop", "table": "trips"},
    "columns": {"key": "string", "at": "timestamp", "size": "float64"},
    "key": ("key",),
    "event_time": "at",
}
ROWS = [
    ("before", "2012-12-31 23:59:59.9", 1),
    ("first", "2013-01-01 00:00:00", 2.5),
    ("zoned", "2013-01-15T00:30:00+01:00", None),
    ("last", "2013-01-31T23:59:59.5Z", 3),
    ("after", "2013-02-01 00:00:00", 4),
    ("undated", None, 5),
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE trips (key TEXT, at TIMESTAMP, size, secret TEXT)")
        connection.executemany("INSERT INTO trips (key, at, size) VALUES (?, ?, ?)", ROWS)
    connection.close()
    return path


def dataset(**changes: Any) -> DatasetSpec:
    return DatasetSpec.model_validate(SPEC | changes)


def query(text: str, connection: str = "shop") -> dict[str, str]:
    return {"type": "sql", "connection": connection, "query": text}


def request(root: Path, spec: DatasetSpec, url: Callable[[str], str] | None = None) -> SourceRequest:
    def default(_: str) -> str:
        return f"sqlite:///{root / 'shop.db'}"

    access = Access(url=url or default, storage=lambda _: {})
    small = EngineSpec(memory_limit="128MB", threads=1)
    return SourceRequest(spec, JANUARY, root / "out.parquet", root, access, root / "scratch", small)


def extracted(root: Path, spec: DatasetSpec, url: Callable[[str], str] | None = None) -> list[dict[str, Any]]:
    extract_sql(request(root, spec, url))
    rows: list[dict[str, Any]] = pq.read_table(root / "out.parquet").to_pylist()
    return rows


@pytest.mark.usefixtures("database")
def test_the_windows_rows_of_a_table_come_in_their_types(tmp_path: Path) -> None:
    assert extracted(tmp_path, dataset()) == [
        {"key": "first", "at": datetime(2013, 1, 1, tzinfo=UTC), "size": 2.5},
        {"key": "zoned", "at": datetime(2013, 1, 14, 23, 30, tzinfo=UTC), "size": None},
        {"key": "last", "at": datetime(2013, 1, 31, 23, 59, 59, 500_000, tzinfo=UTC), "size": 3.0},
        {"key": "undated", "at": None, "size": 5.0},
    ]
    assert pq.read_schema(tmp_path / "out.parquet").types == [
        pa.string(),
        pa.timestamp("us", "UTC"),
        pa.float64(),
    ]


@pytest.mark.usefixtures("database")
def test_a_query_is_wrapped_comments_semicolon_and_all(tmp_path: Path) -> None:
    text = (
        "SELECT upper(key) AS key, at, size FROM trips -- all of them\n WHERE size > 2 -- but small ones\n;"
    )
    rows = extracted(tmp_path, dataset(source=query(text)))
    assert [row["key"] for row in rows] == ["FIRST", "LAST", "UNDATED"]


@pytest.mark.usefixtures("database")
def test_a_snapshot_comes_whole(tmp_path: Path) -> None:
    assert len(extracted(tmp_path, dataset(snapshot=True))) == len(ROWS)


@pytest.mark.usefixtures("database")
def test_an_empty_window_is_a_file_with_the_columns(tmp_path: Path) -> None:
    assert extracted(tmp_path, dataset(source=query("SELECT * FROM trips WHERE key = 'before'"))) == []
    assert pq.read_schema(tmp_path / "out.parquet").names == ["key", "at", "size"]


@pytest.mark.usefixtures("database")
def test_rows_come_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = extracted(tmp_path, dataset())
    monkeypatch.setattr(sql_source, "_BATCH", 1)
    assert extracted(tmp_path, dataset()) == whole
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups == 4


@pytest.mark.usefixtures("database")
def test_a_value_that_does_not_cast_is_shown(tmp_path: Path) -> None:
    text = "SELECT key, at, CASE WHEN key = 'last' THEN 'big' ELSE size END AS size FROM trips"
    with pytest.raises(SchemaError, match="column 'size' is declared float64, but the source holds 'big'"):
        extracted(tmp_path, dataset(source=query(text)))


@pytest.mark.usefixtures("database")
def test_a_time_the_database_cannot_read_is_an_error_and_not_a_row_lost(tmp_path: Path) -> None:
    text = "SELECT key, 'yesterday' AS at, size FROM trips"
    with pytest.raises(
        SchemaError, match="column 'at' is declared timestamp, but the source holds 'yesterday'"
    ):
        extracted(tmp_path, dataset(source=query(text)))


def test_a_column_has_a_name_and_a_form_of_time_of_its_own_in_the_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute('CREATE TABLE trips ("Trip No." TEXT, "Begun" TEXT, "Length" REAL)')
        rows = [("a", "31.12.2012", 1), ("b", "31.01.2013", 2), ("c", None, 3), ("d", "01.02.2013", 4)]
        connection.executemany("INSERT INTO trips VALUES (?, ?, ?)", rows)
    connection.close()
    columns = {
        "key": {"type": "string", "column": "Trip No."},
        "at": {"type": "timestamp", "column": "Begun", "format": "%d.%m.%Y"},
        "day": {"type": "date", "column": "Begun", "format": "%d.%m.%Y"},
        "length": {"type": "float64", "column": "Length"},
    }
    known = datetime(2013, 1, 31, tzinfo=UTC)
    assert extracted(tmp_path, dataset(columns=columns)) == [
        {"key": "b", "at": known, "day": known.date(), "length": 2.0},
        {"key": "c", "at": None, "day": None, "length": 3.0},
    ]
    named = {"key": {"type": "string", "column": "Length"}, "at": {"type": "timestamp", "column": "begun"}}
    with pytest.raises(SourceError, match=r"lacks the column 'begun'\. Did you mean 'Begun'"):
        extracted(tmp_path, dataset(columns=named))


@pytest.mark.usefixtures("database")
def test_a_missing_column_is_named_with_what_there_is(tmp_path: Path) -> None:
    spec = dataset(columns={"key": "string", "at": "timestamp", "sice": "float64"})
    with pytest.raises(SourceError) as refused:
        extracted(tmp_path, spec)
    assert str(refused.value) == (
        "Dataset trips: its source lacks the column 'sice'. Did you mean 'size'? It has: key, at, size, "
        "secret. Correct `columns` in datasets/trips.yaml, or the source."
    )


@pytest.mark.usefixtures("database")
def test_a_missing_table_is_told_by_the_database(tmp_path: Path) -> None:
    source = {"type": "sql", "connection": "shop", "table": "trps"}
    with pytest.raises(
        SourceError, match="Dataset trips: its database, connection 'shop', says: no such table: trps"
    ):
        extracted(tmp_path, dataset(source=source))


def test_a_url_in_the_environment_is_found_by_its_name(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> str:
        raise AssertionError

    monkeypatch.setenv("SHOP_URL", f"sqlite:///{database}")
    source = {"type": "sql", "connection": "env:SHOP_URL", "table": "trips"}
    assert len(extracted(tmp_path, dataset(source=source), refuse)) == 4


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    source = {"type": "sql", "connection": "env:SHOP_URL_NOT_SET", "table": "trips"}
    with pytest.raises(
        SourceError, match="Dataset trips: the environment variable SHOP_URL_NOT_SET is not set"
    ):
        extracted(tmp_path, dataset(source=source))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("no url with s3cret", "it is no SQLAlchemy URL of a database known here. Write postgresql"),
        ("nosuch://me:s3cret@host/db", "it is no SQLAlchemy URL of a database known here"),
        ("postgresql+nosuch://me:s3cret@h/d", "it is no SQLAlchemy URL of a database known here"),
        ("postgresql://me:a@b:s3cret@host/db", "it has no host and port that can be read. Write host:5432"),
        ("postgresql://me:s3cret@[bad", "it has no host and port that can be read"),
        ("postgresql://me:s3cret@host:70000/db", "it has no host and port that can be read"),
        ("sqlite://s3cret/db", "it names a host, which SQLite has none of. Write sqlite:////a/file.db"),
        (
            "oracle+cx_oracle://me:s3cret@h/d",
            "it needs the Python package 'cx_Oracle', which is not installed",
        ),
    ],
)
def test_a_bad_url_is_refused_without_its_password(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises(SourceError, match="connection 'shop', has a URL that cannot be used: ") as refused:
        extracted(tmp_path, dataset(), lambda _: url)
    assert problem in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its database, connection 'shop', says: ") as refused:
        extracted(tmp_path, dataset(), lambda _: "postgresql+psycopg2://me:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in str(refused.value)


def test_mixed_and_odd_values_of_one_column_become_text(tmp_path: Path, database: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE trips SET size = 'text' WHERE key = 'zoned'"))
    engine.dispose()
    rows = extracted(tmp_path, dataset(columns={"key": "string", "at": "timestamp", "size": "string"}))
    assert [row["size"] for row in rows] == ["2.5", "text", "3", "5"]
