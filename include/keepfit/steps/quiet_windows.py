"""Cut a model's predictions into windows of the past, and keep those that were sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from keepfit.backends.engine import Connection, columns_of, identifier, identifiers, moment
from keepfit.errors import ConfError
from keepfit.spec.fields import duration_text
from keepfit.spec.window import Window
from keepfit.steps.calibrate import Quiet
from keepfit.steps.faults import BEFORE, find_faults
from keepfit.steps.quiet_column import FIRST

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch

_ROWS = "calibrated"


@dataclass(frozen=True)
class Past:
    """The windows to calibrate on, and why others are not among them."""

    quiet: tuple[Quiet, ...]
    left_out: Mapping[str, str]
    """By the window's key."""


def cut(span: Window, every: timedelta) -> list[Window]:
    """Cut a stretch of time into windows of one length; a rest at its end is left.

    Raises:
        ConfError: The stretch holds no two windows.
    """
    number = (span.end - span.start) // every
    if number <= 1:
        raise ConfError(
            f"{span.key} holds {number} windows of {duration_text(every)}: nothing can be held against "
            "anything. Give a longer stretch with --from and --to, or shorter windows with --every."
        )
    return [Window(span.start + at * every, span.start + (at + 1) * every) for at in range(number)]


def read_past(
    connection: Connection,
    predictions: str,
    windows: Sequence[Window],
    *,
    key: Sequence[str],
    columns: Sequence[str],
    min_rows: int,
    blocked: Mapping[str, str],
) -> Past:
    """Sketch each window in two halves, which a hash of the rows' keys makes the same each time.

    Args:
        connection: The engine.
        predictions: Their table.
        windows: In the order of time.
        key: The columns that name a row.
        columns: The champion's features, and the score; those the table lacks are left out.
        min_rows: With fewer rows a window says nothing.
        blocked: Windows known to be broken, and why.
    """
    there = columns_of(connection, predictions)
    wanted = [name for name in columns if name in there]
    by = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in key)
    span = _within(Window(windows[0].start, windows[-1].end))
    connection.execute(
        f"CREATE TEMP TABLE {_ROWS} AS SELECT event_time, {identifiers(wanted)}, "
        f"md5(concat_ws('|', {by})) < '8' AS one_half FROM {predictions} WHERE {span}"
    )
    kept: list[Quiet] = []
    left_out = dict(blocked)
    for window in windows:
        if window.key in left_out:
            continue
        found = Quiet(window, _halves(connection, wanted, window))
        if why := _unfit(found, kept, min_rows):
            left_out[window.key] = why
        else:
            kept.append(found)
    return Past(tuple(kept), left_out)


def _halves(
    connection: Connection, columns: Sequence[str], window: Window
) -> "tuple[Mapping[str, Sketch], Mapping[str, Sketch]]":
    from keepfit.backends.sketches import sketch_columns

    rows = f"SELECT * FROM {_ROWS} WHERE {_within(window)} AND"
    one = sketch_columns(connection, f"({rows} one_half)", columns)
    return one, sketch_columns(connection, f"({rows} NOT one_half)", columns)


def _unfit(window: Quiet, before: Sequence[Quiet], min_rows: int) -> str:
    """Say why a window cannot be one of the quiet ones."""
    rows = sum(next(iter(half.values())).rows for half in window.halves if half)
    if rows < min_rows:
        return f"{rows:,} rows of {min_rows:,} needed"
    if len(before) < FIRST:
        return ""
    wholes = [each.whole for each in before[-BEFORE:]]
    return "; ".join(find_faults(reduce(_merged, wholes), wholes, window.whole).broken)


def _merged(one: "Mapping[str, Sketch]", other: "Mapping[str, Sketch]") -> "Mapping[str, Sketch]":
    return {name: each.merge(other[name]) for name, each in one.items() if name in other}


def _within(window: Window) -> str:
    return f"event_time >= {moment(window.start)} AND event_time < {moment(window.end)}"
