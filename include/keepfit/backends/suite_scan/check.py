"""What an entry of a suite becomes: the SQL it needs, and how its values are judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepfit.backends.engine import identifier
from keepfit.backends.suite_file import Entry
from keepfit.backends.suite_scan.row_condition import EVERY, rows_meant
from keepfit.backends.suite_scan.rows import Columns, Kind


@dataclass(frozen=True)
class Verdict:
    """What is known of one expectation."""

    met: bool
    count: int | None = None
    """How many rows fail."""
    of: int | None = None
    observed: Any = None
    trouble: str | None = None
    """Why it could not be looked at."""
    only_empty: bool = False
    """Met, but only because there are no values."""


@dataclass(frozen=True)
class Check:
    """An expectation in SQL."""

    entry: Entry
    needs: tuple[str, ...]
    """Expressions over all the rows, one value each."""
    judge: Callable[[Sequence[Any]], Verdict | None]
    """What the values mean; None where only Great Expectations can say."""
    fails: str | None = None
    """The condition that is true for the rows that fail, where rows fail one by one."""


@dataclass(frozen=True)
class Asked:
    """An entry, and the columns it is asked of."""

    entry: Entry
    columns: Columns
    within: str
    """The condition for the rows it is about."""

    @classmethod
    def of(cls, entry: Entry, columns: Columns) -> "Asked | None":
        """Read an entry; None if its `row_condition` is beyond SQL."""
        within = rows_meant(entry.kwargs, columns.kinds)
        return cls(entry, columns, within) if within else None

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The entry's arguments."""
        return self.entry.kwargs

    @property
    def column(self) -> str:
        """The column, quoted."""
        return identifier(self.kwargs["column"])

    @property
    def kind(self) -> Kind:
        """The kind of the column."""
        return self.columns.kinds[self.kwargs["column"]]

    @property
    def rows(self) -> str:
        """Count the rows it is about."""
        return self.count(EVERY)

    @property
    def values(self) -> str:
        """Count the values it is about."""
        return self.over(f"count({self.column})")

    def over(self, aggregate: str) -> str:
        """Restrict an aggregate to the rows it is about."""
        return aggregate if self.within == EVERY else f"{aggregate} FILTER (WHERE {self.within})"

    def count(self, *conditions: str) -> str:
        """Count the rows that meet all of these."""
        wanted = self.all_of(*conditions)
        # A tenth faster than `count(*) FILTER`.
        return "count(*)" if wanted == EVERY else f"coalesce(count_if({wanted}), 0)"

    def all_of(self, *conditions: str) -> str:
        """Join conditions to that for the rows it is about."""
        wanted = [each for each in (self.within, *conditions) if each != EVERY]
        return " AND ".join(f"({each})" for each in wanted) or EVERY
