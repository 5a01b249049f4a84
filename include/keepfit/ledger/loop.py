"""One query from a signal to its decision, run, version, deployment and outcome."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Select, and_, case, cast, exists, func, or_, select

from keepfit.ledger.tables import decisions, deployments, outcomes, trainings


@dataclass(frozen=True)
class LoopRow:
    """What came of one decision, by one metric. What did not happen (yet) is None."""

    window_start: datetime
    window_end: datetime
    verdict: str
    trigger: str
    reason: str
    run_id: str | None
    """The training it asked for."""
    ended: str | None
    """That training's verdict."""
    version: str | None
    live_from: datetime | None
    """When the version became champion for the first time; by the clock, not by data time."""
    who: str | None
    before: str | None
    """The version that was champion before it."""
    live_until: datetime | None
    after: str | None
    """The version that was champion after it."""
    metric: str | None
    value: float | None
    """The mean over the champion's windows after the decision's, each counted by its rows."""
    rows: int | None
    value_before: float | None
    """The mean over its predecessor's windows up to the decision's."""
    rows_before: int | None

    @property
    def was_taken_back(self) -> bool:
        """Tell whether its predecessor followed it."""
        return self.live_until is not None and self.after == self.before


def loop_query(model: str) -> Select[Any]:
    """Join it all, in one statement for SQLite and PostgreSQL."""
    said, judged = decisions.c, trainings.alias("judged")
    first, later = deployments.alias("first"), deployments.alias("later")
    done = outcomes.c
    is_own = and_(done.version == first.c.to_version, done.window_end > said.window_end)
    is_before = and_(done.version == first.c.from_version, done.window_end <= said.window_end)
    told: list[ColumnElement[Any]] = [
        said.window_start,
        said.window_end,
        said.verdict,
        said.trigger,
        said.reason,
        said.run_id,
        func.coalesce(judged.c.verdict, case((_has_failed(), "error"))).label("ended"),
        judged.c.version,
        first.c.moved_at.label("live_from"),
        first.c.who,
        first.c.from_version.label("before"),
        later.c.moved_at.label("live_until"),
        later.c.to_version.label("after"),
        done.metric,
    ]
    joined = (
        decisions.outerjoin(judged, and_(asked_for(judged.c), ~judged.c.failed))
        .outerjoin(
            first,
            and_(
                _champion(first.c),
                first.c.to_version == judged.c.version,
                first.c.position == _first_position(judged.c.version),
            ),
        )
        .outerjoin(later, and_(_champion(later.c), later.c.position == first.c.position + 1))
        .outerjoin(outcomes, and_(_measured_as_champion(), or_(is_own, is_before)))
    )
    figures = (
        _mean(is_own).label("value"),
        _rows(is_own).label("rows"),
        _mean(is_before).label("value_before"),
        _rows(is_before).label("rows_before"),
    )
    return (
        select(*told, *figures)
        .select_from(joined)
        .where(said.model == model)
        .group_by(said.key, *told)
        .order_by(said.window_end, said.key, done.metric)
    )


def asked_for(trained: Any) -> ColumnElement[bool]:
    """Tell whether a training is what a decision asked for.

    A run that was cleared has another id, and a decision that was held names no run.
    """
    of = decisions.c
    is_its = or_(trained.run_id == of.run_id, trained.decision_key == of.key)
    return and_(trained.model == of.model, is_its)


def _has_failed() -> ColumnElement[bool]:
    failed = trainings.alias("failed")
    return exists().where(asked_for(failed.c), failed.c.failed).correlate_except(failed)


def _champion(moved: Any) -> ColumnElement[bool]:
    return and_(moved.model == decisions.c.model, moved.alias == "champion")


def _first_position(version: Column[str]) -> ColumnElement[int]:
    """Choose a version's first move: one that was rolled back may come again."""
    moved = deployments.alias("moved")
    wanted = and_(_champion(moved.c), moved.c.to_version == version)
    return select(func.min(moved.c.position)).where(wanted).correlate_except(moved).scalar_subquery()


def _measured_as_champion() -> ColumnElement[bool]:
    of = outcomes.c
    return and_(of.model == decisions.c.model, of.role == "champion", of.value.is_not(None))


def _mean(wanted: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((wanted, outcomes.c.value * outcomes.c.rows))) / func.nullif(_rows(wanted), 0)


def _rows(wanted: ColumnElement[bool]) -> ColumnElement[int]:
    # PostgreSQL sums into a decimal.
    return cast(func.sum(case((wanted, outcomes.c.rows))), BigInteger)
