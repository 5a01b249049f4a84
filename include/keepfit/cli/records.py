"""`keepfit decisions` and `list`: what the ledger knows."""

from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.strays import tell_strays
from keepfit.cli.table import moment, table
from keepfit.spec import DatasetSpec, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keepfit.ledger import Ledger

_GAPS_SHOWN = 3
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"

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


def overview(root: Root = None) -> None:
    """Show all datasets and models: what is published, with its gaps; what is live; what was decided last."""
    project = open_project(root)
    with open_stores(project) as locations:
        ledger = _ledger(locations.ledger_url)
        datasets = [_dataset(spec, ledger) for spec in project.datasets.values()]
        models = [_model(spec, ledger) for spec in project.models.values()]
        missing = [line for spec in project.datasets.values() for line in _gaps(spec, ledger)]
        astray = tell_strays(project, tuple(project.models))
    typer.echo(table(("DATASET", "SCHEDULE", "PUBLISHED FROM", "TO", "GAPS"), datasets))
    for line in missing:
        typer.echo(line)
    typer.echo()
    head = (
        "MODEL",
        "DATASET",
        "CHAMPION",
        "SINCE",
        "PREDICTED FROM",
        "TO",
        "GAPS",
        "LAST DECISION",
        "REASON",
    )
    typer.echo(table(head, models))
    for line in astray:
        typer.echo(line)
    for file in sorted({problem.file for problem in project.problems}):
        typer.echo(f"{file} has problems and is left out: see `keepfit check`.", err=True)


def _dataset(spec: DatasetSpec, ledger: "Ledger") -> tuple[str, ...]:
    schedule = spec.schedule or (f"after {spec.inputs[0]}" if spec.inputs else "-")
    if spec.snapshot and ledger.publications(spec.name):
        return spec.name, schedule, "snapshot", "-", "-"
    return spec.name, schedule, *_published(spec.name, ledger)


def _published(name: str, ledger: "Ledger") -> tuple[str, str, str]:
    """Say from when to when a table is published, and how often it is not."""
    from keepfit.ledger import spans

    found = spans(ledger.publications(name))
    if not found:
        return "-", "-", "-"
    return moment(found[0].start), moment(found[-1].end), str(len(found) - 1 or "-")


def _gaps(spec: DatasetSpec, ledger: "Ledger") -> "Iterator[str]":
    """Say what is not published between the first window and the last, and how to publish it."""
    from keepfit.ledger import gaps, spans

    found = gaps(spans(ledger.publications(spec.name)))
    for gap in found[:_GAPS_SHOWN]:
        bounds = f"--from {gap.start:{_MOMENT}} --to {gap.end:{_MOMENT}}"
        yield f"gap: keepfit run {spec.name} {bounds}"
    if len(found) > _GAPS_SHOWN:
        yield f"and {len(found) - _GAPS_SHOWN} more gaps in {spec.name}"


def _model(spec: ModelSpec, ledger: "Ledger") -> tuple[str, ...]:
    live, last = ledger.live(spec.name), next(iter(reversed(ledger.decisions(spec.name))), None)
    return (
        spec.name,
        spec.entities.dataset,
        f"version {live.to_version}" if live else "-",
        moment(live.moved_at if live else None),
        *_published(f"predictions__{spec.name}", ledger),
        f"{last.verdict}, {moment(last.window_end)}" if last else "-",
        last.reason if last else "-",
    )


def _ledger(url: str) -> "Ledger":
    from keepfit.ledger import Ledger

    return Ledger(url)
