"""`keepfit release` and `rollback`: the way forward by hand, and the way back."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from keepfit.cli.jobs import Job, do
from keepfit.cli.person import person
from keepfit.cli.project import Root, open_project, open_stores


class Role(StrEnum):
    """What a version can be."""

    champion = "champion"
    challenger = "challenger"


Model = Annotated[str, typer.Argument(help="A model.")]
Version = Annotated[str | None, typer.Option(help="The version that is given the role.")]
Share = Annotated[
    float | None,
    typer.Option(help="The share of requests that the challenger answers, below 1; 0: it is scored beside."),
]
As = Annotated[
    Role | None, typer.Option("--as", help="The role; challenger if a share is given, else champion.")
]
Withdraw = Annotated[
    bool, typer.Option("--withdraw", help="Take the role away; the challenger's by default.")
]
Why = Annotated[str | None, typer.Option(help="Why; kept with the move.")]
To = Annotated[
    str | None,
    typer.Option(help="A version, or a moment: to what was live then. The champion before, if not given."),
]


def release(  # noqa: PLR0917, each parameter is an option of the command
    model: Model,
    version: Version = None,
    share: Share = None,
    role: As = None,
    withdraw: Withdraw = False,
    why: Why = None,
    root: Root = None,
) -> None:
    """Make a version the champion or the challenger, or take such a role away; see that servers follow."""
    if withdraw == (version is not None):
        raise typer.BadParameter("Give --version, or --withdraw to take a role away: one of them.")
    meant = role or (Role.challenger if withdraw or share is not None else Role.champion)
    action = "withdraw" if withdraw else "release"
    _do(
        model,
        root,
        {"action": action, "version": version, "share": share, "role": meant.value, "reason": why},
    )


def rollback(model: Model, to: To = None, why: Why = None, root: Root = None) -> None:
    """Go back to the version that was champion before, to another former one, or to that of a moment."""
    from keepfit.steps.roll_back import is_version

    target = ("version" if is_version(to) else "time", to) if to else ("version", None)
    _do(model, root, {"action": "rollback", target[0]: target[1], "reason": why})


def _do(model: str, root: Root, settings: dict[str, Any]) -> None:
    project = open_project(root)
    name = project.model(model).name
    with open_stores(project):
        do(project, Job.of(project, "release", name, None, {**settings, "who": person()}))
