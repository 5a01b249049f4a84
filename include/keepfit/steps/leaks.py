"""What would give a label away: columns that are not known when the prediction is asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keepfit.spec import DatasetSpec, ModelSpec, Problem

if TYPE_CHECKING:
    from keepfit.backends.feature_store import ReadColumn, ServiceDescription


def leaks(spec: ModelSpec, service: "ServiceDescription", rows: DatasetSpec) -> Iterator[Problem]:
    """Say which features hold the label, or what nobody says is known at prediction time.

    A view on the entities' own dataset meets a row's own values, also those that became known later. So it
    may hold only what the model says is known: the key, the event time, `entities.columns`, `entities.known`.
    """
    file, label = f"models/{spec.name}.yaml", spec.label.column
    if label in service.feature_names:
        message = f"{label!r} is also a feature of {service.name!r}, which would give the answer away."
        yield Problem(file, "label.column", f"{message} Take it out of the service.")
    known = {*rows.key, rows.event_time, *spec.entities.columns, *spec.entities.known}
    for read in service.reads:
        if read.column == label and read.dataset in (rows.name, spec.label_dataset):
            if read.feature not in service.feature_names or read.feature != label:
                yield Problem(file, "label.column", _label(read))
        elif read.dataset == rows.name and read.column not in known:
            yield Problem(file, "entities.known", _unknown(read))


def _label(read: "ReadColumn") -> str:
    return (
        f"{read.column!r} of {read.dataset!r} is in the view {read.view!r} as {read.feature!r}, which would "
        "give the answer away. Take it out of the view. What is known of earlier labels belongs in a dataset "
        "computed from this one, with the event time at which they are known."
    )


def _unknown(read: "ReadColumn") -> str:
    return (
        f"lacks {read.column!r}, which the view {read.view!r} reads from {read.dataset!r}, the rows' own "
        "dataset. If it is known when the prediction is asked for, add it; if it is known later, "
        "take it out of the view: it would tell how the row ends."
    )
