"""The only door to Evidently: a report for people to look at.

Evidently loses a whole report when one of its columns is odd, and silently leaves others out. So only clean
columns come in: numbers as floats or categories as text, at least one of them on either side.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

os.environ.setdefault("DO_NOT_TRACK", "1")

from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

if TYPE_CHECKING:
    import pandas as pd


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
