"""The rows a suite is held against: the columns of a Parquet file, a missing value being NULL and not NaN."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.engine import Connection, identifier, literal
from keepfit.errors import SchemaError

Kind = Literal["int", "float", "text", "bool", "zoned time", "plain time", "date", "other", "nested"]
ROWS = "keepfit_rows"
"""The view that the checks read."""
NUMBER = "file_row_number"
"""Its column that numbers the rows of the file."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file, by name."""

    kinds: Mapping[str, Kind]
    """Those whose name is there once, in capitals or not: the engine does not tell these apart."""
    listed: tuple[str, ...]
    """All names in their order, also those that are there twice."""
    floating: frozenset[str] = frozenset()
    """Those that may hold NaN."""

    @classmethod
    def of(cls, file: Path) -> Self:
        """Read a file's schema."""
        schema = pq.read_schema(file)
        often = Counter(map(_folded, schema.names))
        single = [each for each in schema if often[_folded(each.name)] == 1]
        return cls(
            {each.name: _kind(each.type) for each in single},
            (*schema.names,),
            frozenset(each.name for each in single if pa.types.is_floating(each.type)),
        )

    def alike(self, name: str) -> tuple[str, ...]:
        """Return the names of columns that are a name but for capitals, itself among them if it is there."""
        return tuple(each for each in self.listed if _folded(each) == _folded(name))

    def show(self, connection: Connection, file: Path) -> None:
        """Create the view of the rows.

        Raises:
            SchemaError: A column has the name by which the engine numbers rows.
        """
        if taken := [name for name in self.listed if name.lower() == NUMBER]:
            raise SchemaError(
                f"The rows have a column {taken[0]!r}, and the engine that checks them numbers rows by that "
                "name. Give the column another name at the source, or do not extract it."
            )
        shown = ", ".join([*(self._shown(name) for name in self.kinds), NUMBER])
        connection.execute(f"CREATE VIEW {ROWS} AS SELECT {shown} FROM {numbered(file)}")

    def _shown(self, name: str) -> str:
        column = identifier(name)
        if name not in self.floating:
            return column
        return f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END AS {column}"


def numbered(file: Path) -> str:
    """Write the table function that reads a file with the numbers of its rows."""
    return f"read_parquet([{literal(str(file))}], {NUMBER} = true)"


def _folded(name: str) -> str:
    """Return a name as the engine compares it: only the capitals of ASCII are small letters to it."""
    return name.encode().lower().decode()


def _kind(kind: pa.DataType) -> Kind:
    if pa.types.is_timestamp(kind):
        return "zoned time" if kind.tz else "plain time"
    if pa.types.is_nested(kind):
        return "nested"
    return _KINDS.get(kind, "other")


_KINDS: Mapping[pa.DataType, Kind] = {
    pa.int64(): "int",
    pa.float64(): "float",
    pa.string(): "text",
    pa.large_string(): "text",
    pa.bool_(): "bool",
    pa.date32(): "date",
}
