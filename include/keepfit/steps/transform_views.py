"""What a transform may read: the extracted rows as `source`, or published datasets by their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.engine import Connection, identifier, moment, scan
from keepfit.backends.lake import Lake
from keepfit.spec.dataset import DatasetSpec, DatasetsSource
from keepfit.spec.window import Window


@dataclass(frozen=True)
class View:
    """A named table over Parquet files."""

    name: str
    files: Sequence[str]
    schema: pa.Schema
    where: str = "true"


def source_view(file: Path, dataset: DatasetSpec) -> View:
    """Show the extracted rows, without those that have no time and so belong to no window."""
    where = "true" if dataset.snapshot else f"{identifier(dataset.source_time)} IS NOT NULL"
    return View("source", [str(file)], pq.read_schema(file), where)


def input_view(lake: Lake, given: DatasetSpec, version: int, source: DatasetsSource, window: Window) -> View:
    """Show a published dataset at a version: a snapshot whole, else from the lookback to the window's end."""
    schema = lake.dataset(given.name, version).schema
    time, reach = identifier(given.event_time), window.reaching_back(source.lookback)
    within = f"{time} >= {moment(reach.start)} AND {time} < {moment(reach.end)}"
    return View(given.name, lake.files(given.name, version), schema, "true" if given.snapshot else within)


def create_view(connection: Connection, view: View) -> Sequence[str]:
    """Create the view; return the files it reads."""
    relation = scan(view.files)
    if not view.files:
        relation = f"_{view.name}"
        connection.register(relation, view.schema.empty_table())
    connection.execute(f"CREATE VIEW {identifier(view.name)} AS SELECT * FROM {relation} WHERE {view.where}")
    return view.files
