"""One registered view: what is published of it, and what the online store answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from feast import FeatureStore as Feast
from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID

from keepfit.backends.engine import engine as open_engine
from keepfit.backends.engine import identifier, identifiers, moment, scan
from keepfit.backends.feature_store.lake_source import files_of, table_of
from keepfit.backends.feature_store.quiet import quiet
from keepfit.backends.lake import Lake
from keepfit.errors import NotReadyError
from keepfit.spec.project import EngineSpec

Row = dict[str, Any]


class RegisteredView:
    """A view, read from both sides."""

    def __init__(self, feast: Feast, view: FeatureView, engine: EngineSpec) -> None:
        """Refer to a registered view."""
        self._feast = feast
        self._view = view
        self._engine = engine
        columns = {feature: column for column, feature in view.batch_source.field_mapping.items()}
        keys = (each.name for each in view.entity_columns if each.name != DUMMY_ENTITY_ID)
        self._keys = {name: columns.get(name, name) for name in keys}
        self._features = {each.name: columns.get(each.name, each.name) for each in view.features}
        self._narrow = {each.name for each in view.features if str(each.dtype) == "Float32"}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._view.name)

    @property
    def dataset(self) -> str | None:
        """The published dataset it reads; None where nothing of it is published."""
        table = table_of(self._view.batch_source)
        return table.name if table is not None and Lake(table.parent).exists(table.name) else None

    @property
    def ttl(self) -> timedelta | None:
        """How long its values stay good; None for ever."""
        return self._view.ttl or None

    @property
    def materialized_until(self) -> datetime | None:
        """Up to when published values were brought into the online store; None before the first time."""
        end: datetime | None = self._view.most_recent_end_time
        return end.replace(tzinfo=UTC) if end is not None and end.tzinfo is None else end

    def newest(self, until: datetime) -> datetime | None:
        """Return when the newest published values known by a moment became known."""
        known = f"{self._known} <= {moment(until)}"
        found = self._select(f"SELECT max({self._known}) AS newest FROM {{table}} WHERE {known}")
        newest: datetime | None = found[0]["newest"] if found else None
        return newest.astimezone(UTC) if newest else None

    def sample(self, size: int, until: datetime) -> tuple[list[Row], list[Row]]:
        """Return some entities, always the same ones, and the newest values published of them by a moment."""
        keys = identifiers(self._keys.values())
        known = f"{self._known} <= {moment(until)}"
        there = " AND ".join(f"{identifier(key)} IS NOT NULL" for key in self._keys.values())
        order = ", ".join(f"{column} DESC NULLS LAST" for column in self._order)
        wanted = identifiers(dict.fromkeys((*self._keys.values(), *self._features.values())))
        rows = self._select(f"""
            WITH chosen AS (
                SELECT DISTINCT {keys} FROM {{table}} WHERE {known} AND {there}
                ORDER BY hash({keys}), {keys} LIMIT {size}
            )
            SELECT {wanted} FROM {{table}} SEMI JOIN chosen USING ({keys}) WHERE {known}
            QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1 ORDER BY {keys}
        """)
        entities = [{name: row[column] for name, column in self._keys.items()} for row in rows]
        return entities, [
            {name: self._plain(name, row[column]) for name, column in self._features.items()} for row in rows
        ]

    def online(self, entities: Sequence[Row]) -> list[Row]:
        """Return what the online store answers for entities.

        Raises:
            NotReadyError: It does not answer.
        """
        asked = [f"{self.name}:{feature}" for feature in self._features]
        try:
            with quiet():
                found = self._feast.get_online_features(asked, entity_rows=list(entities)).to_dict()
        except Exception as error:
            raise NotReadyError(
                f"The online store does not answer for {self.name!r}: {type(error).__name__}: {error}. "
                "Start it, or correct `online_store` in feature_store.yaml, and try again."
            ) from error
        return [
            {name: self._plain(name, found[name][index]) for name in self._features}
            for index in range(len(entities))
        ]

    @property
    def _known(self) -> str:
        return f"CAST({identifier(self._view.batch_source.timestamp_field)} AS TIMESTAMPTZ)"

    @property
    def _order(self) -> tuple[str, ...]:
        created = self._view.batch_source.created_timestamp_column
        return (self._known, identifier(created)) if created else (self._known,)

    def _select(self, query: str) -> list[Row]:
        table = table_of(self._view.batch_source)
        files = files_of(table) if table is not None and self.dataset else []
        if not files:
            return []
        with TemporaryDirectory() as scratch, open_engine(self._engine, Path(scratch)) as connection:
            found = connection.execute(query.format(table=f"(FROM {scan(files)})")).to_arrow_table()
        rows: list[Row] = found.to_pylist()
        return rows

    def _plain(self, feature: str, value: Any) -> Any:
        """Make values of both sides comparable: online, numbers are of the declared width."""
        if value is None or (isinstance(value, float) and np.isnan(value)):
            return None
        if isinstance(value, datetime):
            return value.timestamp() if value.tzinfo else value.replace(tzinfo=UTC).timestamp()
        if feature in self._narrow:
            return float(np.float32(value))
        return value
