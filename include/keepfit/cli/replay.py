"""`keepfit replay`: which policy would have paid, by what a model's own history says."""

from pathlib import Path
from typing import Annotated

import typer

from keepfit.cli.jobs import Job, do
from keepfit.cli.pages import put_page
from keepfit.cli.project import Root, open_project, open_stores

Model = Annotated[str, typer.Argument(help="A model.")]
Start = Annotated[
    str | None,
    typer.Option(
        "--from", help="Where the first window starts; as early as a model can be trained if not given."
    ),
]
End = Annotated[
    str | None, typer.Option("--to", help="Where the last window ends; where the data ends if not given.")
]
Every = Annotated[str, typer.Option(help="The windows' length: how often the model is monitored.")]
Delay = Annotated[
    str | None, typer.Option(help="How late labels are known, if not as the model's file says.")
]
Windows = Annotated[
    str | None,
    typer.Option(
        help="Which rows a training may take, besides what the model's file says, with commas between: "
        "expanding, trailing:91d, season:365d/45d."
    ),
]
Cost = Annotated[
    float,
    typer.Option(
        help="What one training costs, in units of the objective summed over windows, such as 0.01."
    ),
]
Split = Annotated[
    float, typer.Option(help="The share of the windows that chooses the policy; the rest reports.")
]

Report = Annotated[
    Path | None, typer.Option(help="Where to write the report as a page; it is in the run's folder, too.")
]


def replay(  # noqa: PLR0917, each parameter is an option of the command
    model: Model,
    cost: Cost,
    start: Start = None,
    end: End = None,
    every: Every = "7d",
    label_delay: Delay = None,
    windows: Windows = None,
    split: Split = 0.5,
    report: Report = None,
    root: Root = None,
) -> None:
    """Say which policy would have paid: train at each cut of the history, and try all policies on that."""
    project = open_project(root)
    settings = {
        "from": start,
        "to": end,
        "every": every,
        "label_delay": label_delay,
        "windows": windows,
        "cost": cost,
        "split": split,
    }
    project.model(model)
    with open_stores(project):
        done = do(project, Job.of(project, "replay", model, None, settings))
    if report:
        put_page(Path(done["choose"]["report"]), report)
