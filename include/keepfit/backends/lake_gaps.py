"""Which published rows have no value of a column at all, read from the ends of the files alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Gap:
    """Rows without a value of a column, where whole stretches of a file have none."""

    rows: int
    of: int
    """How many rows there are."""
    first: datetime | None = None
    last: datetime | None = None
    """The times between which they lie, where the files tell."""

    def joined(self, other: "Gap") -> "Gap":
        """Add another stretch of the same column."""
        starts = [each for each in (self.first, other.first) if each]
        ends = [each for each in (self.last, other.last) if each]
        return Gap(self.rows + other.rows, self.of, min(starts, default=None), max(ends, default=None))


def gaps_of(files: Iterable[str], columns: Iterable[str], time: str) -> Mapping[str, Gap]:
    """Return the columns of which row groups hold no value, by the counts that their writer has left."""
    read = [pq.read_metadata(file) for file in files]
    of, found = sum(each.num_rows for each in read), dict[str, Gap]()
    for metadata in read:
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            there = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
            known = there[time].statistics if time in there else None
            first, last = (_utc(known.min), _utc(known.max)) if known and known.has_min_max else (None, None)
            for column in columns:
                if _is_empty(there.get(column), group.num_rows):
                    gap = Gap(group.num_rows, of, first, last)
                    found[column] = found[column].joined(gap) if column in found else gap
    return found


def _is_empty(column: Any, rows: int) -> bool:
    if column is None:
        return rows > 0
    counted = column.statistics
    return bool(rows and counted and counted.has_null_count and counted.null_count == rows)


def _utc(value: Any) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
