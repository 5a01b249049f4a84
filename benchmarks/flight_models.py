"""A year of flights and small models of it, as `benchmarks/gate.py` compares them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
DAYS, STEP = 56, 28
"""Of each training and of each holdout; and between two trainings."""
SEEDS = 20
PARAMS = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_child_samples": 100,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "max_bin": 63,
    "num_threads": 1,
    "verbosity": -1,
}
TREES = 50
RECENT = ("departure_delay_3h", "departure_delay_24h", "late_share_24h")
SKY = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
# The example's features, each as known at the moment of the prediction.
ROWS = """
    WITH flights AS (
        SELECT *, CAST(arr_delay > 15 AS INT) AS late FROM read_parquet('{folder}/flights/*.parquet')
    ),
    carriers AS (
        SELECT DISTINCT carrier, origin, departed_at AS known_at,
            sum(dep_delay) OVER day / count(*) OVER day AS departure_delay_24h,
            count(*) FILTER (dep_delay > 15) OVER day / count(*) OVER day AS late_share_24h,
            sum(dep_delay) OVER hours / count(*) OVER hours AS departure_delay_3h
        FROM flights WHERE departed_at IS NOT NULL
        WINDOW
            day AS (PARTITION BY carrier, origin ORDER BY departed_at
                    RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW),
            hours AS (PARTITION BY carrier, origin ORDER BY departed_at
                      RANGE BETWEEN INTERVAL 3 HOURS PRECEDING AND CURRENT ROW)
    ),
    planes AS (
        SELECT DISTINCT tailnum, arrived_at AS known_at,
            sum(arr_delay) OVER week / count(*) OVER week AS arrival_delay_7d
        FROM flights WHERE arrived_at IS NOT NULL AND tailnum IS NOT NULL
        WINDOW week AS (PARTITION BY tailnum ORDER BY arrived_at
                        RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW)
    )
    SELECT
        flights.decision_time AS event_time, late, flights.origin AS airport, flights.carrier, flights.origin,
        dest, distance, hour(timezone('America/New_York', scheduled_departure)) AS hour,
        dayofweek(timezone('America/New_York', scheduled_departure)) AS weekday,
        temp, humid, wind_speed, precip, pressure, visib,
        departure_delay_24h, late_share_24h, departure_delay_3h, arrival_delay_7d
    FROM flights
    ASOF LEFT JOIN read_parquet('{folder}/weather/*.parquet') AS weather
        ON flights.origin = weather.origin AND flights.decision_time >= weather.available_at
    ASOF LEFT JOIN carriers ON flights.carrier = carriers.carrier AND flights.origin = carriers.origin
        AND flights.decision_time >= carriers.known_at
    ASOF LEFT JOIN planes ON flights.tailnum = planes.tailnum AND flights.decision_time >= planes.known_at
    WHERE arr_delay IS NOT NULL
    ORDER BY flights.decision_time, flights.flight_id
"""


@dataclass(frozen=True)
class Holdout:
    """Scores of eight weeks by models that were trained on the eight weeks before."""

    rows: pd.DataFrame
    """`event_time`, `label` and `airport`."""
    day: Array
    """Of each row, counted from the holdout's first."""
    seeds: Array
    """One line for each seed of the same model."""
    worse: Mapping[str, Array]
    """By what was done to make the model worse."""
    baseline: float
    """The share of late flights in training."""


def flights() -> pd.DataFrame:
    """Return the year's flights with their features."""
    sys.path.append(str(Path(__file__).parents[1] / "plugins"))
    from nyc_flights import write_source

    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        write_source(Path(folder))
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(ROWS.format(folder=folder)).df()


def holdouts(rows: pd.DataFrame) -> Iterator[Holdout]:
    """Train on eight weeks and score the next eight, every four weeks of the year."""
    day = (rows["event_time"] - rows["event_time"].iloc[0].floor("D")).dt.days.to_numpy()
    features = rows.drop(columns=["event_time", "late", "airport"])
    for name in ("carrier", "origin", "dest"):
        features[name] = features[name].astype("category").cat.codes
    label = rows["late"].to_numpy(np.float64)
    for cut in range(DAYS, int(day[-1]) - DAYS + 2, STEP):
        past, later = (day >= cut - DAYS) & (day < cut), (day >= cut) & (day < cut + DAYS)
        task = _Task(features[past], label[past], features[later])
        yield Holdout(
            rows=rows[later][["event_time", "airport"]].assign(label=label[later]).reset_index(drop=True),
            day=day[later] - cut,
            seeds=np.array(list(task.seeds())),
            worse=dict(task.worse()),
            baseline=float(label[past].mean()),
        )


@dataclass(frozen=True)
class _Task:
    past: pd.DataFrame
    label: Array
    later: pd.DataFrame

    def seeds(self) -> Iterator[Array]:
        data = lightgbm.Dataset(self.past, self.label, params=PARAMS).construct()
        for seed in range(SEEDS):
            model = lightgbm.train({**PARAMS, "seed": seed}, data, TREES)
            yield model.predict(self.later)

    def worse(self) -> Iterator[tuple[str, Array]]:
        for share in (0.1, 0.2, 0.3, 0.5):
            yield f"{share:.0%} of its labels mixed", self._scores(self._mixed(share))
        for trees in (25, 15):
            yield f"{trees} trees for {TREES}", self._scores(self.label, trees=trees)
        yield "no weather", self._scores(self.label, without=SKY)
        yield "no delays of late", self._scores(self.label, without=RECENT)

    def _mixed(self, share: float) -> Array:
        chance, label = np.random.default_rng(1), self.label.copy()
        chosen = chance.random(len(label)) < share
        label[chosen] = chance.permutation(label[chosen])
        return label

    def _scores(self, label: Array, *, without: Sequence[str] = (), trees: int = TREES) -> Array:
        data = lightgbm.Dataset(self.past.drop(columns=list(without)), label, params=PARAMS)
        model = lightgbm.train({**PARAMS, "seed": 100}, data, trees)
        return model.predict(self.later.drop(columns=list(without)))
