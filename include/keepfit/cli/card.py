"""`keepfit card`: what a version is, what it was made from, how it did, and what nobody has measured."""

from pathlib import Path
from typing import Annotated

import typer

from keepfit.cli.pages import put_page
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.errors import RegistryError

Model = Annotated[str, typer.Argument(help="A model, which today's feature_repo/ need not have any more.")]
Version = Annotated[str | None, typer.Argument(help="A version; the champion if not given.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the card as a page to this file.")]


def card(model: Model, version: Version = None, html: Html = None, root: Root = None) -> None:
    """Show the model card of a version."""
    project = open_project(root)
    with open_stores(project) as locations:
        from keepfit.backends.model_registry import ModelRegistry
        from keepfit.pipeline.describing import CARD, CARD_PAGE

        registry = ModelRegistry(locations.tracking_uri, locations.artifacts)
        wanted = version or registry.champion(model)
        if wanted is None and not registry.versions(model):
            project.model(model)
            raise RegistryError(f"{model} has no version yet. Train it: `keepfit run {model} --as-of TIME`.")
        if wanted is None:
            raise RegistryError(f"{model} has no champion. Name a version: `keepfit card {model} VERSION`.")
        found = registry.attached(model, wanted, CARD_PAGE if html else CARD)
        if html is None:
            typer.echo(found.read_text(encoding="utf-8"))
            return
        put_page(found, html)
    typer.echo(f"Version {wanted} of {model}: {html.absolute()}")
