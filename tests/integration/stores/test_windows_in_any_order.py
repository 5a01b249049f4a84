"""Windows in any order, again, late, corrected or cut short: in the end as if run once, in order."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pytest
import redis
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.stores.conftest import Repo, stats

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

FIRST = datetime(2024, 1, 1)  # noqa: DTZ001 - Feast takes what has no zone as UTC
WINDOW = timedelta(hours=6)
OVERLAP = timedelta(hours=1)
WINDOWS = 4

Rows = dict[tuple[int, int], int]
"""Trips by driver and hour."""


@dataclass(frozen=True)
class Event:
    """What happens: rows arrive or are corrected, a window is run, or a run of it dies half way."""

    what: Literal["edit", "run", "die"]
    window: int
    driver: int = 0
    hour: int = 0
    trips: int = 0

    @property
    def row(self) -> tuple[int, int]:
        return self.driver, self.window * 6 + self.hour


events = st.lists(
    st.builds(
        Event,
        st.sampled_from(["edit", "edit", "run", "run", "die"]),
        st.integers(0, WINDOWS - 1),
        st.integers(1, 3),
        st.integers(0, 5),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=14,
)


def publish(repo: Repo, rows: Mapping[tuple[int, int], int]) -> None:
    at = [
        (driver, (FIRST + timedelta(hours=hour)).isoformat(), trips) for (driver, hour), trips in rows.items()
    ]
    repo.write(stats(*at))


def run(repo: Repo, store: FeatureStore, window: int) -> None:
    start = FIRST + window * WINDOW
    repo.load(store, start - OVERLAP, start + WINDOW)


def wipe(repo: Repo) -> None:
    if repo.kind == "redis":
        with closing(redis.Redis(port=repo.port)) as client:
            client.flushall()
    else:
        with closing(sqlite3.connect(repo.root / "online.db")) as connection, connection:
            connection.execute("DELETE FROM plain_stats")


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def applied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Repo, FeatureStore]:
    port = request.getfixturevalue("redis_port") if request.param == "redis" else 0
    repo = Repo(tmp_path_factory.mktemp("repo"), request.param, port)
    return repo, repo.apply()


@pytest.mark.slow
@given(history=events, last=st.permutations(range(WINDOWS)))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_online_state_is_that_of_one_ordered_run(
    applied: tuple[Repo, FeatureStore], history: list[Event], last: list[int]
) -> None:
    repo, store = applied
    wipe(repo)
    rows: Rows = {(1, 0): 1}
    stale = set(range(WINDOWS))
    for event in history:
        if event.what == "edit":
            rows[event.row] = event.trips
            stale.add(event.window)
        elif event.what == "run":
            publish(repo, rows)
            run(repo, store, event.window)
            stale.discard(event.window)
        else:
            # What is written of a run that dies: some of its entities, each whole.
            publish(repo, {row: trips for row, trips in rows.items() if row[0] <= event.driver} or rows)
            run(repo, store, event.window)
    publish(repo, rows)
    for window in last:
        if window in stale:
            run(repo, store, window)
    state = repo.stored()

    wipe(repo)
    for window in range(WINDOWS):
        run(repo, store, window)
    assert state == repo.stored()
    newest = {driver: max(hour for other, hour in rows if other == driver) for driver, _ in rows}
    assert repo.served(store, *newest) == [rows[row] for row in newest.items()]
