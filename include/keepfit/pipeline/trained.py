"""What the steps of a training run have left in its folder, read back."""

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepfit.errors import ConfError
from keepfit.ledger import Ledger, Training
from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    from keepfit.backends.coded_model import CodedModel
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.steps.evaluate import Evaluation
    from keepfit.steps.gate import Judgement
    from keepfit.steps.split import Split
    from keepfit.steps.training_set import TrainingSet

TRAINING_SET = "training_set.parquet"


class TrainedSoFar:
    """The parts of a training run that are done, each as the step that made it gave it."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Read the folder of a snapshot."""
        self.snapshot = snapshot
        self.spec = snapshot.the_model
        self.folder = snapshot.folder

    @property
    def as_of(self) -> datetime:
        """Up to when the past is known."""
        as_of = self.snapshot.settings.get("as_of")
        if not as_of:
            raise ConfError(f"Run {self.snapshot.run_id} has no `as_of`: say up to when the past is known.")
        moment = datetime.fromisoformat(as_of)
        if moment.tzinfo is None:
            raise ConfError(f"`as_of` is {as_of}, which has no time zone. Write it in UTC.")
        return moment

    @property
    def training_set(self) -> "TrainingSet":
        """What was built to train on."""
        from keepfit.steps.training_set import TrainingSet

        return TrainingSet.of(self.folder.read("build_training_set"))

    @property
    def split(self) -> "Split":
        """Its rows: to train on, and the holdout."""
        import pandas as pd

        from keepfit.steps.split import split_by_time

        self.folder.read("build_training_set")
        rows = pd.read_parquet(self.folder.file(TRAINING_SET))
        return split_by_time(rows, self.spec.train.holdout, self.spec.label.delay)

    def trained(self, index: int) -> dict[str, Any]:
        """Return what the training of a candidate told."""
        return self.folder.read(f"train_{index}")

    def candidate(self, index: int) -> "CodedModel":
        """Load a candidate, if its files are what was stored."""
        from keepfit.backends import model_files

        return model_files.load(self.folder.file(f"candidate_{index}"), self.trained(index)["files"])

    @property
    def evaluation(self) -> "Evaluation":
        """How all did on the holdout."""
        from keepfit.steps.evaluate import Evaluation

        return Evaluation.of_json(self.folder.read("evaluation"))

    @property
    def judgement(self) -> "Judgement":
        """What the gate said."""
        from keepfit.steps.gate import Judgement

        return Judgement.of_json(self.folder.read("gate"))

    @cached_property
    def registry(self) -> "ModelRegistry":
        """Where versions are kept."""
        from keepfit.backends.model_registry import ModelRegistry

        return ModelRegistry(self.snapshot.locations.tracking_uri, self.snapshot.locations.artifacts)

    @cached_property
    def ledger(self) -> Ledger:
        """Where decisions and trainings are kept."""
        return Ledger(self.snapshot.locations.ledger_url)

    def record(
        self,
        verdict: Any,
        reasons: tuple[str, ...],
        *,
        version: str | None = None,
        metrics: dict[str, float] | None = None,
        pins_sha256: str | None = None,
    ) -> None:
        """Put into the ledger how the run ended; the first record of a run stands."""
        self.ledger.record_training(
            Training(
                run_id=self.snapshot.run_id,
                model=self.spec.name,
                decision_key=self.snapshot.settings.get("decision"),
                as_of=self.as_of,
                version=version,
                verdict=verdict,
                reasons=reasons,
                metrics=metrics or {},
                pins_sha256=pins_sha256,
            )
        )
