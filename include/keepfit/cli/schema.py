"""`keepfit schema`: what the files may hold, for editors."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from keepfit.cli.project import Root, find_root
from keepfit.spec.load import FEATURE_REPO
from keepfit.spec.schema import json_schema, write_schemas


class Kind(StrEnum):
    """A kind of file."""

    dataset = "dataset"
    model = "model"
    project = "project"


def schema(
    kind: Annotated[
        Kind | None, typer.Argument(help="Which file's schema to print; all if not given.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write all into feature_repo/.schemas/.")] = False,
    root: Root = None,
) -> None:
    """Print the JSON schema of a kind of file, or write all where the files' first lines look for them."""
    if write:
        folder = find_root(root)
        for path in write_schemas(folder / FEATURE_REPO):
            typer.echo(path.relative_to(folder).as_posix())
        return
    schemas = {each.value: json_schema(each.value) for each in Kind}
    typer.echo(json.dumps(schemas[kind.value] if kind else schemas, indent=2))
