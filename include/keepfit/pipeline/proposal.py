"""A suite proposed from a dataset's own rows."""

from datetime import timedelta
from pathlib import Path

from keepfit.errors import ConfError, SourceError
from keepfit.pipeline.ingest import EXTRACTED, IngestRun
from keepfit.pipeline.snapshot import Snapshot
from keepfit.plugins import Access
from keepfit.spec import Project

REFERENCE = "reference.parquet"


def suite_file(project: Project, dataset: str) -> Path:
    """Name the file of a dataset's suite."""
    spec = project.dataset(dataset)
    return project.repo / "expectations" / f"{spec.expectations or spec.name}.yaml"


def refuse_existing(file: Path, *, force: bool) -> None:
    """Refuse to write over a suite.

    Raises:
        ConfError: The file exists, and `force` is not given.
    """
    if file.exists() and not force:
        raise ConfError(f"{file} exists. Move it away, or give --force to write over it.")


def propose(snapshot: Snapshot, access: Access, every: timedelta) -> str:
    """Return a suite's YAML, from the rows of the run's window as the suite will see them.

    Those are the source's rows, before the transform; of a dataset computed from others, what is published.
    """
    from keepfit.backends.propose import propose_suite

    dataset, folder = snapshot.the_dataset, snapshot.folder
    scratch = folder.path / ".scratch-propose"
    file = _published(snapshot) if dataset.inputs else _extracted(snapshot, access)
    if not _rows(file):
        raise SourceError(
            f"Dataset {dataset.name} has no rows in {snapshot.the_window.key}, so there is nothing to "
            "propose a suite from. Choose a range with rows: `keepfit list` shows what is published."
        )
    return propose_suite(file, dataset, every, bounds=snapshot.project.engine, scratch=scratch)


def _rows(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _extracted(snapshot: Snapshot, access: Access) -> Path:
    IngestRun(snapshot, access).extract()
    return snapshot.folder.file(EXTRACTED)


def _published(snapshot: Snapshot) -> Path:
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    from keepfit.backends.lake import Lake

    dataset, window = snapshot.the_dataset, snapshot.the_window
    time = ds.field(dataset.event_time)
    rows = Lake(snapshot.locations.lake).dataset(dataset.name)
    with snapshot.folder.staged(REFERENCE) as out, pq.ParquetWriter(out, rows.schema) as writer:
        for batch in rows.to_batches(filter=(time >= window.start) & (time < window.end)):
            writer.write_batch(batch)
    return snapshot.folder.file(REFERENCE)
