"""Hold rows against a suite: one scan for what compiles to SQL, Great Expectations for the rest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from keepfit.backends.engine import engine
from keepfit.backends.suite_file import Entry, parse_suite
from keepfit.backends.suite_scan.check import Check
from keepfit.backends.suite_scan.compile import columns_named, compile_entry
from keepfit.backends.suite_scan.rows import Columns
from keepfit.backends.suite_scan.scan import Found, run_checks
from keepfit.backends.validation_report import BY_WEIGHT, Failure, ValidationReport
from keepfit.backends.wording import ONLY_EMPTY, observed_said, rows_said, unlookable
from keepfit.spec.problem import did_you_mean
from keepfit.spec.project import EngineSpec

SCHEMA = "schema"
"""What a failure is of that no entry of the suite asks for: the file has other columns than those named."""


def validate_rows(
    path: Path,
    suite: str,
    file: str = "suite",
    *,
    bounds: EngineSpec,
    scratch: Path,
    key: Sequence[str] = (),
) -> ValidationReport:
    """Hold the rows of a Parquet file against a suite's text.

    A column that is not there is told once, however many expectations name it. That there are no rows is
    marked by a warning, since nearly every expectation is met by none.

    Args:
        path: The rows.
        suite: The text, in the form Great Expectations itself stores.
        file: Where the text is from.
        bounds: The engine's memory and threads.
        scratch: A folder for what does not fit into memory.
        key: The columns that name a row.

    Raises:
        SpecError: It is no suite, or expectations' types or arguments are unknown.
    """
    name, entries = parse_suite(suite, file)
    columns = Columns.of(path)
    absent, there = _sorted_out(entries, columns)
    checks = [check for entry in there if (check := compile_entry(entry, columns))]
    with engine(bounds, scratch) as connection:
        columns.show(connection, path)
        named = [each for each in key if each in columns.kinds]
        scanned = run_checks(connection, checks, columns.kinds, named)
    decided = {each.check.entry.place for each in scanned.found}
    failures = [
        *_schema_failures(absent, columns),
        *_said(scanned.found),
        *_looked_at_by_gx(path, [entry for entry in there if entry.place not in decided], file),
    ]
    if not scanned.rows:
        failures.append(
            Failure("rows", None, "warning", "there are none, and nearly everything holds of none")
        )
    shares = {column: round(count / scanned.rows, 6) for column, count in scanned.missing.items() if count}
    return ValidationReport.of(name, scanned.rows, len(entries), failures, shares)


def _sorted_out(entries: Iterable[Entry], columns: Columns) -> tuple[dict[str, list[Entry]], list[Entry]]:
    """Part the entries that name a column that is not there once, by column, from the others."""
    absent: dict[str, list[Entry]] = defaultdict(list)
    there = []
    for entry in entries:
        gone = [name for name in columns_named(entry) if name not in columns.kinds]
        if gone:
            absent[gone[0]].append(entry)
        else:
            there.append(entry)
    return absent, there


def _schema_failures(absent: Mapping[str, Sequence[Entry]], columns: Columns) -> Iterable[Failure]:
    often = Counter(columns.listed)
    for name, entries in absent.items():
        worst = min((entry.severity for entry in entries), key=BY_WEIGHT.index)
        if often[name] == 1:
            twins = ", ".join(map(repr, columns.alike(name)))
            why = f"the columns {twins} differ only in capitals, and the engine does not tell them apart"
        elif often[name]:
            why = f"the column is there {often[name]} times"
        else:
            why = f"the column is not there.{did_you_mean(name, list(often))}"
        yield Failure(SCHEMA, name, worst, f"{why} (named by {len(entries)} expectations)")


def _said(found: Iterable[Found]) -> Iterable[Failure]:
    for each in found:
        if (failure := _failure(each.check, each)) is not None:
            yield failure


def _failure(check: Check, found: Found) -> Failure | None:
    entry, verdict = check.entry, found.verdict
    failure = Failure(entry.type, entry.kwargs.get("column"), entry.severity, "")
    if verdict.trouble:
        return replace(failure, message=unlookable(verdict.trouble))
    if verdict.only_empty:
        return replace(failure, severity="warning", message=ONLY_EMPTY)
    if verdict.met:
        return None
    if verdict.count is None or verdict.of is None:
        return replace(failure, message=observed_said(verdict.observed, (), entry.kwargs))
    said = rows_said(verdict.count, verdict.of, found.examples, entry.kwargs)
    return replace(failure, message=said, unexpected_count=verdict.count, keys=found.keys)


def _looked_at_by_gx(path: Path, entries: Sequence[Entry], file: str) -> Iterable[Failure]:
    if not entries:
        return []
    # Importing it takes seconds, so only for what needs it.
    from keepfit.backends.suites import look

    return [failure for failure in look(path, entries, file) if failure is not None]
