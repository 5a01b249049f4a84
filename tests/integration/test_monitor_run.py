"""A model's weeks under watch: real lake, real registry, real ledger."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit import plugins
from keepfit.backends import model_files
from keepfit.backends.lake import Lake
from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.prediction_log import Entry, PredictionLog
from keepfit.backends.sketches import read_sketches, sketch_columns, sketch_values, write_sketches
from keepfit.backends.version import VersionDetails
from keepfit.cli.access import local_access
from keepfit.cli.telling import tell
from keepfit.errors import ConfError, NotReadyError, SchemaError, SpecError
from keepfit.ledger import Ledger, Publication, Training, migrate
from keepfit.pipeline.log_upkeep import compact_logs
from keepfit.pipeline.monitoring import MonitorRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.policy import Signals
from keepfit.spec import Project, Window, load_project
from keepfit.steps.alike_rows import ALIKE
from keepfit.steps.measure import measure_performance
from keepfit.steps.metrics import log_loss

# What MLflow says of every dataset and every model.
pytestmark = pytest.mark.filterwarnings("ignore:.*(multiple ways|input example)")
START = datetime(2013, 1, 1, tzinfo=UTC)
FEATURES = ("visits", "spent", "city")
ROWS = 300
KEEPFIT = "project: shop\n"
DATASET = """
name: customers
source: {type: files, path: "data/*.parquet"}
columns: {id: int64, asked_at: timestamp, left: bool, country: string}
key: [id]
event_time: asked_at
"""
MODEL = """
name: churn
task: classification
entities: {dataset: customers, where: "country <> 'xx'"}
features: churn
label: {column: left, delay: 2d}
train: {holdout: 14d, candidates: [{trainer: lightgbm}]}
evaluate: {objective: log_loss, metrics: [roc_auc, "own_metrics:rows"]}
monitor:
  drift: {min_rows: 100}
  performance: {min_rows: 100}
policy:
  rules:
    - {rule: performance}
    - {rule: drift_share}
    - {rule: calendar, every: 91d}
    - {rule: new_rows, at_least: 100000}
"""


def week(number: int) -> Window:
    start = START + timedelta(weeks=number)
    return Window(start, start + timedelta(weeks=1))


class Shop:
    """A project with a model that is live, and the weeks of its customers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("feature_repo/keepfit.yaml", KEEPFIT)
        self.write("feature_repo/datasets/customers.yaml", DATASET)
        self.write("feature_repo/models/churn.yaml", MODEL)
        self.write("plugins/own_metrics.py", "def rows(truth, score):\n    return len(truth)\n")
        self.at = self.project.locations
        migrate(self.at.ledger_url)
        self.lake, self.ledger = Lake(self.at.lake), Ledger(self.at.ledger_url)
        self.registry = ModelRegistry(self.at.tracking_uri, self.at.artifacts)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def project(self) -> Project:
        return load_project(self.root)

    def customers(self, window: Window, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
        chance = np.random.default_rng([seed, int(window.start.timestamp())])
        visits = chance.normal(shift, 1, ROWS)
        first = int(window.start.timestamp())
        return pd.DataFrame(
            {
                "id": np.arange(first, first + ROWS),
                "event_time": pd.date_range(window.start, freq="33min", periods=ROWS, unit="us"),
                "visits": visits,
                "spent": chance.normal(shift, 2, ROWS),
                "city": chance.choice(["Ulm", "Bern", "Graz"], ROWS),
                "left": chance.random(ROWS) < 1 / (1 + np.exp(-visits)),
            }
        )

    def publish(self, table: str, window: Window | None, frame: pd.DataFrame, run: str = "r") -> None:
        time = "event_time" if table == "predictions__churn" else "asked_at"
        file = self.root / "file.parquet"
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), file)
        done = self.lake.publish(table, file, time_column=time, window=window)
        start, end = (window.start, window.end) if window else (None, None)
        self.ledger.record_publication(
            Publication(table, start, end, done.rows, done.digest, done.version, run)
        )

    def publish_truth(self, window: Window, frame: pd.DataFrame) -> None:
        truth = frame[["id", "event_time", "left"]].rename(columns={"event_time": "asked_at"})
        self.publish("customers", window, truth.assign(country="ch"))

    def predict(self, window: Window, frame: pd.DataFrame, version: str = "1") -> None:
        score = 1 / (1 + np.exp(-frame["visits"]))
        scored = frame.drop(columns="left").assign(score=score, version=version, role="champion", run_id="p")
        self.publish("predictions__churn", window, scored)

    def live_week(self, number: int, shift: float = 0.0, version: str = "1") -> pd.DataFrame:
        frame = self.customers(week(number), shift)
        self.publish_truth(week(number), frame)
        self.predict(week(number), frame, version)
        return frame

    def train(self, as_of: datetime, run: str, holdout: float = 0.6) -> str:
        rows = pd.concat([self.customers(week(number), seed=1) for number in range(-4, 0)])
        frame, label = rows[list(FEATURES)], rows["left"].to_numpy(np.float64)
        task = plugins.TrainingTask(
            frame, label, "classification", ("city",), {}, 7, 1, "sklearn.linear_model.LogisticRegression"
        )
        folder = self.root / f"model_{run}"
        folder.mkdir()
        plugins.find("trainers", "sklearn")(task).save(folder)
        reference = self.root / "reference.parquet"
        frame.assign(score=1 / (1 + np.exp(-frame["visits"])), label=label).to_parquet(reference)
        details = VersionDetails(
            task="classification",
            features=model_files.read_card(folder).coding.features,
            files=model_files.digests(folder),
            reference_sha256=model_files.sha256(reference),
            metrics={"log_loss": holdout, "roc_auc": 0.7},
            tags={"keepfit.run_id": run, "keepfit.as_of": as_of.isoformat()},
        )
        version = self.registry.register(
            "churn", folder, details, reference=reference, training_set=reference, digest="0" * 64
        )
        self.registry.move_alias("churn", "champion", version)
        self.ledger.record_training(Training(run, "churn", None, as_of, version, "pass", (), {}))
        return version

    def run(self, number: int, run_id: str = "") -> MonitorRun:
        name = run_id or f"week{number}"
        return MonitorRun(
            take_snapshot(self.project, "churn__monitor", name, model="churn", window=week(number)),
            local_access(self.at),
        )

    def monitor(self, number: int, run_id: str = "") -> dict[str, Any]:
        run = self.run(number, run_id)
        run.join_labels()
        run.measure()
        run.detect_drift()
        return run.decide()


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One registry with version 1 live, since making MLflow's tables takes seconds."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.registry.initialise()
    shop.train(START, "first")
    return shop


@pytest.fixture
def shop(registered: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("KEEPFIT_TRACKING_URI", registered.at.tracking_uri)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Shop(tmp_path)


def test_a_calm_week_is_kept_and_the_ledger_says_why(shop: Shop) -> None:
    shop.live_week(0)
    shop.live_week(1)
    done = shop.monitor(1)
    assert (done["verdict"], done["trigger"], done["run_id"]) == ("keep", "none", None)
    assert done["reason"].endswith(
        "labelled rows is within 10 % of the holdout's 0.6000; "
        "0 of 3 columns drifted (share 0.00 < 0.50); the champion's data is 14 d old (limit 91 d); "
        "new labelled rows were not counted"
    )
    stored = shop.ledger.decisions("churn")[0]
    assert (stored.key, stored.window, stored.decided_by) == (done["key"], week(1), "week1")
    assert stored.evidence["signals"]["champion"]["version"] == "1"
    assert set(stored.evidence["drift"]["scores"]) == set(FEATURES)


def test_drift_asks_once_for_a_training_with_its_run_id_and_conf(shop: Shop) -> None:
    shop.live_week(0)
    shop.live_week(1, shift=3.0)
    done = shop.monitor(1)
    assert (done["verdict"], done["trigger"]) == ("retrain", "drift_share")
    assert done["run_id"] == "decision__20130108T000000Z_20130115T000000Z"
    assert done["conf"] == {
        "as_of": "2013-01-15T00:00:00+00:00",
        "reason": done["reason"],
        "decision": done["key"],
    }
    assert shop.monitor(1) == done
    by_hand = shop.monitor(1, "by hand")
    assert by_hand == {**done, "stands_since": by_hand["stands_since"]}
    assert len(shop.ledger.decisions("churn")) == 1


def test_a_second_week_of_drift_waits_for_the_cool_down(shop: Shop) -> None:
    shop.write("feature_repo/models/churn.yaml", MODEL + "  cooldown: 8d\n")
    shop.live_week(0)
    shop.live_week(1, shift=3.0)
    shop.live_week(2, shift=3.0)
    assert shop.monitor(1)["verdict"] == "retrain"
    done = shop.monitor(2)
    assert (done["verdict"], done["trigger"]) == ("keep", "drift_share")
    assert done["reason"].startswith("cool-down of 8 d: the window ending 2013-01-15 asked for a training")


def test_an_edited_policy_decides_anew_but_starts_no_second_training_for_the_window(shop: Shop) -> None:
    shop.live_week(0)
    shop.live_week(1, shift=3.0)
    shop.write("feature_repo/models/churn.yaml", MODEL + "  cooldown: 0d\n")
    first = shop.monitor(1)
    shop.write("feature_repo/models/churn.yaml", MODEL + "  cooldown: 0d\n  budget: 9\n")
    second = shop.monitor(1, "edited")
    assert (first["verdict"], second["verdict"], second["run_id"]) == ("retrain", "keep", None)
    assert second["reason"].startswith(
        "another policy asked for a training after the window ending 2013-01-15 00:00 already, "
        "and one window starts one training; though "
    )
    asked = {each.key: each.verdict for each in shop.ledger.decisions("churn")}
    assert asked == {first["key"]: "retrain", second["key"]: "keep"}


def test_decay_is_measured_as_by_hand_on_the_rows_whose_labels_are_known(shop: Shop) -> None:
    frames = [shop.customers(week(number)) for number in (0, 1)]
    for number, frame in enumerate(frames):
        frame["left"] = ~frame["left"]
        shop.publish_truth(week(number), frame)
        shop.predict(week(number), frame)
    done = shop.monitor(1)
    both = pd.concat(frames)
    delay = timedelta(days=2)
    known = both[(both["event_time"] >= week(1).start - delay) & (both["event_time"] < week(1).end - delay)]
    by_hand = log_loss(known["left"].to_numpy(np.float64), (1 / (1 + np.exp(-known["visits"]))).to_numpy())
    assert (done["verdict"], done["trigger"]) == ("retrain", "performance")
    assert f"log_loss {by_hand:.4f} on {len(known)} labelled rows is" in done["reason"]


def test_how_each_version_did_in_the_window_is_recorded_once(shop: Shop) -> None:
    frame = shop.customers(week(0)).assign(left=True)
    shop.publish_truth(week(0), frame)
    shop.predict(week(0), frame)
    for name in ("first", "again"):
        run = shop.run(0, name)
        run.join_labels()
        measured = run.measure()
    known = measured["versions"]["1"]
    found = {each.metric: each for each in shop.ledger.outcomes("churn")}
    assert {name: each.value for name, each in found.items()} == {
        name: value for name, value in known.items() if name != "rows"
    }
    assert found["roc_auc"].value is None, "all labels are the same"
    loss = found["log_loss"]
    assert (loss.version, loss.role, loss.run_id, loss.rows) == ("1", "champion", "first", known["rows"])
    assert (loss.window_start, loss.window_end) == (week(0).start, week(0).end)


def test_rows_that_the_champions_training_knew_say_nothing_of_its_worth(shop: Shop) -> None:
    labelled = pd.DataFrame(
        {
            "event_time": [week(0).start, week(0).end, week(0).end + timedelta(hours=1)] * 4,
            "score": [0.0, 0.0, 0.5] * 4,
            "label": [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 2,
            "version": "1",
            "role": "champion",
        }
    )
    spec = shop.project.model("churn")
    found = measure_performance(labelled, spec, "1", {"log_loss": 0.6}, seen_until=week(0).end)
    assert found.versions["1"]["rows"] == 4
    assert found.versions["1"]["log_loss"] == pytest.approx(np.log(2))
    everything = measure_performance(labelled, spec, "1", {"log_loss": 0.6})
    assert everything.versions["1"]["rows"] == 12


def test_metrics_of_the_projects_own_are_measured_and_undefined_ones_are_null(shop: Shop) -> None:
    frame = shop.customers(week(0)).assign(left=True)
    shop.publish_truth(week(0), frame)
    shop.predict(week(0), frame)
    run = shop.run(0)
    joined, measured = run.join_labels(), run.measure()
    only = measured["versions"]["1"]
    assert (only["own_metrics:rows"], only["roc_auc"]) == (joined["labelled"], None)
    assert measured["signal"]["reason"] == (
        f"all {joined['labelled']} labelled rows of version 1 have the label 1"
    )


def test_the_estimate_without_labels_is_told_and_decides_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.live_week(0)
    frame = shop.live_week(1)
    before, run = shop.monitor(1, "before"), shop.run(1, "after")
    estimated = shop.run(1, "before").folder.read("measure")["estimated"]
    assert estimated["metrics"] is None
    assert estimated["told"] == (
        "not estimated without labels: Version 1 of churn was registered without holdout_scores.parquet. "
        "Versions that are trained from now on have one."
    )
    known = shop.customers(week(-1), seed=5)
    file = tmp_path / "holdout_scores.parquet"
    score = 1 / (1 + np.exp(-known["visits"]))
    # Every score is told to be wrong: whatever is decided by it would be to train again.
    known.assign(score=score, label=(score < 0.5).astype(float))[["score", "label"]].to_parquet(file)
    shop.registry.attach("churn", "1", file)
    run.join_labels()
    measured = run.measure()
    run.detect_drift()
    estimated = measured["estimated"]
    assert (estimated["rows"], estimated["reference_rows"]) == (len(frame), len(known))
    told = "estimated without labels on 300 rows: roc_auc 0.5000 (holdout 0.0000), log_loss "
    assert measured["told"][-1].startswith(told)
    assert measured["told"][-1].endswith("it does not see when the same features come to mean something else")
    shop.write("feature_repo/models/churn.yaml", MODEL + "  budget: 9\n")
    decided = shop.monitor(1, "other policy")
    assert (decided["verdict"], before["verdict"]) == ("keep", "keep")
    stored = shop.ledger.decision(decided["key"])
    assert stored is not None
    assert stored.evidence["performance"]["estimated"]["metrics"] == estimated["metrics"]
    signal = Signals.of_json(stored.evidence["signals"]).estimate
    assert signal.value == estimated["metrics"]["log_loss"]
    assert signal.noise is not None
    assert signal.noise > 0


def test_rows_of_another_version_do_not_speak_for_the_champion(shop: Shop) -> None:
    shop.live_week(0, version="7")
    shop.live_week(1, version="7")
    done = shop.monitor(1)
    assert "log_loss not judged: 0 labelled rows of version 1, 100 needed" in done["reason"]
    assert "7" in shop.ledger.decisions("churn")[0].evidence["performance"]["versions"]


def test_what_was_measured_becomes_the_versions_outcome_once(shop: Shop) -> None:
    shop.live_week(0)
    run = shop.run(0)
    run.join_labels()
    assert shop.ledger.outcomes("churn") == []
    measured = run.measure()
    run.measure()
    again = shop.run(0, "again")
    again.join_labels()
    again.measure()
    kept = {each.metric: each for each in shop.ledger.outcomes("churn")}
    assert len(shop.ledger.outcomes("churn")) == 3
    only = measured["roles"][0]
    assert {name: each.value for name, each in kept.items()} == only["metrics"]
    found = kept["log_loss"]
    assert (found.version, found.role, found.rows, found.maturity) == ("1", "champion", only["rows"], 1.0)
    assert (found.window_start, found.window_end, found.run_id) == (week(0).start, week(0).end, "week0")


def test_all_signals_are_kept_with_the_decision_and_nothing_is_kept_twice(shop: Shop) -> None:
    shop.live_week(0)
    shop.live_week(1)
    done = shop.monitor(1)
    stored = shop.ledger.decision(done["key"])
    assert stored is not None
    signals = Signals.of_json(stored.evidence["signals"])
    assert signals.performance is not None
    assert signals.performance.noise is not None
    assert signals.drift is not None
    assert 0 < signals.performance.noise < 0.1
    assert signals.calibration.value is not None
    assert signals.calibration.noise is not None
    assert signals.prediction.value is not None
    assert signals.drift.weighted.reason == ("not measured: version 1 has no importances; train it again")
    assert set(stored.evidence) == {"signals", "predicted", "labels", "performance", "drift"}
    assert set(stored.evidence["performance"]) == {"versions", "roles", "estimated"}
    assert set(stored.evidence["drift"]) == {"reference_rows", "skipped", "unseen", "scores", "noise"}


def test_labels_that_never_come_are_insufficient_data_and_told_with_their_share(shop: Shop) -> None:
    rules = "policy:\n  rules: [{rule: performance}]\n"
    shop.write("feature_repo/models/churn.yaml", MODEL[: MODEL.index("policy:")] + rules)
    told = []
    for number in range(5):
        frame = shop.customers(week(number))
        shop.publish_truth(week(number), frame.assign(left=None).astype({"left": "boolean"}))
        shop.predict(week(number), frame)
        done = shop.monitor(number)
        assert (done["verdict"], done["run_id"]) == ("insufficient", None)
        told.append(done["reason"])
    due = sum(shop.customers(week(0))["event_time"] < week(0).end - timedelta(days=2))
    assert told[0].startswith("log_loss not judged: 0 labelled rows of version 1, 100 needed")
    assert told[0].endswith(f"; only 0 of {due} labels have come (0.0%)")
    assert told[3].endswith(
        "; WARNING: labels have not come for 4 windows, since the one ending 2013-01-08 00:00: "
        "nobody knows how the model does. Look at customers"
    )
    assert "for 5 windows" in told[4]


def test_a_column_that_vanished_upstream_blocks(shop: Shop) -> None:
    frame = shop.customers(week(0))
    shop.publish_truth(week(0), frame)
    shop.predict(week(0), frame.drop(columns="spent"))
    done = shop.monitor(0)
    assert (done["verdict"], done["run_id"]) == ("blocked", None)
    assert done["reason"] == "broken data is never trained on: spent is not among the predictions"


def test_a_column_another_version_did_not_need_is_no_fault(shop: Shop) -> None:
    frame = shop.customers(week(0))
    shop.publish_truth(week(0), frame)
    shop.predict(week(0), frame.drop(columns="spent"), version="7")
    assert "0 of 2 columns drifted" in shop.monitor(0)["reason"]


def test_a_column_that_went_missing_blocks_though_drift_would_ignore_it(shop: Shop) -> None:
    frame = shop.customers(week(0), shift=3.0)
    frame.loc[frame.index % 10 != 0, "spent"] = np.nan
    shop.publish_truth(week(0), frame)
    shop.predict(week(0), frame)
    done = shop.monitor(0)
    assert done["verdict"] == "blocked"
    assert done["reason"] == (
        "broken data is never trained on: "
        "spent is missing in 90% of the rows, in no window before in more than 0%"
    ), "once, though the policy looks for missing values, too"


def test_a_column_that_is_stuck_blocks_by_what_the_windows_before_were_like(shop: Shop) -> None:
    for number in range(4):
        shop.live_week(number)
        shop.monitor(number)
    frame = shop.customers(week(4))
    frame.loc[frame.index % 10 != 0, "spent"] = 1.25
    shop.publish_truth(week(4), frame)
    shop.predict(week(4), frame)
    done = shop.monitor(4)
    assert done["verdict"] == "blocked"
    assert "spent is stuck: 1.25 in 90% of the rows, while no value was in more than " in done["reason"]


def test_an_empty_window_is_insufficient(shop: Shop) -> None:
    frame = shop.customers(week(0))
    shop.publish_truth(week(0), frame)
    shop.predict(week(0), frame.head(0))
    done = shop.monitor(0)
    assert (done["verdict"], done["reason"]) == ("insufficient", "the window holds no predictions")


def test_new_labelled_rows_are_counted_from_the_last_training_on(shop: Shop) -> None:
    shop.write("feature_repo/models/churn.yaml", MODEL.replace("100000", "400"))
    shop.ledger.record_training(Training("first", "churn", None, START, "1", "pass", (), {}))
    shop.ledger.record_training(Training("died", "churn", None, week(1).start, None, "error", (), {}))
    shop.live_week(0)
    shop.live_week(1)
    run = shop.run(1)
    delay = timedelta(days=2)
    expected = sum(
        int((each["event_time"] < week(1).end - delay).sum())
        for each in (shop.customers(week(0)), shop.customers(week(1)))
    )
    assert run.join_labels()["new_rows"] == expected
    assert shop.monitor(1)["trigger"] == "new_rows"


def test_new_rows_are_unknown_where_no_training_is_recorded_and_none_where_one_has_seen_them_all(
    shop: Shop,
) -> None:
    policy = MODEL[: MODEL.index("  rules:")] + "  rules: [{rule: new_rows, at_least: 1}]\n"
    shop.write("feature_repo/models/churn.yaml", policy)
    shop.live_week(0)
    assert shop.run(0).join_labels()["new_rows"] is None
    done = shop.monitor(0)
    assert (done["verdict"], done["reason"]) == ("insufficient", "new labelled rows were not counted")
    shop.ledger.record_training(Training("late", "churn", None, week(0).end, "1", "pass", (), {}))
    assert shop.run(0, "after").join_labels()["new_rows"] == 0


def test_a_week_before_the_first_champion_says_what_to_do(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.registry.initialise()
    shop.live_week(0)
    done = shop.monitor(0)
    assert (done["verdict"], done["reason"]) == (
        "insufficient",
        "no champion yet: run churn__train",
    )
    assert shop.run(0, "other").draw_drift() == {"report": None}


def test_a_new_champion_ends_the_alarm_and_the_run_keeps_to_the_one_it_found(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.registry.initialise()
    shop.train(START, "first")
    shop.live_week(0, shift=3.0)
    shop.run(0).join_labels()
    shop.run(0).measure()
    shop.train(week(0).end, "second")
    shop.run(0).detect_drift()
    done = shop.run(0).decide()
    assert done["verdict"] == "retrain"
    assert shop.ledger.decisions("churn")[0].evidence["signals"]["champion"]["version"] == "1"
    late = shop.monitor(0, "late")
    assert late["reason"] == done["reason"]
    assert (done["stands_since"], next(tell("decide", done, shop.run(0).snapshot))) == (
        None,
        "verdict: retrain, called for by drift_share",
    )
    *_, earlier = tell("decide", late, shop.run(0).snapshot)
    assert earlier.startswith("An earlier run decided so at 20")
    shop.write("feature_repo/models/churn.yaml", MODEL + "  cooldown: 0d\n")
    other_policy = shop.monitor(0, "other policy")
    assert other_policy["verdict"] == "insufficient"
    assert (
        "drift not judged: the champion's training knew rows up to 2013-01-06 00:00, so rows of this window, "
        "too: it would be held against itself"
    ) in other_policy["reason"]


def test_a_window_is_not_held_against_rows_of_its_own(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.registry.initialise()
    shop.train(week(1).start + timedelta(days=2), "first")
    shop.live_week(0, shift=3.0)
    shop.live_week(1, shift=3.0)
    before = shop.run(0)
    before.join_labels()
    before.measure()
    assert before.detect_drift()["drifted"] is None
    # With labels two days late, it knew the rows up to this one and none of it.
    assert shop.run(1).detect_drift()["drifted"] is True


def test_each_step_says_which_one_has_to_run_before(shop: Shop) -> None:
    shop.live_week(0)
    with pytest.raises(NotReadyError, match="the step 'join_labels' has not finished"):
        shop.run(0).measure()
    with pytest.raises(NotReadyError, match="the step 'join_labels' has not finished"):
        shop.run(0).decide()


def test_drift_is_told_without_the_other_steps(shop: Shop) -> None:
    shop.live_week(0, shift=3.0)
    found = shop.run(0).detect_drift()
    assert (found["drifted"], found["drifted_columns"]) == (True, ["visits", "spent"])


def test_a_window_is_held_against_the_sketches_kept_with_the_version(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.registry.initialise()
    shop.train(START, "first")
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_pandas(shop.customers(week(0), shift=3.0)))
        kept = sketch_columns(connection, "rows", FEATURES)
    kept["visits"] = kept["visits"].shifted(9.0)
    kept["score"] = sketch_values(np.linspace(0, 1, 500))
    write_sketches(tmp_path / "sketches.parquet", kept)
    shop.registry.attach("churn", "1", tmp_path / "sketches.parquet")
    shop.live_week(0, shift=3.0)
    run = shop.run(0)
    assert run.detect_drift()["drifted_columns"] == ["visits"]
    stored = run.folder.read("detect_drift")
    assert (stored["reference_rows"], stored["rows"]) == (ROWS, ROWS)
    assert stored["prediction"]["drifted"]
    assert {"noise", "score", "method"} < set(stored["columns"][0])
    of_window = read_sketches(run.folder.file("window_sketches.parquet"))
    wanted = (*FEATURES, "score", ALIKE)
    assert {name: each.n for name, each in of_window.items()} == dict.fromkeys(wanted, ROWS)


def test_the_report_is_drawn_beside_the_decision(shop: Shop) -> None:
    shop.live_week(0, shift=3.0)
    page = Path(shop.run(0).draw_drift()["report"])
    assert page.name == "drift_report.html"
    assert "visits" in page.read_text()


def test_without_a_champion_nothing_is_waited_for_and_the_decision_says_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.registry.initialise()
    assert shop.run(0).wait_for() == ()
    done = shop.monitor(0)
    assert (done["verdict"], done["reason"]) == ("insufficient", "no champion yet: run churn__train")


def test_the_command_line_decides_nothing_before_the_predictions_are_there(shop: Shop) -> None:
    from keepfit.cli.ways import monitor

    with pytest.raises(NotReadyError, match=r"yet: predictions__churn\..* `keepfit run churn --step predict"):
        list(monitor(shop.run(0).snapshot))
    assert shop.ledger.decisions("churn") == []


def test_two_runs_never_share_a_folder_whatever_their_ids(shop: Shop) -> None:
    folders = {shop.run(0, run_id).folder.path for run_id in ("a:b", "a-b", "a/b", "a%3Ab", "a b", "...")}
    assert len(folders) == 6
    assert {folder.parent for folder in folders} == {shop.at.runs / "churn__monitor"}
    for bad in (".", ".."):
        with pytest.raises(ConfError, match="names no folder"):
            shop.run(0, bad)


def test_a_run_id_used_for_another_window_is_refused(shop: Shop) -> None:
    shop.run(0, "mine")
    shop.run(0, "mine")
    wrong = f"a run of window {week(0).key}, not {week(1).key}. Give this run an id"
    with pytest.raises(ConfError, match=wrong):
        shop.run(1, "mine")


def test_a_window_waits_for_its_predictions_and_its_labels(shop: Shop) -> None:
    assert shop.run(1).wait_for() == ("predictions__churn",), "labels beside the rows came with them"
    shop.publish_truth(week(-1), shop.customers(week(-1)))
    shop.live_week(1)
    assert shop.run(1).wait_for() == (), "week 0, where its labels begin, may never come"
    assert shop.monitor(1)["verdict"] != "blocked"


def test_a_gap_in_the_predictions_holds_nothing_up_and_is_told(shop: Shop) -> None:
    """A monitor with a cron of its own looks at a week, while the predictions come day by day."""
    frame = shop.customers(week(0))
    days = [
        Window(week(0).start + timedelta(days=day), week(0).start + timedelta(days=day + 1))
        for day in range(7)
    ]
    for day in (*days[:2], *days[4:6]):
        shop.predict(day, frame[frame["event_time"].between(day.start, day.end, inclusive="left")])
    shop.publish_truth(week(0), frame)
    assert shop.run(0).wait_for() == ("predictions__churn",), "the last day may still come"
    last = frame[frame["event_time"] >= days[6].start]
    shop.predict(days[6], last)
    assert shop.run(0).wait_for() == ()
    assert shop.monitor(0)["reason"].endswith("; only 71% of the window's time is predicted")
    assert shop.ledger.decisions("churn")[0].evidence["predicted"] == 5 / 7


def test_a_window_that_nobody_predicted_is_not_waited_for_once_a_later_one_is(shop: Shop) -> None:
    shop.live_week(1)
    assert shop.run(0).wait_for() == ()
    done = shop.monitor(0)
    assert (done["verdict"], done["reason"]) == ("insufficient", "the window holds no predictions")
    assert shop.ledger.decisions("churn")[0].evidence["predicted"] == 0
    assert shop.monitor(1)["reason"].count("predicted") == 0


def test_labels_are_those_known_at_the_end_of_the_window(shop: Shop) -> None:
    """Late, empty, duplicate and revised labels against brute force."""
    frame = shop.customers(week(0))
    shop.predict(week(0), pd.concat([frame, frame.head(3)]))
    in_time = frame[frame["event_time"] < week(0).end - timedelta(days=2)]
    truth = frame[["id", "event_time", "left"]].rename(columns={"event_time": "asked_at"})
    truth = truth.assign(left=truth["left"].astype("boolean"), country="ch").iloc[2:]
    truth.loc[truth.index[:4], "left"] = pd.NA
    revised = truth.iloc[10:20].assign(asked_at=week(5).start, left=~truth["left"].iloc[10:20])
    newer = in_time.tail(2)[["id", "left"]].assign(asked_at=week(0).end, country="ch")
    newer["left"] = ~newer["left"]
    shop.publish("customers", None, pd.concat([truth, newer, revised]))
    run = shop.run(0)
    joined = run.join_labels()
    counted = {
        "predictions": len(in_time),
        "labelled": len(in_time) - 6,
        "null": 4,
        "late": 2,
        "caught_up": 0,
        "maturity": (len(in_time) - 6) / len(in_time),
    }
    assert joined == {
        **counted,
        "new_rows": None,
        "unpredicted": 0,
        "young": True,
        "broken": 0,
        "without_key": 0,
        "roles": ({"role": "champion", "version": "1", **counted},),
        "told": [
            f"{len(in_time) - 6} of {len(in_time)} predictions labelled, {counted['maturity']:.1%}; "
            "2 labels are late, 4 empty"
        ],
        "warnings": [],
    }
    stored = pd.read_parquet(run.folder.file("labelled.parquet")).set_index("id")
    # A key that comes again at another time is another row, whose label is not this one's.
    expected = in_time.set_index("id")["left"].iloc[6:].astype(float)
    pd.testing.assert_series_equal(stored["label"], expected, check_names=False)


def test_every_prediction_is_measured_in_exactly_one_window(shop: Shop) -> None:
    for number in range(3):
        shop.live_week(number)
    ids: list[int] = []
    for number in range(3):
        run = shop.run(number)
        run.join_labels()
        ids += list(pd.read_parquet(run.folder.file("labelled.parquet"))["id"])
    everyone = pd.concat([shop.customers(week(number)) for number in range(3)])
    known = everyone[everyone["event_time"] < week(2).end - timedelta(days=2)]
    assert ids == list(known["id"])


def test_labels_of_another_dataset_are_waited_for_until_the_window_ends(shop: Shop) -> None:
    shop.write("feature_repo/datasets/leavers.yaml", DATASET.replace("customers", "leavers"))
    shop.write(
        "feature_repo/models/churn.yaml",
        MODEL.replace("column: left", "column: left, dataset: leavers").replace("100000", "100"),
    )
    shop.ledger.record_training(Training("first", "churn", None, week(0).end, "1", "pass", (), {}))
    frames = [shop.customers(week(number)) for number in (0, 1)]
    for number, frame in enumerate(frames):
        shop.predict(week(number), frame)
    known = pd.concat(frames).assign(asked_at=lambda each: each["event_time"] + timedelta(days=2))
    for number in (0, 1):
        within = known["asked_at"].between(week(number).start, week(number).end, inclusive="left")
        assert shop.run(1).wait_for() == ("leavers",)
        shop.publish("leavers", week(number), known.loc[within, ["id", "asked_at", "left"]])
    assert shop.run(1).wait_for() == ()
    joined = shop.run(1).join_labels()
    assert joined["new_rows"] == joined["labelled"] == joined["predictions"] > 200
    assert shop.monitor(1)["trigger"] == "new_rows"


def test_labels_that_are_never_published_are_not_waited_for_for_ever(shop: Shop) -> None:
    shop.write("feature_repo/datasets/leavers.yaml", DATASET.replace("customers", "leavers"))
    shop.write(
        "feature_repo/models/churn.yaml", MODEL.replace("column: left", "column: left, dataset: leavers")
    )
    shop.publish(
        "leavers",
        week(-1),
        shop.customers(week(-1))[["id", "event_time", "left"]].rename(columns={"event_time": "asked_at"}),
    )
    frame = shop.customers(week(0))
    shop.predict(week(0), frame)
    assert shop.run(0).wait_for() == ("leavers",)
    long_ago = datetime.now(UTC) - timedelta(days=7, minutes=1)
    bounds = (week(0).start, week(0).end)
    shop.ledger.record_publication(
        Publication("predictions__churn", *bounds, ROWS, "d", 0, "first", long_ago)
    )
    assert shop.run(0).wait_for() == ()
    done = shop.monitor(0)
    due = sum(frame["event_time"] < week(0).end - timedelta(days=2))
    assert done["reason"].endswith(f"; only 0 of {due} labels have come (0.0%)")


def test_labels_of_a_snapshot_are_waited_for_until_it_is_taken_at_the_window_s_end(shop: Shop) -> None:
    leavers = DATASET.replace("customers", "leavers") + "snapshot: true\n"
    shop.write("feature_repo/datasets/leavers.yaml", leavers)
    shop.write(
        "feature_repo/models/churn.yaml", MODEL.replace("column: left", "column: left, dataset: leavers")
    )
    shop.predict(week(1), shop.customers(week(1)))
    for number, waiting in ((0, ("leavers",)), (1, ())):
        taken = Publication("leavers", None, week(number).end, 1, "d", number, f"week {number}")
        shop.ledger.record_publication(taken)
        assert shop.run(1).wait_for() == waiting


def test_a_label_column_that_is_not_published_is_named(shop: Shop) -> None:
    frame = shop.customers(week(0))
    shop.predict(week(0), frame)
    bare = frame[["id", "event_time"]].rename(columns={"event_time": "asked_at"})
    shop.publish("customers", week(0), bare)
    with pytest.raises(SchemaError, match="its dataset is published without left"):
        shop.run(0).join_labels()


def test_a_key_that_comes_again_in_another_window_keeps_each_rows_own_label(shop: Shop) -> None:
    first = shop.customers(week(0))
    again = shop.customers(week(1)).assign(id=first["id"], left=~first["left"])
    for number, frame in enumerate((first, again)):
        shop.publish_truth(week(number), frame)
        shop.predict(week(number), frame)
    run = shop.run(1)
    run.join_labels()
    stored = pd.read_parquet(run.folder.file("labelled.parquet"))
    rows = pd.concat([first, again])
    truth = rows.set_index(["id", "event_time"])["left"].astype(float)
    assert stored.set_index(["id", "event_time"])["label"].to_dict() == {
        key: truth[key] for key in zip(stored["id"], stored["event_time"], strict=True)
    }
    assert stored["event_time"].min() < week(0).end < stored["event_time"].max()


def test_a_condition_is_checked_before_new_rows_are_counted(shop: Shop, tmp_path: Path) -> None:
    stolen = tmp_path / "stolen.csv"
    where = f"true)); COPY (SELECT 1) TO '{stolen}' --"
    shop.write("feature_repo/models/churn.yaml", MODEL.replace("country <> 'xx'", where))
    shop.ledger.record_training(Training("first", "churn", None, week(0).end, "1", "pass", (), {}))
    for number in (0, 1):
        shop.live_week(number)
    with pytest.raises(SpecError, match=r"models/churn\.yaml: entities\.where: "):
        shop.run(1).join_labels()
    assert not stolen.exists()


def test_what_was_asked_online_is_measured_with_the_batches_and_shadows_beside(shop: Shop) -> None:
    frame = shop.live_week(0)
    log = PredictionLog(str(shop.at.lake), "churn", features={"visits": "float64"}, keys={"id": "int64"})
    for number, (row_id, event_time) in enumerate(zip(frame["id"], frame["event_time"], strict=True)):
        asked = {"request_id": f"r{number}", "at": event_time, "version": "1", "key": {"id": row_id}}
        for role, score, version in (("champion", 0.5, "1"), ("shadow", 0.25, "2")):
            log.append(Entry(**asked | {"role": role, "version": version}, features=(1.0,), score=score))
    log.append(Entry("last", week(0).start, "1", "champion", {}, (1.0,), 0.5))
    log.close()
    run = shop.run(0)
    joined, measured = run.join_labels(), run.measure()
    known = frame[frame["event_time"] < week(0).end - timedelta(days=2)]
    assert (joined["predictions"], joined["labelled"], joined["maturity"]) == (len(known), len(known), 1.0)
    assert joined["warnings"] == [
        "1 online predictions cannot be labelled: their requests did not give the row's whole key."
    ]
    # The answer given online is the one that counts of a row that a batch has predicted, too.
    assert measured["versions"]["1"]["log_loss"] == pytest.approx(np.log(2))
    shadow = log_loss(known["left"].to_numpy(np.float64), np.full(len(known), 0.25))
    assert [(each["role"], each["version"], each["rows"]) for each in measured["roles"]] == [
        ("champion", "1", len(known)),
        ("shadow", "2", len(known)),
    ]
    assert measured["told"][1] == (
        f"shadow 2: log_loss {shadow:.4f}, roc_auc 0.5000, own_metrics:rows {len(known):.4f} "
        f"on {len(known)} rows; 100.0% of its labels are known"
    )
    assert [*tell("measure", measured, run.snapshot)] == measured["told"]
    assert next(tell("join_labels", joined, run.snapshot)) == joined["told"][0]


@pytest.mark.parametrize("place", [".keepfit/lake", "own/logs"])
def test_the_logs_are_put_together_and_give_the_same_figures(shop: Shop, place: str) -> None:
    if place == "own/logs":
        shop.write("feature_repo/keepfit.yaml", f"{KEEPFIT}serving: {{log_to: {place}}}\n")
    frame = shop.live_week(0)
    for part in (frame.head(150), frame.tail(200)):
        log = PredictionLog(
            str(shop.root / place), "churn", features={"visits": "float64"}, keys={"id": "int64"}
        )
        for row_id, event_time in zip(part["id"], part["event_time"], strict=True):
            asked = (f"r{row_id}", event_time, "1", "champion", {"id": row_id}, (1.0,), 0.5)
            log.append(Entry(*asked))
        log.close()
    run = shop.run(0, "before")
    before = run.join_labels()
    assert run.measure()["versions"]["1"]["log_loss"] == pytest.approx(np.log(2))
    assert compact_logs(shop.project, local_access(shop.at)) == {"churn": ["2013-01-03", "2013-01-04"]}
    assert compact_logs(shop.project, local_access(shop.at)) == {}
    assert shop.run(0, "after").join_labels() == before
