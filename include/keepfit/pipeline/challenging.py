"""The fresh challenger of a monitoring run: trained on what was known when the window began, and let go."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from keepfit.errors import (
    FeatureStoreError,
    NotReadyError,
    RegistryError,
    SchemaError,
    TrainingError,
    UntrustedModelError,
)
from keepfit.pipeline.broken import broken_windows
from keepfit.pipeline.champion import LiveVersion
from keepfit.pipeline.monitored import LABELS, PREDICTIONS, labels_of, made_predictions, tables
from keepfit.pipeline.snapshot import Snapshot
from keepfit.plugins import Access, use_plugins
from keepfit.policy import RegretSignal
from keepfit.spec.window import moved

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from keepfit.steps.train import Trained

_TELLING = (FeatureStoreError, NotReadyError, RegistryError, SchemaError, TrainingError)
"""What keeps a challenger from being trained or scored is a reason, and no failure of the monitoring."""


@dataclass(frozen=True)
class Challenged:
    """What came of it."""

    signal: RegretSignal
    told: str


class Challenge:
    """A challenger against the champion, on the rows whose labels became known in the window."""

    def __init__(self, snapshot: Snapshot, access: Access, champion: LiveVersion, labelled: "Path") -> None:
        """Work on a monitoring run; `labelled` is what its labels were joined to."""
        self._snapshot, self._access = snapshot, access
        self._spec, self._window = snapshot.the_model, snapshot.the_window
        self._champion, self._labelled = champion, labelled
        use_plugins(snapshot.root)

    def run(self) -> Challenged:
        """Train and compare, or say why that is not done: first what costs nothing to find out."""
        import pandas as pd

        from keepfit.steps.labelled_rows import answered_by
        from keepfit.steps.regret import unknown_regret, why_too_few

        rows = answered_by(pd.read_parquet(self._labelled), self._champion.version, self._since())
        if reason := why_too_few(rows["event_time"], self._spec):
            return _told(unknown_regret(reason, len(rows)))
        as_of = self._champion.signal.as_of
        if as_of is not None and as_of >= self._window.start:
            same = f"the champion was trained as of {as_of:%Y-%m-%d %H:%M}: a challenger knows no more"
            return Challenged(RegretSignal(0.0, 0.0, len(rows)), f"no challenger is trained: {same}")
        try:
            return self._compared()
        except _TELLING as error:
            return _told(unknown_regret(f"no challenger: {str(error).splitlines()[0]}", len(rows)))

    def _compared(self) -> Challenged:
        from keepfit.steps.evaluate import CHALLENGER, CHAMPION
        from keepfit.steps.regret import regret
        from keepfit.steps.train import scored

        began = time.process_time()
        trained = self._train()
        rows = self._rows(trained)
        both = rows.rename(columns={"score": CHAMPION})
        both[CHALLENGER] = scored(trained.model, rows, self._spec)
        found = regret(both, self._spec)
        spent = time.process_time() - began
        cost = (
            f"trained on {trained.rows:,} rows known at {self._window.start:%Y-%m-%d}, {spent:.1f} s of CPU"
        )
        return _told(found, f"; {cost}")

    def _train(self) -> "Trained":
        import pandas as pd

        from keepfit.backends.feature_store import FeatureStore
        from keepfit.backends.lake import Lake
        from keepfit.steps.challenge import challengers, fresh_challenger
        from keepfit.steps.training_set import build_training_set

        candidates = challengers(self._spec, self._recorded())
        store = FeatureStore(self._snapshot, self._snapshot.project.engine)
        with self._snapshot.folder.scratch("challenge") as scratch:
            built = build_training_set(
                self._spec,
                self._snapshot.datasets,
                store,
                Lake(self._snapshot.locations.lake),
                as_of=self._window.start,
                out=scratch / "training_set.parquet",
                scratch=scratch,
                engine=self._snapshot.project.engine,
                without=broken_windows(self._snapshot, self._window.start),
            )
            rows = pd.read_parquet(built.path)
        return fresh_challenger(rows, built.features, self._spec, candidates)

    def _recorded(self) -> dict[str, Any] | None:
        """Return how the champion was trained, if that is recorded."""
        from keepfit.pipeline.pins import Pins

        try:
            record = self._champion.registry.pins(self._spec.name, self._champion.version)
        except UntrustedModelError:
            raise
        except RegistryError:
            return None
        return dict(Pins.read(record).trained)

    def _rows(self, trained: "Trained") -> "pd.DataFrame":
        from keepfit.steps.labelled_rows import labelled_features

        with (
            tables(self._snapshot, PREDICTIONS, LABELS) as connection,
            made_predictions(self._snapshot, connection, self._access) as made,
        ):
            return labelled_features(
                connection,
                made,
                labels_of(self._snapshot),
                self._labelled,
                features=tuple(trained.features),
                version=self._champion.version,
                since=self._since(),
                until=self._window.end,
            )

    def _since(self) -> datetime:
        """Return the last moment whose rows one of the two may have been trained on."""
        known = [self._window.start, self._champion.signal.as_of or self._window.start]
        return moved(max(known), -self._spec.label.delay, "What a challenger has seen")


def _told(found: RegretSignal, cost: str = "") -> Challenged:
    if found.value is None:
        return Challenged(found, f"regret not measured: {found.reason}{cost}")
    text = (
        f"regret {found.value:+.4g} (standard error {found.noise:.2g}) on {found.rows:,} newly labelled rows"
    )
    return Challenged(found, f"{text}{cost}")
