"""Sketch all predictions of a window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keepfit.backends.engine import Connection, columns_of, identifier, identifiers
from keepfit.backends.sketches import Kind, Sketch, sketch_columns
from keepfit.spec.window import Window
from keepfit.steps.alike_rows import ALIKE, alike_rows
from keepfit.steps.made_predictions import between


@dataclass(frozen=True)
class WindowSketches:
    """What a window's predictions hold."""

    sketches: Mapping[str, Sketch]
    """Of each column, and how many rows are alike in all features."""
    rows: int
    versions: frozenset[str]
    """Which versions of the model scored the window."""

    def has(self, column: str) -> bool:
        """Tell whether a column has any value."""
        return column in self.sketches and self.sketches[column].missing < self.rows


def sketch_window(
    connection: Connection,
    predictions: str,
    columns: Sequence[str],
    *,
    window: Window,
    kinds: Mapping[str, Kind | None],
) -> WindowSketches:
    """Sketch a window's rows, all of them.

    Columns that the table of predictions does not have are left out.

    Args:
        connection: The engine.
        predictions: The table.
        columns: Which.
        window: By the rows' event time.
        kinds: What the columns are in the reference, whatever they are stored as here.
    """
    table = identifier(predictions)
    there = [name for name in columns if name in columns_of(connection, table)]
    within = f"FROM {table} WHERE {between('event_time', window)}"
    row = connection.execute(f"SELECT count(*), list(DISTINCT version) {within}").fetchone()
    rows, versions = row or (0, None)
    relation = f"(SELECT {identifiers(there)} {within})"
    found = sketch_columns(connection, relation, there, kinds) if there else {}
    # Versions give the same row other scores.
    if features := [name for name in there if name != "score"]:
        found[ALIKE] = alike_rows(connection, relation, features)
    return WindowSketches(found, int(rows), frozenset(versions or ()))
