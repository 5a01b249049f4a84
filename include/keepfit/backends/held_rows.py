"""The rows of a dataset that are in quarantine, with what was ruled on them; read piece by piece."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keepfit.backends.engine import Connection, engine, moment, scan
from keepfit.backends.quarantine import AT, DIGEST, KEY, REASONS, RUN, WINDOW
from keepfit.backends.rulings import RULINGS, Ruled, load_rulings
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window

State = Literal["pending", "released", "dropped"]
_HELD = "keepfit_held"
_SHOWN = "key, digest, in_window, reasons, run_id, state, was_released"
_PIECE = 10_000


@dataclass(frozen=True)
class HeldRow:
    """A row in quarantine."""

    key: str
    digest: str
    window: str
    reasons: str
    run_id: str
    state: State
    was_released: bool
    """Whether it ever was: then it may be published."""


@contextmanager
def held_rows(
    files: Sequence[str], ruled: Ruled, window: Window | None, *, bounds: EngineSpec, scratch: Path
) -> Iterator["HeldRows"]:
    """Lend the rows in quarantine; those of a window, if one is given.

    Args:
        files: The table of the rows; none where it does not exist.
        ruled: What was ruled on the dataset's rows.
        window: By the rows' time.
        bounds: The engine's memory and threads.
        scratch: A folder for what does not fit into memory.
    """
    with engine(bounds, scratch) as connection:
        load_rulings(connection, ruled)
        connection.execute(f"CREATE TEMP TABLE {_HELD} AS {_select(files, window)}")
        yield HeldRows(connection)


class HeldRows:
    """Rows in quarantine, by time. A question must be answered to its end before the next is asked."""

    def __init__(self, connection: Connection, keys: Collection[str] = ()) -> None:
        """Refer to the rows of some keys, or to all."""
        self._connection = connection
        self._keys = list(keys)

    def of(self, keys: Collection[str]) -> "HeldRows":
        """Narrow them to the rows of some keys; no keys: all."""
        return HeldRows(self._connection, keys)

    def __iter__(self) -> Iterator[HeldRow]:
        """Read them, by time."""
        yield from self._read("true")

    def first(self, most: int) -> list[HeldRow]:
        """Read some of them."""
        return list(self._read("true", f"LIMIT {most}"))

    def in_state(self, *states: State) -> Iterator[HeldRow]:
        """Read those in one of some states."""
        return self._read(f"state IN ({', '.join(repr(str(each)) for each in states)})")

    def count(self, condition: str = "true") -> int:
        """Count them."""
        return int(self._ask("count(*)", condition)[0][0])

    @property
    def were_released(self) -> bool:
        """Whether one of them ever was released."""
        return self.count("was_released") > 0

    def unknown(self) -> list[str]:
        """Return the keys it was narrowed to of which there is no row."""
        there = {key for (key,) in self._ask("DISTINCT key")} if self._keys else set()
        return sorted(set(self._keys) - there)

    def doubled(self, most: int) -> list[str]:
        """Return some of the keys that more than one of them has."""
        return [
            key
            for (key,) in self._ask("key", end=f"GROUP BY key HAVING count(*) > 1 ORDER BY 1 LIMIT {most}")
        ]

    def _read(self, condition: str, end: str = "") -> Iterator[HeldRow]:
        found = self._execute(_SHOWN, condition, f"ORDER BY in_time, key, digest {end}")
        while piece := found.fetchmany(_PIECE):
            yield from (HeldRow(*row) for row in piece)

    def _ask(self, what: str, condition: str = "true", end: str = "") -> list[tuple[str, ...]]:
        return self._execute(what, condition, end).fetchall()

    def _execute(self, what: str, condition: str, end: str) -> Connection:
        meant = "(len($1::VARCHAR[]) = 0 OR list_contains($1::VARCHAR[], key))"
        sql = f"SELECT {what} FROM {_HELD} WHERE {meant} AND {condition} {end}"
        return self._connection.execute(sql, [self._keys])


def _select(files: Sequence[str], window: Window | None) -> str:
    columns = {
        KEY: "key",
        DIGEST: "digest",
        WINDOW: "in_window",
        REASONS: "reasons",
        RUN: "run_id",
        AT: "in_time",
    }
    nothing = f"(SELECT {', '.join(f'NULL::VARCHAR AS {name}' for name in columns)} WHERE false)"
    shown = ", ".join(f"h.{column} AS {name}" for column, name in columns.items())
    meant = f"{AT} >= {moment(window.start)} AND {AT} < {moment(window.end)}" if window and files else "true"
    return (
        f"SELECT {shown}, coalesce(r.ruling, 'pending') AS state, "
        f"coalesce(r.was_released, false) AS was_released FROM {scan(files) if files else nothing} h "
        f"LEFT JOIN {RULINGS} r ON r.k = h.{KEY} AND r.d = h.{DIGEST} WHERE {meant}"
    )
