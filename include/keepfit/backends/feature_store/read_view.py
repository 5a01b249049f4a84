"""A feature view as it is read by rows: what makes its keys, and what its bytes mean."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID

from keepfit.backends.feature_store.online.decoding import decoded, decoder
from keepfit.backends.feature_store.online.reading import Asked, Stored
from keepfit.backends.feature_store.online.row_keys import KeyField, RowKeys


class ReadView:
    """A view as a reader reads it."""

    def __init__(self, view: FeatureView, features: Sequence[str]) -> None:
        """Prepare to read some of a view's features."""
        renamed = view.projection.join_key_map
        types = {field.name: field.dtype for field in view.features}
        self.types = {name: types[name] for name in features}
        self.name: str = view.projection.name_to_use()
        self.time_to_live: timedelta | None = view.ttl or None
        self.asked = Asked(view, tuple(features))
        self.fields = tuple(
            KeyField(field.name, renamed.get(field.name, field.name), field.dtype)
            for field in view.entity_columns
        )
        self.columns = tuple(field.column for field in self.fields if field.column != DUMMY_ENTITY_ID)
        self.keys = RowKeys(self.fields)
        self._decoders = [(name, decoder(types[name])) for name in features]

    def decoded(self, found: Stored) -> dict[str, list[Any]]:
        """Return values by feature."""
        each = zip(self._decoders, found.columns, strict=True)
        return {name: decoded(column, decode) for (name, decode), column in each}
