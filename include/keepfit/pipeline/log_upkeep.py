"""Look after the prediction logs: a day's many small files become one."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from keepfit.plugins import Access
from keepfit.spec import Project

if TYPE_CHECKING:
    from datetime import date

    from keepfit.pipeline.log_to import LogTo


def compact_logs(project: Project, access: Access) -> dict[str, list[str]]:
    """Put each model's log together, day by day; return which days had more files than one.

    It may be done while servers write, and done again: see `log_compaction`. `access` reaches a log on S3.
    """
    from keepfit.backends.log_compaction import logged_days
    from keepfit.pipeline.log_to import log_to

    to = log_to(project.spec.serving, project.locations, access)
    done = {}
    for model in project.models:
        logged = logged_days(to.place, model, to.storage())
        days = [str(day) for day in logged if _compact(project, to, model, day)]
        if days:
            done[model] = days
    return done


def _compact(project: Project, to: "LogTo", model: str, day: "date") -> bool:
    from keepfit.backends.log_compaction import compact

    project.locations.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="keepfit-log-", dir=project.locations.home) as scratch:
        done = compact(
            to.place,
            model,
            day,
            bounds=project.spec.engine,
            scratch=Path(scratch),
            storage=to.storage(),
        )
    return done.before > 1
