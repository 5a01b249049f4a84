"""The embedded executor with real processes: their tasks ask an API server that never answers."""

import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from uuid import uuid4

import psutil
import pytest
from airflow.executors.workloads.base import BundleInfo
from airflow.executors.workloads.task import ExecuteTask, TaskInstanceDTO
from airflow.utils.state import TaskInstanceState

from keepfit.airflow.executor import LocalExecutor
from keepfit.embedded.credentials import credentials
from keepfit.embedded.ports import Ports
from keepfit.embedded.settings import airflow_environment
from keepfit.spec import Locations, ProjectSpec


def task(name: str) -> ExecuteTask:
    """What the scheduler hands to its executor."""
    ti = TaskInstanceDTO(
        id=uuid4(),
        dag_version_id=uuid4(),
        task_id=name,
        dag_id="returns__monitor",
        run_id="run",
        try_number=1,
        map_index=-1,
        queue="default",
        pool_slots=1,
        priority_weight=1,
    )
    return ExecuteTask(
        ti=ti, dag_rel_path=Path("x.py"), bundle_info=BundleInfo(name="keepfit"), log_path=None, token=name
    )


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    """One of two slots."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/execution/"
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", url)
        made = LocalExecutor(parallelism=2)  # type: ignore[no-untyped-call]
        made.start()
        before = psutil.Process().children()
        yield made
        # Not by their titles: one that has only just begun has none yet.
        for process in set(psutil.Process().children()) - set(before):
            process.kill()
        made.end()


def hand(executor: LocalExecutor, *names: str) -> list[ExecuteTask]:
    handed = [task(name) for name in names]
    for each in handed:
        executor.queued_tasks[each.key] = each
    executor.heartbeat()
    return handed


def process_of(workload: ExecuteTask) -> psutil.Process:
    for _ in range(2400):
        for process in psutil.Process().children():
            # One that has ended tells no title.
            with suppress(psutil.NoSuchProcess):
                if str(workload.ti.id) in " ".join(process.cmdline()):
                    return process
        time.sleep(0.05)
    raise AssertionError(f"no process runs {workload.ti.task_id}")


def test_a_killed_process_is_told_as_failed_and_the_next_task_takes_its_slot(executor: LocalExecutor) -> None:
    first, second, third = hand(executor, "first", "second", "third")
    assert executor.running == {first.key, second.key}
    assert list(executor.queued_tasks) == [third.key]
    process_of(first).kill()
    for _ in range(2400):
        executor.heartbeat()
        if executor.event_buffer:
            break
        time.sleep(0.05)
    assert executor.get_event_buffer() == {first.key: (TaskInstanceState.FAILED, None)}
    executor.heartbeat()
    assert executor.running == {second.key, third.key}
    assert process_of(third).is_running()


class SamePid(multiprocessing.Process):
    """What a process looks like that got the pid of one that has ended, and been reaped."""

    @property
    def pid(self) -> int:
        return 4711


def test_a_task_is_told_of_though_a_later_process_got_the_pid_of_its_own(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepfit.airflow.executor.multiprocessing.Process", SamePid)
    first, second = hand(executor, "first", "second")
    for each in (first, second):
        process_of(each).kill()
    told: dict[Any, Any] = {}
    for _ in range(2400):
        executor.heartbeat()
        told |= executor.get_event_buffer()
        if not executor.running:
            break
        time.sleep(0.05)
    assert told == dict.fromkeys((first.key, second.key), (TaskInstanceState.FAILED, None))


def test_the_slots_are_counted_by_what_runs(executor: LocalExecutor) -> None:
    assert executor.slots_available == 2
    hand(executor, "first")
    assert executor.slots_available == 1


def test_the_embedded_airflow_uses_this_executor(tmp_path: Path) -> None:
    locations = Locations.resolve(ProjectSpec(project="shop"), tmp_path, {})
    told = airflow_environment(locations, "sqlite://", Ports(8101, 8102), credentials(tmp_path), slots=4)
    assert resolve_name(told["AIRFLOW__CORE__EXECUTOR"]) is LocalExecutor
