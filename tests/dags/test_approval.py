"""The question whether a version may go live: when it is asked, and what an answer leaves behind."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.hitl import HITLDetail
from airflow.sdk.exceptions import TaskAwaitingInput

from keepfit.airflow import project_dags
from keepfit.airflow.approval import Approve
from keepfit.ledger import Approval, Ledger, migrate
from keepfit.pipeline.approval import ApprovalRun
from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.spec import load_project

MODEL = "feature_repo/models/returns.yaml"
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
ASKING = (
    "        promotion: approval\n        approval: {timeout: 5h, default: approve, assignees: [ann, bob]}\n"
)


def registered(root: Path, *, promotion: str = "auto", verdict: str = "pass") -> Snapshot:
    """A training run as it is when its version has just been registered."""
    project = load_project(root)
    migrate(project.locations.ledger_url)
    settings = {"promotion": promotion, "reason": None, "decision": None}
    taken = take_snapshot(project, "returns__train", "run-1", model="returns", settings=settings)
    taken.folder.write("gate", {"verdict": verdict, "reasons": ["it is *better*"], "comparison": None})
    taken.folder.write("registered", {"version": "3", "verdict": verdict})
    with taken.folder.staged("model_card.md") as card:
        card.write_text("# returns, version 3\n")
    return taken


def approve(taken: Snapshot) -> Approve:
    task = project_dags(taken.root)["returns__train"].get_task("approve")
    assert isinstance(task, Approve)
    task.work = {"folder": str(taken.folder.path), "version": "3"}
    return task


def event(user: str | None, option: str, why: Any = None, *, timedout: bool = False) -> dict[str, Any]:
    """What Airflow itself hands to a task that it wakes."""
    detail = HITLDetail(
        options=["Approve", "Reject"],
        subject="?",
        chosen_options=[option],
        params_input={"why": why},
        responded_at=AT,
        responded_by={"id": user, "name": user} if user else None,
    )
    return detail.as_resume_event_payload(timedout=timedout)


def approvals(taken: Snapshot) -> list[Approval]:
    return Ledger(taken.locations.ledger_url).approvals("returns")


@pytest.fixture
def asking(shop: Path) -> Path:
    """The shop, whose model asks for approval."""
    file = shop / MODEL
    file.write_text(file.read_text() + ASKING.replace("        ", ""))
    return shop


def test_a_training_asks_between_registering_and_deploying_unless_it_never_deploys(asking: Path) -> None:
    task = project_dags(asking)["returns__train"].get_task("approve")
    assert isinstance(task, Approve)
    assert (task.upstream_task_ids, task.downstream_task_ids) == ({"register"}, {"deploy"})
    file = asking / MODEL
    file.write_text(file.read_text().replace("promotion: approval", "promotion: never"))
    never = project_dags(asking)["returns__train"]
    assert not never.has_task("approve")
    assert never.get_task("deploy").upstream_task_ids == {"register"}


@pytest.mark.parametrize(
    ("spec", "run", "asked"),
    [
        ("auto", "auto", False),
        ("auto", "approval", True),
        ("auto", "replace", False),
        ("auto", "never", False),
        ("approval", "auto", True),
        ("approval", "approval", True),
        ("approval", "replace", True),
        ("approval", "never", False),
        ("never", "approval", False),
    ],
)
def test_a_run_may_ask_for_more_caution_than_its_model_and_never_for_less(
    asking: Path, spec: str, run: str, *, asked: bool
) -> None:
    file = asking / MODEL
    file.write_text(file.read_text().replace("promotion: approval", f"promotion: {spec}"))
    assert (ApprovalRun(registered(asking, promotion=run)).question() is not None) is asked


def test_a_version_the_gate_refused_is_not_asked_about(asking: Path) -> None:
    taken = registered(asking, verdict="fail")
    task = approve(taken)
    assert task.execute({}) == task.work
    assert approvals(taken) == []


def test_the_question_shows_the_gate_s_report_and_the_card_for_as_long_as_the_model_says(
    asking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **given: asked.update(given)
    )
    with pytest.raises(TaskAwaitingInput) as parked:
        approve(registered(asking)).execute({"task_instance": SimpleNamespace(id="1")})  # type: ignore[typeddict-item]
    assert parked.value.timeout == timedelta(hours=5)
    assert asked["subject"] == "Shall version 3 of returns go live?"
    assert asked["body"] == (
        "The gate lets version 3 pass:\n\n- it is \\*better\\*\n\n---\n\n# returns, version 3\n"
    )
    assert asked["defaults"] == ["Approve"]
    assert asked["assigned_users"] == [{"id": "ann", "name": "ann"}, {"id": "bob", "name": "bob"}]


def test_an_approval_is_recorded_once_with_who_and_why(asking: Path) -> None:
    taken = registered(asking)
    task = approve(taken)
    for _ in range(2):
        assert task.execute_complete({}, event("ann", "Approve", " looks\n good ")) == task.work
    assert approvals(taken) == [Approval("returns", "3", "run-1", "approved", "ann", "looks good", AT)]
    assert ApprovalRun(taken).refusal() is None


def test_a_task_that_is_tried_again_asks_no_second_time_until_it_is_cleared(
    asking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **_: None)
    task = approve(registered(asking))

    def context(cleared: int) -> Any:
        return {"task_instance": SimpleNamespace(id="1"), "dag_run": SimpleNamespace(clear_number=cleared)}

    with pytest.raises(TaskAwaitingInput):
        task.execute(context(0))
    task.execute_complete(context(0), event("ann", "Approve"))
    assert task.execute(context(0)) == task.work
    with pytest.raises(TaskAwaitingInput):
        task.execute(context(1))


def test_a_rejection_says_who_refused_and_why(asking: Path) -> None:
    taken = registered(asking)
    assert ApprovalRun(taken).refusal() == (
        "it awaits approval. To approve of it, run `keepfit release returns --version 3`"
    )
    approve(taken).execute_complete({}, event("bob", "Reject", "too risky"))
    assert approvals(taken)[0].answer == "rejected"
    assert ApprovalRun(taken).refusal() == "bob rejected it: too risky"


def test_without_an_answer_in_time_the_default_counts_and_nobody_is_named(asking: Path) -> None:
    taken = registered(asking)
    approve(taken).execute_complete({}, event(None, "Approve", timedout=True))
    (said,) = approvals(taken)
    assert (said.answer, said.who) == ("approved", "time-out")
    assert said.why == "nobody answered in time, and `approval.default` is approve"
