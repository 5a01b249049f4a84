"""A training run: training set, candidates, evaluation, gate, registry, deployment."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from keepfit import plugins
from keepfit.errors import KeepfitError, RegistryError
from keepfit.pipeline.aliases import Aliases
from keepfit.pipeline.broken import broken_windows, left_out
from keepfit.pipeline.deploying import deploy_challenger
from keepfit.pipeline.describing import HOLDOUT
from keepfit.pipeline.pins import pin_inputs
from keepfit.pipeline.registering import register_challenger
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.storage import tells_of_storage
from keepfit.pipeline.trained import TRAINING_SET, TrainedSoFar

if TYPE_CHECKING:
    from keepfit.steps.evaluate import Champion


class TrainingRun:
    """The steps of one training, each reading what the ones before have left in the run's folder."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work from a snapshot."""
        self.snapshot = snapshot
        self.spec = snapshot.the_model
        self.folder = snapshot.folder
        self._done = TrainedSoFar(snapshot)
        plugins.use_plugins(snapshot.root)

    @tells_of_storage
    def build_training_set(self) -> dict[str, Any]:
        """Write the labelled rows known at `as_of`, with their features."""
        from keepfit.backends.feature_store import FeatureStore
        from keepfit.backends.lake import Lake
        from keepfit.steps.training_set import build_training_set
        from keepfit.steps.unfilled import unfilled

        store = FeatureStore(self.snapshot, self.snapshot.project.engine)
        lake, as_of = Lake(self.snapshot.locations.lake), self._done.as_of
        with self.folder.scratch("build_training_set") as scratch, self.folder.staged(TRAINING_SET) as staged:
            built = build_training_set(
                self.spec,
                self.snapshot.datasets,
                store,
                lake,
                as_of=as_of,
                out=staged,
                scratch=scratch,
                engine=self.snapshot.project.engine,
                without=broken_windows(self.snapshot, as_of),
            )
            pin_inputs(self.snapshot, built)
            missing = unfilled(
                store.registered(),
                lake,
                self.snapshot.datasets,
                service=self.spec.features,
                versions=built.versions,
            )
            warnings = [f"{each}: there it is missing for the model, too." for each in missing]
            said = {"warnings": [*warnings, *left_out(built)]}
        return self.folder.write("build_training_set", built.as_dict() | {"path": TRAINING_SET} | said)

    def train(self, index: int) -> dict[str, Any]:
        """Train one candidate and keep its files."""
        from keepfit.backends import model_files
        from keepfit.steps.train import train

        candidate = self.spec.train.candidates[index]
        journal = self.folder.file(f"search_{index}.json") if candidate.search else None
        split = self._done.split
        rows = split.train
        trained = train(rows, self._done.training_set.features, self.spec, candidate, journal)
        with self.folder.staged(f"candidate_{index}") as staged:
            staged.mkdir()
            trained.model.save(staged)
            files = model_files.digests(staged)
            # What does not read back shall fail here, not when it is to be deployed.
            model_files.load(staged, files)
        return self.folder.write(
            f"train_{index}",
            {
                "candidate": index,
                "trainer": candidate.trainer,
                "estimator": candidate.estimator,
                "params": dict(trained.params),
                "rows": trained.rows,
                "unripe": self._done.training_set.rows - len(rows) - len(split.holdout),
                "trials": trained.trials,
                "stopped": trained.stopped,
                "left_out": list(trained.left_out),
                "files": files,
            },
        )

    def evaluate(self) -> dict[str, Any]:
        """Score all candidates and the champion on the holdout."""
        from keepfit.steps.cost import one_row_ms, size_mb
        from keepfit.steps.evaluate import evaluate

        candidates = [self._done.candidate(index) for index in range(len(self.spec.train.candidates))]
        split = self._done.split
        evaluation, scores = evaluate(candidates, self._champion(), split, self.spec)
        with self.folder.staged(HOLDOUT) as staged:
            scores.to_parquet(staged, index=False)
        best = evaluation.challenger
        measured = replace(
            evaluation,
            latency_ms=one_row_ms(candidates[best], split.holdout, time.perf_counter),
            size_mb=size_mb(self.folder.file(f"candidate_{best}")),
        )
        return self.folder.write("evaluation", measured.to_json())

    def gate(self) -> dict[str, Any]:
        """Judge the challenger."""
        import pandas as pd

        from keepfit.steps.gate import gate

        evaluation = self._done.evaluation
        judgement = gate(
            evaluation,
            pd.read_parquet(self.folder.file(HOLDOUT)),
            self.spec,
            gone=self._gone(evaluation.champion_version) if evaluation.champion_problem else (),
            replace=self.snapshot.settings.get("promotion") == "replace",
        )
        return self.folder.write("gate", judgement.to_json())

    def register(self) -> dict[str, Any]:
        """Put the challenger into the registry, refused or not, and the training into the ledger."""
        return register_challenger(self._done)

    def deploy(self) -> dict[str, Any]:
        """Make the challenger champion, if the gate, both promotions and whoever was asked allow it."""
        return deploy_challenger(self._done)

    def verify(self) -> dict[str, Any]:
        """Check that the aliases, the ledger, the loaded champion and all servers agree."""
        agreed = Aliases(self.snapshot, self.spec, self.snapshot.project).verify()
        return self.folder.write("verified", {"champion": agreed})

    def fail(self, reason: str) -> None:
        """Record that the run has failed for good; a run that registered a model keeps that record."""
        self._done.record("error", (reason,))

    def _champion(self) -> "Champion | None":
        from keepfit.steps.evaluate import Champion

        registry = self._done.registry
        version = registry.champion(self.spec.name)
        if version is None:
            return None
        try:
            return Champion(version, registry.load(self.spec.name, version))
        except KeepfitError as error:
            return Champion(version, None, f"{type(error).__name__}: {error}")

    def _gone(self, version: str | None) -> tuple[str, ...]:
        """Name the features that a version needs and its feature service has no more."""
        from keepfit.backends.feature_store import FeatureStore

        try:
            needed = self._done.registry.details(self.spec.name, str(version)).features
        except RegistryError:
            return ()
        store = FeatureStore(self.snapshot, self.snapshot.project.engine)
        given = store.service(self.spec.features).feature_names
        return tuple(name for name in needed if name not in given)
