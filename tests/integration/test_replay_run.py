"""Replays of a small project: the lake, the feature store, the learners and the gate are real."""

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.integration.conftest import Shop, new_shop
from typer.testing import CliRunner

from keepfit.cli.app import app
from keepfit.ledger import Ledger, Publication, migrate
from keepfit.pipeline.replaying import ReplayRun
from keepfit.pipeline.snapshot import open_snapshot, take_snapshot
from keepfit.pipeline.trained import TrainedSoFar
from keepfit.pipeline.training import TrainingRun
from keepfit.policy import Matrix
from keepfit.spec import Window
from keepfit.steps.evaluate import Champion, Evaluation, evaluate
from keepfit.steps.gate import gate
from keepfit.steps.metrics import log_loss
from keepfit.steps.split import Split

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

MODEL = """
name: returns_soon
task: classification
entities: {dataset: orders, columns: [customer, amount], where: amount > 1}
features: shopper
label: {column: returned, delay: 1d}
train:
  holdout: 10d
  min_rows: 100
  candidates:
    - {trainer: sklearn, estimator: sklearn.linear_model.LogisticRegression}
    - {trainer: lightgbm, params: {n_estimators: 10, num_leaves: 4}}
evaluate: {objective: log_loss, metrics: [roc_auc]}
monitor: {performance: {min_rows: 50}}
"""
START = pd.Timestamp("2020-01-01", tz="UTC")
DAYS = 80
WINDOWS = 9
EVERY = timedelta(days=7)


def habits(days: int) -> pd.DataFrame:
    chance = np.random.default_rng(1)
    seen = pd.date_range(START, periods=days, freq="D")
    customers = [f"c{number}" for number in range(30)]
    frame = pd.MultiIndex.from_product([seen, customers], names=["seen_at", "customer"]).to_frame(index=False)
    frame["visits"] = chance.integers(0, 9, len(frame))
    frame["spend"] = chance.exponential(20, len(frame)) + 1
    frame["tier"] = chance.choice(["gold", "silver", "plain"], len(frame))
    return frame


def orders(days: int) -> pd.DataFrame:
    """Make orders whose habit turns round after 40 days; some are never labelled."""
    chance, seen = np.random.default_rng(2), habits(days)
    frame = pd.DataFrame(
        {
            "order_id": np.arange(len(seen)),
            "customer": seen["customer"],
            "ordered_at": seen["seen_at"] + pd.to_timedelta(chance.integers(1, 23, len(seen)), unit="h"),
            "amount": chance.exponential(30, len(seen)),
        }
    )
    turned = np.where(seen["seen_at"] < START + pd.Timedelta(days=40), 1, -1)
    logit = 0.6 * turned * (seen["visits"] - 4)
    returned = (chance.random(len(seen)) < 1 / (1 + np.exp(-logit))).astype("float64")
    frame["returned"] = pd.Series(returned).mask(chance.random(len(seen)) < 0.05).astype("Int64")
    return frame


class History:
    """A published history, and what a test does with it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        shop.write("models/returns_soon.yaml", MODEL)
        migrate(shop.project.locations.ledger_url)

    def publish(self, days: int) -> None:
        for name, rows in (("habits", habits(days)), ("orders", orders(days))):
            self.shop.publish(name, rows)
            end = START + pd.Timedelta(days=days)
            self.ledger.record_publication(
                Publication(name, START.to_pydatetime(), end.to_pydatetime(), 1, "d", 0, f"i{days}")
            )

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.shop.project.locations.ledger_url)

    def replay(self, run_id: str, **settings: Any) -> ReplayRun:
        """Lay a replay out."""
        snapshot = take_snapshot(
            self.shop.project,
            "returns_soon__replay",
            run_id,
            model="returns_soon",
            settings={"cost": 0.01, **settings},
        )
        run = ReplayRun(snapshot)
        run.lay_out()
        return run

    def replayed(self, run_id: str, **settings: Any) -> ReplayRun:
        """Replay to the end, each step from the snapshot on disk."""
        folder = self.replay(run_id, **settings).folder.path
        for index in range(ReplayRun(open_snapshot(folder)).folder.read("lay_out")["cuts"]):
            ReplayRun(open_snapshot(folder)).train_cut(index)
        run = ReplayRun(open_snapshot(folder))
        run.assemble()
        return run

    def train(self, as_of: datetime) -> TrainingRun:
        """Train as the live loop would at a moment."""
        settings = {"as_of": as_of.isoformat(), "reason": None, "promotion": "auto", "decision": None}
        run = TrainingRun(
            take_snapshot(
                self.shop.project,
                "returns_soon__train",
                f"live_{as_of:%Y%m%d}",
                model="returns_soon",
                settings=settings,
            )
        )
        if not run.folder.has("train_1"):
            run.build_training_set()
        for index in range(len(run.spec.train.candidates)):
            run.train(index)
        return run


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with pytest.MonkeyPatch.context() as patch:
        made = History(new_shop(tmp_path_factory.mktemp("history"), patch))
        made.publish(DAYS)
        yield made


@pytest.fixture(scope="module")
def run(history: History) -> ReplayRun:
    return history.replayed("first")


@pytest.fixture(scope="module")
def matrix(run: ReplayRun) -> Matrix:
    (found,) = run.matrices()
    return found


def test_the_windows_lie_back_from_the_end_as_long_as_a_model_can_be_trained(matrix: Matrix) -> None:
    end = START + pd.Timedelta(days=DAYS)
    assert matrix.windows[-1] == Window((end - EVERY).to_pydatetime(), end.to_pydatetime())
    assert {window.end - window.start for window in matrix.windows} == {EVERY}
    first = matrix.windows[0].start
    # Four days of rows, a day for labels, ten of holdout, and a day for labels again.
    assert timedelta(days=16) <= first - START < timedelta(days=16) + EVERY
    assert sorted(matrix.cells) == [(s, t) for s in range(WINDOWS) for t in range(s, WINDOWS)]


def test_a_cut_is_trained_on_exactly_the_rows_of_a_live_training(
    history: History, run: ReplayRun, matrix: Matrix
) -> None:
    for cut in (0, 3):
        live = history.train(matrix.windows[cut].start)
        built = live.folder.read("build_training_set")
        assert run.folder.read(f"cut_{cut}")["rows_digest"] == built["rows_digest"]


class Live:
    """What live training runs made, to hold the matrix against."""

    def __init__(self, history: History, matrix: Matrix) -> None:
        self._history, self._matrix = history, matrix
        run = history.train((START + pd.Timedelta(days=DAYS)).to_pydatetime())
        self.rows = pd.read_parquet(run.folder.file("training_set.parquet"))
        self.spec = run.spec

    @cache  # noqa: B019 - lives as long as the test
    def model(self, cut: int) -> tuple[Any, Evaluation, Split]:
        """Return the candidates that a training as of a cut makes, the best first, and the split."""
        run = self._history.train(self._matrix.windows[cut].start)
        done = TrainedSoFar(run.snapshot)
        split, candidates = done.split, [done.candidate(index) for index in range(2)]
        evaluation, _ = evaluate(candidates, None, split, self.spec)
        return candidates, evaluation, split

    def loss(self, cut: int, start: datetime, end: datetime, like: int | None = None) -> float:
        """Return the loss of a cut's model on the labelled rows of a stretch.

        Its model is the candidate that was best then, or the one that was best at another cut.
        """
        candidates = self.model(cut)[0]
        evaluation = self.model(cut if like is None else like)[1]
        within = self.rows[(self.rows["event_time"] >= start) & (self.rows["event_time"] < end)]
        return log_loss(within["label"].to_numpy(), candidates[evaluation.challenger].predict(within))

    def passes(self, champion: int, challenger: int) -> bool:
        """Ask evaluation and gate of a training run."""
        candidates, evaluation, _ = self.model(champion)
        old = Champion("1", candidates[evaluation.challenger])
        ours, _, split = self.model(challenger)
        return gate(*evaluate(ours, old, split, self.spec), self.spec).verdict == "pass"


def test_the_matrix_is_what_live_models_give_by_hand(history: History, matrix: Matrix) -> None:
    live, day = Live(history, matrix), timedelta(days=1)
    asked = orders(DAYS).query("amount > 1")
    for cut, at in ((0, 0), (0, 3), (2, 3), (3, 4), (0, 4)):
        window, signals = matrix.windows[at], matrix.cells[cut, at].signals
        since = matrix.windows[cut].start
        assert matrix.cells[cut, at].loss == pytest.approx(live.loss(cut, window.start, window.end))
        first, until = max(window.start - day, since), window.end - day
        assert signals.performance is not None
        assert signals.performance.value == pytest.approx(live.loss(cut, first, until))
        assert signals.performance.holdout == live.model(cut)[1].metrics["log_loss"]
        due = live.rows[(live.rows["event_time"] >= first) & (live.rows["event_time"] < until)]
        assert signals.performance.rows == len(due)
        assert signals.regret is not None
        assert signals.regret.value == pytest.approx(
            live.loss(cut, first, until) - live.loss(at, first, until, like=cut), abs=1e-12
        )
        assert signals.rows == asked["ordered_at"].between(window.start, window.end, inclusive="left").sum()
        labelled = asked[asked["returned"].notna()]["ordered_at"]
        assert signals.new_rows == labelled.between(since - day, until, inclusive="left").sum()
        assert signals.champion is not None
        assert signals.champion.as_of == since
    assert {pair: matrix.passes[pair] for pair in ((0, 2), (0, 5), (2, 5), (4, 5))} == {
        pair: live.passes(*pair) for pair in ((0, 2), (0, 5), (2, 5), (4, 5))
    }
    assert len(set(matrix.passes.values())) == 2


def test_a_window_whose_labels_are_not_all_known_has_no_loss(matrix: Matrix) -> None:
    assert [matrix.cells[0, at].loss is None for at in range(WINDOWS)] == [False] * (WINDOWS - 1) + [True]


def test_a_second_replay_trains_nothing_again_and_finds_the_same(
    history: History, run: ReplayRun, matrix: Matrix
) -> None:
    again = history.replayed("again", cost=3)
    cuts = range(len(matrix.windows))
    assert not any(run.folder.read(f"cut_{cut}")["reused"] for cut in cuts)
    assert all(again.folder.read(f"cut_{cut}")["reused"] for cut in cuts)
    assert again.matrices() == (matrix,)


def test_a_longer_history_trains_only_what_is_new(history: History, run: ReplayRun) -> None:
    first = {run.folder.read(f"cut_{cut}")["cut"] for cut in range(WINDOWS)}
    # Until the week before, the same cuts are there; and nothing that came later is in them.
    shorter = history.replayed("shorter", to=(START + pd.Timedelta(days=DAYS) - EVERY).isoformat())
    found = [shorter.folder.read(f"cut_{cut}") for cut in range(WINDOWS - 1)]
    assert {each["cut"] for each in found} < first
    assert all(each["reused"] for each in found)


def test_another_seed_is_another_training(history: History, run: ReplayRun) -> None:
    history.shop.write("models/returns_soon.yaml", MODEL.replace("min_rows: 100", "min_rows: 100\n  seed: 8"))
    try:
        other = history.replay("seed")
    finally:
        history.shop.write("models/returns_soon.yaml", MODEL)
    other.train_cut(0)
    mine, theirs = (each.folder.read("cut_0") for each in (run, other))
    assert not theirs["reused"]
    assert mine["rows_digest"] == theirs["rows_digest"]


DEADLY = """
import os, signal, sys
from pathlib import Path
from keepfit.pipeline.replaying import ReplayRun
from keepfit.pipeline.snapshot import open_snapshot
run, left = ReplayRun(open_snapshot(Path(sys.argv[1]))), [int(sys.argv[3])]
replace = os.replace
def deadly(source, target):
    left[0] -= 1
    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = deadly
run.train_cut(int(sys.argv[2]))
"""


def test_a_cut_that_was_killed_is_trained_when_it_is_tried_again(history: History, warm: list[str]) -> None:
    run = history.replay("killed", windows="trailing:21d")
    index = WINDOWS + 2
    for nth in (1, 2, 4, 6):
        command = [*warm, "-c", DEADLY, str(run.folder.path), str(index), str(nth)]
        ended = subprocess.run(command, check=False, env=os.environ, capture_output=True, text=True)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not run.folder.has(f"cut_{index}")
    tried = run.train_cut(index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keepfit.pipeline.cuts.LAYOUT", 0)
        undisturbed = history.replay("undisturbed", windows="trailing:21d")
        assert not undisturbed.train_cut(index)["reused"]
    assert tried["rows_digest"] == undisturbed.folder.read(f"cut_{index}")["rows_digest"]
    for name in ("scores", "fresh", "holdout"):
        mine, theirs = (np.load(each.folder.file(f"{name}_{index}.npy")) for each in (run, undisturbed))
        np.testing.assert_array_equal(mine, theirs)


def test_two_replays_at_once_train_a_cut_once(history: History, warm: list[str]) -> None:
    index = WINDOWS + 4
    folders = [history.replay(name, windows="trailing:21d").folder for name in ("one", "two")]
    commands = [[*warm, "-c", DEADLY, str(each.path), str(index), "0"] for each in folders]
    both = [
        subprocess.Popen(each, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for each in commands
    ]
    assert [(each.communicate()[0], each.returncode) for each in both] == [(b"", 0)] * 2
    one, two = (each.read(f"cut_{index}") for each in folders)
    assert sorted((one["reused"], two["reused"])) == [False, True]
    assert one["cut"] == two["cut"]


def replay(history: History, *options: str) -> Any:
    """Run `keepfit replay`."""
    return CliRunner().invoke(app, ["replay", *options, "--root", str(history.shop.root)])


def test_the_command_tells_of_each_cut_suggests_a_policy_and_writes_the_report(
    history: History, run: ReplayRun, tmp_path: Path
) -> None:
    del run
    page = tmp_path / "report" / "replay.html"
    options = ("--cost", "0.01", "--windows", "trailing:28d", "--report", str(page))
    done = replay(history, "returns_soon", *options)
    assert done.exit_code == 0, done.output
    assert "1 of 18, expanding, as of 2020-01-18: trained before" in done.output
    assert "18 of 18, trailing:28d, as of 2020-03-14: trained on" in done.output
    assert "policy:\n" in done.output
    assert "<svg" in page.read_text() or "<img" in page.read_text()
    nowhere = replay(history, "returns_soon", "--cost", "0.01", "--report", str(page.parent))
    assert nowhere.exit_code == 1
    assert f"The page cannot be written to {page.parent}: Is a directory." in nowhere.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cost", "0"), "`cost` is 0: what one training costs, in units of the objective summed over"),
        (("--cost", "-1"), "`cost` is -1: what one training costs"),
        (("--cost", "nan"), "`cost` is nan: what one training costs"),
        (("--cost", "inf"), "must be a number. If it is beyond all, never train."),
        (
            ("--cost", "1", "--every", "30d"),
            "The history of 'returns_soon' is too short to replay: there are",
        ),
        (("--cost", "1", "--label-delay", "90d"), "There is no row to train 'returns_soon' on as of"),
        (("--cost", "1", "--label-delay", "40d"), "is too short to replay"),
        (("--cost", "1", "--from", "2020-01-05"), "No label was known before the holdout, which begins at"),
        (("--cost", "1", "--from", "2020-02-20", "--to", "2020-02-01"), "has no window: `from` must be the"),
        (
            ("--cost", "1", "--from", "2020-02-25"),
            "A replay needs 8 windows of 7d at whose start a model can",
        ),
        (
            ("--cost", "1", "--windows", "sliding"),
            "`windows` has 'sliding', which names no rows to train on.",
        ),
        (
            ("--cost", "1", "--windows", "trailing:5d"),
            "`windows` has 'trailing:5d', of which no model can be trained at the first cut, "
            "2020-01-18T00:00:00+00:00: No label was known before the holdout",
        ),
        (
            ("--cost", "1", "--windows", "season:30d/5d"),
            "With 'season:30d/5d' and a label delay of 1d nothing is replayed: `train.season.around` is 5d",
        ),
        (("--cost", "1", "--every", "weekly"), "`every` is 'weekly'"),
        (("--cost", "1", "--every", "5m"), "windows of 5m are more than the 1,000 that a replay takes."),
        (("--cost", "1", "--split", "1"), "`split` is 1: the share of the windows that chooses"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_reason(
    history: History, options: tuple[str, ...], said: str
) -> None:
    done = replay(history, "returns_soon", *options)
    assert done.exit_code == 1
    assert said in done.output
    assert "train_cut" not in done.output


def test_an_unknown_model_is_refused(history: History) -> None:
    done = replay(history, "return_soon", "--cost", "1")
    assert done.exit_code == 1
    assert "Did you mean 'returns_soon'?" in done.output
