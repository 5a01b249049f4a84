"""Labels that do not come: a model that nobody can judge is told of, and never passes for a good one."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from keepfit.ledger import Decision

LONG = 4
"""After so many windows in a row a source of labels counts as dried up."""
_FEW = 0.05


def labels_missing(joined: Mapping[str, Any]) -> str:
    """Say how many of the labels that should be known have come, if they are few."""
    if not _is_silent(joined):
        return ""
    due = joined["predictions"]
    return f"; only {joined['labelled']:,} of {due:,} labels have come ({joined['labelled'] / due:.1%})"


def silent_labels(joined: Mapping[str, Any], decisions: Iterable[Decision], end: datetime, where: str) -> str:
    """Warn where labels have not come for long; a window in which none was due says nothing.

    Args:
        joined: What the join of labels found in the window.
        decisions: The model's so far.
        end: The window's end.
        where: The dataset that labels come from.
    """
    if not _is_silent(joined):
        return ""
    ends = [end, *_silent_before(decisions, end)]
    if len(ends) < LONG:
        return ""
    return (
        f"; WARNING: labels have not come for {len(ends)} windows, since the one ending "
        f"{ends[-1]:%Y-%m-%d %H:%M}: nobody knows how the model does. Look at {where}"
    )


def _silent_before(decisions: Iterable[Decision], end: datetime) -> Iterator[datetime]:
    """Yield the ends of the windows in a row before one without labels, latest first."""
    known = {each.window_end: each.evidence.get("labels") for each in decisions}
    for before, labels in sorted(known.items(), reverse=True):
        if before >= end or not labels or not labels["predictions"]:
            continue
        if not _is_silent(labels):
            return
        yield before


def _is_silent(joined: Mapping[str, Any]) -> bool:
    due = joined.get("predictions", 0)
    return bool(due) and joined["labelled"] + joined["caught_up"] < _FEW * due
