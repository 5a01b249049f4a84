"""The assets that join the DAGs: a published partition wakes what depends on it.

Events carry the window's key as their partition, since only partitioned events are never lost
(apache/airflow#56050). The champion's are plain: they are for lineage, and nothing hangs on them.
For a URI whose scheme does not begin with `x-`, Airflow would load all providers' URI handlers, boto3 among
them, wherever the asset is built.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

if TYPE_CHECKING:
    from pydantic import JsonValue

_GROUP = "keepfit"


def dataset_asset(dataset: str) -> Asset:
    """Name the published windows of a dataset."""
    return Asset(name=dataset, uri=f"x-keepfit://datasets/{dataset}", group=_GROUP)


def predictions_asset(model: str) -> Asset:
    """Name the published windows of a model's predictions."""
    return Asset(name=f"{model}_predictions", uri=f"x-keepfit://models/{model}/predictions", group=_GROUP)


def champion_asset(model: str) -> Asset:
    """Name the moves of a model's champion."""
    return Asset(name=f"{model}_champion", uri=f"x-keepfit://models/{model}/champion", group=_GROUP)


def announce(asset: Asset, window: str, facts: "Mapping[str, JsonValue]") -> None:
    """Emit, when this task succeeds, that a window of an asset is published; it is named by its key."""
    event: Any = get_current_context()["outlet_events"][asset]
    event.extra.update(facts)
    event.add_partitions(window)
