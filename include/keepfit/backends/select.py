"""What a user's SELECT is, by the engine's own parser."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepfit.backends.engine import Connection, EngineError, first_line, literal
from keepfit.errors import SpecError, TransformError

_BARE_CLOCK = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
"""Functions that may be called without brackets."""
_CLOCK = _BARE_CLOCK | {
    "current_localtime",
    "current_localtimestamp",
    "now",
    "today",
    "get_current_time",
    "get_current_timestamp",
    "transaction_timestamp",
    "age()",
    "ago",
    "txid_current",
    "pg_postmaster_start_time",
    "pg_conf_load_time",
}
_CHANCE = frozenset({"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "setseed", "sample"})
_BARE_SESSION = frozenset({"current_catalog", "current_schema"})
_SESSION = _BARE_SESSION | {
    "current_connection_id",
    "current_database",
    "current_query",
    "current_query_id",
    "current_schemas",
    "current_setting",
    "current_transaction_id",
    "currval",
    "getvariable",
    "in_search_path",
    "nextval",
    "pg_sleep",
    "sleep_ms",
    "stats",
    "write_log",
}
"""Functions that read or change the engine's session; a test holds all of these to the engine's own list."""
_QUERIES = frozenset({"query", "query_table", "json_execute_serialized_sql"})
"""Functions that run a text as SQL, which nobody has checked."""


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
    _refuse_unrepeatable(connection, sql, file)
    return Select(statements[0].query, asked)


def read_condition(connection: Connection, where: str | None, field: str) -> str:
    """Check that a text is one condition on a row's own columns; return it in brackets, ready to be used.

    Args:
        connection: Any connection: the text is parsed, not run.
        where: The condition; without one, every row is meant.
        field: Where it is written, for errors.

    Raises:
        SpecError: It is more or less than one expression, or reads other rows, files, clock or chance.
    """
    if where is None:
        return "(true)"
    text = f"(\n{where}\n)"
    # Without the brackets it must be the same, or `true) OR (true` would pass and open those around it.
    asked, bare, plain = (_parsed(connection, f"SELECT 1 WHERE {each}") for each in (text, where, "true"))
    for each in (asked, bare):
        if each.get("error"):
            raise SpecError(
                f"{field}: {each['error_message']}. Write one condition on the dataset's columns."
            )
    condition, shape = _without_condition(asked)
    if shape != _without_condition(plain)[1] or (condition, shape) != _without_condition(bare):
        raise SpecError(f"{field}: it is more than one expression. Write one condition, such as size > 3.")
    if any(each.get("class") in ("SUBQUERY", "PARAMETER") for each in _nodes(condition)):
        raise SpecError(
            f"{field}: it asks for more than the row it picks. Use the dataset's columns only, "
            "and compute what else it needs in a transform."
        )
    try:
        _refuse_unrepeatable(connection, f"SELECT 1 WHERE {text}", field)
    except TransformError as error:
        # What the text of a transform could use instead, a condition could not.
        raise SpecError(f"{str(error).partition('. ')[0]}. Compute it in a transform.") from None
    return text


def _parsed(connection: Connection, sql: str) -> dict[str, Any]:
    row = connection.execute(f"SELECT json_serialize_sql({literal(sql)})").fetchone()
    tree: dict[str, Any] = _unplaced(json.loads(row[0])) if row else {}
    return tree


def _unplaced(node: Any) -> Any:
    """Leave out where in the text each part stands."""
    if isinstance(node, list):
        return [_unplaced(each) for each in node]
    if isinstance(node, dict):
        return {name: _unplaced(each) for name, each in node.items() if name != "query_location"}
    return node


def _without_condition(tree: dict[str, Any]) -> tuple[Any, Any]:
    """Split a statement into its WHERE and all else."""
    first, *others = tree["statements"]
    node = dict(first["node"])
    return node.pop("where_clause", None), [first | {"node": node}, *others]


def line_of(error: EngineError) -> str:
    """Name the line of the SQL that an error points at."""
    pointer = next((line for line in str(error).splitlines() if line.startswith("LINE ")), "")
    return f" ({pointer.split(':')[0].lower()})" if pointer else ""


def _refuse_unrepeatable(connection: Connection, sql: str, file: str) -> None:
    used = set(_names(_parsed(connection, sql)))
    if clock := sorted(used & _CLOCK):
        raise TransformError(
            f"{file}: {clock[0]} reads the clock, so the same window would give other rows another day. "
            "Use $window_start and $window_end."
        )
    if chance := sorted(used & _CHANCE):
        raise TransformError(
            f"{file}: {chance[0]} gives other rows each time. Derive it from the row, as by hash()."
        )
    if session := sorted(used & _SESSION):
        raise TransformError(
            f"{file}: {session[0]} reads or changes the engine's session, which is another one each time. "
            "Use the rows and the parameters."
        )
    if queries := sorted(used & _QUERIES):
        raise TransformError(f"{file}: {queries[0]} runs a text as SQL. Write that SELECT here instead.")


def _names(tree: Any) -> Iterator[str]:
    """Yield the functions that a statement calls; `age()` is the one that counts from today."""
    for node in _nodes(tree):
        if function := str(node.get("function_name") or "").lower():
            yield "age()" if function == "age" and len(node.get("children", ())) == 1 else function
        if node.get("class") == "COLUMN_REF":
            yield from (_BARE_CLOCK | _BARE_SESSION) & {".".join(node["column_names"]).lower()}
        if isinstance(node.get("sample"), dict):
            yield "sample"


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
    elif isinstance(tree, dict):
        yield tree
        yield from _nodes(list(tree.values()))
