"""`keepfit quarantine`: list the rows that were set aside, release them or drop them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from keepfit.cli.jobs import Job, do_all
from keepfit.cli.person import person
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.run import End, Start
from keepfit.cli.table import table
from keepfit.spec import Window

_SHOWN = 50

Dataset = Annotated[str, typer.Argument(help="A dataset.")]
Release = Annotated[bool, typer.Option("--release", help="Publish rows after all, in their window.")]
Drop = Annotated[bool, typer.Option("--drop", help="Leave rows out for good.")]
Key = Annotated[
    list[str] | None, typer.Option("--key", help="A row's key as listed. All not ruled on, if none is given.")
]


def quarantine(  # noqa: PLR0917, each parameter is an option of the command
    dataset: Dataset,
    release: Release = False,
    drop: Drop = False,
    start: Start = None,
    end: End = None,
    key: Key = None,
    root: Root = None,
) -> None:
    """List a dataset's rows in quarantine, or release or drop those of a window.

    If that publishes the window again, the windows that were computed from its older rows follow.
    """
    if release and drop:
        raise typer.BadParameter("--release and --drop are given. Give one of them.")
    if (start is None) != (end is None) or ((release or drop) and start is None):
        raise typer.BadParameter("--from and --to name the window together. Give both.")
    project = open_project(root)
    name = project.dataset(dataset).name
    window = Window.parse(start, end) if start and end else None
    with open_stores(project) as locations:
        if release or drop:
            action = "release" if release else "drop"
            settings = {"action": action, "keys": key or None, "who": person()}
            do_all(project, Job.of(project, "quarantine", name, window, settings))
            return
        from keepfit.pipeline.ruling import held

        with (
            TemporaryDirectory(prefix="keepfit-") as scratch,
            held(name, locations, window, bounds=project.spec.engine, scratch=Path(scratch)) as held_rows,
        ):
            count, first = held_rows.count(), held_rows.first(_SHOWN)
    rows = [(each.key, each.state, each.window, each.reasons) for each in first]
    typer.echo(table(("KEY", "STATE", "WINDOW", "REASONS"), rows))
    if count > _SHOWN:
        typer.echo(f"and {count - _SHOWN:,} more", err=True)
