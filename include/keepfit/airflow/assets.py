"""The assets that join the DAGs: a published partition wakes what depends on it.

Events carry the window's key as their partition: each starts a run of its own, where plain events of the
same moment would start one together (apache/airflow#56050). Airflow does not keep an event for a DAG that
is paused, so those that are woken start unpaused. The champion's events are plain: they are for lineage,
and nothing hangs on them.
No dataset's name holds `__`, so none is that of a model's asset.
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
    return Asset(name=f"{model}__predictions", uri=f"x-keepfit://models/{model}/predictions", group=_GROUP)


def champion_asset(model: str) -> Asset:
    """Name the moves of a model's champion, and of its challenger where someone releases one."""
    return Asset(name=f"{model}__champion", uri=f"x-keepfit://models/{model}/champion", group=_GROUP)


def announce(asset: Asset, window: str, facts: "Mapping[str, JsonValue]") -> None:
    """Emit, when this task succeeds, that a window of an asset is published; it is named by its key."""
    event: Any = get_current_context()["outlet_events"][asset]
    event.extra.update(facts)
    event.add_partitions(window)
