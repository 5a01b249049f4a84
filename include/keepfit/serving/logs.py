"""The prediction logs of one model: one for each set of features its versions take."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from keepfit.backends.prediction_log import PredictionLog
from keepfit.pipeline.log_to import LogTo
from keepfit.serving.meters import Meters
from keepfit.spec import ServingSpec


class Logs:
    """Opens logs as versions need them; versions of the same features share one."""

    def __init__(
        self, to: LogTo, model: str, keys: Callable[[], Mapping[str, str]], settings: ServingSpec
    ) -> None:
        """Begin without any; `keys` gives the kinds of what names a row, once that is known."""
        self._to, self._model, self._keys, self._settings = to, model, keys, settings
        self._open: dict[tuple[tuple[str, str], ...], PredictionLog] = {}

    def log_of(self, features: Mapping[str, str]) -> PredictionLog | None:
        """Return the log for versions of these features; None where nothing is logged."""
        if not self._settings.log:
            return None
        kinds = tuple(features.items())
        if kinds not in self._open:
            keys = {name: kind for name, kind in self._keys().items() if name not in features}
            self._open[kinds] = PredictionLog(
                self._to.place,
                self._model,
                features=features,
                keys=keys,
                seconds=self._settings.log_seconds,
                rows=self._settings.log_rows,
                storage=self._to.storage,
            )
        return self._open[kinds]

    def tell(self, meters: Meters) -> str | None:
        """Tell how far behind the logs are; return why they cannot be written, if they cannot."""
        now, logs = datetime.now(UTC), list(self._open.values())
        oldest = [at for log in logs if (at := log.oldest_pending_at) is not None]
        lag = (now - min(oldest)).total_seconds() if oldest else 0.0
        meters.logged(self._model, lag, sum(log.lost for log in logs))
        return next(
            (f"The prediction log is not written: {log.problem}" for log in logs if log.problem), None
        )

    def close(self) -> None:
        """Write what waits."""
        for log in self._open.values():
            log.close()
