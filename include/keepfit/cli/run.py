"""`keepfit run`: the steps of a DAG in order, in this process, without Airflow."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from keepfit.cli.jobs import Job, Verb, do_all
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.errors import SpecError
from keepfit.spec import Project, Window
from keepfit.spec.load import problems_text
from keepfit.spec.problem import did_you_mean


class Promote(StrEnum):
    """What becomes of a challenger that passes its gate."""

    auto = "auto"
    approval = "approval"
    never = "never"
    give_up = "replace"


class Step(StrEnum):
    """What to do with a model."""

    train = "train"
    predict = "predict"
    monitor = "monitor"


_TAKEN: dict[Verb, tuple[str, ...]] = {
    "ingest": ("--full-refresh",),
    "quarantine": (),
    "train": ("--as-of", "--reason", "--promotion", "--step"),
    "predict": ("--version", "--step"),
    "monitor": ("--step",),
}

Name = Annotated[str, typer.Argument(help="A dataset, to ingest it; or a model.")]
Start = Annotated[str | None, typer.Option("--from", help="The window's start, such as 2024-01-01.")]
End = Annotated[str | None, typer.Option("--to", help="The window's end, which is not part of it.")]
ModelStep = Annotated[Step | None, typer.Option(help="What to do with a model; train if not given.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="Train as if it were this moment; --to, or the end of the data, if not given."
    ),
]
Reason = Annotated[str | None, typer.Option(help="Why a training is wanted; kept with the version.")]
Promotion = Annotated[
    Promote | None,
    typer.Option(
        help="Whether a challenger that passes its gate becomes champion, or waits for approval; replace: "
        "even if the champion cannot be scored, since its features were taken away."
    ),
]
Version = Annotated[str | None, typer.Option(help="Predict with this version; the champion if not given.")]
FullRefresh = Annotated[
    bool | None,
    typer.Option("--full-refresh", help="Publish all windows anew, as one, whatever columns they had."),
]


def run(  # noqa: PLR0917, each parameter is an option of the command
    name: Name,
    start: Start = None,
    end: End = None,
    step: ModelStep = None,
    as_of: AsOf = None,
    reason: Reason = None,
    promotion: Promotion = None,
    version: Version = None,
    full_refresh: FullRefresh = None,
    root: Root = None,
) -> None:
    """Ingest a dataset, or train, predict or monitor with a model: what its DAG would do.

    A monitoring that decides to retrain is followed by that training, as in Airflow; an ingest by those of
    the windows that were computed from the rows it has replaced.
    """
    project = open_project(root)
    verb = _verb(project, name, step)
    given = {
        "--step": step,
        "--as-of": as_of,
        "--reason": reason,
        "--promotion": promotion,
        "--version": version,
        "--full-refresh": full_refresh,
    }
    settings = _settings(verb, {option: value for option, value in given.items() if value is not None})
    job = Job.of(project, verb, name, _window(verb, start, end), settings)
    with open_stores(project):
        do_all(project, job)


def _verb(project: Project, name: str, step: Step | None) -> Verb:
    if name in project.datasets:
        return "ingest"
    if name in project.models:
        return step.value if step else "train"
    names = [*project.datasets, *project.models]
    own = [problem for problem in project.problems if problem.file.endswith(f"/{name}.yaml")]
    raise SpecError(
        problems_text(own)
        or f"No dataset or model is named {name!r}.{did_you_mean(name, names)} "
        f"There are: {', '.join(names) or 'none'}."
    )


def _settings(verb: Verb, given: dict[str, Any]) -> dict[str, Any]:
    for option in given:
        if option not in _TAKEN[verb]:
            raise typer.BadParameter(f"{option} has no meaning here: this would {verb}.")
    return {
        option.removeprefix("--").replace("-", "_"): given[option] for option in given if option != "--step"
    }


def _window(verb: Verb, start: str | None, end: str | None) -> Window | None:
    if start is None and end is None and verb == "train":
        return None
    if start is None or end is None:
        missing = " and ".join(name for name, value in (("--from", start), ("--to", end)) if value is None)
        raise typer.BadParameter(f"{missing} is missing: to {verb} needs a window.")
    return Window.parse(start, end)
