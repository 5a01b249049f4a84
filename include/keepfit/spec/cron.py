"""Cron expressions, as Airflow takes them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_FIELDS, _TICKS = 5, 100
_QUARTERLY = "0 0 1 */3 *"
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@cache
def longest_interval(expression: str) -> timedelta:
    """Return the longest time between two ticks in a row, of the next hundred."""
    from croniter import croniter

    ticks = croniter(_QUARTERLY if expression == "@quarterly" else expression, _ANY_TIME)
    moments: list[datetime] = [ticks.get_next(datetime) for _ in range(_TICKS)]
    return max(after - before for before, after in pairwise(moments))


@cache
def cron_problem(expression: str) -> str | None:
    """Return what is wrong with a cron expression, or None."""
    # Airflow's own parser, which brings no other part of Airflow; only files with a schedule pay for it.
    from croniter import CroniterError, croniter

    if expression in PRESETS:
        return None
    hint = f"Write five fields such as '0 3 * * 1', or one of {', '.join(PRESETS)}."
    if len(expression.split()) != _FIELDS:
        return f"{expression!r} is no cron expression. {hint}"
    try:
        croniter(expression, _ANY_TIME).get_next()
    except CroniterError as error:
        return f"{expression!r} is no cron expression that ever comes due ({error}). {hint}"
    return None
