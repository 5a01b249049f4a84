"""The question about an incident: who starts it, what an answer leaves behind, and what it starts."""

from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.sdk.exceptions import TaskAwaitingInput

from keepfit.airflow import project_dags
from keepfit.airflow.incident import Ask
from keepfit.errors import ConfError, DecisionError
from keepfit.ledger import Decision, Incident, IncidentAnswer, Ledger, decision_key, incident_key, migrate
from keepfit.pipeline.answering import incident_run_id
from keepfit.spec import Window, load_project

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag

WINDOW = Window.parse("2024-01-01", "2024-01-08")
KEY = incident_key("order_facts", WINDOW)
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
MONITOR = """
    from airflow.sdk import DAG, task
    from keepfit.airflow import tasks
    from keepfit.airflow.operators import trigger_runs

    @task(multiple_outputs=False)
    def decide():
        return {{"incidents": {keys!r}}}

    with DAG("watch") as dag:
        trigger_runs("trigger_incident", tasks.incidents(decide()))
    """


def open_case(root: Path, verdict: Any = "held") -> Ledger:
    """Put an incident into the project's ledger, and a decision that it holds."""
    ledger = Ledger(load_project(root).locations.ledger_url)
    migrate(load_project(root).locations.ledger_url)
    start, end = WINDOW.start, WINDOW.end
    ledger.open_incident(
        Incident(KEY, "order_facts", start, end, ("amount",), 3, "amount *jumped*", "returns")
    )
    key, evidence = decision_key("returns", "1", WINDOW), {"incidents": [KEY]}
    ledger.decide(
        Decision(key, "returns", "1", start, end, verdict, "drift_share", "3", evidence, None, "r", AT, KEY)
    )
    return ledger


def ask(root: Path) -> Ask:
    task = project_dags(root)["keepfit__incident"].get_task("ask")
    assert isinstance(task, Ask)
    task.asked = {"root": str(root), "incident": KEY}
    return task


def event(option: str, why: Any) -> dict[str, Any]:
    """What Airflow itself hands to a task that it wakes."""
    detail = HITLDetail(
        options=["Fault", "Real"],
        subject="?",
        chosen_options=[option],
        params_input={"why": why},
        responded_at=AT,
        responded_by={"id": "7", "name": "ann"},
    )
    return detail.as_resume_event_payload(timedout=False)


def test_the_incident_is_found_asked_about_and_released_in_that_order(shop: Path) -> None:
    dag = project_dags(shop)["keepfit__incident"]
    edges = {(task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids}
    assert edges == {("find", "ask"), ("ask", "release"), ("release", "trigger_training")}
    assert dag.max_active_runs > 1
    assert dag.get_task("ask").execution_timeout is None


def test_a_monitor_starts_each_incident_s_run_once_whoever_sees_it(shop: Path, run_dag: "RunDag") -> None:
    keys = [f"{shop.name}:a", f"{shop.name}:b"]
    (shop / "dags" / "watch.py").write_text(dedent(MONITOR).format(keys=keys))
    for _ in range(2):
        assert run_dag(shop, "watch").state == "success"
    for key in keys:
        (run,) = DagRun.find(dag_id="keepfit__incident", run_id=incident_run_id(key))
        assert run.conf == {"incident": key}


def test_a_window_without_an_incident_starts_none(shop: Path, run_dag: "RunDag") -> None:
    (shop / "dags" / "watch.py").write_text(dedent(MONITOR).format(keys=[]))
    done = run_dag(shop, "watch")
    assert (done.state, done.tasks["trigger_incident"]) == ("success", "skipped")


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"incident": "order_fact:x"}, "There is no incident 'order_fact:x'."),
        ({}, "The run names no incident. Give `incident`, a key of `keepfit incidents`."),
        ({"incidnt": KEY}, "conf key 'incidnt' is not taken by keepfit__incident. Did you mean 'incident'?"),
    ],
)
def test_a_run_that_names_no_incident_of_the_ledger_is_refused(
    shop: Path, run_dag: "RunDag", conf: dict[str, str], words: str
) -> None:
    open_case(shop)
    run = run_dag(shop, "keepfit__incident", conf, only="find")
    assert run.tasks["find"] == "failed"
    assert words in run.log


def test_the_question_waits_as_long_as_it_takes(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **given: asked.update(given)
    )
    open_case(shop)
    with pytest.raises(TaskAwaitingInput) as parked:
        ask(shop).execute({"task_instance": SimpleNamespace(id="1")})  # type: ignore[typeddict-item]
    assert parked.value.timeout is None
    assert asked["subject"] == "Is order_facts broken? 1 model waits for an answer"
    assert "- amount \\*jumped\\*\n" in asked["body"]
    assert "held, to be trained if it is real (1): returns" in asked["body"]
    assert (asked["options"], asked["defaults"]) == (["Fault", "Real"], None)


def test_an_answer_is_recorded_with_who_and_why_and_the_first_one_stands(shop: Path) -> None:
    ledger = open_case(shop)
    task = ask(shop)
    with pytest.raises(ConfError, match="is answered fault without a reason"):
        task.execute_complete({}, event("Fault", None))
    for _ in range(2):
        assert task.execute_complete({}, event("Fault", "the till\n was down")) == task.asked
    assert ledger.incident_answers()[KEY] == IncidentAnswer(KEY, "fault", "ann", "the till was down", AT)
    with pytest.raises(DecisionError, match="The first answer stands; ann's, real, is not taken"):
        task.execute_complete({}, event("Real", "no"))
    assert task.execute({}) == task.asked


def answered(root: Path, answer: Any, verdict: Any = "held") -> None:
    open_case(root, verdict).answer_incident(IncidentAnswer(KEY, answer, "ann", "new prices", AT))


def test_real_starts_a_held_training_once_with_its_own_run_id(shop: Path, run_dag: "RunDag") -> None:
    answered(shop, "real")
    runs = [run_dag(shop, "keepfit__incident", {"incident": KEY}) for _ in range(2)]
    assert [run.state for run in runs] == ["success", "success"]
    (training,) = DagRun.find(dag_id="returns__train", run_id=f"decision__{WINDOW.key}")
    assert training.conf == {
        "as_of": "2024-01-08T00:00:00+00:00",
        "reason": f"incident {KEY} is real: new prices",
        "decision": decision_key("returns", "1", WINDOW),
    }


@pytest.mark.parametrize(("answer", "verdict"), [("fault", "held"), ("real", "blocked")])
def test_a_fault_or_broken_data_starts_nothing(
    shop: Path, run_dag: "RunDag", answer: str, verdict: str
) -> None:
    answered(shop, answer, verdict)
    before = len(DagRun.find(dag_id="returns__train"))
    run = run_dag(shop, "keepfit__incident", {"incident": KEY})
    assert (run.state, run.tasks["trigger_training"]) == ("success", "skipped")
    assert len(DagRun.find(dag_id="returns__train")) == before
