"""The engine: bounded, in UTC, and blind to files once it is sealed."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from keepfit.backends.engine import (
    EngineError,
    columns_of,
    count,
    engine,
    first_line,
    identifier,
    literal,
    moment,
    scan,
    seal,
)
from keepfit.spec.project import EngineSpec

SMALL = EngineSpec(memory_limit="64MB", threads=1)


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    with engine(SMALL, tmp_path) as connection:
        row = connection.execute(
            "SELECT TIMESTAMPTZ '2013-01-01 05:00:00' = TIMESTAMPTZ '2013-01-01T05:00:00Z'"
        ).fetchone()
    assert row == (True,)


def test_a_moment_in_another_zone_is_written_in_utc(tmp_path: Path) -> None:
    noon = datetime(2013, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    with engine(SMALL, tmp_path) as connection:
        row = connection.execute(f"SELECT {moment(noon)}, {moment(noon, zoned=False)}").fetchone()
    assert row == (datetime(2013, 7, 1, 10, tzinfo=UTC), datetime(2013, 7, 1, 10))  # noqa: DTZ001 - meant


def test_what_does_not_fit_into_memory_spills_into_scratch_also_when_sealed(tmp_path: Path) -> None:
    with engine(SMALL, tmp_path / "scratch") as connection:
        seal(connection, [])
        many = "(SELECT DISTINCT i::VARCHAR || repeat('x', 40) FROM range(1500000) t(i))"
        assert count(connection, many) == 1_500_000
        assert (tmp_path / "scratch" / "spill").is_dir()


def test_a_sealed_connection_reads_the_files_it_was_given_and_no_others(tmp_path: Path) -> None:
    with engine(SMALL, tmp_path) as connection:
        for name in ("given", "other"):
            connection.execute(f"COPY (SELECT 1 AS a) TO {literal(str(tmp_path / name))} (FORMAT parquet)")
        seal(connection, [tmp_path / "given"])
        assert count(connection, scan([tmp_path / "given"])) == 1
        for forbidden in (
            f"FROM {scan([tmp_path / 'other'])}",
            "FROM read_text('/etc/passwd')",
            "FROM glob('/etc/*')",
            f"COPY (SELECT 1) TO '{tmp_path / 'new'}'",
            f"ATTACH '{tmp_path / 'new.db'}'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(EngineError, match=r"disabled by configuration|configuration has been locked"):
                connection.execute(forbidden)


def test_no_python_variable_is_visible_in_sql(tmp_path: Path) -> None:
    secret = [1, 2, 3]
    with engine(SMALL, tmp_path) as connection, pytest.raises(EngineError, match="secret does not exist"):
        connection.execute("SELECT * FROM secret")
    assert secret


def test_files_of_different_widths_read_as_the_wider(tmp_path: Path) -> None:
    with engine(SMALL, tmp_path) as connection:
        for name, value in (("a", "1::BIGINT"), ("b", "5.7::DOUBLE")):
            connection.execute(f"COPY (SELECT {value} AS v) TO '{tmp_path / name}' (FORMAT parquet)")
        rows = connection.execute(
            f"SELECT v FROM {scan([tmp_path / 'a', tmp_path / 'b'])} ORDER BY v"
        ).fetchall()
    assert rows == [(1.0,), (5.7,)]


def test_names_and_texts_are_quoted(tmp_path: Path) -> None:
    with engine(SMALL, tmp_path) as connection:
        odd = 'a "quoted" name'
        connection.execute(f"CREATE TABLE t ({identifier(odd)} INT)")
        assert columns_of(connection, "t") == {odd: "INTEGER"}
        assert connection.execute("SELECT " + literal("it's")).fetchone() == ("it's",)


def test_an_error_is_told_in_its_first_line(tmp_path: Path) -> None:
    with engine(SMALL, tmp_path) as connection, pytest.raises(EngineError) as raised:
        connection.execute("SELECT nothing\nFROM range(1)")
    assert first_line(raised.value).startswith('Binder Error: Referenced column "nothing" not found')
