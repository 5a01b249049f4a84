"""A suite's file: `{name, expectations: [{type, kwargs, severity, meta}]}` in YAML or JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_args

import yaml

from keepfit.backends.validation_report import Severity
from keepfit.errors import SpecError
from keepfit.spec.problem import did_you_mean

_SUITE_FIELDS = ("name", "expectations", "meta", "id", "notes")
_FIELDS = ("type", "kwargs", "severity", "meta", "id", "notes", "description", "rendered_content")
_COLUMN = ("column", "column_A", "column_B")
_COLUMNS = ("column_list", "column_set")


@dataclass(frozen=True)
class Entry:
    """One expectation as written."""

    place: str
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity = "critical"
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Name the columns without which it fails, each with its place in the file."""
        place = f"{self.place}.kwargs"
        single = [(f"{place}.{name}", self.kwargs.get(name)) for name in _COLUMN]
        listed = [
            (f"{place}.{name}[{index}]", column)
            for name in _COLUMNS
            if isinstance(self.kwargs.get(name), list | tuple)
            for index, column in enumerate(self.kwargs[name])
        ]
        return tuple((where, column) for where, column in (*single, *listed) if isinstance(column, str))


def parse_suite(text: str, file: str) -> tuple[str, tuple[Entry, ...]]:
    """Read a suite's name and entries; whether their types exist is for others to say.

    Raises:
        SpecError: It is no YAML, or not of this form.
    """
    try:
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise SpecError(f"{file}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("expectations"), list):
        raise SpecError(f"{file}: a suite is a mapping with `name` and a list of `expectations`.")
    _refuse_unknown(content, _SUITE_FIELDS, file)
    return str(content.get("name") or file), tuple(_entries(content["expectations"], file))


def _entries(listed: list[Any], file: str) -> Iterator[Entry]:
    for index, each in enumerate(listed):
        place = f"expectations[{index}]"
        if not isinstance(each, dict) or not isinstance(each.get("type"), str):
            raise SpecError(f"{file}: {place}: an expectation is a mapping with a `type` and `kwargs`.")
        _refuse_unknown(each, _FIELDS, f"{file}: {place}")
        severity = each.get("severity") or "critical"
        if severity not in get_args(Severity):
            raise SpecError(
                f"{file}: {place}: severity {severity!r} is none of {', '.join(get_args(Severity))}."
            )
        yield Entry(
            place, each["type"], each.get("kwargs") or {}, cast("Severity", severity), each.get("meta") or {}
        )


def _refuse_unknown(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in content:
        if name not in known:
            raise SpecError(f"{where}: {name}: unknown field.{did_you_mean(str(name), known)}")
