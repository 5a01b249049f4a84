"""What Prometheus is told. The only door to it."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
    values,
)

from keepfit.serving.environment import SEVERAL

# Feast sets it, too, when it is imported. What counts is what Prometheus' client found when it was.
_SHARED = None if values.ValueClass is values.MutexValue else os.environ.get(SEVERAL)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Meters:
    """The numbers of one worker; its children are kept, since to find one costs more than to count."""

    def __init__(self) -> None:
        """Begin to count at nothing."""
        self._registry = own = CollectorRegistry()
        self._answers = Counter("keepfit_answers", "Rows scored.", ("model", "version", "role"), registry=own)
        self._requests = Counter(
            "keepfit_requests", "Requests by HTTP status.", ("model", "status"), registry=own
        )
        self._seconds = Histogram(
            "keepfit_request_seconds",
            "From the whole request to the answer.",
            ("model",),
            buckets=_BUCKETS,
            registry=own,
        )
        self._failures = Counter(
            "keepfit_load_failures", "Versions that did not load.", ("model",), registry=own
        )
        self._unfit = Counter(
            "keepfit_challenger_failures",
            "Rows that a challenger could not score; the champion answered.",
            ("model",),
            registry=own,
        )
        self._dropped = Counter(
            "keepfit_shadow_dropped", "Rows a shadow was too slow to score.", ("model",), registry=own
        )
        self._swaps = Counter("keepfit_swaps", "Changes of who answers.", ("model",), registry=own)
        self._live = self._gauge("keepfit_live", "1 for each version loaded.", ("model", "version", "role"))
        self._lag = self._gauge(
            "keepfit_log_lag_seconds", "Age of the oldest answer not logged yet.", ("model",)
        )
        self._lost = self._gauge("keepfit_log_lost_rows", "Answers given up by the log.", ("model",))
        self._age = self._gauge(
            "keepfit_online_age_seconds", "Age of the last values read.", ("model", "view")
        )
        self._stale = Counter(
            "keepfit_online_stale",
            "Rows whose online values had outlived their view's time to live, and counted as missing.",
            ("model", "view"),
            registry=own,
        )
        self._problems = self._gauge(
            "keepfit_problem", "1 while something is wrong with a model.", ("model",)
        )
        self._shown: set[tuple[str, str, str]] = set()
        self._of_answers: dict[tuple[str, str, str], Counter] = {}
        self._of_requests: dict[tuple[str, int], Counter] = {}
        self._of_seconds: dict[str, Histogram] = {}

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode="livemax")

    def answered(self, model: str, version: str, role: str) -> None:
        """Count a row."""
        key = (model, version, role)
        if (counter := self._of_answers.get(key)) is None:
            counter = self._of_answers[key] = self._answers.labels(*key)
        counter.inc()

    def done(self, model: str, status: int, seconds: float) -> None:
        """Count a request and its time."""
        key = (model, status)
        if (counter := self._of_requests.get(key)) is None:
            counter = self._of_requests[key] = self._requests.labels(model, str(status))
            self._of_seconds[model] = self._seconds.labels(model)
        counter.inc()
        self._of_seconds[model].observe(seconds)

    def load_failed(self, model: str) -> None:
        """Count a version that did not load."""
        self._failures.labels(model).inc()

    def challenger_failed(self, model: str, rows: int) -> None:
        """Count rows the champion had to answer in a challenger's place."""
        self._unfit.labels(model).inc(rows)

    def shadow_dropped(self, model: str, rows: int) -> None:
        """Count rows a shadow has not scored."""
        self._dropped.labels(model).inc(rows)

    def swapped(self, model: str, live: dict[str, str]) -> None:
        """Tell who is loaded now, by role; nothing else of the model is."""
        self._swaps.labels(model).inc()
        for labels in [each for each in self._shown if each[0] == model]:
            self._live.labels(*labels).set(0)
        for role, version in live.items():
            self._shown.add((model, version, role))
            self._live.labels(model, version, role).set(1)

    def logged(self, model: str, lag: float, lost: int) -> None:
        """Tell how far behind a prediction log is."""
        self._lag.labels(model).set(lag)
        self._lost.labels(model).set(lost)

    def read(self, model: str, view: str, age: float) -> None:
        """Tell how old online values were."""
        self._age.labels(model, view).set(age)

    def stale(self, model: str, view: str, rows: int) -> None:
        """Count rows whose values were too old to be used."""
        self._stale.labels(model, view).inc(rows)

    def problem(self, model: str, there: bool) -> None:
        """Tell whether something is wrong with a model."""
        self._problems.labels(model).set(there)

    def text(self) -> bytes:
        """Write everything, of all workers, in Prometheus' format."""
        return generate_latest(_AllWorkers() if _SHARED else self._registry)


class _AllWorkers(CollectorRegistry):
    """The numbers of all workers; what Feast counts in the same folder is its own."""

    def collect(self) -> Iterator[Metric]:
        for file in Path(str(_SHARED)).glob("gauge_live*.db"):
            # A worker that was killed says for ever what it said last.
            if not psutil.pid_exists(pid := int(file.stem.rpartition("_")[2])):
                multiprocess.mark_process_dead(pid, _SHARED)  # type: ignore[no-untyped-call]
        together = multiprocess.MultiProcessCollector(None, _SHARED)  # type: ignore[no-untyped-call]
        found: list[Metric] = together.collect()  # type: ignore[no-untyped-call]
        yield from (each for each in found if each.name.startswith("keepfit_"))
