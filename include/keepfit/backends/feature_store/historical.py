"""Rows with the features of a service as they were known at each row's moment."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from feast import FeatureStore as Feast

from keepfit.backends.feature_store.description import ServiceDescription, find_service
from keepfit.backends.feature_store.lake_source import pinned
from keepfit.errors import FeatureStoreError
from keepfit.spec.problem import did_you_mean

MOMENT = "event_timestamp"
_POSITION = "keepfit_position"


def historical(
    feast: Feast, rows: pd.DataFrame, asked: ServiceDescription, versions: Mapping[str, int]
) -> pd.DataFrame:
    """Return the rows, in their order, with the service's features; see `FeatureStore.historical`."""
    _check_columns(rows, asked)
    frame = rows[[MOMENT, *asked.needed_columns]].reset_index(drop=True)
    frame = frame.assign(**{_POSITION: range(len(frame))})
    with pinned(versions):
        job = feast.get_historical_features(frame, find_service(feast, asked.name))
        joined = job.to_df().sort_values(_POSITION, ignore_index=True)
    if not joined[_POSITION].equals(frame[_POSITION]):
        raise FeatureStoreError(
            f"{len(frame)} rows went into the feature service {asked.name!r}, {len(joined)} came out. "
            "Set `offline_store.type` in feature_store.yaml to keepfit's own: others lose rows."
        )
    features = {field.name: plain(joined[field.name], field.dtype) for field in asked.features}
    return pd.concat([rows.reset_index(drop=True), pd.DataFrame(features)], axis=1)


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


def plain(values: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    """Return a feature's values as models take them: texts, times, or floats."""
    if dtype == "string":
        texts = values.astype(object)
        texts[values.isna()] = None
        return texts
    if dtype == "timestamp":
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    return pd.to_numeric(values).astype("float64")
