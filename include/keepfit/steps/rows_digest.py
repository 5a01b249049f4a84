"""A digest of rows as they come: their values and order, whatever file or chunks they come in."""

import hashlib

import pandas as pd
from pandas.util import hash_pandas_object


class RowsDigest:
    """Adds up chunks of rows; the same rows in the same order have the same digest."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._sha = hashlib.sha256()
        self._columns: list[str] | None = None

    def add(self, rows: pd.DataFrame) -> None:
        """Take in rows that follow those before."""
        if self._columns is None:
            self._columns = list(rows.columns)
            self._sha.update("\0".join(self._columns).encode())
        self._sha.update(hash_pandas_object(rows, index=False).to_numpy().tobytes())

    def hexdigest(self) -> str:
        """Return the SHA-256 of all rows so far."""
        return self._sha.hexdigest()
