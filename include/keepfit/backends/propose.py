"""Propose a suite from reference rows: loose enough for later weeks, tight enough for a broken load.

Means and quantiles are left out: they move with the seasons, and are what drift detection looks at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from keepfit.backends.engine import Connection, engine, identifier
from keepfit.backends.suite_scan.rows import ROWS, Columns, Kind
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec
from keepfit.spec.yaml_file import yaml_text

SLACK = 1.0
"""How far beyond the span of 99.8 % of the values a range reaches, in such spans."""
FEWEST, MOST = 1 / 4, 4
"""How far the rows of a window may be from those of the smallest and largest block."""
_FEW_ROWS = 100
_MOST_CATEGORIES = 60
_UNSEEN = 0.01
_STRAYS = 0.01
_LEAST_VARIETY = 20
_KEPT_VARIETY = 0.2


@dataclass(frozen=True)
class _Seen:
    """What the blocks of the reference say of a column."""

    name: str
    kind: Kind
    missing: float
    """The largest share of missing values of a block."""
    different: int
    """The fewest different values of a block."""


def propose_suite(
    path: Path, dataset: DatasetSpec, every: timedelta, *, bounds: EngineSpec, scratch: Path
) -> str:
    """Return the YAML of a suite, everything in it a warning.

    Args:
        path: Reference rows, as the suite will see them.
        dataset: What they are of.
        every: The length of the windows that the suite will be held against.
        bounds: The engine's memory and threads.
        scratch: A folder for what does not fit into memory.
    """
    columns = Columns.of(path)
    with engine(bounds, scratch) as connection:
        columns.show(connection, path)
        _show_blocks(connection, dataset, columns, every)
        proposed = list(_proposed(connection, dataset, columns))
    listed = [
        {"type": f"expect_{kind}", "kwargs": kwargs, "severity": "warning"} for kind, kwargs in proposed
    ]
    suite = {"name": dataset.expectations or dataset.name, "expectations": listed}
    return _HEAD + yaml_text(suite, width=110, default_flow_style=None)


_HEAD = """# Proposed by `keepfit propose` from reference rows. Everything is a warning, which marks a window
# and keeps its rows: set `severity: critical` where a failure should stop it.
"""


def _show_blocks(connection: Connection, dataset: DatasetSpec, columns: Columns, every: timedelta) -> None:
    """Show the rows with the block they are of; the first and last are cut off unevenly and count no less."""
    time = dataset.event_time if dataset.inputs else dataset.source_time
    block = "0"
    if not dataset.snapshot and columns.kinds.get(time) in {"zoned time", "plain time", "date"}:
        start = f"(SELECT min({identifier(time)}) FROM {ROWS})::TIMESTAMP"
        seconds = int(every.total_seconds())
        block = f"epoch({identifier(time)}::TIMESTAMP - {start})::BIGINT // {seconds}"
    connection.execute(f"CREATE VIEW blocks AS SELECT *, {block} AS keepfit_block FROM {ROWS}")


def _proposed(
    connection: Connection, dataset: DatasetSpec, columns: Columns
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "table_columns_to_match_set", {"column_set": list(columns.listed), "exact_match": False}
    yield from _counts(connection)
    yield from _keys(connection, [name for name in dataset.key if name in columns.kinds])
    for seen in _seen(connection, columns):
        yield from _of_missing(seen)
        yield from _of_values(connection, seen, is_key=seen.name in dataset.key)


def _counts(connection: Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    counts = "SELECT count(*) AS n FROM blocks GROUP BY keepfit_block"
    fewest, most = _row(connection, f"SELECT quantile_disc(n, 0.1), max(n) FROM ({counts})")
    yield (
        "table_row_count_to_be_between",
        {"min_value": max(1, int(fewest * FEWEST)), "max_value": int(most * MOST)},
    )


def _keys(connection: Connection, key: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    if not key:
        return
    names = ", ".join(map(identifier, key))
    twice = f"SELECT 1 FROM {ROWS} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    if _row(connection, f"SELECT count(*) FROM ({twice})")[0]:
        return
    if len(key) == 1:
        yield "column_values_to_be_unique", {"column": key[0]}
    else:
        yield "compound_columns_to_be_unique", {"column_list": list(key)}


def _seen(connection: Connection, columns: Columns) -> Iterator[_Seen]:
    for name, kind in columns.kinds.items():
        column = identifier(name)
        blocks = (
            f"SELECT 1 - count({column}) / count(*) AS missing, count(DISTINCT {column}) AS different "
            f"FROM blocks GROUP BY keepfit_block HAVING count(*) >= {_FEW_ROWS}"
        )
        missing, different = _row(connection, f"SELECT max(missing), min(different) FROM ({blocks})")
        if missing is not None:
            yield _Seen(name, kind, float(missing), int(different))


def _of_missing(seen: _Seen) -> Iterator[tuple[str, dict[str, Any]]]:
    allowed = 2 * seen.missing + (0.02 if seen.missing else 0)
    if allowed < 1:
        mostly = {"mostly": round(1 - allowed, 3)} if allowed else {}
        yield "column_values_to_not_be_null", {"column": seen.name, **mostly}


def _of_values(connection: Connection, seen: _Seen, *, is_key: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if seen.different == 0:
        return
    if seen.kind == "text":
        yield from _of_categories(connection, seen)
    # What numbers the rows goes on counting.
    if seen.kind in {"int", "float"} and not is_key:
        yield from _of_range(connection, seen)
    if seen.kind in {"int", "float", "text"} and seen.different >= 2:  # noqa: PLR2004 - one value does not vary
        least = int(seen.different * _KEPT_VARIETY) if seen.different >= _LEAST_VARIETY else 1
        yield "column_unique_value_count_to_be_between", {"column": seen.name, "min_value": max(2, least)}


def _of_categories(connection: Connection, seen: _Seen) -> Iterator[tuple[str, dict[str, Any]]]:
    column = identifier(seen.name)
    values = connection.execute(
        f"SELECT DISTINCT {column} FROM {ROWS} WHERE {column} IS NOT NULL "
        f"ORDER BY 1 LIMIT {_MOST_CATEGORIES + 1}"
    ).fetchall()
    if len(values) <= _MOST_CATEGORIES:
        listed = [value for (value,) in values]
        yield "column_values_to_be_in_set", {"column": seen.name, "value_set": listed, "mostly": 1 - _UNSEEN}


def _of_range(connection: Connection, seen: _Seen) -> Iterator[tuple[str, dict[str, Any]]]:
    column = identifier(seen.name)
    low, high, least = _row(
        connection,
        f"SELECT quantile_cont({column}, 0.001), quantile_cont({column}, 0.999), min({column}) FROM {ROWS} "
        f"WHERE isfinite({column}::DOUBLE)",
    )
    if low is None:
        return
    span = SLACK * ((high - low) or abs(high) or 1)
    bottom = 0 if least >= 0 and low - span < 0 else _rounded(low - span)
    limits = {"min_value": bottom, "max_value": _rounded(high + span)}
    yield "column_values_to_be_between", {"column": seen.name, **limits, "mostly": 1 - _STRAYS}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _row(connection: Connection, query: str) -> Sequence[Any]:
    return connection.execute(query).fetchone() or ()
