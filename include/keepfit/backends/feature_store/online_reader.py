"""Reads the online store for many questions of one kind: resolved once, answered fast, from any thread."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Self

from feast import FeatureStore as Feast
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.utils import _get_online_request_context, _parse_feature_ref

from keepfit.backends.feature_store.declared import kinds_of
from keepfit.backends.feature_store.description import find_service
from keepfit.backends.feature_store.on_demand import OnDemand, as_stored, inputs_of
from keepfit.backends.feature_store.online.reading import Key, Stored
from keepfit.backends.feature_store.online.readings import reading_of
from keepfit.backends.feature_store.online.row_keys import KeyField
from keepfit.backends.feature_store.online_answer import OnlineRows, unknown_of
from keepfit.backends.feature_store.read_view import ReadView
from keepfit.backends.feature_store.stale import stale_rows, without
from keepfit.errors import FeatureStoreError, KeepfitError, NotReadyError
from keepfit.spec.problem import did_you_mean

Row = Mapping[str, Any]


class OnlineReader:
    """Answers which values some features have online, for rows of entity keys.

    Reads SQLite and Redis with a statement a view or in one trip, and other stores as Feast does. Values are
    those that Feast gives. What is registered later needs another reader. A context manager.
    """

    def __init__(self, feast: Feast, features: str | Sequence[str]) -> None:
        """Look up a feature service by its name, or features as `view:feature`.

        Raises:
            FeatureStoreError: There is no such service, or it cannot be read by row.
        """
        wanted = find_service(feast, features) if isinstance(features, str) else list(features)
        refs, on_demand, _, _, _, grouped, *_ = _get_online_request_context(
            feast.registry, feast.project, wanted, False
        )
        self.feature_names = tuple(dict.fromkeys(_parse_feature_ref(ref)[2] for ref in refs))
        inputs = inputs_of(on_demand)
        self.request_columns = tuple(inputs)
        self._views = [ReadView(view, sorted(names)) for view, names in grouped]
        self.join_keys = tuple(dict.fromkeys(chain.from_iterable(view.columns for view in self._views)))
        self.keys_of = {view.name: view.columns for view in self._views}
        self.time_to_live = {view.name: view.time_to_live for view in self._views}
        keys = {field.column: field.dtype for view in self._views for field in view.fields}
        self._kinds = {column: dtype.to_value_type() for column, dtype in keys.items()}
        self.input_kinds = kinds_of({**inputs, **keys})
        types = {name: dtype for view in self._views for name, dtype in view.types.items()}
        self._on_demand = OnDemand(on_demand, refs, {**types, **inputs}) if on_demand else None
        asked = [view.asked for view in self._views]
        self._reading = reading_of(feast.config, feast._get_provider().online_store, asked)

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """Name what each row must bring: keys, and inputs of on-demand views."""
        return (*self.join_keys, *self.request_columns)

    def read(self, rows: Sequence[Row], moments: Sequence[datetime] | None = None) -> OnlineRows:
        """Return what is online now; a row whose key is null is of an unknown entity.

        Args:
            rows: One for each question, with the needed columns.
            moments: The moment each row is of, with its zone. A view's values that have outlived its time
                to live by then are left out, as the point-in-time join leaves them out. However old they
                are, they are given when there are no moments.

        Raises:
            FeatureStoreError: A column is missing, or a key is not of its type.
            NotReadyError: The online store does not answer.
        """
        given = {name: _column(rows, name, self.needed_columns) for name in self.needed_columns}
        keys = self._keys(given, len(rows))
        stored = self._stored([keys[view.fields] for view in self._views])
        columns: dict[str, list[Any]] = {}
        if self._on_demand:
            columns |= {name: as_stored(values, self._kinds.get(name)) for name, values in given.items()}
        stale: dict[str, Sequence[int]] = {}
        for view, found in zip(self._views, stored, strict=True):
            old = stale_rows(found.moments, moments, view.time_to_live) if moments is not None else ()
            columns |= without(view.decoded(found), old)
            stale[view.name] = old
        if self._on_demand and rows:
            self._on_demand.add(columns)
        times = {view.name: list(found.moments) for view, found in zip(self._views, stored, strict=True)}
        return OnlineRows(
            values={name: columns.get(name, []) for name in self.feature_names},
            unknown=unknown_of(times, len(rows)),
            event_times=times,
            stale=stale,
        )

    def close(self) -> None:
        """Let go of the store."""
        self._reading.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keys(self, given: Mapping[str, list[Any]], rows: int) -> dict[tuple[KeyField, ...], list[Key]]:
        """Serialise each kind of key once, however many views it is of."""
        given = {DUMMY_ENTITY_ID: [DUMMY_ENTITY_VAL] * rows, **given}
        found: dict[tuple[KeyField, ...], list[Key]] = {}
        for view in self._views:
            if view.fields not in found:
                found[view.fields] = view.keys.encode(given, rows)
        return found

    def _stored(self, keys: list[list[Key]]) -> list[Stored]:
        try:
            return self._reading.read(keys)
        except KeepfitError:
            raise
        except Exception as error:
            names = ", ".join(repr(view.name) for view in self._views)
            raise NotReadyError(
                f"The online store does not answer for {names}: {type(error).__name__}: {error}. "
                "Start it, or correct `online_store` in feature_store.yaml, and try again."
            ) from error


def _column(rows: Sequence[Row], name: str, needed: Sequence[str]) -> list[Any]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        there = next(row for row in rows if name not in row)
        raise FeatureStoreError(
            f"A row lacks {name!r}.{did_you_mean(name, there)} It has: {', '.join(there) or 'nothing'}. "
            f"Each row must bring: {', '.join(needed)}."
        ) from None
