"""What is kept beside a new version for those who look at it later: its model card, its holdout's scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.steps.register import Lineage

HOLDOUT = "holdout.parquet"
CARD, CARD_PAGE, HOLDOUT_SCORES = "model_card.md", "model_card.html", "holdout_scores.parquet"


def describe(
    snapshot: Snapshot,
    registry: "ModelRegistry",
    version: str,
    *,
    lineage: "Lineage",
    trained: Mapping[str, Any],
    rows: "pd.DataFrame",
) -> None:
    """Write a version's model card and the scores it gave its holdout, and keep both with it.

    Args:
        snapshot: The training run's, whose folder holds what its steps have found.
        registry: Where the version is.
        version: The new version.
        lineage: Where it comes from.
        trained: What the run's step `train` has stored of it.
        rows: What it was trained on.
    """
    import pandas as pd

    from keepfit.steps.evaluate import CHALLENGER, Evaluation
    from keepfit.steps.gate import Judgement
    from keepfit.steps.model_card import CardFacts, missing_shares, write_card
    from keepfit.steps.training_set import TrainingSet

    folder, spec = snapshot.folder, snapshot.the_model
    scores = pd.read_parquet(folder.file(HOLDOUT))
    built = TrainingSet.of(folder.read("build_training_set"))
    page = write_card(
        CardFacts(
            version=version,
            spec=spec,
            lineage=lineage,
            built=built,
            evaluation=Evaluation.of_json(folder.read("evaluation")),
            judgement=Judgement.of_json(folder.read("gate")),
            params=trained["params"],
            missing=missing_shares(rows, list(built.features)),
            left_out=trained["left_out"],
        )
    )
    for name, text in ((CARD, page.markdown), (CARD_PAGE, page.html)):
        with folder.staged(name) as path:
            path.write_text(text, encoding="utf-8")
    with folder.staged(HOLDOUT_SCORES) as path:
        kept = scores[["event_time", "label", CHALLENGER]].rename(columns={CHALLENGER: "score"})
        kept.to_parquet(path, index=False)
    registry.attach(spec.name, version, *(folder.file(name) for name in (CARD, CARD_PAGE, HOLDOUT_SCORES)))
