"""`keepfit live` and `history`: which version of a model was live when, since when, why, and by whom."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.strays import tell_strays
from keepfit.cli.table import moment, table
from keepfit.spec.window import parse_moment

if TYPE_CHECKING:
    from keepfit.ledger import Approval, Deployment, Ledger

Model = Annotated[str, typer.Argument(help="A model.")]
At = Annotated[
    str | None,
    typer.Option("--at", help="The moment asked about, such as 2024-01-01T12:00:00Z; now if none."),
]


def live(model: Model, at: At = None, root: Root = None) -> None:
    """Show which version of a model is live, or was at a time: since when, why, and by whom."""
    project = open_project(root)
    name = project.model(model).name
    asked = parse_moment(at, "--at") if at else None
    with open_stores(project) as locations:
        from keepfit.ledger import Ledger

        lines = list(_roles(Ledger(locations.ledger_url), name, asked))
        # What somebody does past keepfit is known of now only.
        astray = tell_strays(project, [name]) if asked is None else []
    for line in (*lines, *astray):
        typer.echo(line)


def history(model: Model, root: Root = None) -> None:
    """Show every move of a model's champion and challenger, and how each training ended, and why."""
    project = open_project(root)
    name = project.model(model).name
    with open_stores(project) as locations:
        from keepfit.ledger import Ledger

        ledger = Ledger(locations.ledger_url)
        moved, trained = [*_moves(ledger, name)], ledger.trainings(name)
        said = {each.run_id: (_said(each),) for each in ledger.approvals(name)}
        astray = tell_strays(project, [name])
    typer.echo(table(("SINCE", "ROLE", "FROM", "TO", "SHARE", "WHO", "WHY"), map(_row, moved)))
    for line in astray:
        typer.echo(line)
    typer.echo()
    ends = [
        (
            moment(each.as_of),
            each.version or "-",
            each.verdict,
            each.run_id,
            "; ".join((*each.reasons, *said.get(each.run_id, ()))),
        )
        for each in trained
    ]
    typer.echo(table(("TRAINED AS OF", "VERSION", "VERDICT", "RUN", "REASONS"), ends))


def _said(approval: "Approval") -> str:
    return f"{approval.answer} by {approval.who}{': ' if approval.why else ''}{approval.why}"


def _roles(ledger: "Ledger", model: str, at: datetime | None) -> Iterator[str]:
    champion, challenger = ledger.live(model, at), ledger.live(model, at, "challenger")
    none = f"had no champion at {_second(at)} UTC" if at else "has no champion yet"
    yield _told(champion) if champion else f"{model} {none}."
    if challenger:
        yield _told(challenger)


def _told(move: "Deployment") -> str:
    share = f", answers {move.share:.1%} of the requests" if move.share else ", is scored beside"
    role = f"{move.alias}{share if move.alias == 'challenger' else ''}"
    decided = f", decision {move.decision_key}" if move.decision_key else ""
    since = f"since {_second(move.moved_at)} UTC, by {move.who} (run {move.run_id}{decided})"
    return f"version {move.to_version} is {role} {since}: {move.why}"


def _moves(ledger: "Ledger", model: str) -> "list[Deployment]":
    """List the moves of both aliases, oldest first."""
    both = [*ledger.deployments(model), *ledger.deployments(model, "challenger")]
    return sorted(both, key=lambda move: move.moved_at)


def _row(move: "Deployment") -> tuple[str, ...]:
    share = f"{move.share:g}" if move.share is not None else "-"
    versions = move.from_version or "-", move.to_version or "-"
    return _second(move.moved_at), move.alias, *versions, share, move.who, move.why


def _second(at: datetime) -> str:
    """Write a time to the second: what `--at` and `rollback --to` take."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
