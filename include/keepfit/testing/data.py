"""Small data with what real data has: categories, gaps, a level never seen, a drift with time."""

import numpy as np
import pandas as pd

CATEGORIES = ("colour",)


def classes(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Return rows with features, `event_time` and a `label` of 0 or 1, sorted by time."""
    frame = values(rows, seed)
    chance = np.random.default_rng(seed + 1)
    frame["label"] = (frame["label"] + chance.normal(0, 0.5, rows) > 0).astype(np.float64)
    return frame


def values(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Return rows with features, `event_time` and a `label` that is a number, sorted by time."""
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "event_time": pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC"),
            "size": chance.normal(size=rows),
            "weight": chance.exponential(size=rows),
            "count": chance.integers(0, 9, rows),
            "colour": chance.choice(["red", "green", "blue"], rows),
            "marked": chance.random(rows) < 0.3,
        }
    )
    shade = frame["colour"].map({"red": 1.0, "green": 0.0, "blue": -1.0})
    frame["label"] = frame["size"] + shade + 0.2 * frame["marked"] + chance.normal(0, 0.3, rows)
    frame.loc[chance.random(rows) < 0.1, "weight"] = np.nan
    frame.loc[chance.random(rows) < 0.05, "colour"] = None
    return frame
