"""What is kept beside a new version: its model card, its holdout's scores, what each feature is worth."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.coded_model import CodedModel
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.steps.register import Lineage
    from keepfit.steps.split import Split

HOLDOUT = "holdout.parquet"
CARD, CARD_PAGE, HOLDOUT_SCORES = "model_card.md", "model_card.html", "holdout_scores.parquet"
IMPORTANCES, SKETCHES = "importances.json", "sketches.parquet"


def describe(
    snapshot: Snapshot,
    registry: "ModelRegistry",
    version: str,
    *,
    lineage: "Lineage",
    trained: Mapping[str, Any],
    model: "CodedModel",
    split: "Split",
) -> None:
    """Write a version's model card, the scores it gave its holdout and the worth of its features; keep them.

    Args:
        snapshot: The training run's, whose folder holds what its steps have found.
        registry: Where the version is.
        version: The new version.
        lineage: Where it comes from.
        trained: What the run's step `train` has stored of it.
        model: The version itself.
        split: The rows it was trained and judged on.
    """
    import pandas as pd

    from keepfit.steps.evaluate import CHALLENGER, Evaluation
    from keepfit.steps.gate import Judgement
    from keepfit.steps.importance import importances
    from keepfit.steps.model_card import CardFacts, missing_shares, write_card
    from keepfit.steps.training_set import TrainingSet

    folder, spec = snapshot.folder, snapshot.the_model
    scores = pd.read_parquet(folder.file(HOLDOUT))
    built = TrainingSet.of(folder.read("build_training_set"))
    worth = importances(model, split.holdout, list(model.coding.features), spec)
    page = write_card(
        CardFacts(
            version=version,
            spec=spec,
            lineage=lineage,
            built=built,
            evaluation=Evaluation.of_json(folder.read("evaluation")),
            judgement=Judgement.of_json(folder.read("gate")),
            params=trained["params"],
            missing=missing_shares(split.train, list(built.features)),
            left_out=trained["left_out"],
            importances=worth,
        )
    )
    for name, text in ((CARD, page.markdown), (CARD_PAGE, page.html)):
        with folder.staged(name) as path:
            path.write_text(text, encoding="utf-8")
    with folder.staged(HOLDOUT_SCORES) as path:
        own = scores[["event_time", "label", CHALLENGER]].rename(columns={CHALLENGER: "score"})
        own.to_parquet(path, index=False)
    with folder.staged(IMPORTANCES) as path:
        path.write_text(json.dumps(worth.to_json(), indent=1), encoding="utf-8")
    _sketch(snapshot, model, split, own["score"])
    kept = (CARD, CARD_PAGE, HOLDOUT_SCORES, IMPORTANCES, SKETCHES)
    registry.attach(spec.name, version, *map(folder.file, kept))


def _sketch(snapshot: Snapshot, model: "CodedModel", split: "Split", holdout_scores: "pd.Series") -> None:
    """Write what windows will be held against."""
    from keepfit.backends.engine import engine
    from keepfit.backends.sketches import write_sketches
    from keepfit.steps.sketch_reference import sketch_training

    with (
        snapshot.folder.scratch("sketches") as scratch,
        engine(snapshot.project.engine, scratch) as connection,
        snapshot.folder.staged(SKETCHES) as path,
    ):
        write_sketches(path, sketch_training(connection, model, split.train, holdout_scores))
