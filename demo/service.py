"""Asks the live prediction service about a flight."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

from keepfit.errors import KeepfitError

_ENTITIES = ["origin", "carrier", "tailnum"]
_PLAN = ["scheduled_departure", "dest", "distance"]
_LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Answer:
    """What the service said."""

    model: str
    version: str
    score: float


@dataclass(frozen=True)
class Flight:
    """A flight, and the request that asks about it."""

    name: str
    request: Mapping[str, Any]


def next_flight(source: Path, after: datetime) -> Flight:
    """Return the first flight from a moment on whose plane and carrier flew there lately."""
    columns = ["flight_id", "decision_time", "flight", *_ENTITIES, *_PLAN]
    since = after - _LATELY
    window = [("decision_time", ">=", since), ("decision_time", "<", after + _LATELY)]
    rows = pd.read_parquet(source / "flights", columns=columns, filters=window)
    planes = pd.read_parquet(source / "planes" / "planes.parquet", columns=["tailnum"])
    seen = rows[rows["decision_time"] < after]
    coming = rows[(rows["decision_time"] >= after) & rows["tailnum"].isin(planes["tailnum"])]
    known = coming.merge(seen[["tailnum"]].drop_duplicates()).merge(
        seen[["origin", "carrier"]].drop_duplicates()
    )
    one = known.sort_values(["decision_time", "flight_id"]).iloc[0]
    request = {
        "key": {"flight_id": one["flight_id"]},
        "event_time": one["decision_time"].isoformat(),
        "entities": {name: one[name] for name in _ENTITIES},
        "features": {
            "scheduled_departure": one["scheduled_departure"].isoformat(),
            "dest": one["dest"],
            "distance": int(one["distance"]),
        },
    }
    where = f"{one['origin']} to {one['dest']}, {one['scheduled_departure']:%d %b %H:%M} UTC"
    return Flight(f"{one['carrier']}{one['flight']} from {where}", request)


class Service:
    """The prediction service of `keepfit up`."""

    def __init__(self, url: str) -> None:
        """Refer to it."""
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def ask(self, model: str, flight: Flight) -> Answer:
        """Ask a model about a flight.

        Raises:
            KeepfitError: It does not answer.
        """
        try:
            answer = self._http.post(f"/models/{model}/predict", json=dict(flight.request))
        except httpx.TransportError as error:
            raise KeepfitError(
                f"The prediction service does not answer: {error}. See `keepfit status`."
            ) from error
        if answer.is_error:
            raise KeepfitError(f"The prediction service answered {answer.status_code}: {answer.text}")
        said = answer.json()
        return Answer(model, said["version"], said["score"])
