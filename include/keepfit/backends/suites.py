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
from keepfit.backends.validation_report import Failure
from keepfit.backends.wording import ONLY_EMPTY, observed_said, rows_said, unlookable
from keepfit.errors import SpecError
from keepfit.spec.problem import did_you_mean


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
    return Suite(name, _known(entries, file))


def _known(entries: Iterable[Entry], file: str) -> tuple[tuple[Entry, Any], ...]:
    known: list[tuple[Entry, Any]] = []
    unknown: list[str] = []
    for entry in entries:
        try:
            known.append((entry, _expectation(entry, file)))
        except SpecError as error:
            unknown.append(str(error))
    if unknown:
        raise SpecError("\n".join(unknown))
    return tuple(known)


def look(path: Path, entries: Iterable[Entry], file: str = "suite") -> list[Failure | None]:
    """Hold the rows of a Parquet file against expectations; say of each what is wrong, None if nothing is.

    An expectation that raises counts as failed with its severity, and costs the others nothing. One that
    passes only because its column has no values is marked by a warning.

    Raises:
        SpecError: Expectations' types or arguments are unknown.
    """
    table = pq.ParquetFile(
        path
    ).read()  # unlike `read_table`, it reads a file with a name that is there twice
    wanted = _known(entries, file)
    batch = _batch(_frame(table))
    return [_look(batch, entry, each, table.schema) for entry, each in wanted]


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
    # A name that is there twice would raise; whoever asks for such a column is told so before.
    names = [name for name in table.column_names if table.column_names.count(name) == 1]
    return pd.DataFrame({name: _series(table[name]) for name in names})


def _series(column: pa.ChunkedArray) -> Any:
    if pa.types.is_int64(column.type) and column.null_count:
        return column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return column.to_pandas()


def _with_moments(expectation: Any, schema: pa.Schema) -> Any:
    """Read limits on times as UTC, and those on dates as dates: pandas compares no moment with a text."""
    column = getattr(expectation, "column", None)
    if schema.names.count(column) != 1 or not _is_moment(kind := schema.field(column).type):
        return expectation
    limits = {
        name: _moment(value, kind)
        for name in ("min_value", "max_value")
        if (value := getattr(expectation, name, None)) is not None and not isinstance(value, int | float)
    }
    return expectation.copy(update=limits)


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _moment(value: Any, kind: pa.DataType) -> Any:
    at = pd.to_datetime(value, utc=True).to_pydatetime()
    if pa.types.is_date(kind):
        return at.date()
    return at if kind.tz else at.replace(tzinfo=None)


def _look(batch: Any, entry: Entry, expectation: Any, schema: pa.Schema) -> Failure | None:
    column = entry.kwargs.get("column")
    try:
        found = batch.validate(_with_moments(expectation, schema), result_format="SUMMARY")
    except Exception as error:  # noqa: BLE001 - GX lets anything through, and one expectation must not cost the rest
        return Failure(entry.type, column, entry.severity, unlookable(error))
    if not found.success:
        return Failure(entry.type, column, entry.severity, *_said(entry, found))
    if 0 < found.result.get("element_count", 0) == found.result.get("missing_count"):
        return Failure(entry.type, column, "warning", ONLY_EMPTY)
    return None


def _said(entry: Entry, found: Any) -> tuple[str, int | None]:
    """Say in words how rows fail, with the count where there is one."""
    result, count = found.result, found.result.get("unexpected_count")
    if problem := _raised(found.exception_info):
        return unlookable(problem), None
    if count is not None and "element_count" in result:
        return rows_said(count, result["element_count"], _examples(result), entry.kwargs), int(count)
    return observed_said(result.get("observed_value"), _examples(result), entry.kwargs), count


def _examples(result: Mapping[str, Any]) -> list[Any]:
    values: Sequence[Any] = result.get("partial_unexpected_list") or ()
    return [value for value in values if isinstance(value, dict) or not pd.isna(value)]


def _raised(info: Mapping[str, Any]) -> str | None:
    # One shape for an expectation that raised, another for its metrics.
    infos = [info] if "raised_exception" in info else list(info.values())
    return next((str(each["exception_message"]) for each in infos if each.get("raised_exception")), None)
