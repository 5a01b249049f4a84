"""Which DAGs a project becomes, and what each looks like."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, CronTriggerTimetable, PartitionedAssetTimetable

from keepfit.airflow import champion_asset, dataset_asset, predictions_asset, project_dags


def edges(dag: DAG) -> set[tuple[str, str]]:
    return {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}


def chain(*tasks: str) -> set[tuple[str, str]]:
    return set(pairwise(tasks))


def outlets(dag: DAG) -> dict[str, list[str]]:
    return {task.task_id: [asset.uri for asset in task.outlets] for task in dag.tasks if task.outlets}


def woken_by(dag: DAG) -> Asset:
    assert isinstance(dag.timetable, PartitionedAssetTimetable)
    assert isinstance(dag.timetable.asset_condition, Asset)
    return dag.timetable.asset_condition


def test_every_dataset_and_model_becomes_its_dags(shop: Path) -> None:
    assert set(project_dags(shop)) == {
        "orders__ingest",
        "spending__ingest",
        "returns__train",
        "returns__predict",
        "returns__monitor",
        "returns__release",
        "returns__replay",
        "keepfit__apply",
        "keepfit__sweep",
        "keepfit__incident",
    }


def test_an_ingest_goes_from_the_source_to_the_online_store(shop: Path) -> None:
    dag = project_dags(shop)["orders__ingest"]
    assert edges(dag) == {
        *chain("snapshot", "extract", "check_schema", "validate", "transform", "publish", "materialize"),
        *chain("publish", "outdated", "recompute"),
    }
    assert outlets(dag) == {"publish": ["x-keepfit://datasets/orders"]}


def test_a_scheduled_ingest_works_on_data_intervals(shop: Path) -> None:
    dag = project_dags(shop)["orders__ingest"]
    assert isinstance(dag.timetable, CronDataIntervalTimetable)
    assert (dag.start_date, dag.catchup, dag.max_active_runs) == (datetime(2024, 1, 1, tzinfo=UTC), True, 1)


def test_a_computed_dataset_follows_its_first_input_and_has_nothing_to_materialize(shop: Path) -> None:
    dag = project_dags(shop)["spending__ingest"]
    assert woken_by(dag) == dataset_asset("orders")
    assert edges(dag) == chain(
        "snapshot", "wait_for_inputs", "extract", "transform", "publish", "outdated", "recompute"
    )


def test_a_training_goes_from_a_training_set_to_a_verified_champion(shop: Path) -> None:
    dag = project_dags(shop)["returns__train"]
    assert edges(dag) == chain(
        "snapshot",
        "build_training_set",
        "train",
        "evaluate",
        "gate",
        "register",
        "approve",
        "deploy",
        "verify",
    )
    assert dag.get_task("train").is_mapped
    assert outlets(dag) == {"deploy": ["x-keepfit://models/returns/champion"]}
    assert isinstance(dag.timetable, CronTriggerTimetable)
    assert dag.max_active_runs == 1


def test_predictions_follow_the_rows_to_predict(shop: Path) -> None:
    dag = project_dags(shop)["returns__predict"]
    assert woken_by(dag) == dataset_asset("orders")
    assert edges(dag) == chain("snapshot", "wait_for_features", "check_features", "predict")
    assert outlets(dag) == {"predict": ["x-keepfit://models/returns/predictions"]}


def test_monitoring_follows_the_predictions_and_ends_in_a_decision(shop: Path) -> None:
    dag = project_dags(shop)["returns__monitor"]
    assert woken_by(dag) == predictions_asset("returns")
    assert edges(dag) == {
        *chain("snapshot", "wait_for_labels", "join_labels", "measure", "detect_drift", "decide"),
        ("decide", "trigger_training"),
        *chain("decide", "incidents", "trigger_incident"),
        ("detect_drift", "draw_drift"),
    }


def test_a_challenger_is_trained_before_the_decision_where_a_verdict_may_hang_on_it(shop: Path) -> None:
    assert not project_dags(shop)["returns__monitor"].has_task("challenge")
    file = shop / "feature_repo" / "models" / "returns.yaml"
    policy = "policy: {rules: [{rule: any, of: [{rule: regret, cost: 1}]}]}\n"
    file.write_text(f"{file.read_text()}monitor: {{schedule: '@weekly'}}\n{policy}")
    dag = project_dags(shop)["returns__monitor"]
    assert {edge for edge in edges(dag) if "challenge" in edge} == set(
        chain("detect_drift", "challenge", "decide")
    )


def test_a_champion_is_watched_beside_the_rest_where_the_model_asks_for_it(shop: Path) -> None:
    assert not project_dags(shop)["returns__monitor"].has_task("watch")
    file = shop / "feature_repo" / "models" / "returns.yaml"
    file.write_text(file.read_text() + "watch: {period: 14d}\n")
    dag = project_dags(shop)["returns__monitor"]
    assert {edge for edge in edges(dag) if "watch" in edge} == {("wait_for_labels", "watch")}
    assert outlets(dag) == {"watch": ["x-keepfit://models/returns/champion"]}


def test_an_edit_goes_from_its_plan_to_the_trainings_it_asks_for(shop: Path) -> None:
    dag = project_dags(shop)["keepfit__apply"]
    assert edges(dag) == {
        *chain("plan", "check", "apply", "rematerialize", "decide", "trigger_training"),
        ("check", "decide"),
    }
    assert dag.get_task("rematerialize").is_mapped
    assert dag.params["allow_deletions"] is False


def test_what_is_woken_starts_unpaused_and_what_has_a_cron_as_airflow_is_set(shop: Path) -> None:
    assert {dag_id: dag.is_paused_upon_creation for dag_id, dag in project_dags(shop).items()} == {
        "orders__ingest": None,
        "spending__ingest": False,
        "returns__train": None,
        "returns__predict": False,
        "returns__monitor": False,
        "returns__release": False,
        "returns__replay": False,
        "keepfit__apply": False,
        "keepfit__sweep": None,
        "keepfit__incident": False,
    }


def test_no_dataset_is_called_like_a_model_s_asset() -> None:
    assert predictions_asset("churn").name != dataset_asset("churn_predictions").name
    assert champion_asset("churn").name != dataset_asset("churn_champion").name


def test_a_spec_sets_retries_timeout_and_owner(shop: Path) -> None:
    extract = project_dags(shop)["orders__ingest"].get_task("extract")
    assert (extract.retries, extract.execution_timeout, extract.owner) == (4, timedelta(minutes=20), "shop")


def test_pools_are_used_only_where_they_exist(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pools() -> tuple[str, str]:
        dags = project_dags(shop)
        return dags["orders__ingest"].get_task("materialize").pool, dags["returns__train"].get_task(
            "train"
        ).pool

    monkeypatch.delenv("KEEPFIT_POOLS", raising=False)
    assert pools() == ("default_pool", "default_pool")
    monkeypatch.setenv("KEEPFIT_POOLS", "1")
    assert pools() == ("keepfit_features", "keepfit_training")
