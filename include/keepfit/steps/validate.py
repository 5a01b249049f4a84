"""Validate: hold the extracted rows against the dataset's suite of expectations."""

from pathlib import Path
from typing import TYPE_CHECKING

from keepfit.errors import ValidationFailedError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec

if TYPE_CHECKING:
    from keepfit.backends.validation_report import Failure, ValidationReport

_NAMED = 10


def validate(
    file: Path, suite: str, dataset: DatasetSpec, bounds: EngineSpec, scratch: Path
) -> "ValidationReport":
    """Hold a Parquet file against the text of a dataset's suite.

    Raises:
        SpecError: The suite names an expectation that does not exist, or gives it wrong arguments.
    """
    from keepfit.backends.validation import validate_rows

    name = dataset.files["expectations"]
    return validate_rows(file, suite, name, bounds=bounds, scratch=scratch, key=dataset.key)


def refuse_failed(report: "ValidationReport", dataset: str, page: Path) -> None:
    """Stop the window if a critical expectation failed.

    Raises:
        ValidationFailedError: One did; the text says which, with counts.
    """
    if report.passed:
        return
    critical = report.of_severity("critical")
    more = len(critical) - _NAMED
    raise ValidationFailedError(
        f"Dataset {dataset}: {len(critical)} of {report.checked} expectations of {report.suite} failed "
        "critically, so nothing of this window is published.\n"
        f"{_listed(critical[:_NAMED])}{f'{chr(10)}- and {more} more' if more > 0 else ''}\n"
        f"The whole report: {page}"
    )


def _listed(failures: "tuple[Failure, ...]") -> str:
    return "\n".join(f"- {failure}" for failure in failures)
