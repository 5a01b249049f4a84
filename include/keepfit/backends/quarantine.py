"""Part a file's rows: those that meet the critical expectations, and those to set aside, with reasons."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keepfit.backends.engine import Connection, count, engine, identifier, literal, moment
from keepfit.backends.row_identity import plain_key, row_digest, row_key
from keepfit.backends.rulings import RULINGS, Ruled, load_rulings
from keepfit.backends.suite_file import Entry, parse_suite
from keepfit.backends.suite_scan.check import Check
from keepfit.backends.suite_scan.compile import columns_named, compile_entry
from keepfit.backends.suite_scan.rows import NUMBER, ROWS, Columns, numbered
from keepfit.backends.suite_scan.scan import run_checks
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window

KEY, WINDOW, REASONS, RUN, DIGEST, AT = (
    f"quarantine_{each}" for each in ("key", "window", "reasons", "run_id", "digest", "at")
)
"""The columns that a row in quarantine has besides its own."""
_FAILING, _BETWEEN = "keepfit_failing", "chr(31)"
_STATE = "coalesce(sum(md5_number_lower(row_key || digest || ruling)::HUGEINT), 0)::VARCHAR"


@dataclass(frozen=True)
class Parted:
    """How many rows went where."""

    rows: int
    failing: int
    released: int
    """Those of them that a person has released: they are published."""
    dropped: int
    reasons: Mapping[str, int]
    state: str
    """A sum over the rulings that stand on the failing rows, as `state_of` makes it."""

    @property
    def pending(self) -> int:
        """How many rows wait for a ruling."""
        return self.failing - self.released - self.dropped


def part_rows(
    path: Path,
    suite: str,
    dataset: DatasetSpec,
    window: Window,
    ruled: Ruled,
    *,
    run_id: str,
    out: tuple[Path, Path, Path],
    bounds: EngineSpec,
    scratch: Path,
) -> Parted | None:
    """Write three files, or none and return None if no row fails.

    A row fails by a critical expectation on single rows that its window does not meet: what `mostly` allows
    does not count.

    Args:
        path: The rows.
        suite: The suite's text.
        dataset: What the rows are of.
        window: The window they are of.
        ruled: What was ruled on the dataset's rows.
        run_id: Who sets them aside.
        out: Where the rows that pass, those to publish (with what was released), and those set aside go.
        bounds: The engine's memory and threads.
        scratch: A folder for what does not fit into memory.
    """
    columns = Columns.of(path)
    with engine(bounds, scratch) as connection:
        columns.show(connection, path)
        failing = _not_met(connection, suite, columns)
        if not failing:
            return None
        load_rulings(connection, ruled)
        _mark(connection, path, failing, dataset)
        passed, accepted, aside = out
        _copy(connection, f"{_raw(path)} WHERE f.{NUMBER} IS NULL", passed)
        _copy(connection, f"{_raw(path)} WHERE f.{NUMBER} IS NULL OR f.ruling = 'released'", accepted)
        _copy(connection, _set_aside(path, dataset, window, run_id), aside)
        return Parted(
            rows=count(connection, ROWS),
            failing=count(connection, _FAILING),
            released=count(connection, f"{_FAILING} WHERE ruling = 'released'"),
            dropped=count(connection, f"{_FAILING} WHERE ruling = 'dropped'"),
            reasons=_by_reason(connection),
            state=_value(connection, f"SELECT {_STATE} FROM {_FAILING}"),
        )


def state_of(aside: Path, ruled: Ruled, *, bounds: EngineSpec, scratch: Path) -> str:
    """Sum up the rulings that stand on the rows of a file of rows set aside."""
    with engine(bounds, scratch) as connection:
        load_rulings(connection, ruled)
        rows = f"SELECT {KEY} AS row_key, {DIGEST} AS digest, ruling FROM read_parquet({literal(str(aside))})"
        return _value(
            connection, f"SELECT {_STATE} FROM ({rows} JOIN {RULINGS} r ON r.k = {KEY} AND r.d = {DIGEST})"
        )


def _value(connection: Connection, query: str) -> str:
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


def _not_met(connection: Connection, suite: str, columns: Columns) -> list[Check]:
    entries = [each for each in parse_suite(suite, "suite")[1] if each.severity == "critical"]
    checks = [check for each in entries if (check := compile_entry(each, columns)) and check.fails]
    return [each.check for each in run_checks(connection, checks, (), ()).found if not each.verdict.met]


def _mark(connection: Connection, path: Path, failing: Iterable[Check], dataset: DatasetSpec) -> None:
    """Make a table of the rows that fail, with why, their key and digest, and what a person has ruled."""
    cases = ", ".join(f"CASE WHEN {each.fails} THEN {literal(_reason(each.entry))} END" for each in failing)
    why = f"SELECT {NUMBER}, concat_ws({_BETWEEN}, {cases}) AS why FROM {ROWS}"
    names = Columns.of(path).kinds
    key = [name for name in dataset.key if name in names]
    # A row that was ruled on under the key it had before keys were escaped keeps that key, and its ruling.
    connection.execute(
        f"CREATE TEMP TABLE {_FAILING} AS SELECT m.* EXCLUDE (row_key, plain_key), "
        f"coalesce(r.k, o.k, m.row_key) AS row_key, coalesce(r.ruling, o.ruling) AS ruling FROM ("
        f"SELECT w.{NUMBER}, string_split(w.why, {_BETWEEN}) AS reasons, {row_key('p', key)} AS row_key, "
        f"{plain_key('p', key)} AS plain_key, {row_digest('p', names)} AS digest "
        f"FROM ({why}) w JOIN {numbered(path)} p USING ({NUMBER}) WHERE w.why <> '') m "
        f"LEFT JOIN {RULINGS} r ON r.k = m.row_key AND r.d = m.digest "
        f"LEFT JOIN {RULINGS} o ON o.k = m.plain_key AND o.d = m.digest"
    )


def _reason(entry: Entry) -> str:
    return f"{', '.join(columns_named(entry))}: {entry.type}"


def _raw(path: Path) -> str:
    return f"SELECT p.* EXCLUDE ({NUMBER}) FROM {numbered(path)} p LEFT JOIN {_FAILING} f USING ({NUMBER})"


def _set_aside(path: Path, dataset: DatasetSpec, window: Window, run_id: str) -> str:
    time = dataset.event_time if dataset.inputs or dataset.snapshot else dataset.source_time
    start = moment(window.start)
    at = start if dataset.snapshot else f"coalesce(p.{identifier(time)}::TIMESTAMPTZ, {start})"
    columns = {
        "f.row_key": KEY,
        literal(window.key): WINDOW,
        "array_to_string(f.reasons, '; ')": REASONS,
        literal(run_id): RUN,
        "f.digest": DIGEST,
        at: AT,
    }
    shown = ", ".join(f"{value} AS {name}" for value, name in columns.items())
    rows = f"{numbered(path)} p JOIN {_FAILING} f USING ({NUMBER}) ORDER BY {NUMBER}"
    return f"SELECT {shown}, p.* EXCLUDE ({NUMBER}) FROM {rows}"


def _copy(connection: Connection, select: str, out: Path) -> None:
    ordered = select if "ORDER BY" in select else f"{select} ORDER BY {NUMBER}"
    connection.execute(f"COPY ({ordered}) TO {literal(str(out))} (FORMAT parquet, COMPRESSION zstd)")


def _by_reason(connection: Connection) -> dict[str, int]:
    reasons = f"SELECT unnest(reasons) AS reason FROM {_FAILING}"
    return dict(
        connection.execute(f"SELECT reason, count(*) FROM ({reasons}) GROUP BY 1 ORDER BY 1").fetchall()
    )
