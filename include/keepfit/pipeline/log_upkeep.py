"""Look after the prediction logs: a day's many small files become one."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from keepfit.spec import Project

if TYPE_CHECKING:
    from datetime import date


def compact_logs(project: Project) -> dict[str, list[str]]:
    """Put each model's log together, day by day; return which days had more files than one.

    It may be done while servers write, and done again: see `log_compaction`.
    """
    from keepfit.backends.log_compaction import logged_days

    place = str(project.locations.lake)
    done = {}
    for model in project.models:
        days = [str(day) for day in logged_days(place, model) if _compact(project, place, model, day)]
        if days:
            done[model] = days
    return done


def _compact(project: Project, place: str, model: str, day: "date") -> bool:
    from keepfit.backends.log_compaction import compact

    project.locations.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="keepfit-log-", dir=project.locations.home) as scratch:
        done = compact(place, model, day, bounds=project.spec.engine, scratch=Path(scratch))
    return done.before > 1
