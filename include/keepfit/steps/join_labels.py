"""Join predictions with the labels that have become known, each row in exactly one window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from keepfit.backends.engine import Connection, count, identifiers, literal, moment
from keepfit.backends.select import read_condition
from keepfit.spec.window import Window
from keepfit.steps.labels import NEAR, Labels
from keepfit.steps.made_predictions import ANSWERED, MadePredictions, between, count_without_key, made_rows

LATEST = timedelta(days=30)
"""A label that comes so long after it should, or later, is not joined any more."""
_MISSED = "Was the window predicted before all its rows had come?"
_YOUNG = "They may be of rows from before the model's first predictions, since nothing older was predicted."
_MEASURED = "label IS NOT NULL AND (due OR caught_up)"


@dataclass(frozen=True)
class RoleJoin:
    """How many of the predictions in one role by one version are labelled."""

    role: str
    version: str
    predictions: int
    """Those whose label should be known."""
    labelled: int
    null: int
    late: int
    caught_up: int
    """Predictions of earlier windows whose label came late, in this one."""
    maturity: float | None
    """The labelled share; None without predictions."""


@dataclass(frozen=True)
class LabelJoin:
    """How many of the predictions that should be labelled by now are; those that were answered."""

    predictions: int
    labelled: int
    null: int
    """Labels that are there, but empty or not finite."""
    late: int
    """Predictions whose label should be known and is not there."""
    maturity: float | None
    """The labelled share; None without predictions."""
    caught_up: int = 0
    """Predictions of earlier windows whose label came late, in this one."""
    unpredicted: int = 0
    """Labels that became known in the window, of rows that were never predicted."""
    without_key: int = 0
    """Requests of the window that no label can name, since they did not give the row's key."""
    roles: tuple[RoleJoin, ...] = ()
    """The same for each role and version, also for what was scored beside."""
    broken: int = 0
    """Labelled predictions made on broken data, of which nothing is measured."""
    young: bool = False
    """Whether nothing was predicted in the month before the rows whose labels should be known."""

    def __str__(self) -> str:
        """Say in a line how mature the labels are."""
        if self.maturity is None:
            return f"no prediction has a label that should be known by now{self._more()}"
        share = f"{self.labelled:,} of {self.predictions:,} predictions labelled, {self.maturity:.1%}"
        return f"{share}; {self.late:,} labels are late, {self.null:,} empty{self._more()}"

    def _more(self) -> str:
        return f"; {self.caught_up:,} late ones of earlier windows came" if self.caught_up else ""

    def warnings(self) -> Iterator[str]:
        """Say what could not be joined at all."""
        if self.unpredicted:
            yield (
                f"{self.unpredicted:,} labels became known of rows that were never predicted. They count for "
                f"nothing here. {_YOUNG if self.young else _MISSED}"
            )
        if self.broken:
            yield (
                f"{self.broken:,} labelled predictions were made on data that was found broken, and are not "
                "measured. Ingest and predict their windows again once the source is mended."
            )
        if self.without_key:
            yield (
                f"{self.without_key:,} online predictions cannot be labelled: their requests did not give "
                "the row's whole key."
            )


def join_labels(
    connection: Connection,
    made: MadePredictions,
    labels: Labels,
    *,
    window: Window,
    delay: timedelta,
    out: Path,
    without: Sequence[Window] = (),
) -> LabelJoin:
    """Write the predictions whose labels became known in a window, with those labels.

    Of what one version predicted of one row in one role, what was asked last counts; of its labels, the one
    known last. Where labels are the rows' own, a key that comes again at another time is another row. A
    request that does not give its row's event time is about the row nearest to it, a day away at most.

    Args:
        connection: The engine, with predictions and labels as tables.
        made: The tables of the model's predictions.
        labels: The labels.
        window: The monitored window. Nothing known after its end is looked at.
        delay: How long after a prediction its label is known.
        out: The Parquet file to write: key, event_time, score, version, role, label.
        without: Stretches of broken data. What was predicted there is counted, and not written.

    Raises:
        SchemaError: The labels are published without a column they need.
        SpecError: The condition is no condition on the row.
    """
    kinds, due = labels.kinds(connection), window.shifted(-delay)
    earlier = Window(due.start - LATEST, due.start)
    connection.execute(f"CREATE TEMP TABLE fresh AS {_fresh(connection, labels, window, due)}")
    before = made_rows(connection, made, kinds, earlier)
    key = identifiers(labels.key)
    connection.execute(
        f"CREATE TEMP TABLE asked AS SELECT *, row_number() OVER () AS number FROM ("
        f"SELECT *, true AS due FROM ({made_rows(connection, made, kinds, due)}) UNION ALL BY NAME "
        f"SELECT *, false AS due FROM ({before}) SEMI JOIN fresh USING ({key}))"
    )
    connection.execute(f"CREATE TEMP TABLE predicted AS {_predicted(labels)}")
    connection.execute(f"CREATE TEMP TABLE joined AS {_joined(labels, window, delay)}")
    columns = identifiers(dict.fromkeys((*labels.key, "event_time")))
    broken = " OR ".join(f"({between('event_time', each)})" for each in without) or "false"
    connection.execute(
        f"COPY (SELECT {columns}, score, version, role, label FROM joined "
        f"WHERE {_MEASURED} AND NOT ({broken}) "
        f"ORDER BY event_time, {key}, role, version) TO {literal(str(out))} (FORMAT parquet)"
    )
    never = _unpredicted(connection, made, labels, Window(earlier.start, window.end))
    found = _summed_up(connection, never, count_without_key(connection, made, kinds, due))
    return replace(
        found,
        broken=count(connection, f"joined WHERE {_MEASURED} AND ({broken})"),
        young=not count(connection, f"({made_rows(connection, made, kinds, earlier)})"),
    )


def _fresh(connection: Connection, labels: Labels, window: Window, due: Window) -> str:
    """Select what names the rows whose labels became known in the window."""
    where = read_condition(connection, labels.where, labels.where_field)
    rows, key = labels.rows(), identifiers(labels.key)
    if labels.own:
        named = f"SELECT DISTINCT {key}, row_time FROM ({rows} WHERE {where})"
        return f"{named} WHERE label IS NOT NULL AND {between('row_time', due)}"
    within = between("known_at", window)
    recent = f"SELECT {key} FROM ({rows}) WHERE {within}"
    return (
        f"SELECT {key} FROM ({rows}) SEMI JOIN ({recent}) USING ({key}) "
        f"WHERE label IS NOT NULL AND known_at < {moment(window.end)} "
        f"GROUP BY {key} HAVING min(known_at) >= {moment(window.start)}"
    )


def _predicted(labels: Labels) -> str:
    """Select of each row what each version said last in each role, with the time that names the row."""
    row = identifiers(labels.key)
    asked = "SELECT *, event_time AS row_time FROM asked"
    if labels.own:
        row = f"{row}, coalesce(row_time, event_time)"
        asked = (
            "SELECT a.*, CASE WHEN exact THEN a.event_time ELSE n.row_time END AS row_time "
            f"FROM asked a LEFT JOIN ({_nearest(labels)}) n USING (number)"
        )
    return (
        f"SELECT * FROM ({asked}) QUALIFY row_number() OVER ("
        f"PARTITION BY {row}, version, role, due ORDER BY asked_at DESC, exact, made_by DESC) = 1"
    )


def _nearest(labels: Labels) -> str:
    """Select for each request the event time of the row it must be about."""
    away = "abs(epoch_us(l.row_time) - epoch_us(a.event_time))"
    most = NEAR // timedelta(microseconds=1)
    both = f"asked a JOIN ({labels.rows()}) l USING ({identifiers(labels.key)})"
    return (
        f"SELECT a.number, l.row_time FROM {both} WHERE NOT a.exact AND {away} <= {most} "
        f"QUALIFY row_number() OVER (PARTITION BY a.number ORDER BY {away}, l.row_time) = 1"
    )


def _joined(labels: Labels, window: Window, delay: timedelta) -> str:
    """Select the predictions with their label as it is known at the window's end."""
    named = identifiers((*labels.key, "row_time") if labels.own else labels.key)
    became = f"l.first_known_at >= {moment(window.start)}"
    if labels.own:
        became = f"p.row_time >= {moment(window.start - delay)}"
    return (
        f"SELECT p.*, l.label, l.found, NOT p.due AND {became} AS caught_up "
        f"FROM predicted p LEFT JOIN ({_latest(labels, window.end, delay, named)}) l USING ({named})"
    )


def _latest(labels: Labels, end: datetime, delay: timedelta, named: str) -> str:
    return (
        f"SELECT {named}, label, true AS found, "
        f"min(known_at) FILTER (label IS NOT NULL) OVER (PARTITION BY {named}) AS first_known_at "
        f"FROM ({labels.rows()}) SEMI JOIN predicted USING ({named}) WHERE {labels.known_by(end, delay)} "
        f"QUALIFY row_number() OVER (PARTITION BY {named} ORDER BY known_at DESC, label DESC NULLS LAST) = 1"
    )


def _unpredicted(connection: Connection, made: MadePredictions, labels: Labels, within: Window) -> int:
    """Count the fresh labels of rows that nobody has predicted."""
    predictions = made_rows(connection, made, labels.kinds(connection), within)
    key = identifiers(labels.key)
    if not labels.own:
        return count(connection, f"fresh ANTI JOIN ({predictions}) USING ({key})")
    exact = f"SELECT *, event_time AS row_time FROM ({predictions}) WHERE exact"
    near = f"SELECT * FROM ({predictions}) WHERE NOT exact"
    return count(
        connection,
        f"(SELECT * FROM fresh ANTI JOIN ({exact}) USING ({key}, row_time)) ANTI JOIN ({near}) USING ({key})",
    )


def _summed_up(connection: Connection, unpredicted: int, without_key: int) -> LabelJoin:
    found = connection.execute(
        "SELECT role, version, count(*) FILTER (due), count(label) FILTER (due), "
        "count(*) FILTER (due AND found AND label IS NULL), count(*) FILTER (due AND found IS NULL), "
        "count(label) FILTER (caught_up) FROM joined GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    roles = tuple(_role(*row) for row in found)
    answered = [each for each in roles if each.role in ANSWERED]
    total = {
        name: sum(getattr(each, name) for each in answered)
        for name in ("predictions", "labelled", "null", "late", "caught_up")
    }
    return LabelJoin(
        **total,
        maturity=_share(total["labelled"], total["predictions"]),
        unpredicted=unpredicted,
        without_key=without_key,
        roles=tuple(each for each in roles if each.predictions or each.caught_up),
    )


def _role(  # noqa: PLR0917 - a row of the engine's
    role: str, version: str, predictions: int, labelled: int, null: int, late: int, caught_up: int
) -> RoleJoin:
    return RoleJoin(
        role, version, predictions, labelled, null, late, caught_up, _share(labelled, predictions)
    )


def _share(labelled: int, predictions: int) -> float | None:
    return labelled / predictions if predictions else None
