"""`feature_repo/datasets/<name>.yaml`: where rows come from and what is published of them."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keepfit.spec.columns import LogicalType, OwnName, TakenColumn, TakenSpec
from keepfit.spec.fields import Closed, Column, Cron, Duration, Moment, Name, PositiveDuration


class FilesSource(Closed):
    """Parquet or CSV files, local or on S3."""

    type: Literal["files"]
    path: Annotated[str, Field(min_length=1)]
    """A path or glob, relative to the project's root, or `s3://bucket/prefix/*.parquet`."""
    format: Literal["parquet", "csv"] | None = None
    """Taken from the path's ending when not given."""
    connection: str | None = None
    """An Airflow connection of the Amazon provider, for `s3://` paths."""


class SqlSource(Closed):
    """A table or query of a SQL database."""

    type: Literal["sql"]
    connection: str
    """An Airflow connection id, or the name of an environment variable that holds a SQLAlchemy URL,
    written `env:NAME`. A URL itself is refused: it may hold a password."""
    table: str | None = None
    query: str | None = None

    @model_validator(mode="after")
    def _one_of_table_and_query(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`, and only one of them")
        if "://" in self.connection:
            raise ValueError(
                "a URL may hold a password and does not belong in a repository: "
                "name an Airflow connection, or env:NAME for an environment variable that holds the URL"
            )
        return self


class DatasetsSource(Closed):
    """Rows computed from datasets that keepfit itself publishes."""

    type: Literal["datasets"]
    inputs: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Datasets the transform reads, each by its own name. The first one's partitions start this dataset's."""
    lookback: Duration = timedelta()
    """How far before its window the transform reads its inputs."""


class PluginSource(Closed):
    """Rows from your own source: an entry point of `keepfit.sources`, or `module:function` in `plugins/`."""

    type: Literal["plugin"]
    name: str
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)


Source = Annotated[FilesSource | SqlSource | DatasetsSource | PluginSource, Field(discriminator="type")]


class QuarantineSpec(Closed):
    """Which bad rows are set aside rather than stopping their window."""

    max_share: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """The share of a window's rows that may be set aside; if there are more, nothing of it is published."""


class DatasetSpec(Closed):
    """One dataset: its source, its checks, and the rows it publishes."""

    name: Name
    """The file's name without `.yaml`."""
    description: str = ""
    source: Source
    columns: dict[OwnName, TakenColumn] = Field(default_factory=dict)
    """The columns taken from the source, with their types; with `column` where the source has another name,
    and `format` where it writes times in its own way. Others are left behind."""
    window_column: Column | None = None
    """The source column that says to which window a row belongs; `event_time` when not given."""
    snapshot: bool = False
    """Each ingest replaces the whole dataset: a table of slowly changing facts."""
    key: Annotated[tuple[Column, ...], Field(min_length=1)]
    """The columns that name a published row, once each."""
    event_time: Column
    """When a published row's values are known. Point-in-time joins look at nothing later."""
    expectations: Name | None = None
    """A Great Expectations suite under `expectations/`, run on the extracted rows; on the rows to publish
    where a dataset is computed from others."""
    quarantine: QuarantineSpec | None = None
    """Set aside the rows that fail a critical expectation on single rows; without it they stop the window."""
    transform: Name | None = None
    """A SELECT under `transforms/`. It reads `source` (the extracted rows) or the inputs by name."""
    feature_views: tuple[str, ...] = ()
    """Feast feature views materialised when a window is published."""
    freshness: PositiveDuration | None = None
    """How old the newest rows may be for their features to be fresh; a view's own `ttl` when not given."""
    schedule: Cron | None = None
    """A cron expression or preset; a run works on the interval between two ticks."""
    start: Moment | None = None
    """The first interval's start."""
    catchup: bool = False
    """Run every interval since `start`, not only the latest."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    timeout: PositiveDuration = timedelta(hours=1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Name the datasets this one is computed from."""
        return self.source.inputs if isinstance(self.source, DatasetsSource) else ()

    @property
    def files(self) -> dict[str, str]:
        """Name the files under `feature_repo/` this dataset refers to, by field."""
        return {
            field: file
            for field, name, file in (
                ("transform", self.transform, f"transforms/{self.transform}.sql"),
                ("expectations", self.expectations, f"expectations/{self.expectations}.yaml"),
            )
            if name
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.catchup and (self.start is None or self.schedule is None):
            raise ValueError("`catchup` runs every interval since `start`: give `start` and `schedule`")
        if self.quarantine and self.expectations is None:
            raise ValueError("`quarantine` sets aside what fails the suite: give `expectations`")
        if isinstance(self.source, DatasetsSource):
            if self.transform is None:
                raise ValueError("a dataset computed from others needs a `transform`")
            if self.schedule is not None:
                raise ValueError(
                    "a dataset computed from others runs when its first input is published: "
                    "leave out `schedule`"
                )
            return self
        if not self.columns:
            raise ValueError(
                "`columns` is missing: name the columns to take from the source, with their types"
            )
        if self.transform is None:
            for column in (*self.key, self.event_time):
                if column not in self.columns:
                    raise ValueError(f"{column!r} is in `key` or `event_time` but not in `columns`")
        if not self.snapshot and self.source_time not in self.columns:
            raise ValueError(f"the window column {self.source_time!r} is not in `columns`")
        return self

    @property
    def source_time(self) -> str:
        """Name the source column that places a row in a window."""
        return self.window_column or self.event_time

    @property
    def taken(self) -> dict[str, TakenSpec]:
        """Return the columns taken from the source, all in the long form."""
        return {
            name: given if isinstance(given, TakenSpec) else TakenSpec(type=given)
            for name, given in self.columns.items()
        }

    @property
    def types(self) -> dict[str, LogicalType]:
        """Return the types of the columns taken from the source."""
        return {name: taken.type for name, taken in self.taken.items()}

    @property
    def source_columns(self) -> dict[str, str]:
        """Return what the source calls the columns taken from it."""
        return {name: taken.column or name for name, taken in self.taken.items()}
