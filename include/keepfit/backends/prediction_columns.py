"""The columns of predictions, batch and online: the same names and types in both."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from keepfit.errors import FeatureStoreError

EVENT_TIME, POSITIVE = "event_time", "positive"
MOMENT_TYPE = pa.timestamp("us", "UTC")
_SCORED = {"score": pa.float64(), "version": pa.string(), "role": pa.string()}
_KINDS = {
    "string": pa.string(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "timestamp": MOMENT_TYPE,
    "date": pa.date32(),
}


def prediction_schema(
    key: Mapping[str, str], features: Mapping[str, str], more: Mapping[str, pa.DataType]
) -> pa.Schema:
    """Lay out the columns: key, event time, features, score, version, role, and more.

    Raises:
        FeatureStoreError: A feature or a part of the key has a name that predictions need themselves.
    """
    refuse_taken(key, features, {*_SCORED, POSITIVE, *more})
    columns = {name: _KINDS.get(kind, pa.float64()) for name, kind in key.items()}
    columns[EVENT_TIME] = MOMENT_TYPE
    columns |= {name: pa.string() if kind == "string" else pa.float64() for name, kind in features.items()}
    return pa.schema(list((columns | _SCORED | dict(more)).items()))


def refuse_taken(key: Iterable[str], features: Iterable[str], own: set[str]) -> None:
    """Refuse names that predictions use themselves."""
    if taken := sorted({EVENT_TIME, *own} & set(features) | own & set(key)):
        raise FeatureStoreError(
            f"{', '.join(taken)} is a column of the predictions themselves. "
            "Give the feature or the key another name."
        )
