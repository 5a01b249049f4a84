"""Which of several rows of one key counts, so that offline and online agree on it.

Of rows of the same key and moment (and creation), the one with the greatest values counts: the view's
features are compared in the order of their columns' names, nulls are least. The choice is arbitrary, but it
is the same for every join, whatever features it asks for, and for the online store.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import ibis
from feast.data_source import DataSource
from ibis.expr.types import Column, Table

from keepfit.backends.feature_store.lake_source import read_source


def rank_of(features: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that tell tied rows apart, in the order they are compared."""
    return tuple(sorted(features))


def latest_reader(
    keys: Sequence[str], order: Sequence[str], start: datetime, end: datetime
) -> Callable[[DataSource, str], Table]:
    """Return a reader of one row for each key, the first by its columns in descending order.

    Feast's own choice, made of what it reads, leaves open which of tied rows it takes.
    """

    def read(source: DataSource, repo: str) -> Table:
        table = read_source(source, repo)
        moment = table[order[0]].cast("timestamp")
        first, last = (each.astimezone(UTC).replace(tzinfo=None) for each in (start, end))
        table = table.filter(moment >= ibis.literal(first), moment <= ibis.literal(last))
        by = [ibis.desc(_key(table[column]), nulls_first=False) for column in order]
        window = ibis.window(group_by=[table[key] for key in keys], order_by=by)
        return table.mutate(_place=ibis.row_number().over(window)).filter(ibis._._place == 0).drop("_place")

    return read


def _key(column: Column) -> Column:
    """Make a copy to sort by: DuckDB gives back what it has sorted by, with -0.0 made 0.0."""
    return column + 0 if column.type().is_floating() else column
