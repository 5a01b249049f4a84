"""The whole loop in a real Airflow, by REST: load, train, deploy, walk on, decay, decide, retrain.

The tests follow each other on one running project: the starter of `keepfit new`, whose data change
on 1 May 2024.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keepfit.backends.lake import Lake
from keepfit.cli.app import app
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.status import Status
from keepfit.embedded.stores import stores
from keepfit.ledger import Decision, Ledger
from keepfit.spec import Window, load_project

pytestmark = pytest.mark.e2e

CLICKS = """
name: clicks
source: {type: files, path: data/clicks.csv}
columns: {click: string, seen: timestamp, amount: int64}
key: [click]
event_time: seen
schedule: "@daily"
start: 2024-01-01
"""
LATELY = """
name: lately
source: {type: datasets, inputs: [clicks], lookback: 1d}
key: [day]
event_time: day
transform: lately
"""
DAYS = 2
FIRST = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 5, 6, tzinfo=UTC))
WEEK = timedelta(days=7)


def conf_of(window: Window) -> dict[str, str]:
    return {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}


@pytest.fixture(scope="module")
def project(project: Path) -> Path:
    """The starter, and two small datasets of which one looks a day back at the other."""
    repo = project / "feature_repo"
    (repo / "transforms").mkdir()
    (repo / "transforms" / "lately.sql").write_text(
        "SELECT $window_start AS day, sum(amount) AS total FROM clicks"
    )
    for name, text in (("clicks", CLICKS), ("lately", LATELY)):
        (repo / "datasets" / f"{name}.yaml").write_text(text)
    rows = [f"c{day},2024-01-0{day} 12:00:00,{10**day}" for day in range(1, DAYS + 1)]
    (project / "data" / "clicks.csv").write_text("\n".join(["click,seen,amount", *rows, ""]))
    return project


@pytest.fixture(scope="module")
def ledger(up: Status) -> Iterator[Ledger]:
    with stores(load_project(up.home.parent)) as locations:
        yield Ledger(locations.ledger_url)


def succeed(airflow: AirflowClient, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    airflow.unpause(dag_id)
    airflow.trigger(dag_id, run_id, conf)
    state = airflow.wait(dag_id, run_id)
    assert state == "success", airflow.failure(dag_id, run_id)


def await_decision(ledger: Ledger, airflow: AirflowClient, window: Window) -> Decision:
    for _ in range(1000):
        for decision in ledger.decisions("returns"):
            if decision.window == window:
                return decision
        failed = [run for run in airflow.runs("returns__monitor") if run["state"] == "failed"]
        assert not failed, airflow.failure("returns__monitor", failed[0]["dag_run_id"])
        time.sleep(0.5)
    raise AssertionError(f"no decision about {window.key}")


def test_a_conf_of_the_wrong_type_is_refused_by_airflow(airflow: AirflowClient) -> None:
    airflow.unpause("returns__train")
    body = {"logical_date": None, "dag_run_id": "wrong", "conf": {"promotion": "perhaps"}}
    answer = airflow.call("POST", "/dags/returns__train/dagRuns", json=body)
    assert answer.status_code == 400
    assert "perhaps" in answer.text
    assert airflow.runs("returns__train") == []


def test_an_unknown_key_of_the_conf_is_refused_by_name(
    airflow: AirflowClient, up: Status, ledger: Ledger
) -> None:
    airflow.trigger("returns__train", "unknown", {"as_off": FIRST.end.isoformat()})
    assert airflow.wait("returns__train", "unknown") == "failed"
    assert "'as_off' is not taken by returns__train. Did you mean 'as_of'?" in airflow.failure(
        "returns__train", "unknown"
    )
    assert not (up.home / "runs" / "returns__train" / "unknown").exists()
    assert ledger.trainings("returns") == []


def question(airflow: AirflowClient, dag_id: str, run_id: str) -> dict[str, Any]:
    """What a human is asked, as soon as it is asked."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}"
    for _ in range(1000):
        asked = airflow.get(f"{path}/hitlDetails")["hitl_details"]
        # The question is there a little before its task waits for the answer.
        if asked and airflow.get(f"{path}/taskInstances/approve")["state"] == "awaiting_input":
            found: dict[str, Any] = asked[0]
            return found
        assert airflow.get(path)["state"] != "failed", airflow.failure(dag_id, run_id)
        time.sleep(0.5)
    raise AssertionError(f"{run_id} of {dag_id} asks nobody")


def test_a_first_training_goes_live_when_it_is_approved_of_by_rest(
    airflow: AirflowClient, up: Status, ledger: Ledger
) -> None:
    for dag_id in ("returns__predict", "returns__monitor"):
        airflow.unpause(dag_id)
    succeed(airflow, "orders__ingest", "first", conf_of(FIRST))
    assert ledger.covers("orders", FIRST)
    conf = {"as_of": FIRST.end.isoformat(), "reason": "the first", "promotion": "approval"}
    airflow.trigger("returns__train", "first", conf)
    asked = question(airflow, "returns__train", "first")
    assert asked["subject"] == "Shall version 1 of returns go live?"
    assert "is better than the baseline's" in asked["body"]
    assert "# returns, version 1" in asked["body"]
    assert ledger.live("returns") is None
    path = "/dags/returns__train/dagRuns/first/taskInstances/approve/-1/hitlDetails"
    said = {"chosen_options": ["Approve"], "params_input": {"why": "looks good"}}
    time.sleep(2)  # Nobody reads faster; Airflow may ask again what is answered before it has settled.
    answer = airflow.call("PATCH", path, json=said)
    assert answer.status_code == 200, answer.text
    assert airflow.wait("returns__train", "first") == "success", airflow.failure("returns__train", "first")
    (training,) = ledger.trainings("returns")
    assert training.verdict == "pass"
    live = ledger.live("returns")
    assert live is not None
    assert (live.from_version, live.to_version) == (None, training.version)
    assert live.who == up.user
    assert live.why.startswith(f"the first; approved by {up.user}: looks good; ")


def test_decay_is_noticed_and_retrains_exactly_once(airflow: AirflowClient, ledger: Ledger) -> None:
    decision = None
    for number in range(7):
        week = Window(FIRST.end + number * WEEK, FIRST.end + (number + 1) * WEEK)
        succeed(airflow, "orders__ingest", week.key, conf_of(week))
        decision = await_decision(ledger, airflow, week)
        assert decision.reason
        if decision.verdict == "retrain":
            break
    assert decision is not None
    assert decision.verdict == "retrain"
    assert decision.run_id is not None
    assert airflow.wait("returns__train", decision.run_id) == "success", airflow.failure(
        "returns__train", decision.run_id
    )
    training = next(each for each in ledger.trainings("returns") if each.run_id == decision.run_id)
    assert training.decision_key == decision.key
    assert training.verdict in ("pass", "fail", "undecided")


def test_a_cleared_monitor_run_decides_the_same_and_trains_no_more(
    airflow: AirflowClient, ledger: Ledger
) -> None:
    (before,) = [each for each in ledger.decisions("returns") if each.verdict == "retrain"]
    trainings = [run["dag_run_id"] for run in airflow.runs("returns__train")]
    run_id = before.decided_by
    answer = airflow.call("POST", f"/dags/returns__monitor/dagRuns/{run_id}/clear", json={"dry_run": False})
    assert answer.status_code == 200, answer.text
    assert airflow.wait("returns__monitor", run_id) == "success", airflow.failure("returns__monitor", run_id)
    assert [each for each in ledger.decisions("returns") if each.verdict == "retrain"] == [before]
    assert [run["dag_run_id"] for run in airflow.runs("returns__train")] == trainings


def test_a_window_that_arrives_twice_at_once_is_published_once(
    airflow: AirflowClient, ledger: Ledger
) -> None:
    window = Window(FIRST.start, FIRST.start + WEEK)
    for run_id in ("twice_a", "twice_b"):
        airflow.trigger("orders__ingest", run_id, conf_of(window))
    for run_id in ("twice_a", "twice_b"):
        assert airflow.wait("orders__ingest", run_id) == "success", airflow.failure("orders__ingest", run_id)
    rows = [each.rows for each in ledger.publications("orders") if each.window_end == window.end]
    assert set(rows) == {7 * 60}


def lately(up: Status) -> dict[int, int]:
    """What is published of the first days, by day."""
    lake = Lake(load_project(up.home.parent).locations.lake)
    rows = lake.dataset("lately").to_table().to_pylist() if lake.exists("lately") else []
    return {row["day"].day: row["total"] for row in rows if row["day"].year == 2024}


def test_a_backfill_from_the_last_day_to_the_first_ends_in_the_rows_of_an_ordered_run(
    airflow: AirflowClient, up: Status
) -> None:
    for dag_id in ("clicks__ingest", "lately__ingest"):
        airflow.unpause(dag_id)
    body = {
        "dag_id": "clicks__ingest",
        "from_date": "2024-01-01T00:00:00Z",
        "to_date": f"2024-01-0{DAYS}T00:00:00Z",
        "run_backwards": True,
        "max_active_runs": 1,
    }
    answer = airflow.call("POST", "/backfills", json=body)
    assert answer.status_code == 200, answer.text
    # Day 1 has none before it; each other one has the day before, which was loaded after it.
    expected = {1: 10} | {day: 10**day + 10 ** (day - 1) for day in range(2, DAYS + 1)}
    for _ in range(1000):
        if lately(up) == expected:
            break
        time.sleep(0.5)
    assert lately(up) == expected
    backfilled = [run for run in airflow.runs("clicks__ingest") if run["run_type"] == "backfill"]
    assert [run["state"] for run in backfilled] == ["success"] * DAYS
    again = [run for run in airflow.runs("lately__ingest") if run["dag_run_id"].startswith("recompute__")]
    assert len(again) == DAYS - 1
    for run in again:
        assert airflow.wait("lately__ingest", run["dag_run_id"]) == "success"


def test_an_applied_dataset_has_its_dag_at_once(airflow: AirflowClient, up: Status) -> None:
    root = up.home.parent
    (root / "feature_repo" / "datasets" / "visits.yaml").write_text(CLICKS.replace("clicks", "visits"))
    applied = CliRunner().invoke(app, ["apply", "--root", str(root)])
    assert applied.exit_code == 0, applied.output
    assert "+ dataset visits\n" in applied.output
    assert "  Airflow reads the project again\n" in applied.output
    airflow.unpause("visits__ingest")
