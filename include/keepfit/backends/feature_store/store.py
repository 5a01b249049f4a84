"""Features of one project: registered, joined to rows as of a moment, and served."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from feast import FeatureStore as Feast

from keepfit.backends.feature_store.check import Columns
from keepfit.backends.feature_store.config import repo_config
from keepfit.backends.feature_store.description import ServiceDescription, describe, find_service
from keepfit.backends.feature_store.lake_source import pinned
from keepfit.backends.feature_store.materialize import materialize
from keepfit.backends.feature_store.quiet import quiet
from keepfit.backends.feature_store.register import register
from keepfit.backends.lock import alone
from keepfit.errors import FeatureStoreError
from keepfit.spec import DatasetSpec, Locations, Window
from keepfit.spec.load import FEATURE_REPO
from keepfit.spec.problem import did_you_mean
from keepfit.spec.project import EngineSpec

MOMENT = "event_timestamp"
_POSITION = "keepfit_position"


class HasStores(Protocol):
    """A project, or a run's snapshot of one."""

    @property
    def root(self) -> Path:
        """The project's root, which holds `feature_repo/`."""

    @property
    def locations(self) -> Locations:
        """Where the project's stores are."""

    @property
    def datasets(self) -> Mapping[str, DatasetSpec]:
        """The project's datasets."""


class FeatureStore:
    """Feast, as this project uses it."""

    def __init__(
        self,
        project: HasStores,
        engine: EngineSpec | None = None,
        columns: Mapping[str, Columns] | None = None,
    ) -> None:
        """Refer to a project's features; Feast is opened when first needed.

        Args:
            project: Whose features.
            engine: The bounds of the SQL engine.
            columns: What datasets are known to publish; views on those not published yet are held against it.
        """
        self._columns = columns or {}
        self._repo = project.root / FEATURE_REPO
        self._locations = project.locations
        self._datasets = project.datasets
        self._engine = engine or EngineSpec()

    def register(self) -> str:
        """Put the repository's features into the registry if they changed; return their digest.

        Raises:
            FeatureStoreError: The features do not fit the datasets they read; all reasons at once.
        """
        with self._alone("registry"):
            return register(self._feast, self._repo, self._locations, self._datasets, self._columns)

    def service(self, name: str) -> ServiceDescription:
        """Say what a feature service offers, and what a row must bring."""
        return describe(self._feast, name)

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
        asked = self.service(service)
        _check_columns(rows, asked)
        frame = rows[[MOMENT, *asked.needed_columns]].reset_index(drop=True)
        frame = frame.assign(**{_POSITION: range(len(frame))})
        with pinned(versions or {}):
            job = self._feast.get_historical_features(frame, find_service(self._feast, service))
            joined = job.to_df().sort_values(_POSITION, ignore_index=True)
        if not joined[_POSITION].equals(frame[_POSITION]):
            raise FeatureStoreError(
                f"{len(frame)} rows went into the feature service {service!r}, {len(joined)} came out. "
                "Set `offline_store.type` in feature_store.yaml to keepfit's own: others lose rows."
            )
        features = {field.name: _plain(joined[field.name], field.dtype) for field in asked.features}
        return pd.concat([rows.reset_index(drop=True), pd.DataFrame(features)], axis=1)

    def materialize(self, view: str, window: Window) -> Window:
        """Bring a window's newest values into the online store; return what was read.

        An older window than the last does no harm: keepfit's stores keep what is newer, and for others it is
        read on to the newest published row.
        """
        one_writer = self._feast.config.online_store.type == "sqlite"
        with self._alone("materialize" if one_writer else f"materialize-{view}"):
            return materialize(self._feast, view, window)

    def online(self, service: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the features of each row as the online store has them now."""
        asked = find_service(self._feast, service)
        with quiet():
            found = self._feast.get_online_features(asked, entity_rows=rows).to_dict()
        names = self.service(service).feature_names
        return [{name: found[name][index] for name in names} for index in range(len(rows))]

    @cached_property
    def _feast(self) -> Feast:
        self._locations.feast_online_path.parent.mkdir(parents=True, exist_ok=True)
        config = repo_config(self._repo, self._locations, self._engine)
        # Two first users at once would both create the registry's tables.
        with self._alone("registry-open"):
            return Feast(config=config)

    def _alone(self, name: str) -> AbstractContextManager[None]:
        return alone(self._locations.home / "locks" / f"feast-{name}.lock")


def _check_columns(rows: pd.DataFrame, asked: ServiceDescription) -> None:
    missing = [column for column in (MOMENT, *asked.needed_columns) if column not in rows.columns]
    if missing:
        raise FeatureStoreError(
            f"The feature service {asked.name!r} needs {', '.join(map(repr, missing))}, which the rows do "
            f"not have.{did_you_mean(missing[0], rows.columns)} They have: {', '.join(rows.columns)}. "
            "Add the columns to the model's `entities.columns`."
        )
    if clash := ", ".join(sorted(set(rows.columns) & set(asked.feature_names))):
        raise FeatureStoreError(
            f"{clash} are columns of the rows and features of {asked.name!r} at once. "
            "Give the feature another name, or take the column out of `entities.columns`."
        )


def _plain(values: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    if dtype == "string":
        texts = values.astype(object)
        texts[values.isna()] = None
        return texts
    if dtype == "timestamp":
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    return pd.to_numeric(values).astype("float64")
