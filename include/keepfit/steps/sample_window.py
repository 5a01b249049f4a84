"""Read a bounded, repeatable sample of a window's predictions."""

from collections.abc import Sequence

import pandas as pd

from keepfit.backends.engine import Connection, columns_of, identifier, identifiers
from keepfit.spec.window import Window
from keepfit.steps.made_predictions import between

SAMPLE = 20_000


def sample_window(
    connection: Connection,
    predictions: str,
    key: Sequence[str],
    columns: Sequence[str],
    *,
    window: Window,
    limit: int = SAMPLE,
) -> pd.DataFrame:
    """Choose rows by a hash of their key: the same ones each time, and from the whole window.

    Columns that the table of predictions does not have are left out.
    """
    table = identifier(predictions)
    there = columns_of(connection, table)
    wanted = identifiers(name for name in columns if name in there)
    # Only the hash of a key is the same in every version of the engine: its own hash() is not.
    by = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in key)
    found: pd.DataFrame = (
        connection.execute(
            f"SELECT {wanted} FROM {table} WHERE {between('event_time', window)} "
            f"ORDER BY md5(concat_ws('|', {by})), event_time LIMIT {limit}"
        )
        .to_arrow_table()
        .to_pandas()
    )
    return found
