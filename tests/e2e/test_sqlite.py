"""The profile for one light user: everything in SQLite files, no database server."""

from pathlib import Path

import pytest

from keepfit.embedded.client import AirflowClient
from keepfit.embedded.postgres import Postgres
from keepfit.embedded.status import Status

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def project(project: Path) -> Path:
    spec = project / "feature_repo" / "keepfit.yaml"
    spec.write_text(spec.read_text().replace("database: embedded", "database: sqlite"))
    return project


def test_runs_that_are_asked_for_while_others_work_all_succeed(up: Status, airflow: AirflowClient) -> None:
    assert Postgres(up.home).pid() is None
    airflow.unpause("hello")
    runs = [f"run_{number}" for number in range(10)]
    for run in runs:
        # False: the first answer was 500 and yet the run was made, which the second try found.
        airflow.trigger("hello", run, {})
    assert [airflow.wait("hello", run) for run in runs] == ["success"] * 10
