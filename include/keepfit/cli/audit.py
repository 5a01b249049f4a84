"""`keepfit audit`: has anybody changed the ledger by hand?"""

import re
from typing import Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores

_SHOWN = 20

Head = Annotated[
    str | None,
    typer.Option("--head", help="The head that an earlier audit printed: it must be in the chain still."),
]


def audit(head: Head = None, root: Root = None) -> None:
    """Hold every row of the ledger against the chain of digests. Exit code 1 if one does not agree.

    Keep the head it prints somewhere else: with `--head`, a later audit finds what was cut off the end.
    """
    from keepfit.ledger import Ledger

    noted = _read(head)
    with open_stores(open_project(root)) as locations:
        found = Ledger(locations.ledger_url).audit(noted)
    for finding in found.findings[:_SHOWN]:
        typer.echo(finding, err=True)
    if len(found.findings) > _SHOWN:
        typer.echo(f"and {len(found.findings) - _SHOWN} more findings", err=True)
    typer.echo(f"links     {found.links}\nfindings  {len(found.findings)}\nhead      {found.head}")
    if found.findings:
        raise typer.Exit(1)


def _read(head: str | None) -> str | None:
    """Refuse what is no head: a file that is empty, say, must not pass for one that agrees."""
    if head is None:
        return None
    digest = head.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise typer.BadParameter(f"--head is {head!r}. Give the 64 letters and digits that an audit printed.")
    return digest
