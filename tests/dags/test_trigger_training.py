"""A decision starts its training exactly once; a "no" is skipped with its reason."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.dagrun import DagRun

from keepfit.ledger import Decision, Ledger, Training, migrate
from keepfit.spec import Window, load_project

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag

CONF = {
    "as_of": "2024-01-08T00:00:00+00:00",
    "reason": "drift: 3 of 5 columns",
    "decision": "returns:1:20240101T000000Z_20240108T000000Z",
}
MONITOR = """
    from airflow.sdk import DAG, task
    from keepfit.airflow.operators import TriggerTraining

    @task(multiple_outputs=False)
    def decide():
        return {decision!r}

    with DAG("watch") as dag:
        TriggerTraining(task_id="trigger_training", model="returns", decision=decide(), retries=0)
    """


def write_monitor(root: Path, **changes: Any) -> None:
    decision = {
        "verdict": "retrain",
        "reason": CONF["reason"],
        "run_id": f"decision__{root.name}",
        "conf": CONF,
        **changes,
    }
    (root / "dags" / "watch.py").write_text(dedent(MONITOR).format(decision=decision))


def trainings(root: Path) -> list[DagRun]:
    return DagRun.find(dag_id="returns__train", run_id=f"decision__{root.name}")


def record(root: Path, key: str, run_id: str = "run", *, age: timedelta = timedelta()) -> None:
    """Put a decision to train into the project's ledger."""
    url, window = load_project(root).locations.ledger_url, Window.parse("2024-01-01", "2024-01-08")
    migrate(url)
    start, end = window.start, window.end
    asked = Decision(key, "returns", "1", start, end, "retrain", "drift", CONF["reason"], {}, run_id, "watch")
    Ledger(url).decide(replace(asked, decided_at=datetime.now(UTC) - age))


def test_a_decision_starts_its_training_once_however_often_it_is_handed_on(
    shop: Path, run_dag: "RunDag"
) -> None:
    write_monitor(shop)
    first, again = run_dag(shop, "watch"), run_dag(shop, "watch")
    assert first.tasks["trigger_training"] == "success"
    assert again.tasks["trigger_training"] == "skipped"
    (training,) = trainings(shop)
    assert training.conf == CONF


def test_a_decision_to_keep_the_model_is_skipped_with_its_reason(shop: Path, run_dag: "RunDag") -> None:
    write_monitor(shop, verdict="keep", reason="drift in 1 of 5 columns is below 0.5", run_id=None, conf=None)
    run = run_dag(shop, "watch")
    assert run.state == "success"
    assert run.tasks["trigger_training"] == "skipped"
    assert "keep: drift in 1 of 5 columns is below 0.5" in run.log
    assert trainings(shop) == []


def test_what_a_decision_hands_on_is_what_a_training_takes(
    shop: Path, run_dag: "RunDag", monkeypatch: pytest.MonkeyPatch
) -> None:
    write_monitor(shop)
    run_dag(shop, "watch")
    (training,) = trainings(shop)
    record(shop, CONF["decision"], "decision__taken")
    monkeypatch.setattr(DagRun, "generate_run_id", lambda **_: "decision__taken")
    taken = run_dag(shop, "returns__train", dict(training.conf or {}), only="snapshot")
    (file,) = (shop / ".keepfit" / "runs" / "returns__train").glob("*/snapshot.json")
    assert taken.tasks["snapshot"] == "success"
    assert (
        json.loads(file.read_text())["settings"]["decision"] == "returns:1:20240101T000000Z_20240108T000000Z"
    )


def test_a_decision_that_nobody_made_starts_no_training(shop: Path, run_dag: "RunDag") -> None:
    record(shop, "returns:1:another")
    run = run_dag(shop, "returns__train", {**CONF, "decision": "returns:1:invented"}, only="snapshot")
    assert run.tasks["snapshot"] == "failed"
    assert "The decision 'returns:1:invented' is not in the ledger." in run.log
    assert not (shop / ".keepfit" / "runs").exists()


def test_a_decision_starts_no_other_run_than_its_own(shop: Path, run_dag: "RunDag") -> None:
    record(shop, CONF["decision"], "decision__another")
    run = run_dag(shop, "returns__train", CONF, only="snapshot")
    assert run.tasks["snapshot"] == "failed"
    assert f"asks for the run 'decision__another', not '{run.run_id}'." in run.log
    assert not (shop / ".keepfit" / "runs").exists()


def test_a_training_that_nobody_started_is_started_by_the_sweep_once(shop: Path, run_dag: "RunDag") -> None:
    record(shop, CONF["decision"], f"decision__{shop.name}", age=timedelta(hours=1))
    record(shop, "returns:1:just now", "decision__just_now")
    first, again = run_dag(shop, "keepfit__sweep"), run_dag(shop, "keepfit__sweep")
    assert (first.tasks["find_unstarted"], first.tasks["start_training"]) == ("success", "success")
    assert again.tasks["start_training"] == "skipped"
    (training,) = trainings(shop)
    assert training.conf == CONF
    assert DagRun.find(dag_id="returns__train", run_id="decision__just_now") == []


def test_a_training_that_was_recorded_is_not_looked_for(shop: Path, run_dag: "RunDag") -> None:
    record(shop, CONF["decision"], f"decision__{shop.name}", age=timedelta(hours=1))
    ended = Training(f"decision__{shop.name}", "returns", None, datetime.now(UTC), "1", "pass", (), {})
    Ledger(load_project(shop).locations.ledger_url).record_training(ended)
    assert run_dag(shop, "keepfit__sweep", only="find_unstarted").tasks["start_training"] == "skipped"
    assert trainings(shop) == []
