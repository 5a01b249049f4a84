"""`keepfit check`: everything that can be known to be wrong before a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from keepfit.cli.project import Root, find_root
from keepfit.errors import SpecError
from keepfit.plugins import use_plugins
from keepfit.spec import Problem, Project, check_project, load_project

Features = Annotated[
    bool,
    typer.Option("--features/--no-features", help="Also read features.py, which takes Feast some seconds."),
]


def check(root: Root = None, features: Features = True) -> None:
    """Check all files under feature_repo/, and what they name: plugins, suites, features."""
    folder = find_root(root)
    problems = tuple(find_problems(folder, features=features))
    for problem in problems:
        line = f" (line {problem.line})" if problem.line else ""
        typer.echo(f"{problem}{line}")
    if problems:
        typer.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {folder}", err=True)
        raise typer.Exit(1)
    project = load_project(folder)
    typer.echo(f"No problems (datasets: {len(project.datasets)}, models: {len(project.models)}).")


def find_problems(root: Path, *, features: bool) -> Iterator[Problem]:
    """Yield all problems of a project; what a broken file names is not looked at."""
    yield from check_project(root)
    try:
        project = load_project(root)
    except SpecError:
        return
    yield from _references(project, features=features)


def _references(project: Project, *, features: bool) -> Iterator[Problem]:
    from keepfit.cli.references import plugin_problems, text_problems
    from keepfit.cli.suite_check import suite_problems
    from keepfit.cli.transform_check import Compiled, computed_column_problems

    use_plugins(project.root)
    yield from plugin_problems(project)
    yield from text_problems(project)
    compiled = Compiled(project)
    yield from compiled.problems
    yield from computed_column_problems(project, compiled)
    yield from suite_problems(project, compiled)
    if features:
        from keepfit.pipeline.feature_check import feature_problems

        yield from feature_problems(project, compiled.columns)
