"""How a challenger becomes champion: by itself, asked for, or never; and who watches it afterwards."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from keepfit.spec.fields import Closed, PositiveDuration

Promotion = Literal["auto", "approval", "never"]
_CAUTION: tuple[Promotion, ...] = ("auto", "approval", "never")


def most_careful(asked: Iterable[str]) -> Promotion:
    """Return the most careful of several wishes: a run may ask for more caution than its model, not for less.

    `replace`, which gives up a champion that cannot be scored, is no wish about who promotes.
    """
    return max((each for each in _CAUTION if each in {"auto", *asked}), key=_CAUTION.index)


class ApprovalSpec(Closed):
    """Who is asked whether a challenger that passed its gate goes live."""

    timeout: PositiveDuration = timedelta(days=3)
    """How long an answer is waited for."""
    default: Literal["reject", "approve"] = "reject"
    """What counts as the answer when nobody has given one in time."""
    assignees: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Ids of the Airflow users who may answer; all who may run the DAG when not given."""


class WatchSpec(Closed):
    """For how long a new champion is held against the one before it, and rolled back if it does harm."""

    period: PositiveDuration = timedelta(days=28)
    """How long, in data time, from its first prediction on."""
    worse_by: Annotated[float, Field(ge=0)] = 0.02
    """How much worse the objective must be than that of the version before it, relative to that version's
    own on the same rows, beyond what chance explains."""
    min_rows: Annotated[int, Field(ge=2)] = 500
    """With fewer labelled rows nothing is judged."""
