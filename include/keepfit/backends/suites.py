"""Suites of expectations, run by Great Expectations. The only door to great_expectations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.registry import list_registered_expectation_implementations

from keepfit.backends.suite_file import Entry, parse_suite
from keepfit.backends.validation_report import Failure, ValidationReport
from keepfit.errors import SpecError
from keepfit.spec.problem import did_you_mean

_EXAMPLES = 3


@dataclass(frozen=True)
class Suite:
    """Expectations that Great Expectations knows, as a file lists them."""

    name: str
    expectations: tuple[tuple[Entry, Any], ...]


def read_suite(text: str, file: str = "suite") -> Suite:
    """Read a suite's YAML or JSON, in the form Great Expectations itself stores.

    Raises:
        SpecError: It is no suite, or expectations' types or arguments are unknown, one a line.
    """
    name, entries = parse_suite(text, file)
    known: list[tuple[Entry, Any]] = []
    unknown: list[str] = []
    for entry in entries:
        try:
            known.append((entry, _expectation(entry, file)))
        except SpecError as error:
            unknown.append(str(error))
    if unknown:
        raise SpecError("\n".join(unknown))
    return Suite(name, tuple(known))


def validate_file(path: Path, suite: str, file: str = "suite") -> ValidationReport:
    """Hold the rows of a Parquet file against a suite's text.

    An expectation that raises counts as failed with its severity, and costs the others nothing. One that
    passes only because its column has no values is marked by a warning.
    """
    table = pq.read_table(path)
    wanted = read_suite(suite, file)
    frame = _frame(table)
    batch = _batch(frame)
    failures = [
        failure
        for entry, expectation in wanted.expectations
        for failure in _look(batch, entry, _with_moments(expectation, table.schema))
    ]
    missing = {str(name): round(float(share), 6) for name, share in frame.isna().mean().items() if share > 0}
    return ValidationReport.of(wanted.name, table.num_rows, len(wanted.expectations), failures, missing)


def _expectation(entry: Entry, file: str) -> Any:
    # ExpectationSuite itself logs an unknown type and leaves the expectation out: it would never be checked.
    known = list_registered_expectation_implementations()
    if entry.type not in known:
        raise SpecError(
            f"{file}: {entry.place}: no expectation is named {entry.type!r}.{did_you_mean(entry.type, known)}"
        )
    try:
        return ExpectationConfiguration(
            type=entry.type, kwargs=dict(entry.kwargs), severity=entry.severity, meta=dict(entry.meta)
        ).to_domain_obj()
    except Exception as error:
        said = " ".join((str(error).partition("\n")[2] or str(error)).split())
        raise SpecError(f"{file}: {entry.place}: {entry.type} does not take these kwargs: {said}") from error


def _batch(frame: pd.DataFrame) -> Any:
    # GX keeps suites, stores and ids per context, so each look makes its own and leaves no files.
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})


def _frame(table: pa.Table) -> pd.DataFrame:
    """Return rows as pandas sees them, whole numbers whole also where some are missing."""
    columns = {name: _series(table[name]) for name in table.column_names}
    return pd.DataFrame(columns)


def _series(column: pa.ChunkedArray) -> Any:
    if pa.types.is_int64(column.type) and column.null_count:
        return column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return column.to_pandas()


def _with_moments(expectation: Any, schema: pa.Schema) -> Any:
    """Read limits on times as UTC: pandas compares no moment with a date or a text."""
    column = getattr(expectation, "column", None)
    if column not in schema.names or not pa.types.is_timestamp(schema.field(column).type):
        return expectation
    limits = {
        name: pd.to_datetime(value, utc=True).to_pydatetime()
        for name in ("min_value", "max_value")
        if (value := getattr(expectation, name, None)) is not None
    }
    return expectation.copy(update=limits)


def _look(batch: Any, entry: Entry, expectation: Any) -> Iterable[Failure]:
    column = entry.kwargs.get("column")
    try:
        found = batch.validate(expectation, result_format="SUMMARY")
    except Exception as error:  # noqa: BLE001 - GX lets anything through, and one expectation must not cost the rest
        return [Failure(entry.type, column, entry.severity, f"could not be looked at: {_short(error)}")]
    if not found.success:
        return [Failure(entry.type, column, entry.severity, *_said(entry, found))]
    if 0 < found.result.get("element_count", 0) == found.result.get("missing_count"):
        return [Failure(entry.type, column, "warning", "passes only because the column has no values")]
    return []


def _said(entry: Entry, found: Any) -> tuple[str, int | None]:
    """Say in words how rows fail, with the count where there is one."""
    wanted = ", ".join(f"{name} {value}" for name, value in entry.kwargs.items() if name != "column")
    expected = f" (expected: {_short(wanted)})" if wanted else ""
    result, count = found.result, found.result.get("unexpected_count")
    if problem := _raised(found.exception_info):
        return f"could not be looked at: {_short(problem)}", None
    if count is not None and "element_count" in result:
        of = f"{count:,} of {result['element_count']:,} rows ({_share(count / result['element_count'])})"
        return f"{of}{_examples(result)}{expected}", int(count)
    return f"observed {_short(result.get('observed_value'))}{_examples(result)}{expected}", count


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "under 0.1%"  # noqa: PLR2004


def _examples(result: Mapping[str, Any]) -> str:
    values: Sequence[Any] = result.get("partial_unexpected_list") or ()
    there = (value for value in values if isinstance(value, dict) or not pd.isna(value))
    distinct = list(dict.fromkeys(map(str, there)))[:_EXAMPLES]
    return f", such as {_short(', '.join(distinct))}" if distinct else ""


def _raised(info: Mapping[str, Any]) -> str | None:
    # One shape for an expectation that raised, another for its metrics.
    infos = [info] if "raised_exception" in info else list(info.values())
    return next((str(each["exception_message"]) for each in infos if each.get("raised_exception")), None)


def _short(value: object) -> str:
    said = " ".join(str(value).split())
    return said if len(said) <= 160 else f"{said[:157]}..."  # noqa: PLR2004
