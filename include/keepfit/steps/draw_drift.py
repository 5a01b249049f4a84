"""Draw Evidently's report of a window for people to look at; nothing is decided by it."""

from collections.abc import Sequence

import pandas as pd

from keepfit.steps.drawable import Values, drawable

DRAWN = 5_000


def draw_drift(reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]) -> str | None:
    """Render the features that have values on both sides; None if there are none."""
    old, new, categorical = {}, {}, []
    for column in features:
        if column not in reference or column not in current:
            continue
        pair = drawable(reference[column], current[column])
        if pair is None:
            continue
        old[column], new[column] = _some(pair.reference), _some(pair.current)
        categorical += [column] if pair.categorical else []
    if not old:
        return None
    from keepfit.backends.drift_report import html_report

    return html_report(pd.DataFrame(old), pd.DataFrame(new), categorical)


def _some(values: Values) -> Values:
    # Each column for itself: in a sample of rows a sparse column may have no value left.
    return values.sample(n=min(DRAWN, len(values)), random_state=0, ignore_index=True)
