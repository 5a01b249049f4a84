"""Expectations that rows meet or fail one by one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from keepfit.backends.engine import identifier, identifiers, literal
from keepfit.backends.suite_scan.arguments import LIMITS
from keepfit.backends.suite_scan.check import Asked, Check, Verdict
from keepfit.backends.suite_scan.literals import is_number, limit, members
from keepfit.backends.suite_scan.patterns import in_re2
from keepfit.backends.suite_scan.row_condition import EVERY
from keepfit.backends.suite_scan.rows import ROWS

_PAIRS_LEFT_OUT = {
    "both_values_are_missing": "{a} IS NOT NULL OR {b} IS NOT NULL",
    "either_value_is_missing": "{a} IS NOT NULL AND {b} IS NOT NULL",
    "neither": EVERY,  # as long as none is missing
}
_FEWEST = 2
"""Columns that are unique together."""
_LEFT_OUT = {"all_values_are_missing": " OR ", "any_value_is_missing": " AND "}


def not_null(asked: Asked) -> Check | None:
    """Expect a value in each row."""
    return _by_row(asked, f"{asked.column} IS NULL", asked.rows, told=False)


def null(asked: Asked) -> Check | None:
    """Expect no value in any row."""
    return _by_row(asked, f"{asked.column} IS NOT NULL", asked.rows, told=False)


def between(asked: Asked) -> Check | None:
    """Expect values within limits."""
    if asked.kind == "text":
        return _of_other_type(asked) if _only_numbers(asked) else None
    wanted = within_limits(asked, asked.column)
    return _of_values(asked, wanted) if wanted else None


def in_set(asked: Asked) -> Check | None:
    """Expect values of a set."""
    listed = _listed(asked)
    if listed is None:
        return None
    return _of_values(asked, f"{asked.column} IN ({listed})" if listed else f"{asked.column} IS NULL")


def not_in_set(asked: Asked) -> Check | None:
    """Expect values outside a set."""
    listed = _listed(asked)
    if listed is None:
        return None
    return _of_values(asked, f"{asked.column} NOT IN ({listed})" if listed else EVERY)


def match(asked: Asked) -> Check | None:
    """Expect texts that hold a pattern."""
    found = _found(asked)
    return _of_values(asked, found) if found else None


def not_match(asked: Asked) -> Check | None:
    """Expect texts that do not hold a pattern."""
    found = _found(asked)
    return _of_values(asked, f"NOT {found}") if found else None


def length(asked: Asked) -> Check | None:
    """Expect texts of some length."""
    wanted = within_limits(asked, f"length({asked.column})", numeric=True)
    return _of_values(asked, wanted) if wanted and asked.kind == "text" else None


def unique(asked: Asked) -> Check | None:
    """Expect no value twice."""
    if asked.kind == "nested":
        return None
    return _once(asked, [asked.kwargs["column"]], f"{asked.column} IS NOT NULL")


def compound_unique(asked: Asked) -> Check | None:
    """Expect no values of several columns twice together."""
    names = asked.kwargs["column_list"]
    joint = _LEFT_OUT.get(asked.kwargs.get("ignore_row_if", "all_values_are_missing"))
    if joint is None or len(names) < _FEWEST or len(set(names)) < len(names):
        return None
    if any(asked.columns.kinds[name] == "nested" for name in names):
        return None
    return _once(asked, names, joint.join(f"{identifier(name)} IS NOT NULL" for name in names))


def greater(asked: Asked) -> Check | None:
    """Expect one column above another."""
    return _pair(asked, ">=" if asked.kwargs.get("or_equal") else ">")


def equal(asked: Asked) -> Check | None:
    """Expect two columns to agree."""
    return _pair(asked, "=")


def within_limits(asked: Asked, value: str, *, numeric: bool = False) -> str | None:
    """Write that a value is within an entry's limits; None if they are no limits for its type."""
    conditions = []
    for name, strict, sign in (("min_value", "strict_min", ">"), ("max_value", "strict_max", "<")):
        given = asked.kwargs.get(name)
        if given is None:
            continue
        written = limit(given, "float" if numeric else asked.kind)
        if written is None:
            return None
        conditions.append((f"{sign}{'' if asked.kwargs.get(strict) else '='}", written))
    if [sign for sign, _ in conditions] == [">=", "<="]:
        # One look at the value is faster than two.
        return f"{value} BETWEEN {conditions[0][1]} AND {conditions[1][1]}"
    return " AND ".join(f"{value} {sign} {written}" for sign, written in conditions) or None


def _only_numbers(asked: Asked) -> bool:
    limits = [value for name in LIMITS if (value := asked.kwargs.get(name)) is not None]
    return bool(limits) and all(map(is_number, limits))


def _listed(asked: Asked) -> str | None:
    values = asked.kwargs.get("value_set")
    return members(values, asked.kind) if isinstance(values, list | tuple) else None


def _found(asked: Asked) -> str | None:
    regex = asked.kwargs.get("regex")
    pattern = in_re2(regex) if isinstance(regex, str) and asked.kind == "text" else None
    return None if pattern is None else f"regexp_matches({asked.column}, {literal(pattern)})"


def _of_values(asked: Asked, wanted: str) -> Check:
    # A comparison with NULL is neither true nor false, so missing values do not fail.
    return _by_row(asked, f"NOT ({wanted})", asked.values)


def _pair(asked: Asked, sign: str) -> Check | None:
    names = (asked.kwargs["column_A"], asked.kwargs["column_B"])
    kinds = {asked.columns.kinds[name] for name in names}
    ignored = asked.kwargs.get("ignore_row_if", "both_values_are_missing")
    left_out = _PAIRS_LEFT_OUT.get(ignored)
    if left_out is None or not (len(kinds) == 1 or kinds == {"int", "float"}) or kinds & {"other", "nested"}:
        return None
    a, b = map(identifier, names)
    considered, fails = left_out.format(a=a, b=b), f"NOT coalesce({a} {sign} {b}, false)"
    needs = (asked.rows, asked.count(considered), asked.count(considered, fails))
    check = _judged(asked, needs, asked.all_of(considered, fails))
    if ignored != "neither":
        return check
    missing = asked.count(f"{a} IS NULL OR {b} IS NULL")
    return replace(check, needs=(*needs, missing), judge=partial(_judge_none_missing, judge=check.judge))


def _judge_none_missing(
    values: Sequence[Any], *, judge: Callable[[Sequence[Any]], Verdict | None]
) -> Verdict | None:
    # What pandas says of a missing value depends on how it holds the column.
    *values, missing = values
    return None if missing else judge(values)


def _by_row(asked: Asked, fails: str, looked_at: str, *, told: bool = True) -> Check:
    return _judged(asked, (asked.rows, looked_at, asked.count(fails)), asked.all_of(fails), told=told)


def _once(asked: Asked, names: Sequence[str], considered: str) -> Check:
    by = identifiers(names)
    where = asked.all_of(considered)
    groups = f"SELECT count(*) AS n FROM {ROWS} WHERE {where} GROUP BY {by}"
    twice = f"(SELECT coalesce(sum(n) FILTER (n > 1), 0) FROM ({groups}))"
    failing = f"{where} AND count(*) OVER (PARTITION BY {where}, {by}) > 1"
    return _judged(asked, (asked.rows, asked.count(considered), twice), failing)


def _judged(asked: Asked, needs: tuple[str, ...], fails: str, *, told: bool = True) -> Check:
    mostly = float(asked.kwargs.get("mostly", 1))
    return Check(asked.entry, needs, partial(_judge, mostly=mostly, told=told), fails)


def _judge(values: Sequence[Any], *, mostly: float, told: bool) -> Verdict:
    rows, looked_at, failing = map(int, values)
    if not looked_at:
        return Verdict(met=True, count=failing, of=rows, only_empty=told and rows > 0)
    return Verdict(met=(looked_at - failing) / looked_at >= mostly, count=failing, of=rows)


def _of_other_type(asked: Asked) -> Check:
    return Check(asked.entry, (asked.rows, asked.values), _judge_other_type)


def _judge_other_type(values: Sequence[Any]) -> Verdict:
    rows, there = map(int, values)
    if there:
        return Verdict(met=False, trouble="the column holds texts, and the limits are numbers")
    return Verdict(met=True, only_empty=rows > 0)
