"""All commands, and how an error ends one."""

import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from keepfit.cli import (
    apply,
    audit,
    calibrate,
    card,
    check,
    environment,
    features,
    incidents,
    loop,
    moves,
    new,
    propose,
    quarantine,
    rebuild,
    records,
    release,
    replay,
    run,
    schema,
    serve,
    service,
)
from keepfit.errors import KeepfitError


class _Commands(TyperGroup):
    """Tells an error that was raised on purpose without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeepfitError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Commands,
    name="keepfit",
    help="Keeps your models fit: retrain when it pays, prove it by replay, undo it in one step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(new.new)
app.command()(check.check)
app.command()(schema.schema)
app.command()(apply.plan)
app.command()(apply.apply)
app.command()(features.features)
app.command("list")(records.overview)
app.command()(run.run)
app.command()(rebuild.rebuild)
app.command()(quarantine.quarantine)
app.command()(propose.propose)
app.command()(calibrate.calibrate)
app.command()(records.decisions)
app.command()(incidents.incidents)
app.command()(replay.replay)
app.command()(loop.loop)
app.command()(audit.audit)
app.command()(card.card)
app.command()(moves.history)
app.command()(moves.live)
app.command()(release.release)
app.command()(release.rollback)
app.command()(serve.serve)
app.command()(service.up)
app.command()(service.status)
app.command()(service.down)
app.command()(environment.env)


def main() -> None:
    """Run the command line; what other libraries warn of is for their developers."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    app()
