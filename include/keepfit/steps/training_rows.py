"""The rows a model may learn from: those whose label is known at a moment, with that label."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from keepfit.backends.engine import Connection, EngineError, first_line, identifier, identifiers, moment, scan
from keepfit.backends.lake import Lake
from keepfit.backends.select import read_condition
from keepfit.errors import TrainingError
from keepfit.spec import DatasetSpec, ModelSpec
from keepfit.spec.model import SeasonSpec
from keepfit.spec.window import Window, moved
from keepfit.steps.made_predictions import between

EVENT_TIME = "event_time"
LABEL = "label"
_KNOWN, _USABLE, _SOUND = '"label known"', '"label usable"', '"data sound"'
"""Columns of the rows asked for; a space keeps them apart from every declared column."""


@dataclass(frozen=True)
class Found:
    """How many rows there are, and how many of them cannot be used."""

    rows: int
    immature: int
    """Rows whose label is not known yet."""
    unlabelled: int
    """Rows whose label is known to be empty, or not finite."""
    broken: int = 0
    """Rows that could be used, were they not of a window of broken data."""

    @property
    def usable(self) -> int:
        """How many rows can be used."""
        return self.rows - self.immature - self.unlabelled - self.broken


class TrainingRows:
    """A model's labelled rows as of a moment, in the engine's hands."""

    def __init__(
        self,
        connection: Connection,
        lake: Lake,
        versions: Mapping[str, int],
        spec: ModelSpec,
        datasets: Mapping[str, DatasetSpec],
        *,
        as_of: datetime,
        without: Sequence[Window] = (),
    ) -> None:
        """Select the rows; datasets are read at the given versions, and some windows are left out.

        Raises:
            ConfError: The label's delay or the training's length reaches back before the year 1.
            SpecError: The model's `where` is no condition on a row.
            TrainingError: The model's `where`, its columns or its label do not fit the published rows.
        """
        self._connection = connection
        # What ties by time and key is put in order too, else two builds could differ.
        self._key = datasets[spec.entities.dataset].key
        columns = [EVENT_TIME, *self._key, *spec.entities.columns, LABEL]
        self._order = identifiers(dict.fromkeys(columns))
        where = read_condition(connection, spec.entities.where, f"models/{spec.name}.yaml: entities.where")
        try:
            connection.execute(_rows(lake, versions, spec, datasets, as_of, where=where, without=without))
        except EngineError as error:
            raise TrainingError(
                f"models/{spec.name}.yaml: the rows of {spec.entities.dataset!r} cannot be selected: "
                f"{first_line(error)}. Look at `entities.where`, `entities.columns` and `label.column`."
            ) from error

    def count(self) -> Found:
        """Count the rows and what is wrong with them."""
        counted = self._connection.execute(
            f"SELECT count(*), count(*) FILTER (NOT {_KNOWN}), "
            f"count(*) FILTER ({_KNOWN} AND NOT {_USABLE}), "
            f"count(*) FILTER ({_KNOWN} AND {_USABLE} AND NOT {_SOUND}) FROM asked"
        ).fetchone()
        return Found(*(counted or (0, 0, 0, 0)))

    def chunks(self, rows: int, *, usable: bool = True) -> Iterator[pa.Table]:
        """Yield the usable rows by event time and key, exactly so many at a time but for the last.

        Args:
            rows: How many.
            usable: Or else those that cannot be used, or not yet.
        """
        query = (
            f"SELECT * EXCLUDE ({_KNOWN}, {_USABLE}, {_SOUND}) FROM asked "
            f"WHERE ({_KNOWN} AND {_USABLE} AND {_SOUND}) = {usable} ORDER BY {self._order}"
        )
        reader = self._connection.execute(query).to_arrow_reader(rows)
        waiting = reader.schema.empty_table()
        for batch in reader:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
            while waiting.num_rows >= rows:
                yield waiting.slice(0, rows)
                waiting = waiting.slice(rows)
        if waiting.num_rows:
            yield waiting

    def found_in(self, file: Path, number: str) -> pa.Table:
        """Return the usable rows' labels, by event time and key, with their numbers in a file of rows.

        Args:
            file: Parquet with the key, `event_time` and the number of each row.
            number: The number's column.
        """
        same = " AND ".join(
            f"asked.{name} IS NOT DISTINCT FROM history.{name}"
            for name in map(identifier, dict.fromkeys((*self._key, EVENT_TIME)))
        )
        order = ", ".join(f"asked.{name}" for name in self._order.split(", "))
        return self._connection.execute(
            f"SELECT history.{identifier(number)}, asked.{LABEL} FROM asked JOIN {scan([file])} AS history "
            f"ON {same} WHERE {_KNOWN} AND {_USABLE} AND {_SOUND} ORDER BY {order}"
        ).to_arrow_table()


def _rows(
    lake: Lake,
    versions: Mapping[str, int],
    spec: ModelSpec,
    datasets: Mapping[str, DatasetSpec],
    as_of: datetime,
    *,
    where: str,
    without: Sequence[Window],
) -> str:
    """Select a model's rows before a moment, each with its label and whether that may be used."""
    dataset = datasets[spec.entities.dataset]
    time = identifier(dataset.event_time)
    columns = identifiers(dict.fromkeys([*dataset.key, *spec.entities.columns]))
    known = f"{EVENT_TIME} <= {moment(_known_until(spec, as_of))}"
    label = f"CAST({identifier(spec.label.column)} AS DOUBLE)"
    source = scan(lake.files(dataset.name, versions[dataset.name]))
    wanted = f"{where} AND {time} < {moment(as_of)} {_since(spec, as_of, time)}"
    if spec.label_dataset == dataset.name:
        rows = f"SELECT {columns}, {time} AS {EVENT_TIME}, {label} AS {LABEL} FROM {source} WHERE {wanted}"
    else:
        truth = datasets[spec.label_dataset]
        key = identifiers(dataset.key)
        # A key that is labelled twice counts with the label known last, and none counts that came later.
        labels = (
            f"SELECT {key}, {label} AS {LABEL} FROM {scan(lake.files(truth.name, versions[truth.name]))} "
            f"WHERE {identifier(truth.event_time)} <= {moment(as_of)} "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY "
            f"{identifier(truth.event_time)} DESC, {label} DESC NULLS LAST) = 1"
        )
        rows = (
            f"SELECT * FROM (SELECT {columns}, {time} AS {EVENT_TIME} FROM {source} WHERE {wanted}) "
            f"LEFT JOIN ({labels}) USING ({key})"
        )
    sound = " AND ".join(f"NOT ({between(EVENT_TIME, each)})" for each in without) or "true"
    usable = f"{LABEL} IS NOT NULL AND isfinite({LABEL})"
    return (
        f"CREATE TEMP TABLE asked AS "
        f"SELECT *, {known} AS {_KNOWN}, {usable} AS {_USABLE}, {sound} AS {_SOUND} FROM ({rows})"
    )


def _known_until(spec: ModelSpec, as_of: datetime) -> datetime:
    what = f"models/{spec.name}.yaml: label.delay: so long before {as_of.isoformat()}"
    return moved(as_of, -spec.label.delay, what)


def _since(spec: ModelSpec, as_of: datetime, time: str) -> str:
    length = spec.train.length
    what = f"models/{spec.name}.yaml: train.length: so long before {as_of.isoformat()}"
    starts = [spec.train.start, moved(as_of, -length, what) if length else None]
    first = max((start for start in starts if start is not None), default=None)
    since = f"AND {time} >= {moment(first)}" if first else ""
    return since + _in_season(spec.train.season, as_of, time)


def _in_season(season: SeasonSpec | None, as_of: datetime, time: str) -> str:
    """Pick the rows that lie near the same moment of this period or an earlier one."""
    if season is None:
        return ""
    micro = timedelta(microseconds=1)
    period, around = season.period // micro, season.around // micro
    phase = f"({(as_of - datetime.fromtimestamp(0, UTC)) // micro} - epoch_us({time})) % {period}"
    return f" AND least({phase}, {period} - {phase}) <= {around}"
