"""Features of entities from Feast's online store, read for all who ask at the same time."""

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keepfit.backends.row_scorers import Value
from keepfit.errors import FeatureStoreError, NotReadyError
from keepfit.serving.batching import Batcher
from keepfit.serving.line import Line
from keepfit.serving.meters import Meters
from keepfit.serving.question import Row
from keepfit.serving.refused import RefusedError
from keepfit.spec import ModelSpec, Project
from keepfit.spec.problem import did_you_mean

if TYPE_CHECKING:
    from keepfit.backends.feature_store import OnlineReader

_AGAIN = 30.0
"""Seconds until a store that could not be opened is tried again."""
Asked = tuple[Mapping[str, Any], datetime]
"""What the store is asked with, and the moment it is asked about."""
Found = tuple[dict[str, Value], frozenset[str]]
_log = logging.getLogger(__name__)


class OnlineLookUp:
    """Reads a model's feature service; a row brings keys and what is known only now."""

    def __init__(self, project: Project, spec: ModelSpec, meters: Meters) -> None:
        """Refer to a project's online store; it is opened with the first version."""
        self._project, self._spec, self._meters = project, spec, meters
        settings = project.spec.serving
        self._refuses = settings.unknown_entities == "refuse"
        self._reader: OnlineReader | None = None
        self._retired: OnlineReader | None = None
        self._again = math.inf
        self.problem: str | None = "it is not opened yet"
        self._batcher: Batcher[Asked, Found] = Batcher(
            self._read, name="The online store", most=settings.max_rows, seconds=settings.timeout_seconds
        )

    @property
    def entities(self) -> tuple[str, ...]:
        """Name the keys a row brings."""
        return self._reader.join_keys if self._reader else ()

    @property
    def request(self) -> tuple[str, ...]:
        """Name the features that a row brings itself, for on-demand views."""
        return self._reader.request_columns if self._reader else ()

    def prepare(self) -> None:
        """Open the store anew, since what is registered may have changed with the versions."""
        from keepfit.backends.feature_store import FeatureStore

        self._again = time.monotonic() + _AGAIN
        try:
            reader = FeatureStore(self._project).online_reader(self._spec.features)
        except Exception as error:  # noqa: BLE001 - features may still come with the requests
            problem = str(error).strip() or type(error).__name__
            if problem != self.problem:
                _log.warning("%s: the online store cannot be read: %s", self._spec.name, problem)
            self.problem = problem
            return
        # The one before may be reading for somebody; the one before that is not.
        if self._retired:
            self._retired.close()
        self._reader, self._retired, self.problem = reader, self._reader, None

    def try_again(self) -> None:
        """Open the store if that has failed, and was a while ago."""
        if self.problem and time.monotonic() > self._again:
            self.prepare()

    async def features(self, rows: Sequence[Row], line: Line) -> list[dict[str, Value]]:
        """Return each row's features; those that the row has itself win.

        Raises:
            RefusedError: A key is missing or unknown, or the store is away.
        """
        wanted = line.features
        values = [dict(row.features) for row in rows]
        places = [f"rows[{at}]." if len(rows) > 1 else "" for at in range(len(rows))]
        open_ = [
            at
            for at, row in enumerate(rows)
            if row.entities is not None and not wanted <= row.features.keys()
        ]
        if not open_:
            return values
        asked = [self._asked(rows[at], wanted, places[at]) for at in open_]
        try:
            found = await self._batcher.ask(asked)
        except NotReadyError as error:
            raise RefusedError(503, str(error)) from None
        except FeatureStoreError as error:
            fields = [f"{places[open_[0]]}entities.{name}" for name in self.entities]
            raise RefusedError(422, str(error), fields if len(open_) == 1 else ["entities"]) from None
        except RefusedError:
            raise
        except Exception as error:
            # An on-demand view is anybody's code. What it was given is of the declared types.
            _log.exception("%s: features cannot be made", self._spec.name)
            raise RefusedError(
                500, "Features cannot be made of what is known; the server's log tells why."
            ) from error
        for at, (given, unknown) in zip(open_, found, strict=True):
            self._refuse_unknown(rows[at], unknown, places[at])
            values[at] = given | values[at]
        return values

    def _asked(self, row: Row, wanted: frozenset[str], place: str) -> Asked:
        """Return what the store is asked with, or say what is missing or not known there."""
        if (reader := self._reader) is None:
            raise RefusedError(503, f"Features cannot be looked up: {self.problem}. Give all in `features`.")
        entities = row.entities or {}
        _refuse_strange("entities", entities, reader.join_keys, place)
        _refuse_strange(
            "features", row.features, {*wanted, *reader.feature_names, *reader.needed_columns}, place
        )
        given = {**row.features, **entities}
        missing = [name for name in reader.needed_columns if name not in given]
        if missing:
            blocks = [
                f"{place}{'entities' if name in reader.join_keys else 'features'}.{name}" for name in missing
            ]
            raise RefusedError(422, f"To look up features, {', '.join(blocks)} must be given too.", blocks)
        taken = {name: _taken(reader, name, given[name], place) for name in reader.needed_columns}
        return taken, row.event_time or datetime.now(UTC)

    def _read(self, asked: list[Asked]) -> list[Found]:
        reader = self._reader
        if reader is None:
            raise NotReadyError("The online store was closed.")
        found = reader.read([given for given, _ in asked], [moment for _, moment in asked])
        now = datetime.now(UTC)
        for view, stale in found.stale.items():
            if stale:
                self._meters.stale(self._spec.name, view, len(stale))
        for view, moments in found.event_times.items():
            if known := [moment for moment in moments[-1:] if moment is not None]:
                self._meters.read(self._spec.name, view, (now - known[0]).total_seconds())
        return list(zip(found.rows(), found.unknown, strict=True))

    def _refuse_unknown(self, row: Row, unknown: frozenset[str], place: str) -> None:
        """Refuse a row of whose entity no view that is joined by it knows anything."""
        if not unknown or not self._refuses or self._reader is None:
            return
        by_keys: dict[tuple[str, ...], list[str]] = {}
        for view, keys in self._reader.keys_of.items():
            by_keys.setdefault(keys, []).append(view)
        entities = row.entities or {}
        for keys, views in by_keys.items():
            if unknown.issuperset(views):
                who = ", ".join(f"{key}={entities.get(key)!r}" for key in keys)
                raise RefusedError(
                    404,
                    f"The online store knows no {who} (feature views {', '.join(sorted(views))}). Bring its "
                    "features there, give them in `features`, or set serving.unknown_entities: missing.",
                    [f"{place}entities.{key}" for key in keys],
                )


def _taken(reader: "OnlineReader", name: str, value: Any, place: str) -> Any:
    """Return a key or an input of an on-demand view as it is declared, or say that it is none."""
    kind = reader.input_kinds.get(name)
    try:
        return value if kind is None else kind.read(value)
    except TypeError as error:
        field = f"{place}{'entities' if name in reader.join_keys else 'features'}.{name}"
        raise RefusedError(422, f"{field} {error}", [field]) from None


def _refuse_strange(block: str, given: Iterable[str], known: Iterable[str], place: str) -> None:
    known = tuple(known)
    for name in given:
        if name not in known:
            raise RefusedError(
                422,
                f"{name!r} is none of this model's {block}.{did_you_mean(name, known)} "
                f"They are: {', '.join(sorted(known)) or 'none'}.",
                [f"{place}{block}.{name}"],
            )
