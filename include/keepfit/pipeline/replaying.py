"""A replay: models trained at every cut of a history, the matrix of how they did, and the policy it shows."""

import time
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger
from keepfit.pipeline.replayed import HISTORY, Replayed
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.storage import tells_of_storage
from keepfit.plugins import use_plugins

if TYPE_CHECKING:
    from keepfit.policy import Matrix
    from keepfit.spec import ModelSpec
    from keepfit.steps.lay_out import Known

SUGGESTION, REPORT, REPORT_PAGE = "policy.yaml", "replay.md", "replay.html"


class ReplayRun:
    """The steps of one replay, each reading what the ones before have left in the run's folder."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work from a snapshot."""
        self.snapshot = snapshot
        self.spec = snapshot.the_model
        self.folder = snapshot.folder
        use_plugins(snapshot.root)

    @cached_property
    def _replayed(self) -> Replayed:
        return Replayed(self.snapshot)

    @tells_of_storage
    def lay_out(self) -> dict[str, Any]:
        """Write the history with its features, once, and lay its windows out.

        Raises:
            ConfError: A setting is out of range.
            TrainingError: The history is too short, or cannot train the model.
            NotReadyError: Nothing is published.
        """
        from keepfit.backends.feature_store import FeatureStore
        from keepfit.steps.history import build_history
        from keepfit.steps.lay_out import Layout, lay_windows, refuse_untrained
        from keepfit.steps.replay_settings import on_all_history

        replayed, models, settings = self._replayed, self._replayed.models, self._replayed.settings
        spec, (end, as_of) = next(iter(models.values())), self._reach(settings.end)
        with self.folder.scratch("history") as scratch, self.folder.staged(HISTORY) as staged:
            built = build_history(
                on_all_history(spec),
                self.snapshot.datasets,
                FeatureStore(self.snapshot, self.snapshot.project.engine),
                replayed.lake,
                as_of=as_of,
                out=staged,
                scratch=scratch,
                engine=self.snapshot.project.engine,
            )
        self.folder.write("history", built.as_dict() | {"path": HISTORY})
        times = replayed.history(("event_time",))

        def known(model: "ModelSpec") -> "Known":
            return lambda cut: replayed.known(model, cut, times)

        windows = lay_windows(
            spec,
            known(spec),
            first_row=built.first,
            start=settings.start,
            end=end,
            every=settings.every,
        )
        for kind in settings.kinds:
            refuse_untrained(kind, models[kind], known(models[kind]), windows[0].start)
        layout = Layout(windows, tuple(models), as_of)
        told = (
            f"{built.rows:,} labelled rows; {len(windows)} windows from {windows[0].start:%Y-%m-%d} to "
            f"{windows[-1].end:%Y-%m-%d}; {len(layout.cuts)} cuts to train at ({', '.join(models)})"
        )
        return self.folder.write("lay_out", layout.to_json() | {"cuts": len(layout.cuts), "told": [told]})

    @tells_of_storage
    def train_cut(self, index: int) -> dict[str, Any]:
        """Train what a training run would at a cut, unless that was done before, and score what follows."""
        import numpy as np

        from keepfit.steps.history import ROW
        from keepfit.steps.rows_digest import RowsDigest
        from keepfit.steps.split import split_by_time
        from keepfit.steps.train import scored

        began, replayed = time.perf_counter(), self._replayed
        kind, number = replayed.layout.cuts[index]
        spec, as_of = replayed.models[kind], replayed.layout.windows[number].start
        history = replayed.history()
        rows, digest = replayed.known(spec, as_of, history), RowsDigest()
        digest.add(rows.drop(columns=ROW))
        split = split_by_time(rows, spec.train.holdout, spec.label.delay)
        cut, reused = replayed.cuts.train(split, digest.hexdigest(), replayed.built.features, spec)
        first, new, end = history["event_time"].searchsorted(
            [split.cut, as_of - spec.label.delay, replayed.layout.windows[number].end], side="right"
        )
        scores = {
            "scores": scored(cut.model, history.iloc[first:], spec),
            # In the window that begins here, any candidate may be the fresh challenger.
            "fresh": np.array([scored(each, history.iloc[new:end], spec) for each in cut.models]),
            "holdout": split.holdout[ROW].to_numpy(),
        }
        for name, values in scores.items():
            with self.folder.staged(f"{name}_{index}.npy") as staged, staged.open("wb") as file:
                np.save(file, values)
        how = "trained before" if reused else f"trained on {len(split.train):,} rows"
        result = {
            "index": index,
            "as_of": as_of.isoformat(),
            "cut": cut.folder.path.name,
            "first": int(first),
            "fresh_first": int(new),
            "rows_digest": digest.hexdigest(),
            "reused": reused,
            "seconds": time.perf_counter() - began,
            "trained_in": cut.stored["seconds"],
            "told": [f"{index + 1} of {len(replayed.layout.cuts)}, {kind}, as of {as_of:%Y-%m-%d}: {how}"],
        }
        return self.folder.write(f"cut_{index}", result)

    @tells_of_storage
    def assemble(self) -> dict[str, Any]:
        """Hold every model against every window after it, and write the matrices."""
        from keepfit.pipeline.matrices import make_matrix
        from keepfit.steps.matrix_file import write_matrix

        told = []
        for number, kind in enumerate(self._replayed.layout.kinds):
            matrix = make_matrix(self._replayed, kind)
            with self.folder.staged(f"matrix_{number}.json") as staged:
                write_matrix(matrix, staged)
            told.append(
                f"{kind}: {len(matrix.cells):,} cells; the gate lets {sum(matrix.passes.values()):,} of "
                f"{len(matrix.passes):,} challengers pass"
            )
        return self.folder.write("assemble", {"matrices": len(told), "told": told})

    def matrices(self) -> "tuple[Matrix, ...]":
        """Read the matrices back, one for each kind of window.

        Raises:
            NotReadyError: They are not assembled.
        """
        from keepfit.steps.matrix_file import read_matrix

        count = self.folder.read("assemble")["matrices"]
        return tuple(read_matrix(self.folder.file(f"matrix_{number}.json")) for number in range(count))

    def choose(self) -> dict[str, Any]:
        """Choose the policy on the first windows, report it on the rest, and write what to put into the spec.

        Raises:
            ReplayError: There are too few windows to choose by.
        """
        from keepfit.steps.choose_policy import choose_policy
        from keepfit.steps.replay_report import write_report

        settings = self._replayed.settings
        choice = choose_policy(settings.delayed(self.spec), self.matrices(), settings.cost, settings.split)
        page = write_report(choice)
        written = {SUGGESTION: choice.suggestion, REPORT: page.markdown, REPORT_PAGE: page.html}
        for name, text in written.items():
            with self.folder.staged(name) as staged:
                staged.write_text(text, encoding="utf-8")
        self.folder.write("choice", choice.to_json())
        report = str(self.folder.file(REPORT_PAGE))
        told = [f"the report is {report}", *choice.lines()]
        return self.folder.write("choose", {"report": report, "told": told})

    def _reach(self, asked: datetime | None) -> tuple[datetime, datetime]:
        """Return where the windows end, and up to when labels are known."""
        ledger = Ledger(self.snapshot.locations.ledger_url)
        names = (self.spec.entities.dataset, self.spec.label_dataset)
        published = [each for name in names if (each := ledger.published_until(name))]
        of_rows = ledger.published_until(names[0])
        end = min(filter(None, (asked, of_rows)), default=None)
        if end is None:
            raise NotReadyError(
                f"{self.spec.name} cannot be replayed: no window of {names[0]} is published. Run "
                f"{names[0]}__ingest first, or say with `to` where the history ends."
            )
        return end, max(published, default=end)
