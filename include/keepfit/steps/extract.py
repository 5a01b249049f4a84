"""Extract: bring a window's rows from their source, in the declared columns and types."""

from dataclasses import dataclass, replace

import pyarrow.parquet as pq

from keepfit.backends.engine import engine, scan
from keepfit.backends.sources.conform import copy_conforming
from keepfit.errors import SourceError
from keepfit.plugins import SourceRequest, find
from keepfit.spec.dataset import PluginSource


@dataclass(frozen=True)
class Extracted:
    """What came."""

    rows: int


def extract(request: SourceRequest) -> Extracted:
    """Write the window's rows to `request.out` as Parquet with exactly the declared columns.

    Rows without a time in the window column come too: they belong to no window, and are counted later.

    Raises:
        SourceError: The source cannot be read, or lacks a declared column.
        SchemaError: A value is not of its declared type.
    """
    source = request.dataset.source
    if isinstance(source, PluginSource):
        _by_plugin(source, request)
    else:
        find("sources", source.type)(request)
    return Extracted(pq.read_metadata(request.out).num_rows)


def _by_plugin(source: PluginSource, request: SourceRequest) -> None:
    raw = request.scratch / "plugin.parquet"
    find("sources", source.name)(replace(request, out=raw, options=source.options))
    if not raw.exists():
        raise SourceError(
            f"Dataset {request.dataset.name}: the source {source.name!r} wrote no file. It must write "
            "Parquet to `request.out`, also when the window has no rows."
        )
    with engine(request.engine, request.scratch) as connection:
        copy_conforming(connection, scan([raw]), request.dataset, request.window, request.out)
