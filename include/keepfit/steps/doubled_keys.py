"""Keys that come again in another window: a row that has moved, or a key that does not name a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keepfit.backends.engine import count, engine, identifier, identifiers, moment, scan
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window

_EXAMPLES = 3


@dataclass(frozen=True)
class Table:
    """A published table: its files, and where the engine may put what does not fit into memory."""

    files: Sequence[str]
    bounds: EngineSpec
    scratch: Path


def doubled_keys(dataset: DatasetSpec, window: Window, file: Path, table: Table) -> str | None:
    """Say how many keys of a window's rows are published in another window too, with some of them.

    Nothing is read where the event time is part of the key, since no other window has that time, nor for a
    snapshot, which has no windows.
    """
    if dataset.snapshot or dataset.event_time in dataset.key or not table.files:
        return None
    keys, time = identifiers(dataset.key), identifier(dataset.event_time)
    others = f"{time} < {moment(window.start)} OR {time} >= {moment(window.end)}"
    doubled = (
        f"SELECT {keys} FROM {scan([str(file)])} "
        f"SEMI JOIN (SELECT {keys} FROM {scan(table.files)} WHERE {others}) USING ({keys})"
    )
    with engine(table.bounds, table.scratch) as connection:
        if not (found := count(connection, f"({doubled})")):
            return None
        rows = connection.execute(f"{doubled} ORDER BY {keys} LIMIT {_EXAMPLES}").fetchall()
    shown = "; ".join(
        ", ".join(f"{name}={value}" for name, value in zip(dataset.key, row, strict=True)) for row in rows
    )
    return (
        f"{found} keys are published in another window too, such as {shown}. What joins by the key alone "
        f"takes the row known last. If each is a row of its own, add {dataset.event_time} or what tells them "
        f"apart to `key` in datasets/{dataset.name}.yaml; if rows have moved, publish the other window again."
    )
