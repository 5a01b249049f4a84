"""The embedded profile's executor: Airflow's local one, with a process of its own for each task."""

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from airflow.executors import local_executor
from airflow.executors.base_executor import BaseExecutor
from airflow.executors.workloads import ExecutorWorkload

if TYPE_CHECKING:
    from airflow.executors.workloads.types import WorkloadKey


# By this name Airflow knows it as local.
class LocalExecutor(local_executor.LocalExecutor):
    """Run each task in a process that ends with it, and tell the scheduler at once if it is killed.

    In Airflow's, workers take tasks from one queue. One that is killed while it waits keeps the queue's lock,
    and no task of this scheduler ever starts again, though it looks healthy. One that is killed before its
    task has begun leaves it queued for good, and with one run at a time all runs of its DAG wait behind it.
    """

    _begun: dict["WorkloadKey", tuple[ExecutorWorkload, BaseProcess]]

    def start(self) -> None:
        """Begin with nothing."""
        self._begun = {}

    def sync(self) -> None:
        """Tell of each task's process that has ended."""
        for key, (workload, process) in list(self._begun.items()):
            if process.exitcode is not None:
                del self._begun[key]
                state = workload.failure_state if process.exitcode else workload.success_state
                self.change_state(key, state)
                process.close()

    def end(self) -> None:
        """Wait for what runs."""
        for _, process in self._begun.values():
            process.join()
        self.sync()

    def _process_workloads(self, workload_list: Sequence[ExecutorWorkload]) -> None:
        queues: tuple[dict[Any, Any], ...] = (
            self.queued_tasks,
            self.queued_callbacks,
            self.queued_connection_tests,
        )
        for workload in workload_list:
            for queue in queues:
                queue.pop(workload.key, None)
            # By this the scheduler knows how many slots are left.
            self.running.add(workload.key)
            if workload.running_state is not None:
                self.change_state(workload.key, workload.running_state, remove_running=False)
            process = multiprocessing.Process(target=_run, args=(workload,))
            process.start()
            # Not by its pid: one that has ended is reaped as the next one starts, which may get the same.
            self._begun[workload.key] = (workload, process)


def _run(workload: ExecutorWorkload) -> None:
    # A scheduler that is interrupted waits for its tasks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    title = f"airflow worker -- LocalExecutor: {workload.display_name}"
    BaseExecutor.run_workload(workload, proctitle=title, subprocess_logs_to_stdout=True)
