"""`keepfit up`, `down` and `status`: the embedded profile."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.project import Root, find_root
from keepfit.cli.table import table

if TYPE_CHECKING:
    from keepfit.embedded.status import Status

_LOOK_EVERY = 1.0

Foreground = Annotated[bool, typer.Option("--foreground", help="Stay, and stop everything on Ctrl-C.")]
Follow = Annotated[bool, typer.Option("--follow", help="Stay, and tell of every change until Ctrl-C.")]


def up(foreground: Foreground = False, root: Root = None) -> None:
    """Start Airflow, MLflow, the prediction server and their databases here; what runs already stays."""
    from keepfit.embedded.supervisor import up as start

    typer.echo(_told(start(find_root(root), foreground=foreground, on_progress=typer.echo)))


def down(root: Root = None) -> None:
    """Stop everything that `keepfit up` started."""
    from keepfit.embedded.supervisor import down as stop

    stop(find_root(root))
    typer.echo("stopped")


def status(follow: Follow = False, root: Root = None) -> None:
    """Show what runs, and where; exit code 1 unless all of it is well."""
    from keepfit.embedded.supervisor import status as look

    folder = find_root(root)
    found = look(folder)
    typer.echo(_told(found))
    while follow:
        time.sleep(_LOOK_EVERY)
        seen, found = found, look(folder)
        if found != seen:
            typer.echo(f"\n{_told(found)}")
    if not found.healthy:
        raise typer.Exit(1)


def _told(status: "Status") -> str:
    """Describe a status: the phase, the programs, and the addresses where they can be used."""
    told = (status.phase, status.problem or status.doing)
    lines = [": ".join(dict.fromkeys(part for part in told if part))]
    if status.components and status.phase != "stopped":
        rows = [
            (each.name, each.state, str(each.pid or "-"), str(each.restarts)) for each in status.components
        ]
        lines.append(table(("PROGRAM", "STATE", "PID", "RESTARTS"), rows))
    lines += [
        f"{each.name} died too often. The end of {each.log}:\n{each.last_lines()}"
        for each in status.components
        if each.state == "failed"
    ]
    if status.running and status.ports:
        lines += [f"Airflow  {status.airflow_url}", f"MLflow   {status.mlflow_url}"]
        if status.serving_url:
            lines.append(f"Serving  {status.serving_url}/docs")
        lines.append(f"Log in as {status.user}; the password is in {status.password_file}")
    return "\n".join(lines)
