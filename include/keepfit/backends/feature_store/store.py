"""Features of one project: registered, joined to rows as of a moment, and served."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureStore as Feast
from feast.errors import FeatureViewNotFoundException

from keepfit.backends.feature_store.check import Columns
from keepfit.backends.feature_store.config import repo_config
from keepfit.backends.feature_store.contents import contents_of
from keepfit.backends.feature_store.description import FeatureField, ServiceDescription, describe
from keepfit.backends.feature_store.has_stores import HasStores
from keepfit.backends.feature_store.historical import historical, plain
from keepfit.backends.feature_store.lake_source import table_of
from keepfit.backends.feature_store.materialize import materialize, newest_of
from keepfit.backends.feature_store.online_reader import OnlineReader
from keepfit.backends.feature_store.origins import FeatureOrigin, feature_origins
from keepfit.backends.feature_store.own_row import OwnRow, own_row
from keepfit.backends.feature_store.reach import (
    is_sqlite,
    reach_online_store,
    registered_object,
    registry_at,
)
from keepfit.backends.feature_store.register import register, write
from keepfit.backends.feature_store.remove import remove
from keepfit.backends.feature_store.view import RegisteredView
from keepfit.backends.lake import Lake
from keepfit.backends.lock import alone
from keepfit.errors import FeatureStoreError
from keepfit.spec import DatasetSpec, Window
from keepfit.spec.content import Content, Contents
from keepfit.spec.load import FEATURE_REPO
from keepfit.spec.project import EngineSpec


class FeatureStore:
    """Feast, as this project uses it."""

    def __init__(
        self,
        project: HasStores,
        engine: EngineSpec | None = None,
        columns: Mapping[str, Columns] | None = None,
        *,
        trial: Path | None = None,
    ) -> None:
        """Refer to a project's features; Feast is opened when first needed.

        Args:
            project: Whose features.
            engine: The bounds of the SQL engine.
            columns: What datasets are known to publish; views on those not published yet are held against it.
            trial: An empty folder for a registry and an online store in place of the project's own.
        """
        self._project = project
        self._columns = columns or {}
        self._trial = trial
        self._repo = project.root / FEATURE_REPO
        at = project.locations
        self._locations = replace(at, home=trial, feast_online_path=trial / "online.db") if trial else at
        self._datasets = project.datasets
        self._engine = engine or EngineSpec()

    def register(self) -> str:
        """Put what is new in the repository into the registry; return the digest of what is registered.

        An edit that changes or removes what is registered waits for `apply`, with a warning.

        Raises:
            FeatureStoreError: Nothing is registered yet, and the features do not fit the datasets they read.
        """
        with self._alone("registry"), registry_at(self._locations):
            return register(
                self._feast,
                self._repo,
                self._locations,
                self._datasets,
                columns=self._columns,
                wanted=self.wanted,
            )

    def registered(self) -> Contents:
        """Return what the registry holds."""
        with registry_at(self._locations):
            return contents_of(self._feast, self._locations.lake)

    def wanted(self) -> Contents:
        """Return what the registry would hold if the repository was applied.

        Raises:
            FeatureStoreError: It cannot be applied; all reasons at once.
        """
        with self.trial() as trial:
            trial.register()
            return trial.registered()

    @contextmanager
    def trial(self) -> Iterator["FeatureStore"]:
        """Lend the same features with an empty registry and online store, thrown away afterwards."""
        with TemporaryDirectory(prefix="keepfit-trial-") as folder:
            yield FeatureStore(self._project, self._engine, self._columns, trial=Path(folder))

    def apply(self) -> None:
        """Write the repository into the registry; what it no longer holds stays.

        Nothing is written before everything is checked, and nobody else writes meanwhile.

        Raises:
            FeatureStoreError: The repository does not import or fit its datasets.
            NotReadyError: The registry or the online store does not answer.
        """
        with self._alone("registry"), registry_at(self._locations):
            reach_online_store(self._feast)
            write(self._feast, self._repo, self._locations, self._datasets, columns=self._columns)

    def remove(self, contents: Sequence[Content]) -> None:
        """Take what is registered out of the registry, and its values off the online store.

        A removal that was cut short is finished too, also when there is nothing more to take out.

        Raises:
            NotReadyError: The registry or the online store does not answer.
        """
        with self._alone("registry"), registry_at(self._locations):
            reach_online_store(self._feast)
            remove(self._feast, [registered_object(self._feast, each) for each in contents])

    def service(self, name: str) -> ServiceDescription:
        """Say what a feature service offers, and what a row must bring."""
        return describe(self._feast, name)

    def origins(self) -> dict[str, Mapping[str, FeatureOrigin]]:
        """Say of every feature of every registered service which view it comes from."""
        return feature_origins(self._feast)

    def historical(
        self, rows: pd.DataFrame, service: str, versions: Mapping[str, int] | None = None
    ) -> pd.DataFrame:
        """Return the rows, in their order, with the service's features as known at `event_timestamp`.

        Numbers and flags come as float64, texts as objects, so that all chunks of one table are alike.

        Args:
            rows: One row for each question, with the service's needed columns.
            service: A registered feature service.
            versions: The published versions to read, by dataset; the newest where not given.

        Raises:
            FeatureStoreError: Columns are missing, or called like a feature.
            NotReadyError: A dataset the features read is not published at all.
        """
        return historical(self._feast, rows, self.service(service), versions or {})

    def own_row(
        self, service: str, dataset: DatasetSpec, given: Sequence[str], published: Collection[str]
    ) -> OwnRow | None:
        """Return a service's features if all lie in the very rows of a dataset that they are asked for.

        Then there is nothing to join: what `historical` returns is in the row.

        Args:
            service: A registered feature service.
            dataset: What the rows are of; each is asked about at its own event time.
            given: The columns of the dataset that the rows bring.
            published: All columns of the dataset.
        """
        found = own_row(self._feast, service, dataset, given)
        return found if found and {*found.columns.values()} <= {*published} else None

    @staticmethod
    def own_features(rows: pa.RecordBatch, own: OwnRow, features: Sequence[FeatureField]) -> pd.DataFrame:
        """Return rows that bring their features as `historical` does."""
        frame: pd.DataFrame = own.typed(rows).to_pandas()
        return frame.assign(**{each.name: plain(frame[each.name], each.dtype) for each in features})

    def materialize(self, view: str, window: Window, *, replace: bool = False) -> Window:
        """Bring a window's newest values into the online store; return what was read.

        An older window than the last does no harm: keepfit's stores keep what is newer, and for others it is
        read on to the newest published row.

        Args:
            view: The view's name.
            window: What to read.
            replace: Read on to the newest published row, and take all else of the view off the online store.

        Raises:
            NotReadyError: The online store does not answer.
        """
        reach_online_store(self._feast)
        with self._alone("materialize" if is_sqlite(self._feast) else f"materialize-{view}"):
            return materialize(self._feast, view, window, replace=replace)

    def view(self, name: str) -> RegisteredView:
        """Return a registered feature view, to be read from both sides."""
        return RegisteredView(self._feast, self._view(name), self._engine)

    def view_names(self) -> tuple[str, ...]:
        """Name the registered views that read published datasets."""
        found = self._feast.list_batch_feature_views()
        return tuple(sorted(each.name for each in found if table_of(each.batch_source) is not None))

    def is_materialized(self, view: str) -> bool:
        """Tell whether anything of a view was ever brought into the online store."""
        return bool(self._view(view).materialization_intervals)

    def newest(self, view: str) -> datetime | None:
        """Return when a view's newest published values became known; None where nothing is published."""
        source = self._view(view).batch_source
        table = table_of(source)
        if table is None or not Lake(table.parent).exists(table.name):
            return None
        return newest_of(table, source.timestamp_field)

    def _view(self, name: str) -> Any:
        try:
            return self._feast.get_feature_view(name)
        except FeatureViewNotFoundException:
            raise FeatureStoreError(
                f"No feature view {name!r} is registered. If feature_repo/ defines it, an edit waits to be "
                "applied: see `keepfit plan`, then `keepfit apply`."
            ) from None

    def online_reader(self, features: str | Sequence[str]) -> OnlineReader:
        """Return a reader of the online store, for a service or for features as `view:feature`.

        Raises:
            FeatureStoreError: There is no such service, or it cannot be read by row.
        """
        self._feast.refresh_registry()
        return OnlineReader(self._feast, features)

    def online(self, service: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the features of each row as the online store has them now."""
        with self.online_reader(service) as reader:
            return reader.read(rows).rows()

    @cached_property
    def _feast(self) -> Feast:
        self._locations.feast_online_path.parent.mkdir(parents=True, exist_ok=True)
        config = repo_config(self._repo, self._locations, self._engine, trial=self._trial)
        # Two first users at once would both create the registry's tables.
        with self._alone("registry-open"):
            return Feast(config=config)

    def _alone(self, name: str) -> AbstractContextManager[None]:
        return alone(self._locations.home / "locks" / f"feast-{name}.lock")
