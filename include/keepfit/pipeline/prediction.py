"""A prediction run: wait until the window's features are published, then score its rows with the champion."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger, Publication
from keepfit.pipeline.scoring import Scoring, choose
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.snapshot_age import snapshot_ages

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from keepfit.backends.feature_store import FeatureStore
    from keepfit.backends.lake import Publication as Published
    from keepfit.steps.predict import Predicted


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

        The champion's are `predictions__<model>`. A challenger scores the same rows beside it, in the same
        pass, into `predictions__<model>__shadow`. Those of a version the trigger named have a table of their
        own: monitoring reads what was served.
        """
        store = self._store()
        store.register()
        chosen = choose(self.snapshot, store.service(self.spec.features).feature_names)
        if not chosen.scoring:
            return self.folder.write("predict", {"rows": 0, "skipped": "no champion yet"})
        with ExitStack() as staging:
            staged = [staging.enter_context(self.folder.staged(each.file)) for each in chosen.scoring]
            predicted = self._score(store, list(zip(chosen.scoring, staged, strict=True)))
        answer, *beside = [self._publish(each) for each in chosen.scoring]
        for each in chosen.scoring:
            self.folder.file(each.file).unlink()
        return self.folder.write(
            "predict",
            {
                "rows": predicted.rows,
                "skipped": None,
                "rows_without_features": predicted.without_features,
                "unfit_features": self._unfit(),
                **answer,
                "shadow": beside[0] if beside else None,
                "snapshots": self._snapshot_ages(),
                "warnings": list(chosen.warnings),
            },
        )

    def _publish(self, scoring: Scoring) -> dict[str, Any]:
        from keepfit.backends.lake import Lake

        # A new version may take other features: columns may come, and those that are gone are null.
        published = Lake(self.snapshot.locations.lake).publish(
            scoring.table(self.spec.name),
            self.folder.file(scoring.file),
            time_column="event_time",
            window=self.snapshot.the_window,
            columns="union",
        )
        self._record(published)
        return {
            "version": scoring.model.version,
            "role": scoring.role,
            "table": published.table,
            "table_version": published.version,
        }

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

    def _score(self, store: "FeatureStore", scoring: list[tuple[Scoring, Path]]) -> "Predicted":
        from keepfit.backends.engine import engine, scan
        from keepfit.backends.lake import Lake
        from keepfit.steps.entity_rows import InRow, entity_rows
        from keepfit.steps.predict import Scorer, Stamp, predict

        lake, service = Lake(self.snapshot.locations.lake), store.service(self.spec.features)
        dataset = self.snapshot.datasets[self.spec.entities.dataset]
        # All batches read the same published rows, whatever is published meanwhile.
        versions = {name: lake.version(name) for name in {dataset.name, *service.datasets}}
        columns = lake.columns(dataset.name, versions[dataset.name])
        rows = scan(lake.files(dataset.name, versions[dataset.name]))
        own = store.own_row(service.name, dataset, (*dataset.key, *self.spec.entities.columns), columns)
        in_row = InRow(own.columns, own.keys) if own else None

        def known(batch: "pa.RecordBatch") -> "pd.DataFrame":
            if own:
                return store.own_features(batch, own, service.features)
            return store.historical(batch.to_pandas(), service.name, versions)

        with (
            self.folder.scratch("predict") as scratch,
            engine(self.snapshot.project.engine, scratch) as connection,
        ):
            return predict(
                entity_rows(connection, rows, dataset, self.spec, self.snapshot.the_window, features=in_row),
                known,
                [
                    Scorer(each.model, Stamp(each.model.version, each.role, self.snapshot.run_id), out)
                    for each, out in scoring
                ],
                key={name: columns[name] for name in dataset.key},
                features={field.name: field.dtype for field in service.features},
                threads=self.snapshot.project.engine.threads,
                threshold=self.spec.predict.threshold if self.spec.task == "classification" else None,
            )

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
