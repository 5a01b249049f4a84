"""What a suite says about rows: small records, the same whoever looked."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]
BY_WEIGHT: tuple[Severity, ...] = ("critical", "warning", "info")
_BYTES = 9_000
"""So that a report travels between tasks."""


@dataclass(frozen=True)
class Failure:
    """An expectation that rows did not meet, or that could not be looked at."""

    expectation: str
    column: str | None
    severity: Severity
    message: str
    unexpected_count: int | None = None
    keys: tuple[str, ...] = ()
    """The keys of some of the rows, where rows fail one by one and the dataset's key is among the columns."""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.column or 'the table'}: {self.expectation}: {self.message}"


@dataclass(frozen=True)
class ValidationReport:
    """What a suite says about some rows."""

    suite: str
    rows: int
    checked: int
    """How many expectations were looked at."""
    failures: tuple[Failure, ...]
    """The worst first."""
    missing_share: Mapping[str, float]
    """The share of missing values of the columns that miss any."""
    left_out: int = 0
    """How many of the mildest failures are not listed."""

    @classmethod
    def of(
        cls,
        suite: str,
        rows: int,
        checked: int,
        failures: Iterable[Failure],
        missing_share: Mapping[str, float],
    ) -> "ValidationReport":
        """Make a report whose JSON is at most 10 kB."""
        worst_first = sorted(failures, key=lambda failure: BY_WEIGHT.index(failure.severity))
        report = cls(suite, rows, checked, tuple(worst_first), missing_share)
        while len(json.dumps(report.to_dict())) > _BYTES and report.failures:
            fewer = report.failures[: -max(1, len(report.failures) // 10)]
            left_out = report.left_out + len(report.failures) - len(fewer)
            report = replace(report, failures=fewer, left_out=left_out)
        return report

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst failure."""
        return self.failures[0].severity if self.failures else None

    @property
    def passed(self) -> bool:
        """Whether the rows may go on."""
        return self.worst != "critical"

    def of_severity(self, severity: Severity) -> tuple[Failure, ...]:
        """Return the failures of one severity."""
        return tuple(failure for failure in self.failures if failure.severity == severity)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return asdict(self) | {"passed": self.passed, "worst": self.worst}
