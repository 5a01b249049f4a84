"""A prediction run: wait until the window's features are published, then score its rows with the champion."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger, Publication
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.snapshot_age import snapshot_ages

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore
    from keepfit.backends.lake import Lake
    from keepfit.backends.lake import Publication as Published
    from keepfit.backends.model_registry import LoadedModel, ModelRegistry
    from keepfit.steps.predict import Predicted

PREDICTIONS = "predictions.parquet"
CHAMPION, CHOSEN = "champion", "chosen"
"""The role of a prediction: by the version that was live, or by one the trigger named."""


class PredictionRun:
    """The steps of one batch prediction."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work from a snapshot."""
        self.snapshot = snapshot
        self.spec = snapshot.the_model
        self.folder = snapshot.folder

    def wait_for(self) -> tuple[str, ...]:
        """Name the datasets this prediction needs that are not published for its window yet."""
        store = self._store()
        store.register()
        needed = dict.fromkeys((self.spec.entities.dataset, *store.service(self.spec.features).datasets))
        ledger = Ledger(self.snapshot.locations.ledger_url)
        return tuple(name for name in needed if not ledger.covers(name, self.snapshot.the_window))

    def check_features(self) -> dict[str, Any]:
        """Say which features are not fit to predict with at the window's end.

        Raises:
            NotReadyError: Some are not, and the model is to stop then.
        """
        from keepfit.pipeline.features import FeatureChecks

        store, at = self._store(), self.snapshot.the_window.end
        store.register()
        checks = FeatureChecks(store, self.snapshot.locations, self.snapshot.datasets, self.snapshot.run_id)
        unfit = checks.unfit(store.service(self.spec.features).views, at)
        if unfit and self.spec.predict.unfit_features == "stop":
            raise NotReadyError(
                f"{self.spec.name} predicts nothing for {self.snapshot.the_window.key}: {'; '.join(unfit)}. "
                "To predict all the same, set `predict.unfit_features: mark`."
            )
        return self.folder.write("check_features", {"unfit_features": unfit})

    def predict(self) -> dict[str, Any]:
        """Score the window's rows and publish them, replacing the window.

        The champion's are `predictions__<model>`. Those of a version the trigger named have a table of
        their own: monitoring reads what was served.
        """
        from keepfit.backends.lake import Lake

        model = self._model()
        if model is None:
            return self.folder.write("predict", {"rows": 0, "skipped": "no champion yet"})
        role = self._role(model.version)
        lake, table = Lake(self.snapshot.locations.lake), self._table(model.version, role)
        with self.folder.staged(PREDICTIONS) as staged:
            predicted = self._score(model, role, lake, staged)
        # A new version may take other features: columns may come, and those that are gone are null.
        published = lake.publish(
            table,
            self.folder.file(PREDICTIONS),
            time_column="event_time",
            window=self.snapshot.the_window,
            columns="union",
        )
        self._record(published)
        return self.folder.write(
            "predict",
            {
                "rows": predicted.rows,
                "skipped": None,
                "rows_without_features": predicted.without_features,
                "unfit_features": self._unfit(),
                "version": model.version,
                "role": role,
                "table": table,
                "table_version": published.version,
                "snapshots": self._snapshot_ages(),
            },
        )

    def _snapshot_ages(self) -> list[str]:
        """Say how old the snapshots are that the features come from."""
        datasets = self._store().service(self.spec.features).datasets
        given = (self.snapshot.datasets[name] for name in datasets)
        return snapshot_ages(Ledger(self.snapshot.locations.ledger_url), given, self.snapshot.the_window)

    def _unfit(self) -> list[str]:
        found: list[str] = []
        return (
            self.folder.read("check_features")["unfit_features"]
            if self.folder.has("check_features")
            else found
        )

    def _table(self, version: str, role: str) -> str:
        champions = f"predictions__{self.spec.name}"
        return champions if role == CHAMPION else f"{champions}__version_{version}"

    def _score(self, model: "LoadedModel", role: str, lake: "Lake", out: Path) -> "Predicted":
        from keepfit.backends.engine import engine, scan
        from keepfit.steps.predict import Stamp, entity_rows, predict

        store = self._store()
        store.register()
        service = store.service(self.spec.features)
        dataset = self.snapshot.datasets[self.spec.entities.dataset]
        # All batches read the same published rows, whatever is published meanwhile.
        versions = {name: lake.version(name) for name in {dataset.name, *service.datasets}}
        columns = lake.columns(dataset.name, versions[dataset.name])
        rows = scan(lake.files(dataset.name, versions[dataset.name]))
        with (
            self.folder.scratch("predict") as scratch,
            engine(self.snapshot.project.engine, scratch) as connection,
        ):
            return predict(
                entity_rows(connection, rows, dataset, self.spec, self.snapshot.the_window),
                lambda batch: store.historical(batch, service.name, versions),
                model,
                Stamp(model.version, role, self.snapshot.run_id),
                key={name: columns[name] for name in dataset.key},
                features={field.name: field.dtype for field in service.features},
                out=out,
                threshold=self.spec.predict.threshold if self.spec.task == "classification" else None,
            )

    def _model(self) -> "LoadedModel | None":
        registry = self._registry()
        chosen = self.snapshot.settings.get("version")
        version = str(chosen) if chosen else registry.champion(self.spec.name)
        return registry.load(self.spec.name, version) if version else None

    def _role(self, version: str) -> str:
        return CHAMPION if version == self._registry().champion(self.spec.name) else CHOSEN

    def _record(self, published: "Published") -> None:
        window = self.snapshot.the_window
        Ledger(self.snapshot.locations.ledger_url).record_publication(
            Publication(
                dataset=published.table,
                window_start=window.start,
                window_end=window.end,
                rows=published.rows,
                digest=published.digest,
                version=published.version,
                run_id=self.snapshot.run_id,
            )
        )

    def _store(self) -> "FeatureStore":
        from keepfit.backends.feature_store import FeatureStore

        return FeatureStore(self.snapshot, self.snapshot.project.engine)

    def _registry(self) -> "ModelRegistry":
        from keepfit.backends.model_registry import ModelRegistry

        return ModelRegistry(self.snapshot.locations.tracking_uri, self.snapshot.locations.artifacts)
