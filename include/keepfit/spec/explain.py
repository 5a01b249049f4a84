"""What Pydantic refuses, in plain words: where it is, what it needs, what it got."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from reprlib import Repr
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from keepfit.spec.place import chosen_by, homes, locate, wanted
from keepfit.spec.problem import Problem, did_you_mean, path_text
from keepfit.spec.yaml_file import Document, Place

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 2
_WRONG_TYPE = "wrong type: needs "

_NEEDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number that is neither .inf nor .nan",
    "bool": "true or false",
    "string": "a text",
    "dict": "fields of its own",
    "model": "fields of its own",
    "tuple": "a list, such as [a, b]",
    "datetime": "a time, such as 2013-01-01T00:00:00Z",
}
_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,63}$": "at most 64 lower-case letters, digits and _, beginning with a letter",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "letters, digits and _, not beginning with a digit",
    r"^\d+(\.\d+)? ?(MB|GB)$": "a size, such as 500MB or 2GB",
}


@dataclass(frozen=True)
class _Fault:
    """One of Pydantic's errors, with the specs it is about."""

    kind: str
    name: str
    input: object
    context: dict[str, Any]
    text: str
    spec: type[BaseModel]
    parent: Any

    @property
    def chooser(self) -> str:
        """Name the field that chooses among the members of a union."""
        return str(self.context["discriminator"]).strip("'")

    @property
    def got(self) -> str:
        return f"got {_SHORT.repr(self.input)}."


def explain(error: ValidationError, spec: type[BaseModel], document: Document) -> tuple[Problem, ...]:
    """Say each thing Pydantic found; several tries at one field become one problem."""
    found: dict[Place, list[str]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # Pydantic counts the sound entries only; what is wrong with the others is said anyway.
        place, parent = locate(spec, detail["loc"])
        message = _message(_fault(detail, spec, parent))
        messages = found.setdefault(place, [])
        if message not in messages:
            messages.append(message)
    return tuple(
        Problem(document.file, path_text(place), _joined(messages), document.line(place))
        for place, messages in found.items()
    )


def _fault(detail: ErrorDetails, spec: type[BaseModel], parent: Any) -> _Fault:
    name = str(detail["loc"][-1]) if detail["loc"] else ""
    return _Fault(detail["type"], name, detail["input"], detail.get("ctx", {}), detail["msg"], spec, parent)


def _joined(messages: list[str]) -> str:
    """Join what the members of a union need: `wrong type: needs a text or a number, got [1].`."""
    got = messages[0].partition(", got")[1:]
    if len(messages) == 1 or not all(message.startswith(_WRONG_TYPE) for message in messages):
        return messages[0]
    needs = [message.partition(", got")[0].removeprefix(_WRONG_TYPE) for message in messages]
    return f"{_WRONG_TYPE}{' or '.join(needs)}{''.join(got)}"


def _message(fault: _Fault) -> str:
    if say := _SAY.get(fault.kind):
        return say(fault)
    needs = _NEEDS.get(fault.kind.partition("_")[0])
    return f"{_WRONG_TYPE}{needs}, {fault.got}" if needs else f"{fault.text}, {fault.got}"


def _unknown(fault: _Fault) -> str:
    if home := next(homes(fault.spec, fault.name), None):
        return f"unknown field. It belongs under `{home}`."
    fields = fault.parent.model_fields
    known = f" Known here: {', '.join(fields)}."
    return f"unknown field.{did_you_mean(fault.name, fields) or known}"


def _missing(fault: _Fault) -> str:
    description = fault.parent.model_fields[fault.name].description
    return f"is missing. {' '.join((description or '').split())}".rstrip()


def _text(fault: _Fault) -> str:
    quotes = "" if isinstance(fault.input, list | dict) else " Put it in quotes."
    return f"{_WRONG_TYPE}a text, {fault.got}{quotes}"


def _choice_missing(fault: _Fault) -> str:
    words = ", ".join(
        word for member in get_args(wanted(fault.parent, fault.name)) for word in chosen_by(member)
    )
    return f"`{fault.chooser}` is missing: one of {words}."


def _one_of(expected: str, got: object) -> str:
    options = re.findall(r"'([^']*)'", expected)
    near = did_you_mean(got, options) if isinstance(got, str) else ""
    return f"needs one of {', '.join(options)}, got {_SHORT.repr(got)}.{near}"


_SAY: dict[str, Callable[[_Fault], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "string_type": _text,
    "value_error": lambda fault: f"{str(fault.context['error']).rstrip('.')}.",
    "greater_than": lambda fault: f"must be greater than {fault.context['gt']}, {fault.got}",
    "greater_than_equal": lambda fault: f"must be at least {fault.context['ge']}, {fault.got}",
    "less_than": lambda fault: f"must be less than {fault.context['lt']}, {fault.got}",
    "less_than_equal": lambda fault: f"must be at most {fault.context['le']}, {fault.got}",
    "literal_error": lambda fault: _one_of(fault.context["expected"], fault.input),
    "union_tag_invalid": lambda fault: (
        f"`{fault.chooser}` {_one_of(fault.context['expected_tags'], fault.context['tag'])}"
    ),
    "union_tag_not_found": _choice_missing,
    "string_pattern_mismatch": lambda fault: f"needs {_PATTERNS[fault.context['pattern']]}, {fault.got}",
    "too_short": lambda _: "must not be empty.",
    "string_too_short": lambda _: "must not be empty.",
}
