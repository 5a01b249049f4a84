"""The only door to Evidently: the drift of a column, and a report for people to look at.

Evidently loses a whole report when one of its columns is odd, and silently leaves others out. So
each column is asked about on its own, and only clean columns come in: numbers as floats or categories
as text, none of them missing, at least one on either side.
"""

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

os.environ.setdefault("DO_NOT_TRACK", "1")

from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS_ONLY = ("ks", "wasserstein")
_NAMES = {
    "Wasserstein distance (normed)": "wasserstein",
    "Jensen-Shannon distance": "jensenshannon",
    "K-S p_value": "ks",
    "chi-square p_value": "chisquare",
    "Z-test p_value": "z",
    "PSI": "psi",
}
"""Evidently answers with a display name where it chose the method itself."""


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column is from its reference, as Evidently has it."""

    column: str
    method: str
    score: float
    """A distance, or a p-value: only `drifted` knows in which direction it counts."""
    threshold: float
    drifted: bool


def column_drift(
    reference: "pd.Series[Any]",
    current: "pd.Series[Any]",
    *,
    categorical: bool,
    method: str = "default",
    threshold: float | None = None,
) -> ColumnDrift:
    """Compare one clean column; a method for numbers leaves categories to Evidently's default."""
    column = str(reference.name)
    named = method != "default" and not (categorical and method in _NUMBERS_ONLY)
    metric = ValueDrift(
        column=column,
        method=method if named else None,
        threshold=threshold if named or method == "default" else None,
    )
    answer = _ask(metric, reference.to_frame(), current.to_frame(), categorical)
    config = answer["metrics"][0]["config"]
    return ColumnDrift(
        column=column,
        method=_NAMES.get(config["method"], config["method"]),
        score=float(answer["metrics"][0]["value"]),
        threshold=float(config["threshold"]),
        drifted=answer["tests"][0]["status"] == "FAIL",
    )


def _ask(
    metric: ValueDrift, reference: "pd.DataFrame", current: "pd.DataFrame", categorical: bool
) -> dict[str, Any]:
    definition = _definition([metric.column], [metric.column] if categorical else [])
    data = [Dataset.from_pandas(each, definition) for each in (current, reference)]
    with _without_warnings():
        answer: dict[str, Any] = json.loads(Report([metric], include_tests=True).run(*data).json())
    return answer


def html_report(reference: "pd.DataFrame", current: "pd.DataFrame", categorical: Sequence[str]) -> str:
    """Render Evidently's drift report, one page of about 5 MB that needs nothing else."""
    definition = _definition(list(reference.columns), categorical)
    data = [Dataset.from_pandas(each, definition) for each in (current, reference)]
    with _without_warnings():
        text: str = Report([DataDriftPreset()]).run(*data).get_html_str(as_iframe=False)
    return text


def _definition(columns: Sequence[str], categorical: Sequence[str]) -> DataDefinition:
    return DataDefinition(
        numerical_columns=[each for each in columns if each not in categorical],
        categorical_columns=list(categorical),
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence SciPy on what is no news: an approximate p-value, a category of no reference rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
