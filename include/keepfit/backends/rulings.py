"""What was ruled on rows in quarantine, as a table of the engine: it may be longer than memory."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from keepfit.backends.engine import Connection

RULINGS = "keepfit_rulings"
"""The table: the key `k` and digest `d` of a row, the `ruling` that stands, and whether it `was_released`."""
_SAID = "keepfit_said"

Ruled = Iterable[Sequence[tuple[str, str, str]]]
"""Rulings in batches, oldest first, each with the key and the digest of the row it is on."""


def load_rulings(connection: Connection, ruled: Ruled) -> None:
    """Make the table; the last ruling on a row stands."""
    connection.execute(f"CREATE TEMP TABLE {_SAID} (n BIGINT, k VARCHAR, d VARCHAR, ruling VARCHAR)")
    said = 0
    for batch in ruled:
        columns = dict(zip(("k", "d", "ruling"), map(_texts, zip(*batch, strict=True)), strict=True))
        connection.register("keepfit_batch", pa.table({"n": range(said, said + len(batch)), **columns}))
        connection.execute(f"INSERT INTO {_SAID} SELECT * FROM keepfit_batch")
        connection.unregister("keepfit_batch")
        said += len(batch)
    connection.execute(
        f"CREATE TEMP TABLE {RULINGS} AS SELECT k, d, arg_max(ruling, n) AS ruling, "
        f"bool_or(ruling = 'released') AS was_released FROM {_SAID} GROUP BY k, d"
    )
    connection.execute(f"DROP TABLE {_SAID}")


def _texts(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string())
