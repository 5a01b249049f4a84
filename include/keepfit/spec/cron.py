"""Cron expressions, as Airflow takes them."""

from datetime import UTC, datetime
from functools import cache

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_FIELDS = 5
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


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
