"""Sensors on what is published and on drift, for keepfit's DAGs and anyone's."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException

from keepfit.airflow.conf import Trigger, run_id_of
from keepfit.airflow.triggers import PublicationTrigger, is_published
from keepfit.spec import Window
from keepfit.spec.model import LABELS_AWAITED

if TYPE_CHECKING:
    from keepfit.pipeline.snapshot import Snapshot


class InputSensor(BaseSensorOperator):
    """Wait until everything that a run reads is published; hands the run on."""

    template_fields: Sequence[str] = ("started",)

    def __init__(self, *, started: Any, **options: Any) -> None:
        """Take what the `snapshot` task handed on as `started`."""
        super().__init__(**{"mode": "reschedule", "poke_interval": 15, "timeout": 24 * 3600, **options})
        self.started = started

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002
        """Look once."""
        from keepfit.pipeline.snapshot import open_snapshot

        missing = self.missing(open_snapshot(Path(self.started["folder"])))
        if missing:
            self.log.info("Not published for %s yet: %s", self.started["window"], ", ".join(missing))
        return PokeReturnValue(is_done=not missing, xcom_value=self.started)

    def missing(self, taken: "Snapshot") -> tuple[str, ...]:
        """Name what is not published yet."""
        raise NotImplementedError


class DatasetSensor(InputSensor):
    """Wait for every dataset that a dataset is computed from."""

    def missing(self, taken: "Snapshot") -> tuple[str, ...]:
        """Ask the ledger."""
        from keepfit.ledger import Ledger

        ledger, inputs = Ledger(taken.locations.ledger_url), taken.the_dataset.inputs
        return tuple(name for name in inputs if not ledger.covers(name, taken.the_window))


class FeatureSensor(InputSensor):
    """Wait for every dataset behind a prediction's features."""

    def missing(self, taken: "Snapshot") -> tuple[str, ...]:
        """Ask the prediction."""
        from keepfit.pipeline.prediction import PredictionRun

        return PredictionRun(taken).wait_for()


class LabelSensor(InputSensor):
    """Wait until predictions and labels are published up to the window's end; for labels not for ever."""

    def __init__(self, *, started: Any, **options: Any) -> None:
        """Take what the `snapshot` task handed on as `started`."""
        patience = (LABELS_AWAITED + timedelta(days=1)).total_seconds()
        super().__init__(started=started, **{"timeout": patience, **options})

    def missing(self, taken: "Snapshot") -> tuple[str, ...]:
        """Ask the monitoring."""
        from keepfit.airflow.access import airflow_access
        from keepfit.pipeline.monitoring import MonitorRun

        return MonitorRun(taken, airflow_access()).wait_for()


class PublicationSensor(BaseSensorOperator):
    """Wait until a dataset's published windows cover a window.

    Args:
        root: The project's root.
        dataset: A dataset's name, or `predictions__<model>`.
        window: The window's key; the run's partition key or data interval when not given.
        options: Those of any sensor. `poke_interval` is how often the ledger is asked, and `timeout`
            how long one window is waited for.
    """

    template_fields: Sequence[str] = ("root", "dataset", "window")

    def __init__(self, *, root: str | Path, dataset: str, window: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.root = str(root)
        self.dataset = dataset
        self.window = window

    def execute(self, context: Context) -> Any:
        """Succeed at once if the window is published, else wait in the triggerer."""
        return self._look(self._first_window(context), context)

    def resume(self, context: Context, event: Mapping[str, str]) -> Any:
        """Go on where the wait began."""
        return self._look(Window.of_key(event["window"]), context)

    def _look(self, window: Window, context: Context) -> Any:  # noqa: ARG002 - subclasses need it
        if not self._is_published(window):
            self._wait_for(window)
        return window.key

    def _first_window(self, context: Context) -> Window:
        if self.window:
            return Window.of_key(self.window)
        run = context["dag_run"]
        interval = (run.data_interval_start, run.data_interval_end)
        return Trigger(run.dag_id, run.run_id, {}, run.partition_key, interval).window

    def _is_published(self, window: Window) -> bool:
        return is_published(self.root, self.dataset, window.key)

    def _wait_for(self, window: Window) -> None:
        self.log.info("%s is not published for %s yet.", self.dataset, window.key)
        trigger = PublicationTrigger(self.root, self.dataset, window.key, self.poke_interval)
        self.defer(trigger=trigger, method_name="resume", timeout=timedelta(seconds=self.timeout))


class DriftSensor(PublicationSensor):
    """Succeed when a window of a model's predictions has drifted from what its champion was trained on.

    Waiting for predictions is done in the triggerer; the comparison runs in the worker.

    Args:
        model: A model of the project at `root`.
        share: From which share of its columns on the window has drifted. The default is Evidently's.
        on_no_drift: `wait` looks at the windows that follow, one after the other; `skip` skips the task.
        options: Those of `PublicationSensor`, but `dataset`.
    """

    def __init__(
        self,
        *,
        model: str,
        share: float = 0.5,
        on_no_drift: Literal["wait", "skip"] = "wait",
        **options: Any,
    ) -> None:
        super().__init__(dataset=f"predictions__{model}", **options)
        if not 0 < share <= 1:
            raise ValueError(f"share={share}: a share of drifted columns is above 0 and at most 1")
        self.model = model
        self.share = share
        self.on_no_drift = on_no_drift

    def _look(self, window: Window, context: Context) -> Any:
        while self._is_published(window):
            found = self._detect_drift(window, context)
            if (found.get("share") or 0.0) >= self.share:
                return {"window": window.key, **found, "drifted": True}
            if self.on_no_drift == "skip":
                raise AirflowSkipException(f"{self.model} has not drifted in {window.key}: {found}")
            window = window.shifted(window.end - window.start)
        return self._wait_for(window)

    def _folder(self, dag_id: str, map_index: int | None) -> str:
        """Name the folder of one sensor: mapped ones share a task id."""
        mapped = f".{map_index}" if map_index is not None and map_index >= 0 else ""
        return f"{dag_id}.{self.task_id}.{self.model}{mapped}"

    def _detect_drift(self, window: Window, context: Context) -> dict[str, Any]:
        from keepfit.airflow.access import airflow_access
        from keepfit.pipeline.monitoring import MonitorRun
        from keepfit.pipeline.snapshot import take_snapshot
        from keepfit.spec import load_project

        run = context["dag_run"]
        taken = take_snapshot(
            load_project(Path(self.root)),
            self._folder(run.dag_id, context["ti"].map_index),
            f"{run_id_of(context)}.{window.key}",
            model=self.model,
            window=window,
        )
        return MonitorRun(taken, airflow_access()).detect_drift()
