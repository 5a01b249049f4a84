"""The gate: floors, then the champion on the same rows, by a paired bootstrap of days."""

import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit.errors import FeatureStoreError, TrainingError
from keepfit.plugins import TrainingTask
from keepfit.spec import ModelSpec
from keepfit.spec.gate import GateSpec
from keepfit.steps.compare import compare
from keepfit.steps.draws import draw
from keepfit.steps.evaluate import Champion, Evaluation, evaluate
from keepfit.steps.gate import Judgement, gate
from keepfit.steps.split import Split, split_by_time
from keepfit.steps.train import refuse_unusable, train
from keepfit.testing import classes, values

FEATURES = {"size": "float64", "weight": "float64", "count": "int64", "colour": "string", "marked": "bool"}


def model(objective: str = "log_loss", task: str = "classification", **changes: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "shapes",
            "task": task,
            "entities": {"dataset": "things"},
            "features": "shapes_v1",
            "label": {"column": "late", "delay": "6h"},
            "train": {
                "holdout": "10d",
                "min_rows": 50,
                "candidates": [{"trainer": "lightgbm", "params": {"n_estimators": 20}}],
                **changes.pop("train", {}),
            },
            "evaluate": {
                "objective": objective,
                "metrics": changes.pop("metrics", ["brier"]),
                "gate": changes.pop("gate", {}),
            },
            **changes,
        }
    )


class Guess:
    """A model that knows the truth up to some noise, the same for each row."""

    flavor = "skops"

    def __init__(self, truth: "np.ndarray[Any, Any]", noise: float, seed: int = 0) -> None:
        logit = (truth * 2 - 1) + np.random.default_rng(seed).normal(0, noise, len(truth))
        self.scores = 1 / (1 + np.exp(-logit))

    def predict(self, frame: pd.DataFrame) -> "np.ndarray[Any, Any]":
        return self.scores[: len(frame)]

    def save(self, folder: Any) -> None:
        raise NotImplementedError


ROWS = classes(1200)
HOLDOUT = ROWS.iloc[600:].reset_index(drop=True)
TRUTH = HOLDOUT["label"].to_numpy()
CUT = HOLDOUT["event_time"].iloc[0].to_pydatetime()
SPLIT = Split(ROWS.iloc[:600], HOLDOUT, CUT)


def judged(
    challenger: float, champion: float | Champion | None, spec: ModelSpec
) -> tuple[Evaluation, Judgement]:
    live = Champion("3", Guess(TRUTH, champion)) if isinstance(champion, float) else champion
    found, scores = evaluate([Guess(TRUTH, challenger, seed=1)], live, SPLIT, spec)
    return found, gate(found, scores, spec)


def test_a_better_challenger_passes() -> None:
    found, judgement = judged(0.5, 2.0, model())
    assert judgement.verdict == "pass"
    assert judgement.comparison is not None
    assert judgement.comparison.high < 0
    assert found.champion is not None
    assert judgement.reasons == (
        f"log_loss {found.metrics['log_loss']:.4f} is better than "
        f"the champion's {found.champion['log_loss']:.4f} "
        f"(difference {judgement.comparison.difference:+.4f}, 90 % interval "
        f"[{judgement.comparison.low:+.4f}, {judgement.comparison.high:+.4f}]) "
        "by the 0.00091 asked for (3 % of the champion's lead over the baseline)",
    )


def test_a_worse_challenger_is_refused_in_words() -> None:
    _, judgement = judged(2.0, 0.5, model())
    assert judgement.verdict == "fail"
    assert "is not better than the champion's" in judgement.reasons[0]


def test_a_challenger_that_is_only_different_is_undecided() -> None:
    _, judgement = judged(1.0, 1.0, model())
    assert judgement.verdict == "undecided"
    assert "is not clearly better than the champion's" in judgement.reasons[0]


def test_where_higher_is_better_the_difference_counts_the_other_way() -> None:
    assert judged(0.5, 2.0, model("roc_auc"))[1].verdict == "pass"
    assert judged(2.0, 0.5, model("roc_auc"))[1].verdict == "fail"


def test_the_champion_itself_is_not_better_than_itself() -> None:
    found, scores = evaluate([Guess(TRUTH, 1.0)], Champion("3", Guess(TRUTH, 1.0)), SPLIT, model())
    assert gate(found, scores, model()).verdict == "fail"


def test_a_gain_smaller_than_asked_for_does_not_pass() -> None:
    _, judgement = judged(0.9, 1.1, model(gate={"min_effect": 0.3}))
    assert judgement.verdict == "fail"
    assert judgement.reasons[0].endswith("by the 0.3 asked for")


def test_a_missed_floor_fails_whatever_the_comparison_says() -> None:
    found, judgement = judged(
        2.0, 3.0, model(metrics=["brier", "roc_auc"], gate={"floors": {"roc_auc": 0.99, "brier": 0.01}})
    )
    assert judgement.verdict == "fail"
    assert judgement.comparison is not None
    assert judgement.comparison.high < 0
    assert judgement.reasons == (
        f"roc_auc {found.metrics['roc_auc']:.4f} is below its floor 0.9900",
        f"brier {found.metrics['brier']:.4f} is above its limit 0.0100",
    )


def test_without_a_champion_the_baseline_must_be_beaten() -> None:
    found, judgement = judged(0.5, None, model())
    assert judgement.verdict == "pass"
    assert f"is better than the baseline's {found.baseline['log_loss']:.4f}" in judgement.reasons[0]
    assert judged(9.0, None, model())[1].verdict == "fail"


def test_the_lesser_evil_takes_the_place_of_a_bad_champion_and_is_called_so() -> None:
    def wrong(noise: float, seed: int) -> Guess:
        return Guess(1 - TRUTH, noise, seed)

    found, scores = evaluate([wrong(0.1, 1)], Champion("3", wrong(4.0, 0)), SPLIT, model())
    judgement = gate(found, scores, model())
    assert judgement.verdict == "pass"
    assert found.metrics["log_loss"] > found.baseline["log_loss"]
    assert judgement.reasons[1] == (
        f"the lesser evil: log_loss {found.metrics['log_loss']:.4f} is not better than the baseline's "
        f"{found.baseline['log_loss']:.4f}, the mean label for every row"
    )
    assert not any("lesser evil" in each for each in judged(0.5, 9.0, model())[1].reasons)


def test_by_an_objective_that_favours_a_guess_no_challenger_is_called_the_lesser_evil() -> None:
    spec = model("calibration_error")
    found, scores = evaluate([Guess(TRUTH, 0.1)], Champion("3", Guess(1 - TRUTH, 0.1)), SPLIT, spec)
    judgement = gate(found, scores, spec)
    assert judgement.verdict == "pass"
    assert found.metrics["calibration_error"] > found.baseline["calibration_error"]
    assert not any("lesser evil" in each for each in judgement.reasons)


def test_a_champion_that_cannot_be_scored_leaves_it_to_a_human() -> None:
    class Gone(Guess):
        def predict(self, _: pd.DataFrame) -> "np.ndarray[Any, Any]":
            raise FeatureStoreError("The model needs the features old_one.")

    _, judgement = judged(0.5, Champion("3", Gone(TRUTH, 1.0)), model())
    assert judgement.verdict == "undecided"
    assert judgement.reasons == (
        "the champion (version 3) cannot be scored: FeatureStoreError: The model needs the features old_one. "
        "Promote this challenger by hand if the champion is to go.",
    )


def test_a_champion_that_does_not_load_leaves_it_to_a_human_too() -> None:
    _, judgement = judged(0.5, Champion("3", None, "UntrustedModelError: changed."), model())
    assert (judgement.verdict, "changed." in judgement.reasons[0]) == ("undecided", True)


def test_a_holdout_of_few_days_decides_nothing() -> None:
    few = HOLDOUT.head(48)
    truth = few["label"].to_numpy()
    found, scores = evaluate(
        [Guess(truth, 0.1)], Champion("3", Guess(truth, 3.0)), Split(ROWS, few, CUT), model()
    )
    judgement = gate(found, scores, model())
    assert judgement.verdict == "undecided"
    assert "a comparison needs 5. Lengthen `train.holdout`" in judgement.reasons[0]


def test_whole_days_make_the_interval_wider_than_rows_would() -> None:
    """A day on which one model is lucky counts once, not once a row."""
    chance = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=24 * 20, freq="h", tz="UTC")
    luck = np.repeat(chance.normal(0, 1, 20), 24)
    label = np.zeros(len(times))
    scores = {"event_time": times, "label": label, "challenger": luck, "champion": np.zeros(len(times))}
    draws = draw(pd.Series(times), GateSpec(resamples=300), 1)
    by_day = compare(pd.DataFrame(scores), "mae", draws, 0.9)
    mixed = pd.DataFrame(scores | {"challenger": chance.permutation(luck)})
    by_chance = compare(mixed, "mae", draws, 0.9)
    assert by_day.high - by_day.low > 3 * (by_chance.high - by_chance.low)


def test_the_bootstrap_is_repeatable() -> None:
    assert judged(1.0, 1.2, model()) == judged(1.0, 1.2, model())


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        times = pd.date_range("2024-01-01", periods=30 * 10, freq="144min", tz="UTC")
        effect = np.repeat(chance.normal(0.5, 1, 30), 10)
        frame = pd.DataFrame(
            {"event_time": times, "label": 0.0, "challenger": 10 + effect, "champion": np.full(300, 10.0)}
        )
        found = compare(frame, "mae", draw(frame["event_time"], GateSpec(resamples=200), seed), 0.9)
        covered += found.low <= 0.5 <= found.high
    assert 0.78 <= covered / 60 <= 1.0


def test_the_holdout_is_the_last_stretch_and_training_knows_no_label_of_it() -> None:
    rows = classes(24 * 30)
    split = split_by_time(rows, pd.Timedelta("10d"), pd.Timedelta("6h"))
    last = rows["event_time"].iloc[-1]
    assert split.cut == last - pd.Timedelta("10d")
    assert split.holdout["event_time"].iloc[0] == split.cut + pd.Timedelta("1h")
    assert split.train["event_time"].iloc[-1] == split.cut - pd.Timedelta("6h")


def test_rows_without_label_neither_train_nor_judge() -> None:
    rows = classes(24 * 30)
    rows.loc[rows.index[-24:], "label"] = np.nan
    assert split_by_time(rows, pd.Timedelta("10d"), pd.Timedelta(0)).holdout["label"].notna().all()


def test_a_holdout_longer_than_history_says_so() -> None:
    with pytest.raises(
        TrainingError, match=r"No label was known before the holdout.*shorten `train.holdout`"
    ):
        split_by_time(classes(48), pd.Timedelta("10d"), pd.Timedelta(0))


def test_no_labelled_row_says_so() -> None:
    with pytest.raises(TrainingError, match="no labelled row"):
        split_by_time(classes(48).assign(label=np.nan), pd.Timedelta("1d"), pd.Timedelta(0))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.head(20), "There are 20 rows to train on, fewer than `train.min_rows` \\(50\\)"),
        (ROWS.assign(label=0.0), "All 1200 training rows have the label 0: there is nothing to tell apart"),
        (ROWS.assign(label=ROWS["label"] * 2), "The label 'late' holds 0, 2. Classification is binary"),
    ],
)
def test_rows_that_can_train_nothing_are_refused_by_name(rows: pd.DataFrame, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        refuse_unusable(rows, model())


def test_features_without_any_value_are_left_out_and_named() -> None:
    spec = model()
    found = train(ROWS.assign(weight=np.nan, colour=None), FEATURES, spec, spec.train.candidates[0])
    assert found.left_out == ("weight", "colour")
    assert np.isfinite(found.model.predict(ROWS)).all()


def test_without_any_feature_nothing_is_trained() -> None:
    spec = model()
    rows = ROWS.assign(**dict.fromkeys(FEATURES))
    with pytest.raises(
        TrainingError, match="No feature of the service 'shapes_v1' has a value in any of 1200"
    ):
        train(rows, FEATURES, spec, spec.train.candidates[0])


def test_an_evaluation_is_plain_json_even_with_metrics_that_are_no_number() -> None:
    one = Split(ROWS, HOLDOUT.assign(label=1.0), CUT)
    found, _ = evaluate([Guess(TRUTH, 1.0)], None, one, model(metrics=["roc_auc"]))
    stored = json.dumps(found.to_json(), allow_nan=False)
    again = Evaluation.of_json(json.loads(stored))
    assert np.isnan(again.metrics["roc_auc"])
    assert again.metrics["log_loss"] == found.metrics["log_loss"]


def test_a_holdout_of_one_class_cannot_be_judged_by_an_area_under_the_curve() -> None:
    one = HOLDOUT.assign(label=0.0)
    with pytest.raises(TrainingError, match="'roc_auc' cannot be computed on the 600 rows of the holdout"):
        evaluate([Guess(TRUTH, 1.0)], None, Split(ROWS, one, CUT), model("roc_auc"))


def test_a_search_trains_on_all_rows_with_the_best_parameters(tmp_path: Any) -> None:
    search = {"space": {"num_leaves": {"low": 2, "high": 31}}, "trials": 4}
    spec = model(
        train={"candidates": [{"trainer": "lightgbm", "params": {"n_estimators": 10}, "search": search}]}
    )
    found = train(ROWS, FEATURES, spec, spec.train.candidates[0], tmp_path / "search.json")
    assert (found.trials, found.stopped, found.rows) == (4, "trials", len(ROWS))
    assert set(found.params) == {"n_estimators", "num_leaves"}


def test_scores_that_are_no_probabilities_are_refused() -> None:
    candidate = {"trainer": "lightgbm", "params": {"objective": "regression", "n_estimators": 60}}
    spec = model(train={"candidates": [candidate]})
    found = train(ROWS, FEATURES, spec, spec.train.candidates[0])
    with pytest.raises(TrainingError, match="which are no probabilities"):
        evaluate([found.model], None, SPLIT, spec)


def test_a_trainer_of_ones_own_that_fails_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_trainer.py").write_text("def train(task):\n    return {}['nothing']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = model(train={"candidates": [{"trainer": "my_trainer:train"}]})
    with pytest.raises(
        TrainingError, match="The trainer 'my_trainer:train' fails on 1200 rows: KeyError: 'nothing'"
    ):
        train(ROWS, FEATURES, spec, spec.train.candidates[0])


def test_the_best_candidate_on_the_holdout_is_the_challenger() -> None:
    spec = model("mae", "regression", train={"candidates": [{"trainer": "lightgbm"}]})
    rows = values(1200)
    found, scores = evaluate([Guess(TRUTH, 5.0), Guess(TRUTH, 0.1)], None, Split(rows, HOLDOUT, CUT), spec)
    assert found.challenger == 1
    assert found.metrics == found.candidates[1]
    assert Evaluation.of_json(found.to_json()) == found
    assert list(scores.columns) == ["event_time", "label", "challenger", "baseline"]


def test_a_task_is_what_a_trainer_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TrainingTask] = []

    def spy(task: TrainingTask) -> Guess:
        seen.append(task)
        return Guess(task.label, 1.0)

    mine = ModuleType("spying")
    mine.train = spy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spying", mine)
    spec = model(
        train={"candidates": [{"trainer": "spying:train", "params": {"a": 1}}], "seed": 11, "threads": 2}
    )
    train(ROWS, FEATURES, spec, spec.train.candidates[0])
    task = seen[-1]
    assert (task.seed, task.threads, task.params, task.categorical) == (11, 2, {"a": 1}, ("colour",))
    assert list(task.frame.columns) == list(FEATURES)
