"""A small project in a folder of its own, and a real `keepfit up` on it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keepfit.cli.new import new
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.status import Status
from keepfit.embedded.supervisor import status

HELLO = """
from airflow.sdk import DAG, task

with DAG("hello", schedule=None):

    @task
    def greet():
        import sys

        print("good morning")
        return sorted({"mlflow", "feast", "great_expectations", "evidently"} & set(sys.modules))

    greet()
"""

Keepfit = Callable[..., subprocess.CompletedProcess[str]]


def environment() -> dict[str, str]:
    """The caller's, without what other tests set for an Airflow of their own."""
    foreign = ("AIRFLOW", "KEEPFIT", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "keepfit", *arguments, "--root", str(project)]


@pytest.fixture(scope="session")
def keepfit() -> Keepfit:
    """Runs the `keepfit` command on a project."""

    def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(project, *arguments), env=environment(), capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def begin() -> Callable[[Path], subprocess.Popen[str]]:
    """Starts `keepfit up` on a project and does not wait for it."""

    def start(project: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(project, "up"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A new project: the starter's dataset and model, and one DAG that greets."""
    # Not pytest's own folder: as root the database is another user, whom any other pytest would lock out.
    with TemporaryDirectory(prefix="keepfit-e2e-") as folder:
        root = Path(folder) / "shop"
        new(root)
        (root / "dags" / "hello.py").write_text(HELLO)
        yield root


@contextmanager
def running(keepfit: Keepfit, project: Path) -> Iterator[Status]:
    try:
        begun = keepfit(project, "up")
        assert begun.returncode == 0, f"{begun.stdout}\n{begun.stderr}"
        yield status(project)
    finally:
        keepfit(project, "down")


@pytest.fixture(scope="module")
def up(keepfit: Keepfit, project: Path) -> Iterator[Status]:
    """The project's Airflow and MLflow, running."""
    with running(keepfit, project) as told:
        yield told


@pytest.fixture
def airflow(up: Status) -> Iterator[AirflowClient]:
    """A client of the running Airflow, wherever it listens by now."""
    now = status(up.home.parent)
    assert now.airflow_url
    with AirflowClient(now.airflow_url, now.user, now.password) as client:
        yield client
