"""YAML files: read fast and safely, with the line of each field, and refused where a key is given twice."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from keepfit.spec.problem import Problem, path_text
from keepfit.spec.text_file import unreadable

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A file's fields, or what is wrong with it as YAML."""

    file: str
    content: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[Place, int] = field(default_factory=dict)
    """The line of each field, counted from 1."""
    problems: tuple[Problem, ...] = ()

    def line(self, place: Place) -> int | None:
        """Return the line of a field, or of the nearest one around it that is in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)


class _Loader(yaml.CSafeLoader):
    """PyYAML's safe C loader, which would read `1e-3` as a text, as YAML 1.1 did."""


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which would write the text `1e-3` without the quotes that make it one."""


for _way in (_Loader, _Dumper):
    _way.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def yaml_text(content: Mapping[str, Any], *, width: int, default_flow_style: bool | None = False) -> str:
    """Write fields in their order, as they will be read again."""
    text: str = yaml.dump(
        dict(content),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        default_flow_style=default_flow_style,
    )
    return text


def read_yaml(path: Path, file: str) -> Document:
    """Read a file that holds one mapping.

    Args:
        path: The file.
        file: Its name in problems.
    """
    try:
        return _document(file, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return _unusable(file, unreadable(error))
    except yaml.MarkedYAMLError as error:
        return _unusable(file, f"is not YAML: {error.problem or error.context}.", error.problem_mark)
    except (yaml.YAMLError, ValueError) as error:
        return _unusable(file, f"is not YAML: {error}.")
    except RecursionError:
        return _unusable(file, "is nested too deeply.")


def _unusable(file: str, message: str, mark: yaml.Mark | None = None) -> Document:
    return Document(file, problems=(Problem(file, "", message, mark.line + 1 if mark else None),))


def _document(file: str, text: str) -> Document:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return _unusable(file, "is empty.")
        if not isinstance(node, yaml.MappingNode):
            return _unusable(file, "holds no fields. Write lines like `name: value`.", node.start_mark)
        if not node.value:
            return _unusable(file, "is empty.")
        lines: dict[Place, int] = {}
        twice = tuple(
            _twice(file, place, lines[place], line) for place, line in _places(node, (), lines, set())
        )
        return Document(file, loader.construct_document(node), lines, twice)
    finally:
        loader.dispose()


def _twice(file: str, place: Place, first: int, second: int) -> Problem:
    # PyYAML itself would silently keep the last one.
    message = f"is given twice, in lines {first} and {second}. Keep one of the two."
    return Problem(file, path_text(place), message, second)


def _places(
    node: yaml.Node, at: Place, lines: dict[Place, int], seen: set[int]
) -> Iterator[tuple[Place, int]]:
    """Fill in the lines of all fields and yield each key that is given again."""
    if id(node) in seen:  # An anchor that is used again, perhaps within itself.
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place, line = (*at, str(key.value)), key.start_mark.line + 1
            if place in lines:
                yield place, line
            else:
                lines[place] = line
                yield from _places(value, place, lines, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            yield from _places(value, (*at, index), lines, seen)
