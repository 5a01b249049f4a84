"""Sketch columns of a table, view or query: the engine reads, casts, and counts texts; numbers in NumPy."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa

from keepfit.backends.engine import Connection, columns_of, count, identifier, threads_of
from keepfit.backends.sketches.cells import CAP
from keepfit.backends.sketches.sketch import Kind, Sketch, of_numbers, of_texts

_BATCH = 1 << 17
_NUMBERS = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_UNSIGNED = tuple(f"U{name}" for name in _NUMBERS[1:6])
_TEXTS = ("VARCHAR", "ENUM")


def sketch_columns(
    connection: Connection,
    relation: str,
    columns: Sequence[str],
    kinds: Mapping[str, Kind | None] | None = None,
) -> dict[str, Sketch]:
    """Sketch the rows of a relation, which all have to be read once, and once more for each category.

    Args:
        connection: The engine.
        relation: A table, view, table function, or query in brackets.
        columns: Which; one that the relation does not have is left out.
        kinds: What a column is to be taken for, whatever it is stored as, such as numbers that arrive as
            text. Otherwise its type tells.
    """
    types = {name: kind for name, kind in columns_of(connection, relation).items() if name in columns}
    wanted = {name: _kind(kind) for name, kind in types.items()}
    wanted |= {name: kind for name, kind in (kinds or {}).items() if name in types and kind}
    rows = count(connection, relation)
    numbers = {name: types[name] for name in columns if wanted.get(name) == "number"}
    found = _numbers(connection, relation, numbers) if numbers else {}
    for name in columns:
        if name in types and wanted[name] == "category":
            found[name] = _texts(connection, relation, name, types[name], rows)
        elif name in types and wanted[name] is None:
            found[name] = _neither(connection, relation, name, rows)
    return {name: found[name] for name in columns if name in found}


def _kind(stored: str) -> Kind | None:
    if stored.startswith((*_NUMBERS, *_UNSIGNED)) and not stored.endswith("]"):
        return "number"
    return "category" if stored.startswith(_TEXTS) and not stored.endswith("]") else None


def _numbers(connection: Connection, relation: str, types: Mapping[str, str]) -> dict[str, Sketch]:
    wanted = ", ".join(f"{_number(name, stored)} AS {identifier(name)}" for name, stored in types.items())
    found = {name: of_numbers(np.zeros(0), 0) for name in types}
    with ThreadPoolExecutor(threads_of(connection)) as pool:
        for batch in connection.execute(f"SELECT {wanted} FROM {relation}").to_arrow_reader(_BATCH):
            more = pool.map(_with_values, found.values(), batch.columns)
            found = dict(zip(types, more, strict=True))
    asked = [name for name, stored in types.items() if _kind(stored) != "number"]
    return found | {name: _with_strange(connection, relation, name, found[name]) for name in asked}


def _with_values(found: Sketch, column: pa.Array) -> Sketch:
    values = column.to_numpy(zero_copy_only=False)
    return found.merge(of_numbers(values, len(values), least=found.exponent))


def _number(name: str, stored: str) -> str:
    if _kind(stored) == "number":
        return f"CAST({identifier(name)} AS DOUBLE)"
    return f"TRY_CAST(CAST({identifier(name)} AS VARCHAR) AS DOUBLE)"


def _with_strange(connection: Connection, relation: str, name: str, found: Sketch) -> Sketch:
    text = f"CAST({identifier(name)} AS VARCHAR)"
    # An empty text sorts before all others, and would hide them.
    query = f"SELECT min({text}) FROM {relation} WHERE {text} <> '' AND TRY_CAST({text} AS DOUBLE) IS NULL"
    row = connection.execute(query).fetchone()
    return replace(found, strange=str(row[0])) if row and row[0] is not None else found


def _texts(connection: Connection, relation: str, name: str, stored: str, rows: int) -> Sketch:
    texts = f"SELECT {_text(identifier(name), stored)} AS text FROM {relation}"
    counts = f"SELECT text, count(*) AS n FROM ({texts}) WHERE text IS NOT NULL GROUP BY text"
    ranked = connection.execute(
        f"SELECT text, n, sum(n) OVER () FROM ({counts}) ORDER BY n DESC, text LIMIT {CAP}"
    ).fetchall()
    kept = {str(text): int(n) for text, n, _ in ranked}
    return of_texts(kept, rows, int(ranked[0][2]) - sum(kept.values()) if ranked else 0)


def _text(column: str, stored: str) -> str:
    """Write a value as text: whole numbers turn into floats as soon as a value beside them is missing."""
    if not stored.startswith(("FLOAT", "DOUBLE")):
        return f"CAST({column} AS VARCHAR)"
    whole = f"{column} = floor({column}) AND abs({column}) < 1e15"
    text = (
        f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
    )
    return f"CASE WHEN isnan({column}) THEN NULL ELSE {text} END"


def _neither(connection: Connection, relation: str, name: str, rows: int) -> Sketch:
    there = count(connection, f"{relation} WHERE {identifier(name)} IS NOT NULL")
    return Sketch(None, rows, rows - there, np.zeros(0, object), np.zeros(0, np.int64), folded=there)
