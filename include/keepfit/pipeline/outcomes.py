"""Turns what a window's labels said of each version into the ledger's outcomes."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from keepfit.ledger import Outcome
from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    from keepfit.steps.measure import RolePerformance


def outcomes_of(snapshot: Snapshot, roles: "Iterable[RolePerformance]") -> Iterator[Outcome]:
    """Say how each version did in its role, by each metric; nothing of one without labelled rows."""
    window = snapshot.the_window
    for each in roles:
        for metric, value in each.metrics.items():
            if each.rows:
                yield Outcome(
                    model=snapshot.the_model.name,
                    version=each.version,
                    role=each.role,
                    window_start=window.start,
                    window_end=window.end,
                    metric=metric,
                    value=value,
                    rows=each.rows,
                    maturity=each.maturity,
                    run_id=snapshot.run_id,
                )
