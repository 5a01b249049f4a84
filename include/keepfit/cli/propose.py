"""`keepfit propose`: a suite to begin with, from a dataset's own rows."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from keepfit.cli.access import local_access
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.spec import Window
from keepfit.spec.fields import PositiveDuration

Dataset = Annotated[str, typer.Argument(help="A dataset.")]
Start = Annotated[str, typer.Option("--from", help="Where the reference starts, such as 2024-01-01.")]
End = Annotated[str, typer.Option("--to", help="Where it ends; not part of it.")]
Every = Annotated[str, typer.Option(help="The length of the windows the suite will be held against.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a suite that exists.")]


def propose(  # noqa: PLR0917, each parameter is an option of the command
    dataset: Dataset, start: Start, end: End, every: Every = "7d", force: Force = False, root: Root = None
) -> None:
    """Write a suite for a dataset from rows that are known to be good; everything in it is a warning."""
    from keepfit.pipeline.proposal import propose as proposed
    from keepfit.pipeline.proposal import refuse_existing, suite_file

    project = open_project(root)
    file = suite_file(project, dataset)
    refuse_existing(file, force=force)
    window, length = Window.parse(start, end), _length(every)
    with open_stores(project) as locations:
        run_id = f"cli__{window.key}__{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        snapshot = take_snapshot(project, f"{dataset}__propose", run_id, dataset=dataset, window=window)
        text = proposed(snapshot, local_access(locations), length)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    typer.echo(f"{file}: {text.count('severity: warning')} expectations, all of them warnings.")
    if project.dataset(dataset).expectations is None:
        typer.echo(f"Name it in datasets/{dataset}.yaml: `expectations: {dataset}`.")


def _length(text: str) -> timedelta:
    try:
        length: timedelta = TypeAdapter(PositiveDuration).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"--every is {text!r}: {error.errors()[0]['msg']}") from None
    return length
