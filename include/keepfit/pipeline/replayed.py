"""What the steps of a replay have left in its folder and in the cache of trained cuts."""

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepfit.pipeline.broken import broken_windows
from keepfit.pipeline.pins import plugin_digests
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Window

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.lake import Lake
    from keepfit.pipeline.cuts import Cuts
    from keepfit.spec import ModelSpec
    from keepfit.steps.lay_out import Layout
    from keepfit.steps.replay_cell import TrainedCut
    from keepfit.steps.replay_settings import ReplaySettings
    from keepfit.steps.training_set import TrainingSet

HISTORY = "history.parquet"


class Replayed:
    """Reads a replay's folder."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Refer to a replay by its snapshot."""
        self.snapshot = snapshot
        self.folder = snapshot.folder

    @cached_property
    def settings(self) -> "ReplaySettings":
        """What is asked for."""
        from keepfit.steps.replay_settings import ReplaySettings

        return ReplaySettings.of(self.snapshot.settings)

    @cached_property
    def models(self) -> "dict[str, ModelSpec]":
        """The model as each kind of window trains it."""
        return self.settings.models(self.snapshot.the_model)

    @property
    def lake(self) -> "Lake":
        """Where datasets are published."""
        from keepfit.backends.lake import Lake

        return Lake(self.snapshot.locations.lake)

    @cached_property
    def built(self) -> "TrainingSet":
        """What the history was built as."""
        from keepfit.steps.training_set import TrainingSet

        return TrainingSet.of(self.folder.read("history"))

    @cached_property
    def layout(self) -> "Layout":
        """The windows."""
        from keepfit.steps.lay_out import Layout

        return Layout.of_json(self.folder.read("lay_out"))

    def history(self, columns: tuple[str, ...] | None = None) -> "pd.DataFrame":
        """Read all rows, or some columns of them."""
        import pandas as pd

        return pd.read_parquet(self.folder.file(HISTORY), columns=list(columns) if columns else None)

    def known(self, spec: "ModelSpec", cut: Any, history: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows of a history that a training as of a moment would take, as labelled then.

        Windows that the ledger knows as broken are left out, as a training leaves them out.
        """
        from keepfit.steps.history import known_at, rows_of

        with self.folder.scratch("known_at") as scratch:
            known = known_at(
                self.folder.file(HISTORY),
                spec,
                self.snapshot.datasets,
                self.lake,
                self.built.versions,
                as_of=cut,
                scratch=scratch,
                engine=self.snapshot.project.engine,
                without=self._broken,
            )
        return rows_of(history, known)

    @cached_property
    def _broken(self) -> tuple[Window, ...]:
        """The windows that the ledger knows as broken by now; what came after a cut is not among its rows."""
        return broken_windows(self.snapshot, datetime.max.replace(tzinfo=UTC))

    @property
    def cuts(self) -> "Cuts":
        """The cuts that were trained by this replay or others."""
        from keepfit.backends.libraries import installed
        from keepfit.pipeline.cuts import Cuts

        spec, root = self.snapshot.the_model, self.snapshot.root
        named = [each.trainer for each in spec.train.candidates] + list(spec.evaluate.all_metrics)
        plugins = plugin_digests(root) if any(":" in name for name in named) else {}
        return Cuts(self.snapshot.locations.home / "replay" / spec.name, installed() | plugins)

    def trained(self, index: int) -> "TrainedCut":
        """Return what was trained at a cut.

        Raises:
            NotReadyError: It is not trained in this replay.
        """
        import numpy as np

        from keepfit.steps.history import ROW
        from keepfit.steps.importance import Importances
        from keepfit.steps.replay_cell import NumberedScores, TrainedCut

        stored = self.folder.read(f"cut_{index}")
        cut, number = self.cuts.named(stored["cut"]), self.layout.cuts[index][1]
        scores, fresh, rows = (
            np.load(self.folder.file(f"{name}_{index}.npy")) for name in ("scores", "fresh", "holdout")
        )
        return TrainedCut(
            version=str(number),
            as_of=self.layout.windows[number].start,
            evaluation=cut.evaluation,
            holdout=cut.holdout.assign(**{ROW: rows}),
            scores=NumberedScores(stored["first"], scores),
            features=tuple(cut.stored["features"]),
            sketches=cut.sketches,
            importances=Importances.of_json(cut.stored["importances"]),
            fresh=tuple(NumberedScores(stored["fresh_first"], each) for each in fresh),
        )
