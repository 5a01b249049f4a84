"""Read the rows to predict, in the order of time and key, with the features that lie in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa

from keepfit.backends.engine import (
    Connection,
    EngineError,
    count,
    first_line,
    identifier,
    identifiers,
    moment,
)
from keepfit.backends.select import read_condition
from keepfit.errors import SpecError
from keepfit.spec import DatasetSpec, ModelSpec, Window
from keepfit.steps.predict import MOMENT


@dataclass(frozen=True)
class InRow:
    """Features that are columns of the rows themselves."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """The columns, by feature."""
    keys: Sequence[str] = ()
    """Without one of these a row has no features."""

    def select(self) -> str:
        """Write the columns to read besides the rows' own."""
        known = " AND ".join(f"{identifier(key)} IS NOT NULL" for key in self.keys)
        return "".join(
            f", CASE WHEN {known} THEN {identifier(column)} END AS {identifier(name)}"
            for name, column in self.columns.items()
        )


def entity_rows(
    connection: Connection,
    table: str,
    dataset: DatasetSpec,
    spec: ModelSpec,
    window: Window,
    *,
    features: InRow | None = None,
    sorted_at_once: int = 250_000,
) -> Iterator[pa.RecordBatch]:
    """Read the rows to predict, in the order of time and key, a batch at a time.

    Args:
        connection: The engine.
        table: The dataset's rows.
        dataset: The dataset.
        spec: The model.
        window: Which rows.
        features: Features to read with them.
        sorted_at_once: Of more rows than these, parts of the window are put in order one after the other.

    Raises:
        SpecError: The model's condition is no condition on a row, or names a column the dataset has not.
    """
    time = identifier(dataset.event_time)
    columns = identifiers(dict.fromkeys((*dataset.key, *spec.entities.columns)))
    where = read_condition(connection, spec.entities.where, f"models/{spec.name}.yaml: entities.where")
    order = identifiers(dict.fromkeys((dataset.event_time, *dataset.key)))
    chosen = f"SELECT {columns}, {time} AS {MOMENT}{(features or InRow()).select()} FROM {table}"
    try:
        for part in _parts(
            window, count(connection, f"{table} WHERE {_within(time, window)}"), sorted_at_once
        ):
            query = f"{chosen} WHERE {_within(time, part)} AND {where} ORDER BY {order}"
            yield from connection.execute(query).to_arrow_reader(spec.predict.batch_rows)
    except EngineError as error:
        raise SpecError(
            f"models/{spec.name}.yaml: entities: {first_line(error)}. Correct `where` or `columns`: "
            f"the dataset {dataset.name!r} has published the columns they can use."
        ) from error


def _within(time: str, window: Window) -> str:
    return f"{time} >= {moment(window.start)} AND {time} < {moment(window.end)}"


def _parts(window: Window, rows: int, at_once: int) -> Iterator[Window]:
    """Part a window, so that its rows need not all be sorted at once; a second is never parted."""
    seconds = (window.end - window.start) // timedelta(seconds=1)
    step = timedelta(seconds=max(1, seconds // (rows // at_once + 1)))
    start = window.start
    while start < window.end:
        end = min(start + step, window.end)
        yield Window(start, end)
        start = end
