"""The file of a training set, written chunk by chunk."""

import hashlib
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.steps.rows_digest import RowsDigest
from keepfit.steps.slices import texts
from keepfit.steps.training_rows import EVENT_TIME, LABEL

if TYPE_CHECKING:
    from keepfit.backends.feature_store import ServiceDescription


class TrainingFile:
    """Writes key, event time, features, columns to slice by and label, and keeps count of what it saw.

    The same chunks give the same bytes: each is a row group, and nothing else is written beside them.
    """

    first: datetime
    last: datetime
    lowest: float
    """The lowest label."""
    highest: float

    def __init__(
        self, path: Path, key: tuple[str, ...], service: "ServiceDescription", slices: tuple[str, ...] = ()
    ) -> None:
        """Refer to a file that is written when the first chunk comes; what only slices it becomes a text."""
        self.path = path
        self.rows = 0
        self.values: Counter[str] = Counter()
        """How many values each feature has."""
        self.content = RowsDigest()
        """Of the rows written, whatever a library's version makes of the file."""
        own = [*dict.fromkeys([*key, EVENT_TIME]), *service.feature_names]
        self._slices = [name for name in slices if name not in own]
        self._columns = [*own, *self._slices, LABEL]
        self._texts = {*service.categorical, *self._slices}
        self._features = service.feature_names
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Begin; close it by the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def add(self, chunk: pd.DataFrame) -> None:
        """Write rows, which come in order."""
        chunk = chunk.assign(**{name: texts(chunk[name]) for name in self._slices})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, self._schema(chunk))
            self.first = chunk[EVENT_TIME].iloc[0].to_pydatetime()
            self.lowest, self.highest = float("inf"), float("-inf")
        self._writer.write_table(
            pa.Table.from_pandas(chunk[self._columns], schema=self._writer.schema, preserve_index=False)
        )
        self.content.add(chunk[self._columns])
        self.rows += len(chunk)
        self.values.update({name: int(chunk[name].notna().sum()) for name in self._features})
        self.last = chunk[EVENT_TIME].iloc[-1].to_pydatetime()
        self.lowest = min(self.lowest, float(chunk[LABEL].min()))
        self.highest = max(self.highest, float(chunk[LABEL].max()))

    def digest(self) -> str:
        """Return the SHA-256 of the finished file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _schema(self, chunk: pd.DataFrame) -> pa.Schema:
        # A text without a value in the first chunk would be taken for a column of nulls.
        found = pa.Schema.from_pandas(chunk[self._columns], preserve_index=False)
        # Without pandas' own metadata, which names its version.
        return pa.schema(
            [pa.field(field.name, pa.string()) if field.name in self._texts else field for field in found]
        )
