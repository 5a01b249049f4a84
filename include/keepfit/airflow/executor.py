"""The embedded profile's executor: Airflow's own, which gives back what a killed worker had taken."""

from airflow.executors import local_executor
from airflow.models.taskinstance import TaskInstance


# By this name Airflow knows it as local.
class LocalExecutor(local_executor.LocalExecutor):
    """Run tasks in processes of this machine, and begin again what one was killed with before it began.

    The scheduler asks for a task back that has been queued for `[scheduler] task_queued_timeout`. Airflow's
    LocalExecutor knows no such question: the task stays queued and keeps its slot until the scheduler starts
    anew, and with one run at a time all runs of its DAG wait behind it.
    """

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task, unless a worker may take it yet.

        Raises:
            NotImplementedError: One may; that is Airflow's word for it, and the scheduler asks again.
        """
        if not self.activity_queue.empty():
            raise NotImplementedError
        self.running.discard(ti.key)
        self.queued_tasks.pop(ti.key, None)
