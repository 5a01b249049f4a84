"""A real Airflow for the DAG tests: its home and database are set before anything imports it."""

import atexit
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

_HOME = Path(tempfile.mkdtemp(prefix="keepfit_airflow_"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME}/airflow.db",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL="error",
)

DAG_FILE = (Path(__file__).parents[2] / "dags" / "keepfit_dags.py").read_text()
"""The example's own; a test project gets the same one."""

SHOP = {
    "keepfit.yaml": """
        project: shop
        database: sqlite
        """,
    "datasets/orders.yaml": """
        name: orders
        description: What was sold.
        source: {type: files, path: "data/orders.parquet"}
        columns: {order_id: string, customer: string, ordered_at: timestamp, amount: float64, returned: bool}
        key: [order_id]
        event_time: ordered_at
        schedule: "@daily"
        start: 2024-01-01
        catchup: true
        feature_views: [order_facts]
        retries: 4
        timeout: 20m
        """,
    "datasets/spending.yaml": """
        name: spending
        source: {type: datasets, inputs: [orders], lookback: 7d}
        key: [customer]
        event_time: event_time
        transform: spending
        """,
    "transforms/spending.sql": "SELECT customer, ordered_at AS event_time, amount FROM orders",
    "models/returns.yaml": """
        name: returns
        description: Will it be sent back?
        task: classification
        entities: {dataset: orders, columns: [customer], known: [amount]}
        features: returns
        label: {column: returned, delay: 1d}
        train:
          holdout: 14d
          calendar: "0 3 * * 1"
          candidates:
            - {trainer: sklearn, estimator: sklearn.linear_model.LogisticRegression}
            - {trainer: lightgbm}
        evaluate: {objective: roc_auc}
        """,
}

WriteProject = Callable[..., Path]


@pytest.fixture
def write_project(tmp_path: Path) -> WriteProject:
    """Write a project's files under `feature_repo/`, and its DAG file; return its root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "feature_repo" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        dag_file = tmp_path / "dags" / "keepfit_dags.py"
        dag_file.parent.mkdir(exist_ok=True)
        dag_file.write_text(DAG_FILE)
        return tmp_path

    return write


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    """A project of two datasets, one computed from the other, and a model."""
    return write_project(SHOP)


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    run_id: str
    state: str
    tasks: Mapping[str, str | None]
    log: str


RunDag = Callable[..., Run]


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Make Airflow's database."""
    from airflow.utils.db import initdb

    with _airflow_s_warnings_ignored():
        initdb()


@pytest.fixture
def run_dag(
    airflow_database: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> RunDag:
    """Run a DAG once, in this process, through Airflow's own task runner and execution API."""

    def run(
        root: Path,
        dag_id: str,
        conf: dict[str, Any] | None = None,
        at: datetime | None = None,
        *,
        only: str | None = None,
        retries: bool = False,
    ) -> Run:
        from airflow.dag_processing.dagbag import DagBag

        bundle = {
            "name": "keepfit",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(root / "dags")},
        }
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
        capsys.readouterr()
        with _airflow_s_warnings_ignored():
            bag = DagBag(dag_folder=str(root / "dags"), bundle_name="keepfit")
            assert bag.import_errors == {}
            dag = bag.dags[dag_id]
            if not retries:
                for task in dag.tasks:
                    vars(task).get("partial_kwargs", vars(task))["retries"] = 0
            others = f"(?!{only}$).*" if only else None
            ended = dag.test(run_conf=conf, logical_date=at, mark_success_pattern=others)
            tasks = {instance.task_id: instance.state for instance in ended.get_task_instances()}
        return Run(ended.run_id, str(ended.state), tasks, capsys.readouterr().out)

    return run


@contextmanager
def _airflow_s_warnings_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
