"""MLflow, imported without its telemetry, its progress bars and its warnings of itself."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keepfit.errors import RegistryError

# MLflow reads these when it is imported, and pyfunc then warns of its own types.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

from mlflow.exceptions import MlflowException

# It tells of every database that it makes the tables of a database.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

__all__ = ["MlflowException", "mlflow", "tables_as_they_are", "told", "without_advice"]


@contextmanager
def tables_as_they_are() -> Iterator[None]:
    """Leave out that MLflow's tables, loaded with the first of these, use what SQLAlchemy has given up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        yield


@contextmanager
def without_advice() -> Iterator[None]:
    """Leave out MLflow's warnings that a local file is a local file, and that there is no input example."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted in multiple ways")
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        yield


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say what did not work, for MLflow's errors say only how."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{what}: {_first_line(error)}") from error


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
