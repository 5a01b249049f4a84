"""The simple row conditions: comparisons of a column with a value, presence, and `and` between them."""

from collections.abc import Mapping
from typing import Any

from keepfit.backends.engine import identifier
from keepfit.backends.suite_scan.literals import limit
from keepfit.backends.suite_scan.rows import Kind

EVERY = "true"
_SIGNS = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_COMPARED = ("int", "float", "text")


def rows_meant(kwargs: Mapping[str, Any], kinds: Mapping[str, Kind]) -> str | None:
    """Write which rows an expectation is about; None for what is left to Great Expectations.

    The form is the one Great Expectations stores; its older one, a text for pandas, is not read here.
    """
    condition = kwargs.get("row_condition")
    if condition is None:
        return EVERY
    return _condition(condition, kinds) if "condition_parser" not in kwargs else None


def _condition(condition: Any, kinds: Mapping[str, Kind]) -> str | None:
    if not isinstance(condition, Mapping):
        return None
    if condition.get("type") == "and":
        parts = [_condition(each, kinds) for each in condition.get("conditions", ())]
        return " AND ".join(part for part in parts if part) if parts and all(parts) else None
    column = condition.get("column")
    name = str(column.get("name")) if isinstance(column, Mapping) else ""
    if name not in kinds:
        return None
    if condition.get("type") == "nullity":
        return f"{identifier(name)} IS {'' if condition.get('is_null') else 'NOT '}NULL"
    return _comparison(condition, name, kinds[name]) if condition.get("type") == "comparison" else None


def _comparison(condition: Mapping[str, Any], name: str, kind: Kind) -> str | None:
    sign = _SIGNS.get(str(condition.get("operator")))  # != holds of a missing value in pandas
    value = limit(condition.get("parameter"), kind) if kind in _COMPARED else None
    return f"coalesce({identifier(name)} {sign} {value}, false)" if sign and value else None
