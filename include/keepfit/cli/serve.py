"""`keepfit serve`: one-row and batch predictions over HTTP."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import typer

from keepfit.cli.project import Root, open_project, share_settings
from keepfit.cli.worker import WORKER
from keepfit.errors import EmbeddedError, SpecError
from keepfit.spec import Project, ServingSpec
from keepfit.spec.serving import TOKEN

Models = Annotated[
    list[str] | None, typer.Argument(help="The models to serve; serving.models, or all, if none is given.")
]
Host = Annotated[str | None, typer.Option(help="The address to listen on; else serving.host.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="The port; else serving.port.")]
Workers = Annotated[int | None, typer.Option(min=1, max=64, help="Processes; else serving.workers.")]


def serve(
    models: Models = None, host: Host = None, port: Port = None, workers: Workers = None, root: Root = None
) -> None:
    """Answer requests for predictions with each model's champion, until Ctrl-C.

    What is changed by a release is served within seconds, without a request lost. Set KEEPFIT_SERVING_TOKEN
    to ask for a token.
    """
    from keepfit.serving.start import refuse_open
    from keepfit.serving.start import serve as start

    project = open_project(root)
    names = _names(project, models)
    given: dict[str, Any] = {"host": host, "port": port, "workers": workers}
    changed = {name: value for name, value in given.items() if value is not None}
    settings = ServingSpec.model_validate(project.spec.serving.model_dump() | changed)
    refuse_open(settings, os.environ.get(TOKEN))
    with _stores_if_there(project):
        where = f"http://{settings.host}:{settings.port}"
        typer.echo(f"Serving {', '.join(names)} at {where} (its description: {where}/docs)")
        start(project, names, settings, WORKER)


def _names(project: Project, given: list[str] | None) -> list[str]:
    names = list(dict.fromkeys(given or project.spec.serving.models or project.models))
    if not names:
        raise SpecError("There is no model to serve. Add feature_repo/models/<name>.yaml.")
    return [project.model(name).name for name in names]


@contextmanager
def _stores_if_there(project: Project) -> Iterator[None]:
    """Reach the project's databases, but serve without them, too: what was live last is on this disk."""
    from keepfit.embedded.stores import databases

    share_settings()
    with ExitStack() as stack:
        try:
            stack.enter_context(databases(project))
        except EmbeddedError as error:
            if project.spec.database != "embedded":
                raise
            typer.echo(f"WARNING {error}", err=True)
        yield
