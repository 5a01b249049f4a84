"""What started a run: the keys its `conf` may hold, and the window of data it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from keepfit.errors import ConfError
from keepfit.spec import Window
from keepfit.spec.problem import did_you_mean
from keepfit.spec.window import parse_moment

_WINDOW_KEYS = ("window_start", "window_end")


@dataclass(frozen=True)
class Trigger:
    """A run's trigger, checked: Airflow itself accepts a `conf` with any keys."""

    dag_id: str
    run_id: str
    values: Mapping[str, Any]
    """Every param of the DAG, by the run's `conf` or by default."""
    partition_key: str | None = None
    interval: tuple[datetime | None, datetime | None] = (None, None)
    user: str | None = None
    """Who started the run, as Airflow knows it; None if no one did."""

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Self:
        """Read a task's context.

        Raises:
            ConfError: The run's `conf` has a key that is no param of the DAG.
        """
        run, declared = context["dag_run"], tuple(context["dag"].params)
        refuse_unknown(run.dag_id, run.conf or {}, declared)
        return cls(
            dag_id=run.dag_id,
            run_id=run_id_of(context),
            values={name: context["params"][name] for name in declared},
            partition_key=run.partition_key,
            interval=(run.data_interval_start, run.data_interval_end),
            user=run.triggering_user_name,
        )

    def settings(self, now: datetime) -> dict[str, Any]:
        """Return the params that are not the window's; `as_of` must have passed."""
        if (as_of := self.values.get("as_of")) and parse_moment(as_of, "as_of") > now:
            raise ConfError(
                f"as_of is {as_of}, which is in the future (it is {now.isoformat()}): no label is known then."
            )
        given = {name: value for name, value in self.values.items() if name not in _WINDOW_KEYS}
        return given | {"who": self._who(given["who"])} if "who" in given else given

    def _who(self, said: str | None) -> str | None:
        """Name the user whom Airflow let in; who he says he is stands behind, since he may say anything."""
        if not self.user or said in (None, "", self.user):
            return self.user or said
        return f"{self.user} ({said})"

    @property
    def window(self) -> Window:
        """The run's window: by its params, else its partition key, else its data interval.

        Raises:
            ConfError: There is none, or it is reversed or too fine.
        """
        window = self._by_params() or self._by_partition() or self._by_interval()
        if window is None:
            raise ConfError(
                f"The run {self.run_id} of {self.dag_id} has no window: it was started by hand, "
                "and no schedule or partition gives it one. Give window_start and window_end."
            )
        if window.start.microsecond or window.end.microsecond:
            raise ConfError(
                f"The window {window.start} to {window.end} has parts of a second. Give whole seconds."
            )
        return window

    def past_window(self, now: datetime) -> Window:
        """Return the window, which must be over."""
        window = self.window
        window.refuse_future(now)
        return window

    def _by_params(self) -> Window | None:
        start, end = (self.values.get(key) for key in _WINDOW_KEYS)
        if start is None and end is None:
            return None
        if start is None or end is None:
            given, missing = _WINDOW_KEYS if end is None else _WINDOW_KEYS[::-1]
            raise ConfError(f"{given} is given without {missing}. Give both, or neither.")
        return Window.parse(start, end)

    def _by_partition(self) -> Window | None:
        return Window.of_key(self.partition_key) if self.partition_key else None

    def _by_interval(self) -> Window | None:
        start, end = self.interval
        # A DAG without a schedule, started by hand, has an interval of no length.
        return Window(start, end) if start and end and start < end else None


def run_id_of(context: Mapping[str, Any]) -> str:
    """Name a run for the ledger and its folder: a run that was cleared begins again, with today's specs.

    A retry does not: it keeps to the folder and the specs of the first try.
    """
    cleared = context["dag_run"].clear_number if "dag_run" in context else 0
    return f"{context['run_id']}~{cleared}" if cleared else str(context["run_id"])


def triggered_by(context: Mapping[str, Any]) -> str:
    """Name who triggered a run; Airflow itself where it does not tell."""
    return str(getattr(context["dag_run"], "triggering_user_name", None) or "airflow")


def refuse_unknown(dag_id: str, conf: Iterable[str], taken: tuple[str, ...]) -> None:
    """Refuse a `conf` with a key that a DAG does not take."""
    wrong = [key for key in conf if key not in taken]
    if wrong:
        named = " ".join(
            f"conf key {key!r} is not taken by {dag_id}.{did_you_mean(key, taken)}" for key in wrong
        )
        raise ConfError(f"{named} It takes: {', '.join(taken) or 'none'}.")
