"""The step `register`: the challenger into the registry, its training into the ledger."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keepfit.pipeline.describing import describe
from keepfit.pipeline.git import commit_of
from keepfit.pipeline.pins import write_pins
from keepfit.pipeline.trained import TRAINING_SET, TrainedSoFar

if TYPE_CHECKING:
    from keepfit.steps.register import Lineage
    from keepfit.steps.split import Split

REFERENCE = "reference.parquet"


def register_challenger(done: TrainedSoFar) -> dict[str, Any]:
    """Put the challenger into the registry, refused or not, and the training into the ledger."""
    from keepfit.backends.model_files import sha256
    from keepfit.steps.register import reference_sample, register

    evaluation, judgement = done.evaluation, done.judgement
    index = evaluation.challenger
    model, trained, split = done.candidate(index), done.trained(index), done.split
    with done.folder.staged(REFERENCE) as staged:
        sample = reference_sample(model, split.train, model.coding.features, done.spec.train.seed)
        sample.to_parquet(staged, index=False)
    pins = write_pins(done.snapshot, trained)
    lineage = _lineage(done, split, trained, sha256(pins))
    version = register(
        done.registry,
        done.spec.name,
        done.folder.file(f"candidate_{index}"),
        evaluation,
        lineage,
        params=trained["params"],
        reference=done.folder.file(REFERENCE),
        training_set=done.folder.file(TRAINING_SET),
        pins=pins,
    )
    describe(
        done.snapshot, done.registry, version, lineage=lineage, trained=trained, model=model, split=split
    )
    done.record(
        judgement.verdict,
        judgement.reasons,
        version=version,
        metrics=dict(evaluation.metrics),
        pins_sha256=lineage.pins_sha256,
    )
    return done.folder.write("registered", {"version": version, "verdict": judgement.verdict})


def _lineage(done: TrainedSoFar, split: "Split", trained: Mapping[str, Any], pins_sha256: str) -> "Lineage":
    from keepfit.steps.register import Lineage
    from keepfit.steps.useful import mean_label

    evaluation, built, settings = done.evaluation, done.training_set, done.snapshot.settings
    first, last = split.train["event_time"].iloc[0], split.train["event_time"].iloc[-1]
    return Lineage(
        run_id=done.snapshot.run_id,
        as_of=built.as_of.isoformat(),
        verdict=done.judgement.verdict,
        trainer=trained["estimator"] or trained["trainer"],
        data_window=f"{first.isoformat()}/{last.isoformat()}",
        data_digest=built.digest,
        rows=len(split.train),
        holdout=f"{evaluation.start}/{evaluation.end}",
        feature_service=done.spec.features,
        registry_digest=built.registry_digest,
        spec_digest=done.snapshot.spec_digest,
        seed=done.spec.train.seed,
        git_commit=commit_of(done.snapshot.root),
        pins_sha256=pins_sha256,
        decision=settings.get("decision"),
        reason=settings.get("reason"),
        mean_label=mean_label(split.holdout),
    )
