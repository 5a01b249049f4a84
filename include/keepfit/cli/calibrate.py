"""`keepfit calibrate`: thresholds for a stated rate of false alarms, chosen on a model's own past."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from keepfit.cli.calibrated import told
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.run import End, Start
from keepfit.spec import Window
from keepfit.spec.fields import parse_duration

Model = Annotated[str, typer.Argument(help="A model that has predicted.")]
Every = Annotated[str, typer.Option(help="How long a window is, such as 7d.")]
FalseAlarms = Annotated[
    float, typer.Option("--false-alarms", help="In what share of quiet windows an alarm may sound.")
]


def calibrate(  # noqa: PLR0917, each parameter is an option of the command
    model: Model,
    start: Start = None,
    end: End = None,
    every: Every = "7d",
    false_alarms: FalseAlarms = 0.05,
    root: Root = None,
) -> None:
    """Choose thresholds on a model's own predictions, and show the smallest shifts that they see."""
    length = _length(every)
    window = _window(start, end)
    project = open_project(root)
    project.model(model)
    now = datetime.now(UTC)
    if window:
        window.refuse_future(now)
    with open_stores(project):
        from keepfit.pipeline.calibrating import CALIBRATION, CalibrateRun
        from keepfit.pipeline.snapshot import take_snapshot

        run_id = f"cli__{now:%Y%m%dT%H%M%S%f}"
        snapshot = take_snapshot(project, f"{model}__calibrate", run_id, model=model, window=window)
        found = CalibrateRun(snapshot).calibrate(length, false_alarms)
        for line in told(found):
            typer.echo(line)
        typer.echo(f"All of it: {snapshot.folder.file(f'{CALIBRATION}.json')}")


def _length(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"--every: {error}.") from error
    if not isinstance(found, timedelta) or found < timedelta(minutes=1):
        raise typer.BadParameter(f"--every is {text}: a window lasts a minute at least, such as 7d.")
    return found


def _window(start: str | None, end: str | None) -> Window | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise typer.BadParameter(f"{'--from' if start is None else '--to'} is missing: give both, or none.")
    return Window.parse(start, end)
