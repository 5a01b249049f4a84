"""From a suite's entries to checks in SQL."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from keepfit.backends.suite_file import Entry
from keepfit.backends.suite_scan import measures, row_checks, table_checks
from keepfit.backends.suite_scan.arguments import LIMITS, limits_alike, meant_alike
from keepfit.backends.suite_scan.check import Asked, Check
from keepfit.backends.suite_scan.rows import Columns

_ROWS = ("row_condition", "condition_parser")
_LIMITS = (*LIMITS, "strict_min", "strict_max")
_MAP = ("mostly", *_ROWS)


@dataclass(frozen=True)
class Rule:
    """How a type of expectation is written in SQL, and which arguments it takes."""

    write: Callable[[Asked], Check | None]
    needs: tuple[str, ...]
    may_have: tuple[str, ...]
    counts: bool = False
    """Whether its limits are counts."""

    def takes(self, kwargs: Mapping[str, Any]) -> bool:
        """Tell whether it takes these arguments, as Great Expectations does."""
        named = set(self.needs) <= set(kwargs) <= {*self.needs, *self.may_have}
        return named and meant_alike(kwargs) and limits_alike(kwargs, whole=self.counts)


_COLUMN = ("column",)
_PAIR = ("column_A", "column_B")
RULES: Mapping[str, Rule] = {
    f"expect_{name}": rule
    for name, rule in {
        "column_values_to_not_be_null": Rule(row_checks.not_null, _COLUMN, _MAP),
        "column_values_to_be_null": Rule(row_checks.null, _COLUMN, _MAP),
        "column_values_to_be_between": Rule(row_checks.between, _COLUMN, (*_LIMITS, *_MAP)),
        "column_values_to_be_in_set": Rule(row_checks.in_set, (*_COLUMN, "value_set"), _MAP),
        "column_values_to_not_be_in_set": Rule(row_checks.not_in_set, (*_COLUMN, "value_set"), _MAP),
        "column_values_to_be_unique": Rule(row_checks.unique, _COLUMN, _MAP),
        "column_values_to_match_regex": Rule(row_checks.match, (*_COLUMN, "regex"), _MAP),
        "column_values_to_not_match_regex": Rule(row_checks.not_match, (*_COLUMN, "regex"), _MAP),
        "column_value_lengths_to_be_between": Rule(
            row_checks.length, _COLUMN, (*_LIMITS, *_MAP), counts=True
        ),
        "column_values_to_be_of_type": Rule(table_checks.of_type, (*_COLUMN, "type_"), ("mostly",)),
        "column_pair_values_a_to_be_greater_than_b": Rule(
            row_checks.greater, _PAIR, ("or_equal", "ignore_row_if", *_MAP)
        ),
        "column_pair_values_to_be_equal": Rule(row_checks.equal, _PAIR, ("ignore_row_if", *_MAP)),
        "compound_columns_to_be_unique": Rule(
            row_checks.compound_unique, ("column_list",), ("ignore_row_if", *_MAP)
        ),
        "column_min_to_be_between": Rule(measures.smallest, _COLUMN, (*_LIMITS, *_ROWS)),
        "column_max_to_be_between": Rule(measures.largest, _COLUMN, (*_LIMITS, *_ROWS)),
        "column_mean_to_be_between": Rule(measures.mean, _COLUMN, (*_LIMITS, *_ROWS)),
        "column_median_to_be_between": Rule(measures.median, _COLUMN, (*_LIMITS, *_ROWS)),
        "column_sum_to_be_between": Rule(measures.total, _COLUMN, (*_LIMITS, *_ROWS)),
        "column_stdev_to_be_between": Rule(measures.deviation, _COLUMN, (*_LIMITS, *_ROWS)),
        "column_unique_value_count_to_be_between": Rule(
            measures.different, _COLUMN, (*_LIMITS, *_ROWS), counts=True
        ),
        "column_proportion_of_unique_values_to_be_between": Rule(
            measures.share_of_different, _COLUMN, (*_LIMITS, *_ROWS)
        ),
        "table_row_count_to_be_between": Rule(
            table_checks.row_count_between, (), (*_LIMITS, *_ROWS), counts=True
        ),
        "table_row_count_to_equal": Rule(table_checks.row_count_equal, ("value",), _ROWS),
        "table_column_count_to_be_between": Rule(table_checks.column_count_between, (), LIMITS, counts=True),
        "table_column_count_to_equal": Rule(table_checks.column_count_equal, ("value",), ()),
        "table_columns_to_match_set": Rule(table_checks.columns_as_set, ("column_set",), ("exact_match",)),
        "table_columns_to_match_ordered_list": Rule(table_checks.columns_as_list, ("column_list",), ()),
    }.items()
}


def compile_entry(entry: Entry, columns: Columns) -> Check | None:
    """Write an entry in SQL; None if Great Expectations itself has to look at it."""
    rule = RULES.get(entry.type)
    if rule is None or not rule.takes(entry.kwargs):
        return None
    if not all(name in columns.kinds for name in columns_named(entry)):
        return None
    asked = Asked.of(entry, columns)
    return rule.write(asked) if asked else None


def columns_named(entry: Entry) -> tuple[str, ...]:
    """Name the columns an entry must find; those of the whole table are its own business."""
    if entry.type.startswith("expect_table_") or entry.type == "expect_column_to_exist":
        return ()
    kwargs = entry.kwargs
    named = chain(
        (kwargs[name] for name in (*_COLUMN, *_PAIR) if name in kwargs), _listed(kwargs.get("column_list"))
    )
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def _listed(names: Any) -> Iterable[Any]:
    return names if isinstance(names, list | tuple) else ()
