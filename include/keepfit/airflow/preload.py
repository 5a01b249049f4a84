"""What tasks are forked from has it all imported: `[core] mp_forkserver_preload = keepfit.airflow.preload`.

Airflow's task stack must be among it: a preload of the heavy libraries alone makes each task slower than
none. Nothing here may open a connection or start a thread, since neither survives a fork.
`python -m keepfit.airflow.preload` says what does not import; `multiprocessing` itself would swallow it.
"""

import gc
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

# When it is imported it asks every module that is loaded by then for every function of scipy.special.
_FIRST = ("skops.io",)
_AIRFLOW = (
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.importers.python_importer",
    "airflow.serialization.serialized_objects",
    "airflow.models.dagrun",
    "airflow.models.dag",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.openlineage.plugins.openlineage",
    "jinja2.ext",
    "croniter",
    "cron_descriptor",
)
_OURS = ("keepfit.backends", "keepfit.ledger", "keepfit.pipeline", "keepfit.policy", "keepfit.steps")
_LAZY = (
    "keepfit.airflow.access",
    "keepfit.airflow.executor",
    "keepfit.airflow.factory",
    "feast.infra.online_stores.sqlite",
    "feast.infra.registry.sql",
    "git",
    "ibis.backends.duckdb",
    "lightgbm",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracing.provider",
    "plotly.graph_objs",
    "plotly.offline",
    "plotly.validators",
    "psycopg2",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlglot.dialects.duckdb",
    "xgboost",
)
"""What is imported only when it is first used."""
_NEEDED_BY_NONE = ("keepfit.ledger.migrations",)
_OPTIONAL = ("airflow.providers.openlineage", "openlineage", "s3fs", "xgboost")
"""Packages of extras; what needs one that is not installed is left out."""


def preload() -> dict[str, str]:
    """Import everything a task may need; return what does not import, with the reason."""
    # At import it tells of every function it does not document: a hundred lines.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    failures = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*_FIRST, *_AIRFLOW, *_LAZY, *_modules()):
            try:
                import_module(name)
            except Exception as error:  # noqa: BLE001 - what breaks must not cost the others their preload
                if getattr(error, "name", None) not in _OPTIONAL:
                    failures[name] = f"{type(error).__name__}: {error}"
        _load_lazy_names()
    return failures


def _modules() -> Iterator[str]:
    for package in _OURS:
        yield package
        for found in walk_packages(import_module(package).__path__, f"{package}."):
            if not found.name.startswith(_NEEDED_BY_NONE):
                yield found.name


def _load_lazy_names() -> None:
    """Airflow's SDK loads its names one by one when they are asked for."""
    import airflow.sdk

    for name in airflow.sdk.__all__:
        getattr(airflow.sdk, name, None)


FAILURES = preload()
# Objects that the collector never touches again stay shared between the forked processes.
gc.freeze()

if __name__ == "__main__":
    raise SystemExit("\n".join(f"{name}: {reason}" for name, reason in FAILURES.items()) or None)
