"""What was trained at a cut of history, kept under the digest of what it was trained on and how."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.backends.lock import alone
from keepfit.pipeline.folder import RunFolder
from keepfit.spec import ModelSpec
from keepfit.spec.project import EngineSpec

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.coded_model import CodedModel
    from keepfit.backends.sketches import Sketch
    from keepfit.plugins import Model
    from keepfit.steps.evaluate import Evaluation
    from keepfit.steps.split import Split

LAYOUT = 3
"""Of what a cut keeps; another one is trained anew."""
CUT, HOLDOUT, SKETCHES = "cut", "holdout.parquet", "sketches.parquet"
_SHAPING = ("task", "features", "label", "train", "evaluate")
_NOT_SHAPING = {"train": {"calendar", "timeout", "length", "start"}}
"""Which rows there are is told by the rows."""


@dataclass(frozen=True)
class Cut:
    """A model that was trained at a cut, and how it did on its holdout."""

    folder: RunFolder

    @cached_property
    def stored(self) -> Mapping[str, Any]:
        """What the training left."""
        return self.folder.read(CUT)

    @cached_property
    def evaluation(self) -> "Evaluation":
        """How candidates and baseline did."""
        from keepfit.steps.evaluate import Evaluation

        return Evaluation.of_json(self.stored["evaluation"])

    @cached_property
    def models(self) -> "list[CodedModel]":
        """All candidates."""
        from keepfit.backends import model_files

        files = enumerate(self.stored["files"])
        return [model_files.load(self.folder.file(_named(index)), each) for index, each in files]

    @property
    def model(self) -> "CodedModel":
        """The best candidate."""
        return self.models[self.evaluation.challenger]

    @property
    def holdout(self) -> "pd.DataFrame":
        """The holdout's rows as `evaluate` returned them."""
        import pandas as pd

        return pd.read_parquet(self.folder.file(HOLDOUT))

    @cached_property
    def sketches(self) -> "dict[str, Sketch]":
        """What windows are held against: the features of its training rows, the scores of its holdout."""
        from keepfit.backends.sketches import read_sketches

        return read_sketches(self.folder.file(SKETCHES))


class Cuts:
    """The cuts of a model that were trained, whoever asked; two at once train one once."""

    def __init__(self, folder: Path, made_by: Mapping[str, str]) -> None:
        """Keep them in a folder; `made_by` says which versions of libraries and plugins train."""
        self._folder = folder
        self._made_by = made_by

    def named(self, name: str) -> Cut:
        """Return a cut by its digest."""
        return Cut(RunFolder(self._folder / name))

    def train(
        self, split: "Split", rows_digest: str, features: Mapping[str, str], spec: ModelSpec
    ) -> tuple[Cut, bool]:
        """Return what is trained on a split, and whether it was there already."""
        name = self._digest(rows_digest, features, spec)
        cut = self.named(name)
        with alone(self._folder / f"{name}.lock"):
            if cut.folder.has(CUT):
                return cut, True
            _train(cut.folder, split, features, spec)
        return cut, False

    def _digest(self, rows_digest: str, features: Mapping[str, str], spec: ModelSpec) -> str:
        told = spec.model_dump(mode="json", include=set(_SHAPING), exclude=_NOT_SHAPING)
        said = [LAYOUT, rows_digest, list(features.items()), told, dict(self._made_by)]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _train(folder: RunFolder, split: "Split", features: Mapping[str, str], spec: ModelSpec) -> None:
    """Train all candidates as a training run does, and keep the best."""
    from keepfit.backends.engine import engine
    from keepfit.backends.sketches import write_sketches
    from keepfit.steps.cost import one_row_ms, size_mb
    from keepfit.steps.evaluate import CHALLENGER, evaluate
    from keepfit.steps.importance import importances
    from keepfit.steps.sketch_reference import sketch_training
    from keepfit.steps.train import train

    began = time.perf_counter()
    trained = [train(split.train, features, spec, each) for each in spec.train.candidates]
    saved = [_saved(folder, _named(index), each.model) for index, each in enumerate(trained)]
    evaluation, scores = evaluate([model for model, _ in saved], None, split, spec)
    best = evaluation.challenger
    model = saved[best][0]
    with folder.staged(HOLDOUT) as staged:
        scores.to_parquet(staged, index=False)
    with folder.scratch("sketch") as scratch, engine(EngineSpec(), scratch) as connection:
        sketches = sketch_training(connection, model, split.train, scores[CHALLENGER])
    with folder.staged(SKETCHES) as staged:
        write_sketches(staged, sketches)
    asked = spec.evaluate.gate.latency_ms is not None
    measured = replace(
        evaluation,
        latency_ms=one_row_ms(model, split.holdout, time.perf_counter) if asked else None,
        size_mb=size_mb(folder.file(_named(best))),
    )
    folder.write(
        CUT,
        {
            "evaluation": measured.to_json(),
            "features": list(model.coding.features),
            "importances": importances(model, split.holdout, list(model.coding.features), spec).to_json(),
            "files": [files for _, files in saved],
            "params": dict(trained[best].params),
            "rows": trained[best].rows,
            "seconds": time.perf_counter() - began,
        },
    )


def _saved(folder: RunFolder, name: str, model: "Model") -> "tuple[CodedModel, dict[str, str]]":
    """Keep a model's files and read it back, as what is deployed is read."""
    from keepfit.backends import model_files

    with folder.staged(name) as staged:
        staged.mkdir()
        model.save(staged)
        files = model_files.digests(staged)
    return model_files.load(folder.file(name), files), files


def _named(candidate: int) -> str:
    return f"candidate_{candidate}"
