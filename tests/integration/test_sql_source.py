"""A real PostgreSQL as a source: time columns of every kind, read as UTC, streamed and read-only."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from keepfit.backends.sources.sql import extract_sql
from keepfit.embedded.postgres import Postgres
from keepfit.errors import SourceError
from keepfit.plugins import Access, SourceRequest
from keepfit.spec import DatasetSpec, Window

WINDOW = Window.parse("2013-01-02", "2013-01-03")
ROWS = 3 * 24


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server with three days of hours in a session zone far from UTC."""
    # Not under pytest's folder: as root the server is another user, whom any other pytest would lock out.
    with tempfile.TemporaryDirectory(prefix="keepfit-") as folder, Postgres(Path(folder)).used():
        url = Postgres(Path(folder)).url("postgres")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER DATABASE postgres SET timezone = 'Asia/Tokyo'"))
            connection.execute(sa.text("SET timezone = 'UTC'"))
            connection.execute(
                sa.text(
                    "CREATE TABLE hours AS SELECT n AS key, t AS zoned, t::timestamp AS plain, "
                    "t::date AS day, (n + 0.5)::numeric(10, 2) AS price, gen_random_uuid() AS id, "
                    "to_jsonb(n) AS more FROM (SELECT n, timestamptz '2013-01-01Z' + n * interval '1h' AS t "
                    "FROM generate_series(0, 71) n) AS hours"
                )
            )
        engine.dispose()
        yield url


def extracted(url: str, root: Path, window_column: str, **changes: Any) -> list[dict[str, Any]]:
    spec = {
        "name": "hours",
        "source": {"type": "sql", "connection": "x", "table": "public.hours"},
        "columns": {
            "key": "int64",
            "zoned": "timestamp",
            "plain": "timestamp",
            "day": "date",
            "price": "float64",
            "id": "string",
            "more": "string",
        },
        "key": ("key",),
        "event_time": "zoned",
        "window_column": window_column,
    }
    dataset = DatasetSpec.model_validate(spec | changes)
    access = Access(url=lambda _: url, storage=lambda _: {})
    extract_sql(SourceRequest(dataset, WINDOW, root / "out", root, access, root / "scratch"))
    rows: list[dict[str, Any]] = pq.read_table(root / "out").sort_by("key").to_pylist()
    return rows


@pytest.mark.parametrize("window_column", ["zoned", "plain", "day"])
def test_a_window_is_in_utc_whatever_the_column_and_the_databases_zone(
    url: str, tmp_path: Path, window_column: str
) -> None:
    rows = extracted(url, tmp_path, window_column)
    assert [row["key"] for row in rows] == list(range(24, 48))
    first = datetime(2013, 1, 2, tzinfo=UTC)
    assert (rows[0]["zoned"], rows[0]["plain"], rows[0]["day"]) == (first, first, date(2013, 1, 2))
    assert rows[0]["price"] == float(Decimal("24.50"))
    assert len(rows[0]["id"]) == 36


def test_a_query_that_writes_is_refused_by_the_database(url: str, tmp_path: Path) -> None:
    source = {"type": "sql", "connection": "x", "query": "SELECT *, setval('s', 1) FROM hours"}
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SEQUENCE IF NOT EXISTS s"))
    engine.dispose()
    with pytest.raises(SourceError, match=r"says: cannot execute setval\(\) in a read-only transaction"):
        extracted(url, tmp_path, "zoned", source=source)
