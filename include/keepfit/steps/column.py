"""A column of a window as the search for faults sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd
from typing import TYPE_CHECKING

from keepfit.steps.shape import Shape

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch

_KEPT = 2048


@dataclass(frozen=True, eq=False)
class Column:
    """A sketch, and what is asked of it again and again."""

    sketch: "Sketch"

    @property
    def rows(self) -> int:
        """All rows, with or without a value."""
        return self.sketch.rows

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return self.sketch.n

    @property
    def missing(self) -> float:
        """The share of rows without a value."""
        return self.sketch.missing_share

    @cached_property
    def shape(self) -> Shape | None:
        """Its numbers; None for categories."""
        if self.sketch.kind != "number":
            return None
        return Shape(self.sketch.values, self.sketch.counts)

    @cached_property
    def texts(self) -> frozenset[str]:
        """Its categories, none for numbers."""
        return frozenset(self.sketch.values.tolist()) if self.sketch.kind == "category" else frozenset()

    @property
    def top(self) -> str:
        """Its commonest value."""
        at = int(self.sketch.counts.argmax())
        value = self.sketch.values[at]
        return f"{value:.6g}" if self.sketch.kind == "number" else repr(value)

    @cached_property
    def top_share(self) -> float:
        """The share of all rows that have the commonest value."""
        counts = self.sketch.counts
        return float(counts.max()) / self.rows if len(counts) else 0.0

    @property
    def span(self) -> str:
        """From where to where its numbers go, or its commonest categories."""
        if self.sketch.kind == "number":
            return f"{self.sketch.low:.6g} to {self.sketch.high:.6g}"
        return ", ".join(map(repr, self.sketch.values[:3]))

    def unseen(self, former: Sequence["Column"]) -> float:
        """Return the share of its values that lie well beyond, or are not among, what was there before."""
        if self.shape is not None:
            return self.shape.outside([each.shape for each in former if each.shape is not None])
        known: frozenset[str] = frozenset().union(*(each.texts for each in former))
        # What was folded has no name, so it cannot be looked up.
        new = [
            count
            for text, count in zip(self.sketch.values, self.sketch.counts, strict=True)
            if text not in known
        ]
        return float(sum(new)) / self.present if self.present else 0.0

    @cached_property
    def divisor(self) -> int:
        """What divides how often each value occurs, and how often none does."""
        return gcd(*self.sketch.counts.tolist(), self.sketch.missing)


@lru_cache(_KEPT)
def column(sketch: "Sketch") -> Column:
    """Look at a sketch; a window stands before many others, so its view is kept."""
    return Column(sketch)
