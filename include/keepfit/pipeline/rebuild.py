"""Rebuild: a version's training set and model again from its record, held against what was recorded.

Today's `feature_repo/` is not read. Published tables are read where they lie, at their recorded versions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from keepfit.errors import KeepfitError, UntrustedModelError
from keepfit.ledger import Ledger
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.pins import Pins, plugin_digests
from keepfit.pipeline.restored import RestoredProject
from keepfit.plugins import use_plugins
from keepfit.spec import Locations

if TYPE_CHECKING:
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.steps.compare_rebuilt import Finding
    from keepfit.steps.training_set import TrainingSet

TRAINING_SET, MODEL = "training_set.parquet", "model"


@dataclass(frozen=True)
class Rebuilt:
    """What came of it."""

    pins: Pins
    findings: tuple["Finding", ...]
    folder: Path
    """Where the files are, as far as they could be made."""

    @property
    def same(self) -> bool:
        """Tell whether inputs, libraries and results are all as they were."""
        return all(finding.same for finding in self.findings)


class Rebuild:
    """One version, made again."""

    def __init__(
        self,
        registry: "ModelRegistry",
        today: Locations,
        model: str,
        version: str,
        out: Path,
        *,
        trust_registry: bool = False,
    ) -> None:
        """Read a version's record; files are written below `out`.

        The record holds Python that is run, so the ledger must know it; or the registry is to be trusted.

        Raises:
            RegistryError: There is no such version, or it has no record.
            UntrustedModelError: The record has been changed, or the ledger does not know it.
        """
        self._registry, self._model, self._version = registry, model, version
        self._today = today
        record = registry.pins(model, version)
        if not trust_registry:
            _refuse_unknown(record, today, model, version)
        self._pins = Pins.read(record)
        self._folder = RunFolder(out)

    def run(self, *, train: bool) -> Rebuilt:
        """Make the training set, and with `train` the model, and say what is the same and what is not."""
        from keepfit.steps.compare_rebuilt import Finding

        findings = list(self._tables())
        readable = all(finding.same for finding in findings)
        findings += self._makers()
        if readable:
            try:
                findings += self._made(train=train)
            except KeepfitError as error:
                findings.append(Finding(False, f"it cannot be made again: {error}"))
        else:
            findings.append(Finding(False, "nothing is made: what went in can no longer be read"))
        return Rebuilt(self._pins, tuple(findings), self._folder.path)

    def _tables(self) -> Iterator["Finding"]:
        from keepfit.backends.lake import Lake
        from keepfit.steps.compare_rebuilt import Finding

        lake = Lake(self._today.lake)
        for pin in self._pins.tables:
            differing = list(pin.differences(lake))
            yield from (Finding(False, text) for text in differing)
            if not differing:
                yield Finding(True, f"table {pin.table!r} version {pin.version}: {len(pin.files)} files")

    def _makers(self) -> Iterator["Finding"]:
        from keepfit.backends import libraries
        from keepfit.steps.compare_rebuilt import Finding

        differing = list(libraries.differences(self._pins.libraries))
        own = ":" in self._pins.trained["trainer"]
        now = plugin_digests(self._today.root) if own else self._pins.plugins
        differing += [
            f"plugins/{name} has changed"
            for name in self._pins.plugins
            if self._pins.plugins[name] != now.get(name)
        ]
        yield from (Finding(False, text) for text in differing)
        if not differing:
            yield Finding(True, f"libraries: {len(self._pins.libraries)} versions")

    def _made(self, *, train: bool) -> Iterator["Finding"]:
        from keepfit.steps.compare_rebuilt import Finding, compare_sets

        with TemporaryDirectory() as scratch:
            project = RestoredProject.at(Path(scratch).resolve(), self._pins, self._today)
            built = self._build(project)
            was, now = self._pins.registry_digest, built.registry_digest
            yield Finding(
                was == now, f"feature definitions: digest {now}" + (f", and was {was}" if was != now else "")
            )
            yield compare_sets(self._pins.training_set, built)
            if train:
                yield self._train(project, built)

    def _build(self, project: RestoredProject) -> "TrainingSet":
        from keepfit.backends.feature_store import RestoredStore
        from keepfit.backends.lake import Lake
        from keepfit.steps.training_set import TrainingSet, build_training_set

        recorded = TrainingSet.of(self._pins.training_set)
        with self._folder.staged(TRAINING_SET) as staged:
            built = build_training_set(
                project.model,
                project.datasets,
                RestoredStore(project, self._pins.definitions, engine=project.engine),
                Lake(self._today.lake),
                as_of=recorded.as_of,
                out=staged,
                scratch=project.root / "scratch",
                engine=project.engine,
                versions=recorded.versions,
                without=recorded.without,
            )
        return replace(built, path=self._folder.file(TRAINING_SET))

    def _train(self, project: RestoredProject, built: "TrainingSet") -> "Finding":
        import pandas as pd

        from keepfit.steps.compare_rebuilt import compare_models
        from keepfit.steps.split import split_by_time
        from keepfit.steps.train import train

        spec, trained = project.model, self._pins.trained
        chosen = spec.train.candidates[trained["candidate"]]
        # The parameters a search has found are part of the record, so nothing is searched again.
        candidate = chosen.model_copy(update={"params": trained["params"], "search": None})
        use_plugins(self._today.root)
        rows = split_by_time(pd.read_parquet(built.path), spec.train.holdout, spec.label.delay).train
        with self._folder.staged(MODEL) as staged:
            staged.mkdir()
            train(rows, built.features, spec, candidate).model.save(staged)
            return compare_models(
                self._registry.details(self._model, self._version).files,
                self._registry.reference(self._model, self._version),
                staged,
                spec.train.threads,
            )


def _refuse_unknown(record: Path, today: Locations, model: str, version: str) -> None:
    """Refuse a record that is not the one of the version's training: its tag can be changed with it."""
    from keepfit.backends.model_files import sha256

    trained = [each for each in Ledger(today.ledger_url).trainings(model) if each.version == version]
    known = {each.pins_sha256 for each in trained} - {None}
    if sha256(record) in known:
        return
    held = "knows another record of inputs" if known else "knows no record of inputs"
    raise UntrustedModelError(
        f"The ledger {held} of version {version} of {model}, and the one in the model registry holds Python "
        "that a rebuild would run. Nothing of it was run. If you trust who can write to the model registry, "
        "add --trust-registry."
    )
