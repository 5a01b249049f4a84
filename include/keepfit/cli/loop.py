"""`keepfit loop`: what each decision about a model came to."""

from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.table import moment, table

if TYPE_CHECKING:
    from keepfit.ledger import LoopRow

_HEAD = (
    "WINDOW END",
    "VERDICT",
    "TRIGGER",
    "TRAINED",
    "VERSION",
    "LIVE FROM",
    "UNTIL",
    "METRIC",
    "OUTCOME",
    "ROWS",
    "BEFORE",
    "ROWS",
    "REASON",
)

Model = Annotated[str, typer.Argument(help="A model.")]
Every = Annotated[bool, typer.Option("--all", help="Show the decisions to keep the model, too.")]


def loop(model: Model, every: Every = False, root: Root = None) -> None:
    """Show what each decision to train came to: run, version, when it was live, and how well it did.

    OUTCOME is the version's mean over its windows as champion since, BEFORE that of the version it replaced
    up to then, each window counted by its labelled rows.
    """
    from keepfit.ledger import Ledger

    project = open_project(root)
    name = project.model(model).name
    with open_stores(project) as locations:
        found = Ledger(locations.ledger_url).loop(name)
    rows = [_row(each) for each in found if every or each.verdict == "retrain" or each.ended]
    typer.echo(table(_HEAD, rows))
    if not rows:
        others = f"; --all shows those there are, {len(found)}" if found else ""
        typer.echo(f"No decision about {name} has asked for a training{others}.", err=True)


def _row(row: "LoopRow") -> tuple[str, ...]:
    until = moment(row.live_until) + (" (taken back)" if row.was_taken_back else "")
    return (
        moment(row.window_end),
        row.verdict,
        row.trigger,
        row.ended or "-",
        row.version or "-",
        moment(row.live_from),
        until,
        row.metric or "-",
        *_figures(row.value, row.rows),
        *_figures(row.value_before, row.rows_before),
        row.reason,
    )


def _figures(value: float | None, rows: int | None) -> tuple[str, str]:
    return ("-" if value is None else f"{value:.4g}"), str(rows or "-")
