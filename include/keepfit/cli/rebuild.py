"""`keepfit rebuild`: a version's training set and model again, from its record."""

from pathlib import Path
from typing import Annotated

import typer

from keepfit.cli.project import Root, open_project, open_stores

Model = Annotated[str, typer.Argument(help="A model, which today's feature_repo/ need not have any more.")]
Version = Annotated[str, typer.Argument(help="The version to make again.")]
Train = Annotated[bool, typer.Option("--train", help="Train the model again, too.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Where to write the files; <home>/rebuilt/MODEL/VERSION if not given."),
]
Trust = Annotated[
    bool,
    typer.Option("--trust-registry", help="Run the code of a record that the ledger does not know."),
]


def rebuild(
    model: Model,
    version: Version,
    *,
    train: Train = False,
    out: Out = None,
    trust_registry: Trust = False,
    root: Root = None,
) -> None:
    """Make a version's training set again from its record, and say what differs; then it ends with 1."""
    project = open_project(root)
    with open_stores(project) as locations:
        from keepfit.backends.model_registry import ModelRegistry
        from keepfit.pipeline.rebuild import Rebuild

        registry = ModelRegistry(locations.tracking_uri, locations.artifacts)
        folder = out.absolute() if out else locations.home / "rebuilt" / model / version
        made = Rebuild(registry, locations, model, version, folder, trust_registry=trust_registry)
        rebuilt = made.run(train=train)
    pins = rebuilt.pins
    typer.echo(
        f"{model} version {version}: trained as of {pins.training_set['as_of']} "
        f"in run {pins.snapshot['run_id']}, commit {pins.git_commit or 'unknown'}"
    )
    for finding in rebuilt.findings:
        typer.echo(f"  {'same' if finding.same else 'DIFFERS':<8} {finding.text}")
    typer.echo(f"{'Rebuilt' if rebuilt.same else 'Not the same: see above.'} {rebuilt.folder}")
    if not rebuilt.same:
        raise typer.Exit(1)
