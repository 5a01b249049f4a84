"""Build training set: the labelled rows known at a moment, with the features known at each row's own."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from keepfit.backends.engine import engine as open_engine
from keepfit.backends.lake import Lake
from keepfit.errors import TrainingError
from keepfit.spec import DatasetSpec, ModelSpec
from keepfit.spec.fields import duration_text
from keepfit.spec.load import problems_text
from keepfit.spec.problem import did_you_mean
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window
from keepfit.steps.leaks import leaks
from keepfit.steps.rows_digest import RowsDigest
from keepfit.steps.training_file import TrainingFile
from keepfit.steps.training_rows import EVENT_TIME, LABEL, Found, TrainingRows

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore, ServiceDescription

_ASKED_AT = "event_timestamp"
_MOMENTS = ("as_of", "first", "last")


@dataclass(frozen=True)
class TrainingSet:
    """A Parquet file of key, `event_time`, features and `label`, by time and key, and where it comes from."""

    path: Path
    rows: int
    features: Mapping[str, str]
    """Names and types, in the service's order, without the features that have no value at all."""
    digest: str
    """SHA-256 of the file."""
    as_of: datetime
    first: datetime
    """The first row's event time."""
    last: datetime
    registry_digest: str
    versions: Mapping[str, int]
    """The version of each published dataset that was read."""
    dropped: Mapping[str, int]
    """Rows left out, by reason."""
    empty_features: tuple[str, ...]
    """Features without a single value, which are left out."""
    rows_digest: str
    """SHA-256 of the rows' values, which another version of a library that writes files does not change."""
    entities_digest: str
    """SHA-256 of the rows that asked for features, with their labels."""
    without: tuple[Window, ...] = ()
    """The windows of broken data that were left out."""

    @property
    def categorical(self) -> tuple[str, ...]:
        """Name the features that are text; all others are numbers."""
        return tuple(name for name, kind in self.features.items() if kind == "string")

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `of` reads it back. Features are pairs, since their order counts."""
        moments = {name: getattr(self, name).isoformat() for name in _MOMENTS}
        plain = {
            "path": str(self.path),
            "features": list(self.features.items()),
            "without": [each.key for each in self.without],
        }
        return vars(self) | moments | plain

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `as_dict` returned, and leave what was stored beside it; older sets have no `without`."""
        stored = {"without": (), **stored}
        stored = {name: stored[name] for name in cls.__dataclass_fields__}
        moments = {name: datetime.fromisoformat(stored[name]) for name in _MOMENTS}
        read = {
            "path": Path(stored["path"]),
            "features": dict(stored["features"]),
            "empty_features": tuple(stored["empty_features"]),
            "without": tuple(map(Window.of_key, stored["without"])),
        }
        return cls(**stored | moments | read)


def build_training_set(
    spec: ModelSpec,
    datasets: Mapping[str, DatasetSpec],
    store: "FeatureStore",
    lake: Lake,
    *,
    as_of: datetime,
    out: Path,
    scratch: Path,
    engine: EngineSpec | None = None,
    chunk_rows: int = 100_000,
    versions: Mapping[str, int] | None = None,
    without: Sequence[Window] = (),
) -> TrainingSet:
    """Write a model's training set; memory is bounded by a chunk of rows.

    All datasets are read at the versions published when the step begins. The same versions, features and
    libraries give the same bytes.

    Args:
        spec: The model.
        datasets: The project's datasets.
        store: Its feature store; changed features are registered first.
        lake: Where datasets are published.
        as_of: The moment from which the past is seen: no label known later is used.
        out: The Parquet file to write.
        scratch: A folder for temporary files.
        engine: The bounds of the SQL engine.
        chunk_rows: How many rows are joined with their features at once.
        versions: The published versions to read; the newest where not given.
        without: Windows of broken data: no row of theirs is used.

    Raises:
        TrainingError: The rows cannot train the model, with the reason.
        NotReadyError: A dataset it needs is not published at all.
    """
    registry_digest = store.register()
    service = store.service(spec.features)
    key = datasets[spec.entities.dataset].key
    _refuse_leaks(spec, service, datasets[spec.entities.dataset])
    _refuse_names(service, key)
    _refuse_taken(spec, datasets[spec.entities.dataset])
    slices = [each.column for each in spec.evaluate.gate.slices]
    _refuse_slices(spec, slices, [*key, *spec.entities.columns, *service.feature_names])
    used = dict.fromkeys([spec.entities.dataset, spec.label_dataset, *service.datasets])
    given = versions or {}
    versions = {name: given[name] if name in given else lake.version(name) for name in used}
    entities = RowsDigest()
    with open_engine(engine or EngineSpec(), scratch) as connection:
        rows = TrainingRows(connection, lake, versions, spec, datasets, as_of=as_of, without=without)
        found = rows.count()
        _refuse_no_rows(spec, found, as_of)
        with TrainingFile(out, key, service, tuple(slices)) as file:
            for chunk in rows.chunks(chunk_rows):
                asked = chunk.to_pandas().rename(columns={EVENT_TIME: _ASKED_AT})
                entities.add(asked)
                joined = store.historical(asked, service.name, versions)
                file.add(joined.rename(columns={_ASKED_AT: EVENT_TIME}))
    _refuse_useless(spec, found, file)
    return TrainingSet(
        path=out,
        rows=file.rows,
        features={field.name: field.dtype for field in service.features if file.values[field.name]},
        digest=file.digest(),
        as_of=as_of,
        first=file.first,
        last=file.last,
        registry_digest=registry_digest,
        versions=versions,
        dropped={
            "label not known yet": found.immature,
            "no label": found.unlabelled,
            "in a window of broken data": found.broken,
        },
        empty_features=tuple(name for name in service.feature_names if not file.values[name]),
        rows_digest=file.content.hexdigest(),
        entities_digest=entities.hexdigest(),
        without=tuple(without),
    )


def _refuse_leaks(spec: ModelSpec, service: "ServiceDescription", rows: DatasetSpec) -> None:
    if found := tuple(leaks(spec, service, rows)):
        raise TrainingError(problems_text(found))


def _refuse_names(service: "ServiceDescription", key: tuple[str, ...]) -> None:
    """Refuse columns that would share a name in the file, or that no learner takes."""
    if clash := sorted({*key, EVENT_TIME, LABEL} & set(service.feature_names)):
        raise TrainingError(
            f"The service {service.name!r} has a feature named {', '.join(map(repr, clash))}, which is also "
            "the name of a column that is none. Give the feature another name."
        )
    if times := [field.name for field in service.features if field.dtype == "timestamp"]:
        raise TrainingError(
            f"The features {', '.join(times)} of {service.name!r} are times, which no learner takes. "
            "Make numbers of them in a transform or an on-demand view."
        )


def _refuse_taken(spec: ModelSpec, rows: DatasetSpec) -> None:
    """Refuse columns of the rows that have the name of one the training set adds, in whatever case."""
    taken = {EVENT_TIME, LABEL, _ASKED_AT}
    brought = {*rows.key, *spec.entities.columns}
    # The event time itself may be part of the key, and may have that very name.
    brought -= {EVENT_TIME} & {rows.event_time}
    if clash := sorted(name for name in brought if name.lower() in taken):
        raise TrainingError(
            f"models/{spec.name}.yaml: entities: the rows of {spec.entities.dataset!r} would bring a column "
            f"{clash[0]!r}, and a training set has one of its own of that name. Leave it out of "
            "`entities.columns`, or give it another name in the dataset."
        )


def _refuse_slices(spec: ModelSpec, slices: Iterable[str], known: Collection[str]) -> None:
    if absent := [name for name in slices if name not in known]:
        raise TrainingError(
            f"models/{spec.name}.yaml: evaluate.gate.slices: the rows have no column {absent[0]!r}."
            f"{did_you_mean(absent[0], known)} Slice by a feature, or by a column of the key or of "
            "`entities.columns`."
        )


def _refuse_no_rows(spec: ModelSpec, found: Found, as_of: datetime) -> None:
    if found.usable == 0:
        broken = f"; {found.broken} are in windows of broken data" if found.broken else ""
        raise TrainingError(
            f"There is no row to train {spec.name!r} on as of {as_of.isoformat()}. Of {found.rows} rows "
            f"of {spec.entities.dataset!r} by then, {found.immature} have no label yet (it is known "
            f"{duration_text(spec.label.delay)} after the event), and {found.unlabelled} have an empty one"
            f"{broken}. Publish more history, or look at `entities.where` and `label`."
        )


def _refuse_useless(spec: ModelSpec, found: Found, file: TrainingFile) -> None:
    if file.rows != found.usable:
        raise TrainingError(
            f"{found.usable} rows went into the training set of {spec.name!r}, {file.rows} came out. "
            "Nothing is trained on it. Please report this with the versions of feast and duckdb."
        )
    if spec.task == "classification" and file.lowest == file.highest:
        raise TrainingError(
            f"All {file.rows} rows have the label {file.lowest:g}: there is nothing to tell apart. "
            f"Check the label {spec.label.column!r}, or train on more history."
        )
    if not any(file.values.values()):
        raise TrainingError(
            f"No feature of {spec.features!r} has a value in any of {file.rows} rows. Are its datasets "
            f"published from {file.first.isoformat()} to {file.last.isoformat()}?"
        )
