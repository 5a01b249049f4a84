"""`evaluate.gate` of a model: what a challenger must show before it may take the champion's place."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keepfit.spec.fields import Closed, Column

FEWEST_DAYS = 5
"""A bootstrap of fewer days than this says more of the days drawn than of the models."""
FEWEST_BLOCKS = 2.5
Margin = Annotated[float, Field(ge=0)]
Limit = Annotated[float, Field(gt=0)]


class SliceSpec(Closed):
    """Groups of the holdout's rows that are judged each by itself."""

    column: Column
    """A feature, a column of the key or of `entities.columns`; each of its values is a slice."""
    edges: tuple[float, ...] = ()
    """For a column of numbers: where to cut it, such as [500, 1000] for below 500, 500 to 1000, 1000 and
    above."""
    min_rows: Annotated[int, Field(ge=2)] = 500
    """A slice with fewer rows is told as not judged."""
    floors: dict[str, float] = Field(default_factory=dict)
    """The worst allowed value of a metric within each slice."""
    not_worse_by: dict[str, Margin] = Field(default_factory=dict)
    """By how much the challenger may be worse than the champion within each slice, by metric."""

    @model_validator(mode="after")
    def _asks_something_in_order(self) -> Self:
        if not self.floors and not self.not_worse_by:
            raise ValueError(f"the slices of {self.column!r} ask for nothing. Add `floors` or `not_worse_by`")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("`edges` must rise, such as [500, 1000]")
        return self


class GateSpec(Closed):
    """When a challenger may take the champion's place."""

    floors: dict[str, float] = Field(default_factory=dict)
    """The worst allowed value of a metric: a minimum where higher is better, else a maximum."""
    min_effect: Margin | None = None
    """How much better the challenger's objective must be; when not given, 3 % of the champion's lead over the
    baseline, which is more than another seed brings (docs/gate.md)."""
    not_worse_by: dict[str, Margin] = Field(default_factory=dict)
    """By how much the challenger may at most be worse than the champion, by metric: it has to be shown."""
    slices: tuple[SliceSpec, ...] = ()
    """Groups of rows that have floors and margins of their own."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """Of the intervals: a challenger that should not pass does so with a chance of at most half the rest."""
    block: Literal["auto", "day", "week"] = "auto"
    """How many days in a row the bootstrap draws at once; `auto` is the cube root of their number, rounded
    up. Longer blocks allow for longer spells, and need a longer holdout."""
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 500
    latency_ms: Limit | None = None
    """The longest that the challenger may take to score one row, in the median."""
    size_mb: Limit | None = None
    """The most that the challenger's files may take, in millions of bytes."""

    @model_validator(mode="after")
    def _columns_once(self) -> Self:
        columns = [each.column for each in self.slices]
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise ValueError(f"`slices` has {', '.join(twice)} more than once. Put it into one entry")
        return self

    def block_of(self, days: int) -> int:
        """Return how many days in a row are drawn at once where there are so many."""
        if self.block == "auto":
            return math.ceil(round(math.cbrt(days), 9))
        return {"day": 1, "week": 7}[self.block]

    def days_needed(self, days: int) -> int:
        """Return how many days of rows an interval needs where there are so many."""
        return days_needed(self.block_of(days))

    @property
    def asked(self) -> Iterator[tuple[str, str]]:
        """Yield where a metric is asked for, and its name."""
        for field in ("floors", "not_worse_by"):
            yield from ((field, metric) for metric in getattr(self, field))
            for at, each in enumerate(self.slices):
                yield from ((f"slices[{at}].{field}", metric) for metric in getattr(each, field))


def days_needed(block: int) -> int:
    """Return how many days of rows an interval needs whose days are drawn in blocks of so many."""
    return max(FEWEST_DAYS, math.ceil(FEWEST_BLOCKS * block))
