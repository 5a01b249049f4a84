"""On-demand views applied to what was read, with Feast's own rules for what goes in and comes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.online_response import _convert_uuids_for_arrow
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.types import FeastType, from_value_type
from feast.utils import _parse_feature_ref
from feast.value_type import ValueType

from keepfit.backends.feature_store.declared import no_values
from keepfit.errors import FeatureStoreError

Columns = dict[str, list[Any]]


class OnDemand:
    """The on-demand views that some features need."""

    def __init__(
        self, views: Sequence[OnDemandFeatureView], refs: Sequence[str], types: Mapping[str, FeastType]
    ) -> None:
        """Say of each view which of its features are asked for, and which columns it may not see.

        Args:
            views: All that are needed.
            refs: All features that are asked for, the views' and others.
            types: The declared types of what the views may see.

        Raises:
            FeatureStoreError: A view aggregates, or is computed when it is written.
        """
        self._types = types
        parsed = [_parse_feature_ref(ref) for ref in refs]
        names = {_called(view): view for view in views}
        asked: dict[str, list[str]] = {}
        for name, _, feature in parsed:
            if name in names:
                asked.setdefault(name, []).append(feature)
        for view in views:
            _refuse_stored(view)
        others = {(name, feature) for name, _, feature in parsed if name not in names}
        self._views = [(names[name], asked[name], _unseen(names[name], views, others)) for name in asked]

    def add(self, columns: Columns) -> None:
        """Add the views' features to columns of keys, inputs of the request and features."""
        # Feast makes each of these once, of what is there when the first view of its kind is reached.
        for_python: Columns | None = None
        for_arrow: pa.Table | None = None
        for view, asked, unseen in self._views:
            if view.mode == "python":
                for_python = dict(columns) if for_python is None else for_python
                seen = {name: values for name, values in for_python.items() if name not in unseen}
                found = {name: values for name, values in _by_python(view, seen).items() if name in asked}
            else:
                if for_arrow is None:
                    for_arrow = self._typed(pa.Table.from_pydict(_convert_uuids_for_arrow(dict(columns))))
                table = for_arrow
                if view.mode == "pandas":
                    table = table.select([name for name in table.column_names if name not in unseen])
                made = view.transform_arrow(table, False)
                found = {name: made[name].to_numpy() for name in made.column_names if name in asked}
            types = {field.name: field.dtype.to_value_type() for field in view.schema}
            columns |= {name: as_stored(values, types.get(name)) for name, values in found.items()}

    def _typed(self, table: pa.Table) -> pa.Table:
        """Give columns without any value the type that they have in training."""
        for at, field in enumerate(table.schema):
            if pa.types.is_null(field.type) and field.name in self._types:
                nulls = no_values(table.num_rows, self._types[field.name])
                table = table if nulls is None else table.set_column(at, field.name, nulls)
        return table


def as_stored(values: Any, kind: ValueType | None) -> list[Any]:
    """Return values as they are after Feast has made messages of them; without a kind it chooses one."""
    messages = python_values_to_proto_values(values, kind or ValueType.UNKNOWN)
    return [feast_value_type_to_python_type(each) for each in messages]


def inputs_of(views: Sequence[OnDemandFeatureView]) -> dict[str, FeastType]:
    """Return what a request must bring for on-demand views, with its declared types."""
    found: dict[str, FeastType] = {}
    for view in views:
        for name, kind in view.get_request_data_schema().items():
            found.setdefault(name, from_value_type(kind))
    return found


def _called(view: OnDemandFeatureView) -> str:
    return str((view.projection.name_alias if view.projection else None) or view.name)


def _unseen(
    view: OnDemandFeatureView, views: Sequence[OnDemandFeatureView], asked: set[tuple[str, str]]
) -> frozenset[str]:
    """Name the features of feature views that are no source of a view."""
    sources = {each.name for each in view.source_feature_view_projections.values()}
    needed = {
        (each.name, feature.name)
        for other in views
        for each in other.source_feature_view_projections.values()
        for feature in each.features
    }
    hidden = [(source, name) for source, name in asked | needed if source not in sources]
    return frozenset(each for source, name in hidden for each in (name, f"{source}__{name}"))


def _refuse_stored(view: OnDemandFeatureView) -> None:
    if view.aggregations or view.write_to_online_store:
        what = "aggregates" if view.aggregations else "is computed when it is written"
        raise FeatureStoreError(
            f"The on-demand view {view.name!r} {what}: keepfit reads views that are computed when they are "
            "read. Make a feature view of it, or read it by Feast's own `get_online_features`."
        )


def _by_python(view: OnDemandFeatureView, seen: Columns) -> Columns:
    """Transform columns, or row by row where a view takes one row; Feast takes only the first of them."""
    if not view.singleton:
        return {name: _listed(values) for name, values in view.transform_dict(seen).items()}
    rows = zip(*seen.values(), strict=True)
    made = [
        view.transform_dict({name: [value] for name, value in zip(seen, row, strict=True)}) for row in rows
    ]
    return {name: [row[name] for row in made] for name in made[0]}


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]
