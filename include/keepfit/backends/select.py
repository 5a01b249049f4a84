"""What a user's SELECT is, by the engine's own parser."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepfit.backends.engine import Connection, EngineError, first_line, literal
from keepfit.errors import TransformError

_BARE_CLOCK = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
"""Functions that may be called without brackets."""
_CLOCK = _BARE_CLOCK | {
    "now",
    "today",
    "get_current_time",
    "get_current_timestamp",
    "transaction_timestamp",
}
_CHANCE = frozenset({"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "setseed"})


@dataclass(frozen=True)
class Select:
    """A single SELECT that gives the same rows for the same inputs."""

    text: str
    parameters: frozenset[str]

    def bound(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the values it asks for."""
        return {name: value for name, value in values.items() if name in self.parameters}


def read_select(connection: Connection, sql: str, file: str, parameters: Mapping[str, Any]) -> Select:
    """Check that a text is one SELECT, that it asks for known parameters, and for neither clock nor chance.

    Raises:
        TransformError: It is not; the text says where.
    """
    try:
        statements = connection.extract_statements(sql)
    except EngineError as error:
        raise TransformError(f"{file}: {first_line(error)}{line_of(error)}") from None
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        found = ", ".join(kinds) or "nothing"
        raise TransformError(
            f"{file}: a transform is a single SELECT (it may begin with WITH), and this is {found}."
        )
    asked = frozenset(statements[0].named_parameters)
    if unknown := sorted(asked - set(parameters)):
        raise TransformError(
            f"{file}: ${unknown[0]} is no parameter. There are: ${', $'.join(sorted(parameters))}."
        )
    _refuse_clock_and_chance(connection, sql, file)
    return Select(statements[0].query, asked)


def line_of(error: EngineError) -> str:
    """Name the line of the SQL that an error points at."""
    pointer = next((line for line in str(error).splitlines() if line.startswith("LINE ")), "")
    return f" ({pointer.split(':')[0].lower()})" if pointer else ""


def _refuse_clock_and_chance(connection: Connection, sql: str, file: str) -> None:
    row = connection.execute(f"SELECT json_serialize_sql({literal(sql)})").fetchone()
    used = set(_names(json.loads(row[0]) if row else {}))
    if clock := sorted(used & _CLOCK):
        raise TransformError(
            f"{file}: {clock[0]} reads the clock, so the same window would give other rows another day. "
            "Use $window_start and $window_end."
        )
    if chance := sorted(used & _CHANCE):
        raise TransformError(
            f"{file}: {chance[0]} gives other rows each time. Derive it from the row, as by hash()."
        )


def _names(node: Any) -> Iterator[str]:
    """Yield the functions that a statement calls."""
    if isinstance(node, list):
        for each in node:
            yield from _names(each)
    elif isinstance(node, dict):
        if function := node.get("function_name"):
            yield str(function).lower()
        if node.get("class") == "COLUMN_REF":
            yield from _BARE_CLOCK & {".".join(node["column_names"]).lower()}
        yield from _names(list(node.values()))
