"""`keepfit env`: the variables with which other programs find the project's stores."""

import shlex

import typer

from keepfit.cli.project import Root, open_project, open_stores


def env(root: Root = None) -> None:
    """Print `export` lines for the shell: eval "$(keepfit env)".

    The databases of `database: embedded` answer while `keepfit up` runs.
    """
    with open_stores(open_project(root)) as locations:
        for name, value in locations.environment().items():
            typer.echo(f"export {name}={shlex.quote(value)}")
