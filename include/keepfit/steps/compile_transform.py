"""Compile a transform: find what it would publish, and what is wrong with it, without reading a row."""

from collections.abc import Mapping
from pathlib import Path

from keepfit.backends.engine import EngineError, columns_of, engine, first_line, seal
from keepfit.backends.select import line_of, read_select
from keepfit.backends.sources.conform import schema_of
from keepfit.backends.staged import logical_types
from keepfit.errors import TransformError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window
from keepfit.steps.computed_rows import COMPUTED, PUBLISHED, show_publishable
from keepfit.steps.transform_views import View, create_view

_ANY = Window.parse("2000-01-01", "2000-01-02")
_VALUES = {"window_start": _ANY.start, "window_end": _ANY.end}


def compile_transform(
    dataset: DatasetSpec,
    sql: str,
    inputs: Mapping[str, Mapping[str, str]] | None,
    *,
    bounds: EngineSpec,
    scratch: Path,
) -> Mapping[str, str] | None:
    """Return the columns that a dataset's SELECT would publish, with their types.

    Args:
        dataset: What is published.
        sql: The SELECT.
        inputs: The columns of what it reads, by name. None if not all are known: then it is only parsed, and
            None is returned.
        bounds: The engine's memory and threads.
        scratch: A folder for temporary files.

    Raises:
        TransformError: It does not compile, or gives rows that cannot be published.
    """
    file = dataset.files["transform"]
    with engine(bounds, scratch) as connection:
        for name, columns in (inputs or {}).items():
            create_view(connection, View(name, (), schema_of(columns)))
        seal(connection, ())
        select = read_select(connection, sql, file, _VALUES)
        if inputs is None:
            return None
        try:
            statement = (
                f"CREATE TEMP TABLE {COMPUTED} AS {select.text.rstrip().removesuffix(';')}\nWITH NO DATA"
            )
            connection.execute(statement, select.bound(_VALUES))
            show_publishable(connection, dataset, columns_of(connection, COMPUTED), _ANY, file)
        except EngineError as error:
            raise TransformError(f"{file}: {first_line(error)}{line_of(error)}") from error
        return logical_types(connection.execute(f"FROM {PUBLISHED} LIMIT 0").to_arrow_table().schema)
