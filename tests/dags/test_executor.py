"""What was handed to a worker that is no more: asked back by the scheduler, as Airflow does it."""

from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.taskinstancekey import TaskInstanceKey

from keepfit.airflow.executor import LocalExecutor
from keepfit.embedded.credentials import credentials
from keepfit.embedded.ports import Ports
from keepfit.embedded.settings import airflow_environment
from keepfit.spec import Locations, ProjectSpec

TASK = TaskInstanceKey("returns__monitor", "snapshot", "run", 1, -1)
TI: Any = SimpleNamespace(key=TASK)


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    made: Any = LocalExecutor(parallelism=4)  # type: ignore[no-untyped-call]
    made.start()
    yield made
    made.activity_queue.close()
    made.result_queue.close()


def test_a_task_that_no_worker_has_begun_is_given_back_with_its_slot(executor: LocalExecutor) -> None:
    executor.running.add(TASK)
    assert executor.slots_available == 3
    executor.revoke_task(ti=TI)
    assert executor.slots_available == 4


def test_a_task_that_a_worker_may_take_yet_is_kept(executor: LocalExecutor) -> None:
    executor.running.add(TASK)
    executor.activity_queue.put(None)
    with pytest.raises(NotImplementedError):
        executor.revoke_task(ti=TI)
    assert executor.slots_available == 3


def test_the_embedded_airflow_asks_this_executor_before_long(tmp_path: Path) -> None:
    locations = Locations.resolve(ProjectSpec(project="shop"), tmp_path, {})
    told = airflow_environment(locations, "sqlite://", Ports(8101, 8102), credentials(tmp_path), slots=4)
    assert resolve_name(told["AIRFLOW__CORE__EXECUTOR"]) is LocalExecutor
    assert float(told["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) <= 180
