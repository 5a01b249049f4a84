"""The rows an ingest sets aside: parted before the suite's verdict, published beside the dataset."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.ledger import Ledger
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Window

if TYPE_CHECKING:
    from keepfit.backends.quarantine import Parted
    from keepfit.backends.validation_report import Failure, ValidationReport

PASSED, ACCEPTED, ASIDE = "passed.parquet", "accepted.parquet", "aside.parquet"
_RESULT = "quarantine"


def quarantine_table(dataset: str) -> str:
    """Name the table of a dataset's rows in quarantine."""
    return f"quarantine__{dataset}"


class SetAside:
    """What becomes of the bad rows of one ingest. A dataset without `quarantine` sets none aside."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work on a dataset's run."""
        self._snapshot = snapshot
        self._folder = snapshot.folder
        self._dataset = snapshot.the_dataset

    def part(self, file: Path, suite: str, window: Window, scratch: Path) -> Path:
        """Set aside what fails; return the file whose rows the whole suite is to judge."""
        if self._dataset.quarantine is None:
            return file
        from keepfit.backends.quarantine import part_rows

        folder, rulings = self._folder, self._ledger.count_rulings(self._dataset.name)
        with (
            folder.optional(PASSED) as passed,
            folder.optional(ACCEPTED) as accepted,
            folder.optional(ASIDE) as aside,
        ):
            parted = part_rows(
                file,
                suite,
                self._dataset,
                window,
                self._ledger.ruled(self._dataset.name),
                run_id=self._snapshot.run_id,
                out=(passed, accepted, aside),
                bounds=self._snapshot.project.engine,
                scratch=scratch,
            )
        folder.write(_RESULT, _counts(parted) | {"window": window.key, "rulings": rulings})
        return folder.file(PASSED) if parted else file

    def marked(self, report: "ValidationReport") -> "ValidationReport":
        """Add to a report that rows are set aside, or that they are too many."""
        counts, spec = self._counts, self._dataset.quarantine
        if not counts.get("failing") or spec is None:
            return report
        from keepfit.backends.validation_report import ValidationReport

        failures = [_mark(counts, spec.max_share), *report.failures]
        marked = ValidationReport.of(
            report.suite, report.rows, report.checked, failures, report.missing_share
        )
        return replace(marked, left_out=marked.left_out + report.left_out)

    def to_publish(self, file: Path) -> Path:
        """Return the file of the rows to publish: all but those set aside."""
        return self._folder.file(ACCEPTED) if self._counts.get("failing") else file

    @property
    def held_back(self) -> int:
        """How many rows are not published."""
        return int(self._counts.get("failing", 0)) - int(self._counts.get("released", 0))

    @property
    def is_overruled(self) -> bool:
        """Whether someone has ruled on the rows set aside since they were parted. Rulings are only added."""
        counts, name = self._counts, self._dataset.name
        if not counts.get("failing") or self._ledger.count_rulings(name) == counts["rulings"]:
            return False
        from keepfit.backends.quarantine import state_of

        with self._folder.scratch("rulings") as scratch:
            aside, bounds = self._folder.file(ASIDE), self._snapshot.project.engine
            state = state_of(aside, self._ledger.ruled(name), bounds=bounds, scratch=scratch)
        return state != counts.get("state")

    def publish(self, window: Window, *, anew: bool) -> None:
        """Replace the window's rows in quarantine by those this run has set aside."""
        if self._dataset.quarantine is None:
            return
        from keepfit.backends.lake import Lake
        from keepfit.backends.quarantine import AT

        lake, table = Lake(self._snapshot.locations.lake), quarantine_table(self._dataset.name)
        if not self._counts.get("failing"):
            if not lake.exists(table):
                return
            self._write_none(lake.dataset(table).schema)
        whole = anew or self._dataset.snapshot
        lake.publish(
            table,
            self._folder.file(ASIDE),
            time_column=AT,
            window=None if whole else window,
            columns="replace" if whole else "union",
        )

    def _write_none(self, schema: Any) -> None:
        import pyarrow.parquet as pq

        with self._folder.staged(ASIDE) as out:
            pq.write_table(schema.empty_table(), out)

    @property
    def _counts(self) -> dict[str, Any]:
        wanted = self._dataset.quarantine and self._folder.has(_RESULT)
        return self._folder.read(_RESULT) if wanted else {}

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self._snapshot.locations.ledger_url)


def _counts(parted: "Parted | None") -> dict[str, Any]:
    if parted is None:
        return {"failing": 0, "released": 0, "pending": 0}
    return {
        "rows": parted.rows,
        "failing": parted.failing,
        "released": parted.released,
        "dropped": parted.dropped,
        "pending": parted.pending,
        "reasons": dict(parted.reasons),
        "state": parted.state,
    }


def _mark(counts: dict[str, Any], limit: float) -> "Failure":
    from keepfit.backends.validation_report import Failure

    pending, rows = counts["pending"], counts["rows"]
    why = "; ".join(f"{reason} ({count:,})" for reason, count in counts["reasons"].items())
    of = f"{pending:,} of {rows:,} rows ({pending / rows:.1%})"
    if pending / rows > limit:
        return Failure("quarantine", None, "critical", f"{of} fail, more than {limit:.1%}: {why}", pending)
    ruled = f", {counts['released']:,} released, {counts['dropped']:,} dropped"
    return Failure("quarantine", None, "warning", f"{of} are set aside{ruled}: {why}", pending)
