"""Scores beside: a challenger in shadow, in a thread of its own, never in a request's way."""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keepfit.backends.prediction_log import Entry
from keepfit.backends.row_scorers import Value
from keepfit.serving.line import SHADOW
from keepfit.serving.meters import Meters
from keepfit.serving.version import ServedVersion

_GATHER = 0.05
"""Seconds in which rows gather: scoring many at once costs a fraction."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A row as it was asked, after the look-up."""

    request_id: str
    row: int
    at: datetime
    key: Mapping[str, Any]
    values: Mapping[str, Value]
    event_time: datetime | None

    def entry(self, version: str, role: str, features: list[Value], score: float) -> Entry:
        """Return the row of the prediction log with a version's score."""
        return Entry(
            self.request_id, self.at, version, role, self.key, features, score, self.row, self.event_time
        )


class Shadow:
    """A bounded queue of rows and the thread that scores them; what does not fit is dropped and counted."""

    def __init__(self, model: str, most: int, meters: Meters) -> None:
        """Start the thread."""
        self._model, self._most, self._meters = model, most, meters
        self._waiting: deque[tuple[ServedVersion, Asked]] = deque()
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shadow-{model}", daemon=True)
        self._thread.start()

    def offer(self, version: ServedVersion, asked: Asked) -> None:
        """Take a row, if there is room."""
        if len(self._waiting) >= self._most:
            self._meters.shadow_dropped(self._model, 1)
            return
        self._waiting.append((version, asked))
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float = 10.0) -> None:
        """Score what waits, and stop."""
        self._closed.set()
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._closed.wait(_GATHER)
            self._wake.clear()
            self._score_all()
        self._score_all()

    def _score_all(self) -> None:
        groups: dict[ServedVersion, list[Asked]] = {}
        for _ in range(len(self._waiting)):
            version, asked = self._waiting.popleft()
            groups.setdefault(version, []).append(asked)
        for version, rows in groups.items():
            try:
                self._score(version, rows)
            except Exception:  # noqa: BLE001 - a shadow does no harm
                self._meters.challenger_failed(self._model, len(rows))
                _log.exception("Version %s of %s does not score in shadow.", version.version, self._model)

    def _score(self, version: ServedVersion, rows: list[Asked]) -> None:
        fit = []
        for asked in rows:
            try:
                fit.append((asked, version.coder.code(asked.values)))
            except (KeyError, TypeError):
                self._meters.challenger_failed(self._model, 1)
        if not fit:
            return
        for (asked, coded), score in zip(fit, version.score_now([coded for _, coded in fit]), strict=True):
            self._meters.answered(self._model, version.version, SHADOW)
            if version.log:
                features = version.coder.given(asked.values, coded)
                version.log.append(asked.entry(version.version, SHADOW, features, score))
