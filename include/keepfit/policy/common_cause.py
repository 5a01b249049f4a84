"""What several models have in common when a window breaks or jumps: a feature view, which is one cause."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from keepfit.policy.decide import grown, told_of
from keepfit.policy.signals import DriftSignal


@dataclass(frozen=True)
class Origin:
    """Where a model's column comes from."""

    view: str
    """The feature view, or the on-demand view that computes it."""
    computed_from: tuple[str, ...] = ()
    """The feature views that an on-demand view reads."""
    rows: str | None = None
    """The dataset of the model's own rows, where the column is computed from them alone."""


Columns = Mapping[str, Origin]
"""The columns of one model."""


@dataclass(frozen=True)
class Suspicion:
    """A view whose columns are suspect in a window, and the models that lean on it."""

    view: str
    columns: tuple[str, ...]
    models: tuple[str, ...]


def suspects(drift: DriftSignal | None, columns: Iterable[str]) -> tuple[str, ...]:
    """Name the columns that broke or jumped in a window."""
    if drift is None:
        return ()
    bad = {*drift.jumped, *(each.column for each in grown(drift))}
    return tuple(name for name in columns if name in bad or told_of(name, drift.broken))


def common_causes(
    bad: Iterable[str], own: Columns, fleet: Mapping[str, Columns], least: int
) -> tuple[Suspicion, ...]:
    """Find the views that suspect columns come from and that enough models lean on.

    It is a fact about the views: whichever of the models looks, and whoever has looked before, it is the same
    view. The widest cause comes first.

    Args:
        bad: Suspect columns of one model.
        own: That model's columns.
        fleet: The columns of all models, this one among them.
        least: How many models make a cause common.
    """
    by_origin: dict[Origin, list[str]] = {}
    for column in bad:
        if column in own:
            by_origin.setdefault(own[column], []).append(column)
    moved = {origin.view for origin in by_origin}
    found = (
        Suspicion(origin.view, tuple(columns), tuple(_leaning(origin, columns, fleet)))
        for origin, columns in by_origin.items()
        # What is computed from a view that moved itself is no cause of its own.
        if moved.isdisjoint(origin.computed_from)
    )
    shared = (each for each in found if len(each.models) >= least)
    return tuple(sorted(shared, key=lambda each: (-len(each.models), each.view)))


def _leaning(origin: Origin, columns: list[str], fleet: Mapping[str, Columns]) -> Iterator[str]:
    for model, theirs in sorted(fleet.items()):
        is_given = any(theirs.get(column) == origin for column in columns)
        if is_given or any(origin.view in each.computed_from for each in theirs.values()):
            yield model
