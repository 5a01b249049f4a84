"""The one place that says how Airflow runs: for the embedded profile, and for `docker-compose.yaml`.

A test holds the compose file to `SHARED`. Reasons and measurements: `docs/decisions`.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from keepfit.embedded.credentials import USER, Credentials
from keepfit.embedded.ports import HOST, Ports
from keepfit.spec import Locations
from keepfit.spec.serving import SERVERS

PRELOAD = "keepfit.airflow.preload"
BUNDLE = "keepfit"

_NOT_DEFERRED = {"include_deferred": False}
SHARED: Mapping[str, str] = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__TEST_CONNECTION": "Disabled",
    "AIRFLOW__API__EXPOSE_CONFIG": "False",
    # The default of 1 s is most of the time between two tasks.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
    # A task's slot is often kept this long after the task has ended (benchmarks/README.md). Default: 5 s.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # At five times the pace, 3 of them would give an API server that restarts less time than before.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "6",
    # A task whose process was killed is retried after this, not after 5 minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # What a killed scheduler leaves is taken up by another, or by its successor, after this, not 5 minutes.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
    # An edit under feature_repo/ shows after about this long. The defaults: 30 s, 5 minutes for new files.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    # The default asks the name service, which stalls every process where there is none.
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its jobs are for language models and cost eight processes.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "FEAST_USAGE": "False",
    # The pools below exist wherever these settings hold, so the DAGs may use them.
    "KEEPFIT_POOLS": "1",
    # Threads that spin while they wait make tasks that share a machine 25-40 times slower.
    "OMP_WAIT_POLICY": "passive",
    "OMP_NUM_THREADS": "1",
}


def pools(slots: int) -> dict[str, dict[str, object]]:
    """Describe the pools the DAGs use, in the form of `airflow pools import`."""
    return {
        "keepfit_features": {
            "slots": 1,
            "description": "Writes to the online store, one at a time",
            **_NOT_DEFERRED,
        },
        "keepfit_training": {
            "slots": max(1, slots // 2),
            "description": "Trains a candidate",
            **_NOT_DEFERRED,
        },
    }


def airflow_environment(
    locations: Locations, database_url: str, ports: Ports, keys: Credentials, slots: int
) -> dict[str, str]:
    """Return what the embedded Airflow and MLflow are started with, beside the caller's own environment."""
    home = locations.home / "airflow"
    return {
        **SHARED,
        **locations.environment(),
        SERVERS: ports.serving_url if ports.serving else "",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "keepfit.airflow.executor.LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(slots),
        "AIRFLOW__CORE__DAGS_FOLDER": str(locations.root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(locations.root / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": keys.fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(keys.passwords),
        # Tasks would look for the API on port 8080 unless both are told.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ports.airflow_url}/execution/",
        "AIRFLOW__API__BASE_URL": ports.airflow_url,
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__SECRET_KEY": keys.secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": keys.jwt_secret,
        # Tasks fork from a process that has imported everything once.
        "AIRFLOW__SCHEDULER__MP_START_METHOD": "forkserver",
        "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD": PRELOAD,
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle(locations.root)]),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(locations.home / "logs" / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            locations.home / "logs" / "dag_processor"
        ),
        **_database(database_url),
    }


def bundle(root: Path) -> dict[str, object]:
    """Describe the project's root as a DAG bundle; its `.airflowignore` says which files hold DAGs.

    A project without one is read from its `dags/` only, or every Python file in it would be tried.
    """
    folder = root if (root / ".airflowignore").exists() else root / "dags"
    return {
        "name": BUNDLE,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder)},
    }


def process_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return a child's whole environment: the caller's, with changes, and this Python first in PATH."""
    environment = {**os.environ, **changes, "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
    )
    # Every task would compile every import anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _database(url: str) -> dict[str, str]:
    if not url.startswith("sqlite"):
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
    arguments = "keepfit.embedded.sqlite"
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_ENABLED": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": f"{arguments}.CONNECT_ARGS",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": f"{arguments}.CONNECT_ARGS",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    }
