"""A fresh challenger beside the champion: trained on what was known when the window began, and let go."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.integration.conftest import new_shop
from tests.integration.watched import REGRET, TRAINED, Watched, day, rows

from keepfit.backends import model_files
from keepfit.steps.metrics import log_loss

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        made = Watched(new_shop(tmp_path_factory.mktemp("shop"), patch))
        made.set_up()
        yield made


def test_regret_is_what_a_training_at_the_windows_start_would_have_saved(watched: Watched) -> None:
    run = watched.monitor(50, "regret")
    found = run.challenge()["signal"]
    folder = watched.train(50, "by hand").folder
    trained = folder.read("train_0")
    assert trained["estimator"] == "sklearn.linear_model.LogisticRegression"
    challenger = model_files.load(folder.file("candidate_0"), trained["files"])
    made = watched.shop.lake.dataset("predictions__returns_soon").to_table().to_pandas()
    due = made[made["event_time"].between(pd.Timestamp(day(49)), pd.Timestamp(day(56)), inclusive="neither")]
    labelled = due.merge(rows()[1][["order_id", "returned"]], on="order_id")
    truth = labelled["returned"].to_numpy(np.float64)
    by_hand = log_loss(truth, labelled["score"].to_numpy()) - log_loss(truth, challenger.predict(labelled))
    assert found["value"] == pytest.approx(by_hand)
    assert found["rows"] == len(labelled)
    assert found["value"] > 2 * found["noise"] > 0


def test_a_challenger_is_the_same_each_time_and_leaves_nothing_behind(watched: Watched) -> None:
    trainings, versions = watched.ledger.trainings("returns_soon"), watched.registry.champion("returns_soon")
    run = watched.monitor(50, "again")
    first = run.challenge()["signal"]
    assert run.challenge()["signal"] == first
    assert watched.monitor(50, "other").challenge()["signal"] == first
    assert watched.ledger.trainings("returns_soon") == trainings
    assert watched.registry.champion("returns_soon") == versions
    assert [path.name for path in Path(run.folder.path).iterdir() if "challenge" in path.name] == [
        "challenge.json"
    ]


def test_regret_asks_for_a_training_and_is_kept_with_the_decision(watched: Watched) -> None:
    run = watched.monitor(50, "decides")
    told = run.challenge()
    done = run.decide()
    assert (done["verdict"], done["trigger"]) == ("retrain", "regret")
    assert done["reason"].startswith("a fresh challenger would have saved ")
    stored = watched.ledger.decision(done["key"])
    assert stored is not None
    assert stored.evidence["signals"]["regret"] == told["signal"]
    assert told["told"][0].startswith(f"regret {told['signal']['value']:+.4g} (standard error ")
    assert "newly labelled rows; trained on " in told["told"][0]
    assert told["told"][0].endswith(" s of CPU")


def test_a_champion_as_fresh_as_a_challenger_leaves_nothing_to_regret(watched: Watched) -> None:
    run = watched.monitor(TRAINED, "fresh")
    found = run.challenge()
    assert (found["signal"]["value"], found["signal"]["noise"]) == (0.0, 0.0)
    told = "the champion was trained as of 2020-02-05 00:00: a challenger knows no more"
    assert found["told"] == [f"no challenger is trained: {told}"]


def test_a_shift_is_held_against_a_challenger_only_if_it_calls_for_a_training(watched: Watched) -> None:
    watched.write("{rule: drift_share, share: 0.5}")
    calm = watched.monitor(50, "calm").challenge()
    assert calm == {
        "signal": None,
        "told": ["no challenger is trained: the verdict does not hang on one"],
    }
    watched.write("{rule: drift_share, share: 0.5}", "method: ks", "method: ks, threshold: 1.0")
    run = watched.monitor(51, "shift")
    assert run.challenge()["signal"]["value"] > 0
    assert run.decide()["verdict"] == "retrain"
    quiet = watched.monitor(TRAINED, "harmless")
    quiet.challenge()
    done = quiet.decide()
    assert done["verdict"] == "keep"
    assert done["reason"].startswith("harmless shift: a fresh challenger is better by 0 on ")


def test_a_champion_whose_trainer_is_gone_says_what_to_do(watched: Watched) -> None:
    watched.write(REGRET, "sklearn.linear_model.LogisticRegression", "sklearn.dummy.DummyClassifier")
    found = watched.monitor(50, "gone").challenge()["signal"]
    assert found["value"] is None
    assert found["reason"] == (
        "no challenger: The champion was trained by sklearn.linear_model.LogisticRegression, which is no "
        "candidate of models/returns_soon.yaml any more: let `monitor.challenger.candidates` be `all`, or "
        "train the model again."
    )


def test_all_candidates_are_tried_where_the_model_says_so(watched: Watched) -> None:
    own = {"performance: {min_rows: 50}": "performance: {min_rows: 50}\n  challenger: {candidates: all}"}
    ((old, new),) = own.items()
    watched.write(REGRET, old, new)
    every = watched.monitor(50, "all").challenge()["signal"]
    watched.write(REGRET)
    champions = watched.monitor(50, "champion's").challenge()["signal"]
    assert every["value"] is not None
    assert every["value"] != champions["value"]


def test_too_few_new_labels_train_nothing(watched: Watched) -> None:
    watched.write(REGRET, "performance: {min_rows: 50}", "performance: {min_rows: 5000}")
    found = watched.monitor(50, "few").challenge()
    assert found["signal"]["value"] is None
    assert found["told"] == ["regret not measured: 140 newly labelled rows, 5,000 needed"]
