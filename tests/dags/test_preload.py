"""What tasks are forked from has every library a task needs, and neither threads nor failures."""

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys, threading
from keepfit.airflow import preload
found = {"failures": preload.FAILURES, "threads": threading.active_count(), "modules": [*sys.modules]}
print(json.dumps(found))
"""
NEEDED = {
    "airflow.sdk.execution_time.task_runner",
    "deltalake",
    "duckdb",
    "evidently",
    "feast",
    "great_expectations",
    "keepfit.airflow.factory",
    "keepfit.pipeline.training",
    "keepfit.steps.train",
    "lightgbm",
    "mlflow",
    "optuna",
    "pandas",
    "sklearn.linear_model",
    "skops.io",
}


@pytest.mark.slow
def test_everything_is_imported_and_no_thread_is_started() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == {}
    assert found["threads"] == 1
    assert NEEDED - set(found["modules"]) == set()


@pytest.mark.slow
def test_the_check_names_what_does_not_import() -> None:
    code = (
        "import runpy, sys; sys.modules['optuna'] = None; "
        "runpy.run_module('keepfit.airflow.preload', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "keepfit.backends.search: ModuleNotFoundError" in done.stderr
