"""`keepfit features`: are the features fresh, and does the online store agree with what is published?"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.table import moment, table
from keepfit.spec.window import parse_moment

if TYPE_CHECKING:
    from keepfit.ledger import FeatureCheck

At = Annotated[
    str | None,
    typer.Option("--at", help="The moment to be fresh at; the end of all that is published if not given."),
]
Sample = Annotated[int, typer.Option(min=1, help="How many entities of each view to read online.")]


def features(at: At = None, sample: Sample = 50, root: Root = None) -> None:
    """Show how old each feature view is against its promise, and whether its online values are right.

    Exit code 1 if one is not fit. Predictions stop or are marked by what was found last.
    """
    from keepfit.ledger import Ledger
    from keepfit.pipeline.features import check_all

    project = open_project(root)
    with open_stores(project) as locations:
        ends = (Ledger(locations.ledger_url).published_until(name) for name in project.datasets)
        newest = max((end for end in ends if end), default=datetime.now(UTC))
        wanted, run_id = (
            parse_moment(at, "--at") if at else newest,
            f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S%f}",
        )
        fresh, equal = check_all(project, wanted, sample, run_id)
    rows = [
        (each.view, moment(_newest(each)), each.evidence.get("promise") or "-", _word(each), _word(other))
        for each, other in zip(fresh, equal, strict=True)
    ]
    typer.echo(table(("VIEW", "NEWEST", "PROMISE", "FRESH", "ONLINE AGREES"), rows))
    unfit = [each.reason for each in (*fresh, *equal) if not each.passed]
    for reason in unfit:
        typer.echo(reason, err=True)
    if unfit:
        raise typer.Exit(1)


def _newest(check: "FeatureCheck") -> datetime | None:
    known = check.evidence["newest"]
    return datetime.fromisoformat(known) if known else None


def _word(check: "FeatureCheck") -> str:
    return "yes" if check.passed else "no"
