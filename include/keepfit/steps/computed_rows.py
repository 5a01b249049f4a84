"""What a transform computed: may it be published, and as what?"""

from collections.abc import Iterable, Mapping

from keepfit.backends.engine import Connection, count, identifier, identifiers, moment
from keepfit.errors import TransformError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.window import Window

COMPUTED, PUBLISHED = "_computed", "_published"
"""No dataset's name begins like these."""
_ZONED = "TIMESTAMP WITH TIME ZONE"
_KEPT_AS = {
    "BIGINT": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    "DOUBLE": ("FLOAT", "DOUBLE", "DECIMAL"),
    "VARCHAR": ("VARCHAR", "UUID", "ENUM"),
    "BOOLEAN": ("BOOLEAN",),
    "DATE": ("DATE",),
    "TIMESTAMPTZ": ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", _ZONED),
}
"""The one type in which values are published, so that windows never differ in width."""
_EXAMPLES = 3


def show_publishable(
    connection: Connection, dataset: DatasetSpec, found: Mapping[str, str], window: Window, file: str
) -> None:
    """Create the view of what will be published: kept types, and rows of the window only.

    Raises:
        TransformError: The rows cannot be published; the text says why, with examples.
    """
    _refuse_missing(dataset, found, file)
    _refuse_unkept(found, file)
    columns = ", ".join(
        f"{identifier(name)}::{_kept_as(kind)} AS {identifier(name)}" for name, kind in found.items()
    )
    connection.execute(
        f"CREATE TEMP VIEW {PUBLISHED} AS SELECT {columns} FROM {COMPUTED} WHERE {_within(dataset, window)}"
    )
    _refuse_nameless(connection, dataset, file)
    _refuse_doubled(connection, dataset, file)


def _within(dataset: DatasetSpec, window: Window) -> str:
    if dataset.snapshot:
        return "true"
    time = f"{identifier(dataset.event_time)}::TIMESTAMPTZ"
    return f"({time} >= {moment(window.start)} AND {time} < {moment(window.end)}) OR {time} IS NULL"


def _kept_as(kind: str) -> str | None:
    if kind.endswith("]"):
        return None
    family = kind.partition("(")[0]
    signed = family.removeprefix("U") if family.endswith(("INT", "INTEGER")) else family
    return next((kept for kept, kinds in _KEPT_AS.items() if signed in kinds), None)


def _refuse_missing(dataset: DatasetSpec, found: Mapping[str, str], file: str) -> None:
    missing = [name for name in (*dataset.key, dataset.event_time) if name not in found]
    if missing:
        raise TransformError(
            f"{file}: the rows lack {', '.join(missing)}, which datasets/{dataset.name}.yaml has as `key` or "
            f"`event_time`. They have: {', '.join(found)}."
        )
    kind = found[dataset.event_time]
    if _kept_as(kind) != "TIMESTAMPTZ":
        raise TransformError(
            f"{file}: the event time {dataset.event_time!r} is {kind}, not a timestamp. "
            f"Cast it, as in {dataset.event_time}::TIMESTAMP."
        )


def _refuse_unkept(found: Mapping[str, str], file: str) -> None:
    if odd := [f"{name} ({kind})" for name, kind in found.items() if _kept_as(kind) is None]:
        raise TransformError(
            f"{file}: {', '.join(odd)} cannot be published. "
            "Publish numbers, text, truth values, times and dates."
        )


def _refuse_nameless(connection: Connection, dataset: DatasetSpec, file: str) -> None:
    for column in (*dataset.key, dataset.event_time):
        where = f"FROM {PUBLISHED} WHERE {identifier(column)} IS NULL"
        if nameless := count(connection, f"({where})"):
            raise TransformError(
                f"{file}: {nameless} rows have no {column}, such as {_examples(connection, dataset, where)}. "
                "Leave them out with WHERE, or give them one."
            )


def _refuse_doubled(connection: Connection, dataset: DatasetSpec, file: str) -> None:
    keys = identifiers(dataset.key)
    query = f"SELECT {keys} FROM {PUBLISHED} GROUP BY {keys} HAVING count(*) > 1"
    if doubled := count(connection, f"({query})"):
        shown = connection.execute(f"{query} ORDER BY {keys} LIMIT {_EXAMPLES}").fetchall()
        raise TransformError(
            f"{file}: {doubled} keys name more than one row, such as {_listed(dataset.key, shown)}. "
            f"Keep one row of each, or add a column to `key` in datasets/{dataset.name}.yaml."
        )


def _examples(connection: Connection, dataset: DatasetSpec, where: str) -> str:
    names = list(dict.fromkeys((*dataset.key, dataset.event_time)))
    shown = ", ".join(f"{identifier(name)}::VARCHAR" for name in names)
    rows = connection.execute(f"SELECT {shown} {where} ORDER BY ALL LIMIT {_EXAMPLES}").fetchall()
    return _listed(names, rows)


def _listed(names: Iterable[str], rows: Iterable[tuple[object, ...]]) -> str:
    shown = ([f"{name}={value}" for name, value in zip(names, row, strict=True)] for row in rows)
    return "; ".join(", ".join(each) for each in shown)
