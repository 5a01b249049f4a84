"""Point-in-time joins in SQL: for each row the newest values known by then, and not yet expired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.backends.engine import Connection, identifiers, scan
from keepfit.backends.engine import identifier as q
from keepfit.backends.engine import moment as instant

ROWS = "asof_rows"
POSITION = "asof_position"
KNOWN = "asof_known"
EVENT = "asof_event"
RANK = "asof_rank"


@dataclass(frozen=True)
class AsofView:
    """A table of values and how its columns meet the rows that ask for them."""

    files: Sequence[str]
    """Parquet files, which may be none."""
    schema: pa.Schema
    timestamp: str
    """When a row's values are known."""
    keys: Mapping[str, str]
    """The table's key columns, and the columns of the asking rows that they must equal."""
    values: Mapping[str, str]
    """The table's value columns, and what they are called in the result."""
    created: str | None = None
    """Of values known at the same moment, those created last count."""
    ranked_by: Sequence[str] = ()
    """Of those that are still tied, the greatest count, compared by these columns in turn, nulls least.
    Nothing when no two rows have the same key and moment."""
    ttl: timedelta | None = None
    """How long values stay good, both ends included. For ever when not given."""
    cut_by_created: bool = False
    """Values are not known before they were created either; those of unknown creation never."""


def asof(connection: Connection, rows: pa.Table, moment: str, view: AsofView) -> pa.Table:
    """Return a view's values for each row at its moment, in the order of the rows.

    The moments have a time zone.
    """
    ends = pc.min_max(rows[moment]).as_py()
    if not view.files or ends["max"] is None:
        types = {new: view.schema.field(old).type for old, new in view.values.items()}
        return pa.table({name: pa.nulls(rows.num_rows, kind) for name, kind in types.items()})
    asking = rows.select(list(dict.fromkeys([moment, *view.keys.values()])))
    asking = asking.append_column(POSITION, pa.array(np.arange(rows.num_rows)))
    # DuckDB takes rows of a number it does not know for a handful, and would loop over the values for each.
    connection.execute("SET asof_loop_join_threshold = 0")
    connection.register(ROWS, asking)
    try:
        found = connection.execute(_join(connection, view, moment, ends["min"], ends["max"])).to_arrow_table()
    finally:
        connection.unregister(ROWS)
    return found if POSITION not in found.column_names else _in_order(found)


def _in_order(found: pa.Table) -> pa.Table:
    """Put each row at its position, which costs less than to sort, but needs values of a fixed width."""
    order = np.empty(found.num_rows, np.int64)
    order[found[POSITION].to_numpy()] = np.arange(found.num_rows)
    return found.drop_columns(POSITION).take(pa.array(order))


def _join(connection: Connection, view: AsofView, moment: str, first: datetime, last: datetime) -> str:
    fresh = f"v.{EVENT} + {_interval(view.ttl)} >= r.{q(moment)}" if view.ttl else "true"
    values = [f"CASE WHEN {fresh} THEN v.{q(old)} END AS {q(new)}" for old, new in view.values.items()]
    same = " AND ".join(f"r.{q(theirs)} = v.{q(ours)}" for ours, theirs in view.keys.items())
    joined = f"""
        FROM {ROWS} AS r
        ASOF LEFT JOIN ({_table(connection, view, first, last)}) AS v
        ON {same} AND r.{q(moment)} >= v.{KNOWN}
    """
    if all(_has_fixed_width(view.schema.field(name).type) for name in view.values):
        return f"SELECT {', '.join([*values, f'r.{POSITION}'])} {joined}"
    return f"SELECT {', '.join(values)} {joined} ORDER BY r.{POSITION}"


def _has_fixed_width(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind))


def _table(connection: Connection, view: AsofView, earliest: datetime, last: datetime) -> str:
    """Select the values that can matter between the first and the last moment."""
    event = f"CAST({q(view.timestamp)} AS TIMESTAMPTZ)"
    # DuckDB's join takes a null in one of several keys for equal to a null (measured).
    matters = " AND ".join([f"{event} <= {instant(last)}", *(f"{q(key)} IS NOT NULL" for key in view.keys)])
    if view.ttl:
        matters += f" AND {event} >= {instant(earliest)} - {_interval(view.ttl)}"
    created = [f"CAST({q(view.created)} AS TIMESTAMPTZ)"] if view.created else []
    known, alike, keys = event, [event], identifiers(view.keys)
    if view.cut_by_created and created:
        known, alike = f"greatest({event}, {created[0]})", [event, *created]
        matters += f" AND {created[0]} <= {instant(last)}"
    order = ", ".join(f"{each} DESC NULLS LAST" for each in [*created, *map(q, view.ranked_by)])
    same = f"{keys}, {', '.join(alike)}"
    table = f"{scan(view.files)} WHERE {matters}"
    first = ""
    if order and _has_ties(connection, table, same):
        first = f"QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY {order}) = 1"
    columns = [identifiers(dict.fromkeys([*view.keys, *view.values])), f"{event} AS {EVENT}"]
    if known != event:
        columns.append(f"row({', '.join(alike)}) AS {RANK}")
    chosen = f"SELECT {', '.join(columns)}, {known} AS {KNOWN} FROM {table} {first}"
    if known == event:
        return chosen
    # What came late and is older than what was known by then never counts.
    return f"""
        SELECT * FROM ({chosen})
        QUALIFY {RANK} = max({RANK}) OVER (
            PARTITION BY {keys} ORDER BY {KNOWN} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    """


def _has_ties(connection: Connection, table: str, same: str) -> bool:
    """Tell whether rows are tied at all: to look costs a tenth of what it costs to choose."""
    tied = f"SELECT 1 FROM {table} GROUP BY {same} HAVING count(*) > 1 LIMIT 1"
    return connection.execute(tied).fetchone() is not None


def _interval(length: timedelta) -> str:
    return f"to_microseconds({length // timedelta(microseconds=1)})"
