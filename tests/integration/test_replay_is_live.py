"""What replay promises: over the same history it takes the very decisions that the live loop took."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.integration.conftest import Shop, new_shop

from keepfit.backends.model_registry import ModelRegistry
from keepfit.cli import ways
from keepfit.cli.access import local_access
from keepfit.cli.jobs import Job, follow_ups
from keepfit.ledger import Decision, Ledger, migrate
from keepfit.pipeline.as_of import with_as_of
from keepfit.pipeline.monitoring import MonitorRun
from keepfit.pipeline.replaying import ReplayRun
from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.policy import Matrix, Signals, walk
from keepfit.spec import Window

pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = """
name: returns_soon
task: classification
entities: {dataset: orders, columns: [customer, amount], where: amount > 1}
features: shopper
label: {dataset: returns, column: came_back, delay: 1d}
train:
  holdout: 10d
  min_rows: 100
  candidates: [{trainer: sklearn, estimator: sklearn.linear_model.LogisticRegression}]
evaluate: {objective: log_loss, metrics: [roc_auc]}
monitor: {performance: {min_rows: 50}, drift: {min_rows: 50}}
policy:
  rules:
    - {rule: performance, worse_by: 0.1}
    - {rule: regret, cost: 0.1}
    - {rule: drift_share, share: 0.5}
    - {rule: calendar, every: 35d}
    - {rule: new_rows, at_least: 100_000}
  cooldown: 7d
  max_refused: 2
  rest: 14d
"""
START = pd.Timestamp("2020-01-01", tz="UTC")
FIRST, WEEKS, BROKEN = 21, 10, 7
EVERY = timedelta(days=7)


def broken_week() -> Window:
    start = (START + pd.Timedelta(days=FIRST)).to_pydatetime() + BROKEN * EVERY
    return Window(start, start + EVERY)


def habits() -> pd.DataFrame:
    """Make customers who visit more often from the seventh week on, and spend in another unit for a week."""
    chance = np.random.default_rng(1)
    seen = pd.date_range(START, periods=FIRST + 7 * WEEKS, freq="D")
    customers = [f"c{number}" for number in range(30)]
    frame = pd.MultiIndex.from_product([seen, customers], names=["seen_at", "customer"]).to_frame(index=False)
    shifted = frame["seen_at"] >= START + pd.Timedelta(days=FIRST + 42)
    frame["visits"] = chance.integers(0, 9, len(frame)) + 6 * shifted
    frame["spend"] = chance.exponential(20, len(frame)) + 1 + 30 * shifted
    broken = frame["seen_at"].between(broken_week().start, broken_week().end, inclusive="left")
    frame.loc[broken, "spend"] *= 1000
    frame["tier"] = chance.choice(["gold", "silver", "plain"], len(frame))
    return frame


def orders() -> pd.DataFrame:
    chance, seen = np.random.default_rng(2), habits()
    return pd.DataFrame(
        {
            "order_id": np.arange(len(seen)),
            "customer": seen["customer"],
            "ordered_at": seen["seen_at"] + pd.to_timedelta(chance.integers(1, 23, len(seen)), unit="h"),
            "amount": chance.exponential(30, len(seen)),
            "returned": 0,
        }
    )


def returns() -> pd.DataFrame:
    """Make returns, whose habit turns round in the third week; some come late or never, some are revised."""
    chance, seen = np.random.default_rng(3), habits()
    turned = np.where(seen["seen_at"] < START + pd.Timedelta(days=FIRST + 15), 1, -1)
    likely = 1 / (1 + np.exp(-0.6 * turned * (seen["visits"] - 4)))
    late = np.where(chance.random(len(seen)) < 0.15, chance.integers(24, 24 * 9, len(seen)), 0)
    frame = pd.DataFrame(
        {
            "order_id": np.arange(len(seen)),
            "decided_at": orders()["ordered_at"] + pd.to_timedelta(20 + late, unit="h"),
            "came_back": (chance.random(len(seen)) < likely).astype("float64"),
        }
    )
    published_weekly = frame["decided_at"] >= START + pd.Timedelta(days=FIRST)
    revised = frame[published_weekly & (chance.random(len(frame)) < 0.03)]
    again = revised.assign(
        decided_at=revised["decided_at"] + pd.Timedelta(days=10), came_back=1 - revised["came_back"]
    )
    return pd.concat([frame[chance.random(len(frame)) > 0.05], again]).sort_values("decided_at")


@dataclass(frozen=True)
class Loop:
    """A project that lives from week to week."""

    shop: Shop

    def run(self, verb: Any, name: str, window: Window | None, **given: Any) -> None:
        """Do what the command line would, and what follows from it."""
        self._do(Job.of(self.shop.project, verb, name, window, given))

    def _do(self, job: Job) -> None:
        model = None if job.verb == "ingest" else job.name
        snapshot = take_snapshot(
            self.shop.project,
            f"{job.name}__{job.verb}",
            job.run_id,
            model=model,
            dataset=None if model else job.name,
            window=job.window,
            settings=with_as_of(job.settings, self.shop.project, model),
        )
        steps = {"ingest": ways.ingest, "train": ways.train, "predict": ways.predict, "monitor": _monitor}
        results = dict(steps[job.verb](snapshot))
        for each in follow_ups(self.shop.project, job, results):
            self._do(each)

    def ingest(self, window: Window) -> None:
        for dataset in ("habits", "orders", "returns"):
            self.run("ingest", dataset, window)

    def live(self, window: Window) -> None:
        """Let a week pass."""
        self.ingest(window)
        self.run("predict", "returns_soon", window)
        self.run("monitor", "returns_soon", window)

    def decisions(self) -> list[Decision]:
        ledger = Ledger(self.shop.project.locations.ledger_url)
        return sorted(ledger.decisions("returns_soon"), key=lambda each: each.window_end)

    def replayed(self, start: str) -> Matrix:
        snapshot = take_snapshot(
            self.shop.project,
            "returns_soon__replay",
            "replay",
            model="returns_soon",
            settings={"cost": 0.1, "from": start},
        )
        run = ReplayRun(snapshot)
        for index in range(run.lay_out()["cuts"]):
            run.train_cut(index)
        run.assemble()
        return run.matrices()[0]


def _monitor(snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    """Monitor without drawing Evidently's report, which takes long and decides nothing."""
    run = MonitorRun(snapshot, local_access(snapshot.locations))
    assert run.wait_for() == ()
    for step in ("join_labels", "measure", "detect_drift", "challenge", "decide"):
        yield step, getattr(run, step)()


def figures(signals: Signals) -> dict[str, Any]:
    """Return what was measured, but for names, what a walk alone can tell, and what nothing is decided by."""
    told = signals.to_json()
    del told["champion"]["version"], told["new_rows"], told["estimate"]
    rounded: dict[str, Any] = _rounded(told)
    return rounded


def _rounded(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _rounded(each) for name, each in told.items()}
    if isinstance(told, (list, tuple)):
        return [_rounded(each) for each in told]
    return float(f"{told:.9g}") if isinstance(told, float) else told


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with pytest.MonkeyPatch.context() as patch:
        shop = new_shop(tmp_path_factory.mktemp("live"), patch)
        shop.write("models/returns_soon.yaml", MODEL)
        shop.edit("datasets/habits.yaml", "feature_views: [habits]\n", "")
        locations = shop.project.locations
        migrate(locations.ledger_url)
        ModelRegistry(locations.tracking_uri, locations.artifacts).initialise()
        habits().to_parquet(shop.root / "habits.parquet")
        orders().to_parquet(shop.root / "orders.parquet")
        returns().to_parquet(shop.root / "returns.parquet")
        yield Loop(shop)


def test_replay_takes_the_decisions_of_the_live_loop(loop: Loop) -> None:
    begin = (START + pd.Timedelta(days=FIRST)).to_pydatetime()
    loop.ingest(Window(START.to_pydatetime(), begin))
    loop.run("train", "returns_soon", None, as_of=begin.isoformat())
    for week in range(WEEKS):
        loop.live(Window(begin + week * EVERY, begin + (week + 1) * EVERY))
    taken, matrix = loop.decisions(), loop.replayed(begin.isoformat())
    walked = walk(loop.shop.project.model("returns_soon").policy, matrix)
    told = [(each.verdict, each.trigger, each.reason) for each in taken]
    again = [(each.verdict.word, each.verdict.trigger, each.verdict.reason) for each in walked.steps]
    assert again == told
    # Something must have happened: trainings that passed and that were refused, a quiet week, and a champion
    # whose holdout was so bad that the mean label does better.
    assert any("worse than the 0.6935 that the mean label of that holdout" in each[2] for each in told)
    assert {each[0] for each in told} >= {"retrain", "keep", "blocked"}
    assert taken[BROKEN].window == broken_week()
    assert taken[BROKEN].verdict == "blocked"
    assert {matrix.cells[cut, BROKEN].loss for cut in range(BROKEN + 1)} == {None}
    assert {each.passed for each in walked.steps} == {True, False, None}
    measured = [figures(Signals.of_json(each.evidence["signals"])) for each in taken]
    known = [matrix.cells[each.champion, each.window].signals for each in walked.steps]
    # No challenger is trained on broken data; a cell has one, which the walk does not look at.
    known[BROKEN] = replace(known[BROKEN], regret=None)
    assert [figures(each) for each in known] == measured
