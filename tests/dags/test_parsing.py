"""Parsing DAG files is light, builds no more than it must, and gives the same DAGs each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from keepfit.airflow import project_dags

HEAVY = {
    "boto3",
    "deltalake",
    "duckdb",
    "evidently",
    "feast",
    "great_expectations",
    "ibis",
    "lightgbm",
    "mlflow",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "sklearn",
    "skops",
    "xgboost",
}


def in_a_process_of_its_own(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


AIRFLOW_ONLY = """
from airflow.sdk import DAG, CronDataIntervalTimetable, task
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
with DAG("bare", schedule=CronDataIntervalTimetable("@daily", "UTC")) as dag:
    task(lambda: None, task_id="nothing")()
dag.validate()
"""
OURS = """
from pathlib import Path
from keepfit.airflow import project_dags
assert len(project_dags(Path({root!r}))) == 10
"""


def loaded_by(code: str) -> set[str]:
    show = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    return set(json.loads(in_a_process_of_its_own(code + show).splitlines()[-1]))


def test_building_the_dags_loads_no_heavy_library_and_none_that_airflow_does_not(shop: Path) -> None:
    ours = loaded_by(OURS.format(root=str(shop)))
    assert ours & HEAVY == set()
    more = ours - loaded_by(AIRFLOW_ONLY) - sys.stdlib_module_names
    assert {name for name in more if not name.startswith("_")} <= {"keepfit"}


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Airflow's own use of pathspec
def test_airflow_finds_the_dags_and_ignores_all_other_folders(shop: Path) -> None:
    ignore = Path(__file__).parents[2] / ".airflowignore"
    (shop / ".airflowignore").write_text(ignore.read_text())
    (shop / "plugins").mkdir()
    (shop / "plugins" / "airflow_dag.py").write_text("raise RuntimeError('read as a DAG file')")
    bag = DagBag(dag_folder=str(shop), bundle_path=shop)
    assert bag.import_errors == {}
    assert len(bag.dags) == 10
    assert {dag.fileloc for dag in bag.dags.values()} == {str(shop / "dags" / "keepfit_dags.py")}


def test_a_task_s_process_builds_its_own_dag_alone(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted, dag in project_dags(shop).items():
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", wanted)
        (found,) = project_dags(shop).values()
        assert content(found) == content(dag)


def test_a_task_s_process_reads_no_other_spec(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "feature_repo" / "datasets" / "orders.yaml").write_text("broken: [")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "returns__train")
    assert set(project_dags(shop)) == {"returns__train"}


def test_an_invalid_dag_s_task_finds_its_dag(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "feature_repo" / "datasets" / "orders.yaml").write_text("broken: [")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "orders__invalid")
    assert set(project_dags(shop)) == {"orders__invalid"}


def test_the_same_specs_make_the_same_dag_versions(shop: Path) -> None:
    code = (
        "import json; from pathlib import Path; from keepfit.airflow import project_dags; "
        "from airflow.models.serialized_dag import SerializedDagModel as model; "
        "from airflow.serialization.serialized_objects import DagSerialization as dags; "
        f"print({{i: model.hash(dags.to_dict(d)) for i, d in project_dags(Path({str(shop)!r})).items()}})"
    )
    # Before the versions Airflow may have said something, with the time.
    first, second = (in_a_process_of_its_own(code, PYTHONHASHSEED=seed).splitlines()[-1] for seed in "12")
    assert first == second


def test_an_edit_makes_a_new_version_of_its_own_dags_only(shop: Path) -> None:
    before = {name: content(dag) for name, dag in project_dags(shop).items()}
    model = shop / "feature_repo" / "models" / "returns.yaml"
    model.write_text(model.read_text() + "retries: 3\n")
    changed = {name for name, dag in project_dags(shop).items() if content(dag) != before[name]}
    assert changed == {f"returns__{verb}" for verb in ("train", "predict", "monitor", "release", "replay")}


def test_an_edited_transform_makes_a_new_version(shop: Path) -> None:
    before = content(project_dags(shop)["spending__ingest"])
    (shop / "feature_repo" / "transforms" / "spending.sql").write_text("SELECT 1")
    assert content(project_dags(shop)["spending__ingest"]) != before


def test_a_dag_is_small_in_the_database(shop: Path) -> None:
    assert max(len(content(dag)) for dag in project_dags(shop).values()) < 25_000


def content(dag: DAG) -> str:
    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)
