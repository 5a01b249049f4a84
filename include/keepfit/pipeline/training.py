"""A training run: training set, candidates, evaluation, gate, registry, deployment."""

import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from keepfit import plugins
from keepfit.errors import ConfError, KeepfitError, RegistryError
from keepfit.ledger import Ledger, Training
from keepfit.pipeline.aliases import Aliases
from keepfit.pipeline.approval import ApprovalRun
from keepfit.pipeline.broken import broken_windows, left_out
from keepfit.pipeline.describing import HOLDOUT, describe
from keepfit.pipeline.git import commit_of
from keepfit.pipeline.pins import pin_inputs, write_pins
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.storage import tells_of_storage

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from keepfit.backends.coded_model import CodedModel
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.steps.evaluate import Champion, Evaluation
    from keepfit.steps.gate import Judgement
    from keepfit.steps.split import Split
    from keepfit.steps.training_set import TrainingSet

TRAINING_SET, REFERENCE = "training_set.parquet", "reference.parquet"


class TrainingRun:
    """The steps of one training, each reading what the ones before have left in the run's folder."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work from a snapshot."""
        self.snapshot = snapshot
        self.spec = snapshot.the_model
        self.folder = snapshot.folder
        plugins.use_plugins(snapshot.root)

    @tells_of_storage
    def build_training_set(self) -> dict[str, Any]:
        """Write the labelled rows known at `as_of`, with their features."""
        from keepfit.backends.feature_store import FeatureStore
        from keepfit.backends.lake import Lake
        from keepfit.steps.training_set import build_training_set
        from keepfit.steps.unfilled import unfilled

        store = FeatureStore(self.snapshot, self.snapshot.project.engine)
        lake = Lake(self.snapshot.locations.lake)
        with self.folder.scratch("build_training_set") as scratch, self.folder.staged(TRAINING_SET) as staged:
            built = build_training_set(
                self.spec,
                self.snapshot.datasets,
                store,
                lake,
                as_of=self._as_of(),
                out=staged,
                scratch=scratch,
                engine=self.snapshot.project.engine,
                without=broken_windows(self.snapshot, self._as_of()),
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
        rows = self._split().train
        trained = train(rows, self._training_set().features, self.spec, candidate, journal)
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

        candidates = [self._candidate(index) for index in range(len(self.spec.train.candidates))]
        split = self._split()
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

        evaluation = self._evaluation()
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
        from keepfit.backends.model_files import sha256
        from keepfit.steps.register import reference_sample, register

        evaluation, judgement, built = self._evaluation(), self._judgement(), self._training_set()
        index = evaluation.challenger
        model, trained = self._candidate(index), self.folder.read(f"train_{index}")
        split = self._split()
        rows = split.train
        with self.folder.staged(REFERENCE) as staged:
            sample = reference_sample(model, rows, model.coding.features, self.spec.train.seed)
            sample.to_parquet(staged, index=False)
        pins = write_pins(self.snapshot, trained)
        lineage = self._lineage(rows, trained, evaluation, judgement, built, pins=pins)
        version = register(
            self._registry(),
            self.spec.name,
            self.folder.file(f"candidate_{index}"),
            evaluation,
            lineage,
            params=trained["params"],
            reference=self.folder.file(REFERENCE),
            training_set=self.folder.file(TRAINING_SET),
            pins=pins,
        )
        describe(
            self.snapshot,
            self._registry(),
            version,
            lineage=lineage,
            trained=trained,
            model=model,
            split=split,
        )
        metrics = dict(evaluation.metrics)
        self._record(judgement.verdict, judgement.reasons, version, metrics, sha256(pins))
        return self.folder.write("registered", {"version": version, "verdict": judgement.verdict})

    def deploy(self) -> dict[str, Any]:
        """Make the challenger champion, if the gate, both promotions and whoever was asked allow it."""
        from keepfit.steps.deploy import Move

        judgement, version = self._judgement(), str(self.folder.read("registered")["version"])
        if refusal := self._why_not(judgement):
            return self.folder.write("deployed", {"version": None, "skipped": refusal})
        said = ApprovalRun(self.snapshot).given() or {}
        approved = f"approved by {said['who']}{': ' if said['why'] else ''}{said['why']}" if said else None
        move = Move(
            model=self.spec.name,
            to_version=version,
            from_version=self._evaluation().champion_version,
            who=said.get("who", f"{self.spec.name}__train"),
            why="; ".join(filter(None, (self.snapshot.settings.get("reason"), approved, *judgement.reasons))),
            run_id=self.snapshot.run_id,
            decision_key=self.snapshot.settings.get("decision"),
        )
        self._aliases().move(move)
        return self.folder.write("deployed", {"version": version, "skipped": None})

    def verify(self) -> dict[str, Any]:
        """Check that the aliases, the ledger, the loaded champion and all servers agree."""
        return self.folder.write("verified", {"champion": self._aliases().verify()})

    def fail(self, reason: str) -> None:
        """Record that the run has failed for good; a run that registered a model keeps that record."""
        self._record("error", (reason,), None, {})

    def _why_not(self, judgement: "Judgement") -> str | None:
        if judgement.verdict != "pass":
            return f"the gate's verdict is {judgement.verdict}: {'; '.join(judgement.reasons)}"
        if self.spec.promotion == "never":
            return f"models/{self.spec.name}.yaml says `promotion: never`"
        if self.snapshot.settings.get("promotion", "auto") == "never":
            return "this run was started with `promotion: never`"
        return self._taken_back() or ApprovalRun(self.snapshot).refusal()

    def _taken_back(self) -> str | None:
        from keepfit.steps.watch import taken_back

        version, name = str(self.folder.read("registered")["version"]), self.spec.name
        moves, decision = self._ledger().deployments(name), self.snapshot.settings.get("decision")
        if reason := taken_back(moves, version, decision):
            return f"{reason}. To promote it all the same, run `keepfit release {name} --version {version}`"
        return None

    def _as_of(self) -> datetime:
        as_of = self.snapshot.settings.get("as_of")
        if not as_of:
            raise ConfError(f"Run {self.snapshot.run_id} has no `as_of`: say up to when the past is known.")
        moment = datetime.fromisoformat(as_of)
        if moment.tzinfo is None:
            raise ConfError(f"`as_of` is {as_of}, which has no time zone. Write it in UTC.")
        return moment

    def _training_set(self) -> "TrainingSet":
        from keepfit.steps.training_set import TrainingSet

        return TrainingSet.of(self.folder.read("build_training_set"))

    def _split(self) -> "Split":
        import pandas as pd

        from keepfit.steps.split import split_by_time

        self.folder.read("build_training_set")
        rows = pd.read_parquet(self.folder.file(TRAINING_SET))
        return split_by_time(rows, self.spec.train.holdout, self.spec.label.delay)

    def _candidate(self, index: int) -> "CodedModel":
        from keepfit.backends import model_files

        return model_files.load(
            self.folder.file(f"candidate_{index}"), self.folder.read(f"train_{index}")["files"]
        )

    def _champion(self) -> "Champion | None":
        from keepfit.steps.evaluate import Champion

        registry = self._registry()
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
            needed = self._registry().details(self.spec.name, str(version)).features
        except RegistryError:
            return ()
        store = FeatureStore(self.snapshot, self.snapshot.project.engine)
        given = store.service(self.spec.features).feature_names
        return tuple(name for name in needed if name not in given)

    def _evaluation(self) -> "Evaluation":
        from keepfit.steps.evaluate import Evaluation

        return Evaluation.of_json(self.folder.read("evaluation"))

    def _judgement(self) -> "Judgement":
        from keepfit.steps.gate import Judgement

        return Judgement.of_json(self.folder.read("gate"))

    def _aliases(self) -> Aliases:
        return Aliases(self.snapshot, self.spec, self.snapshot.project)

    def _registry(self) -> "ModelRegistry":
        from keepfit.backends.model_registry import ModelRegistry

        return ModelRegistry(self.snapshot.locations.tracking_uri, self.snapshot.locations.artifacts)

    def _ledger(self) -> Ledger:
        return Ledger(self.snapshot.locations.ledger_url)

    def _lineage(
        self,
        rows: "pd.DataFrame",
        trained: dict[str, Any],
        evaluation: "Evaluation",
        judgement: "Judgement",
        built: "TrainingSet",
        *,
        pins: "Path",
    ) -> Any:
        from keepfit.backends.model_files import sha256
        from keepfit.steps.register import Lineage

        first, last = rows["event_time"].iloc[0], rows["event_time"].iloc[-1]
        return Lineage(
            run_id=self.snapshot.run_id,
            as_of=built.as_of.isoformat(),
            verdict=judgement.verdict,
            trainer=trained["estimator"] or trained["trainer"],
            data_window=f"{first.isoformat()}/{last.isoformat()}",
            data_digest=built.digest,
            rows=len(rows),
            holdout=f"{evaluation.start}/{evaluation.end}",
            feature_service=self.spec.features,
            registry_digest=built.registry_digest,
            spec_digest=self.snapshot.spec_digest,
            seed=self.spec.train.seed,
            git_commit=commit_of(self.snapshot.root),
            pins_sha256=sha256(pins),
            decision=self.snapshot.settings.get("decision"),
            reason=self.snapshot.settings.get("reason"),
        )

    def _record(
        self,
        verdict: Any,
        reasons: tuple[str, ...],
        version: str | None,
        metrics: dict[str, float],
        pins_sha256: str | None = None,
    ) -> None:
        self._ledger().record_training(
            Training(
                run_id=self.snapshot.run_id,
                model=self.spec.name,
                decision_key=self.snapshot.settings.get("decision"),
                as_of=self._as_of(),
                version=version,
                verdict=verdict,
                reasons=reasons,
                metrics=metrics,
                pins_sha256=pins_sha256,
            )
        )
