"""What `list`, `live` and `history` say of aliases that were moved behind keepfit's back."""

from collections.abc import Sequence

import typer

from keepfit.errors import RegistryError
from keepfit.spec import Project


def tell_strays(project: Project, models: Sequence[str]) -> list[str]:
    """Return a line for each alias that is not where the ledger says so.

    What the ledger knows is shown even where the registry does not answer.
    """
    from keepfit.pipeline.aliases import find_strays

    try:
        return [f"WARNING {line}" for line in find_strays(project, models)]
    except RegistryError as error:
        typer.echo(
            f"Whether the registry's aliases are where the ledger says is not known. {error}", err=True
        )
        return []
