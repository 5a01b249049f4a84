"""`keepfit decisions`, `history` and `list`: what the ledger knows."""

from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.table import moment, table
from keepfit.spec import DatasetSpec, ModelSpec

if TYPE_CHECKING:
    from keepfit.ledger import Ledger

Model = Annotated[str, typer.Argument(help="A model.")]


def decisions(model: Model, root: Root = None) -> None:
    """Show what was decided about a model, window by window, and why."""
    project = open_project(root)
    name = project.model(model).name
    with open_stores(project) as locations:
        found = _ledger(locations.ledger_url).decisions(name)
    rows = [
        (moment(each.window_end), each.verdict, each.trigger, each.run_id or "-", each.reason)
        for each in found
    ]
    typer.echo(table(("WINDOW END", "VERDICT", "TRIGGER", "TRAINING", "REASON"), rows))


def history(model: Model, root: Root = None) -> None:
    """Show which version of a model was champion since when, put there by whom, and why."""
    project = open_project(root)
    name = project.model(model).name
    with open_stores(project) as locations:
        found = _ledger(locations.ledger_url).deployments(name)
    rows = [
        (moment(each.moved_at), each.from_version or "-", each.to_version, each.who, each.why)
        for each in found
    ]
    typer.echo(table(("SINCE", "FROM", "TO", "WHO", "WHY"), rows))


def overview(root: Root = None) -> None:
    """Show all datasets and models: how far they are, who is champion, what was decided last."""
    project = open_project(root)
    with open_stores(project) as locations:
        ledger = _ledger(locations.ledger_url)
        datasets = [_dataset(spec, ledger) for spec in project.datasets.values()]
        models = [_model(spec, ledger) for spec in project.models.values()]
    typer.echo(table(("DATASET", "SCHEDULE", "PUBLISHED UNTIL"), datasets))
    typer.echo()
    typer.echo(table(("MODEL", "TASK", "DATASET", "CHAMPION", "PREDICTED UNTIL", "LAST DECISION"), models))
    for file in sorted({problem.file for problem in project.problems}):
        typer.echo(f"{file} has problems and is left out: see `keepfit check`.", err=True)


def _dataset(spec: DatasetSpec, ledger: "Ledger") -> tuple[str, str, str]:
    until = moment(ledger.published_until(spec.name))
    if spec.snapshot and ledger.publications(spec.name):
        until = "snapshot"
    return spec.name, spec.schedule or (f"after {spec.inputs[0]}" if spec.inputs else "-"), until


def _model(spec: ModelSpec, ledger: "Ledger") -> tuple[str, ...]:
    live, last = ledger.live(spec.name), next(iter(reversed(ledger.decisions(spec.name))), None)
    return (
        spec.name,
        spec.task,
        spec.entities.dataset,
        f"version {live.to_version}" if live else "-",
        moment(ledger.published_until(f"predictions__{spec.name}")),
        f"{last.verdict}, {moment(last.window_end)}" if last else "-",
    )


def _ledger(url: str) -> "Ledger":
    from keepfit.ledger import Ledger

    return Ledger(url)
