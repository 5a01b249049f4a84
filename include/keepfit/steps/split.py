"""Which labelled rows train a model and which are kept to judge it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from keepfit.errors import TrainingError


@dataclass(frozen=True)
class Split:
    """Rows to train on, rows to judge on, and the moment between them."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    cut: datetime


def split_by_time(rows: pd.DataFrame, holdout: timedelta, delay: timedelta) -> Split:
    """Keep the last labelled rows as holdout and train on those whose label was known before it began.

    A random split would flatter the model, and so would labels that were not known yet at the cut.

    Args:
        rows: `event_time`, `label` and the features; rows without label are left out.
        holdout: How long the holdout is, back from the last labelled row.
        delay: How long after its event time a row's label is known.

    Raises:
        TrainingError: There is no labelled row, or none before the holdout.
    """
    labelled = rows[rows["label"].notna()].sort_values("event_time", kind="stable", ignore_index=True)
    if labelled.empty:
        raise TrainingError(
            "The training set has no labelled row. Has the label's dataset been published this far?"
        )
    times = labelled["event_time"]
    cut = times.iloc[-1] - holdout
    train = labelled[times + delay <= cut]
    if train.empty:
        raise TrainingError(
            f"No label was known before the holdout, which begins at {cut.isoformat()}; the first row is of "
            f"{times.iloc[0].isoformat()}. Publish more history, or shorten `train.holdout`."
        )
    return Split(train, labelled[times > cut], cut.to_pydatetime())
