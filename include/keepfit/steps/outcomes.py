"""What the ledger keeps of how versions did in a window."""

from collections.abc import Iterable, Iterator

from keepfit.ledger import Outcome
from keepfit.spec import Window
from keepfit.steps.measure import RolePerformance


def outcomes_of(
    model: str, window: Window, roles: Iterable[RolePerformance], run_id: str
) -> Iterator[Outcome]:
    """Yield each metric of each version in each role; nothing of one without labelled rows, which may come.

    Args:
        model: The model.
        window: The window in which the labels became known.
        roles: How its versions did.
        run_id: The run that measured them.
    """
    for each in roles:
        for metric, value in each.metrics.items() if each.rows else ():
            yield Outcome(
                model=model,
                version=each.version,
                role=each.role,
                window_start=window.start,
                window_end=window.end,
                metric=metric,
                value=value,
                rows=each.rows,
                maturity=each.maturity,
                run_id=run_id,
            )
