"""One model as it is served: rows in, predictions out."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from keepfit.backends.row_scorers import Value
from keepfit.serving.answer import Prediction
from keepfit.serving.line import CHALLENGER, CHAMPION, Line
from keepfit.serving.meters import Meters
from keepfit.serving.question import Row
from keepfit.serving.refused import RefusedError
from keepfit.serving.shadow import Asked, Shadow
from keepfit.serving.version import Numbers, ServedVersion
from keepfit.spec import ModelSpec
from keepfit.spec.problem import did_you_mean

_log = logging.getLogger(__name__)


class LookUp(Protocol):
    """Gives rows the features that their entities have in the online store."""

    @property
    def entities(self) -> tuple[str, ...]:
        """Name the keys a row brings."""

    @property
    def request(self) -> tuple[str, ...]:
        """Name the features that a row brings itself."""

    @property
    def problem(self) -> str | None:
        """Say why nothing can be looked up."""

    def prepare(self) -> None:
        """Get ready for a version that is about to answer."""

    def try_again(self) -> None:
        """Get ready if that has failed, and was a while ago."""

    async def features(self, rows: Sequence[Row], line: Line) -> list[dict[str, Value]]:
        """Return each row's features; those that the row has itself win."""


class ServedModel:
    """Answers for one model. `line` is replaced as a whole, and a request looks at it once."""

    def __init__(self, spec: ModelSpec, look_up: LookUp, shadow: Shadow, meters: Meters) -> None:
        """Begin without a version."""
        self.name = spec.name
        self.line: Line | None = None
        self.problem: str | None = None
        self.look_up = look_up
        self.shadow = shadow
        self._meters = meters
        self._threshold = spec.predict.threshold if spec.task == "classification" else None

    async def answer(self, rows: Sequence[Row], request_id: str) -> list[Prediction]:
        """Answer rows, all or none.

        Raises:
            RefusedError: No version is loaded, or a row lacks something.
        """
        if (line := self.line) is None:
            raise RefusedError(
                503, f"No champion of {self.name} is loaded. {self.problem or 'Try again soon.'}"
            )
        keys = [_key(row, line, f"rows[{at}]." if len(rows) > 1 else "") for at, row in enumerate(rows)]
        if any(row.entities is not None for row in rows):
            values = await self.look_up.features(rows, line)
        else:
            values = [row.features for row in rows]
        turns = self._turns(line, rows, values, request_id)
        scores = await self._scores(line, turns, values)
        self._keep(
            line, rows=rows, keys=keys, values=values, turns=turns, scores=scores, request_id=request_id
        )
        return [
            Prediction(score, version.version, role, self._positive(score))
            for (version, role, _), score in zip(turns, scores, strict=True)
        ]

    def _positive(self, score: float) -> bool | UnsetType:
        return UNSET if self._threshold is None else score >= self._threshold

    def _turns(
        self, line: Line, rows: Sequence[Row], values: Sequence[dict[str, Value]], request_id: str
    ) -> "list[Turn]":
        """Say who answers each row, and code it for him; what a challenger lacks, the champion answers."""
        turns = []
        for at, row in enumerate(rows):
            version, role = line.choose(row, request_id, at)
            try:
                coded = version.coder.code(values[at])
            except (KeyError, TypeError):
                if role == CHALLENGER:
                    self._meters.challenger_failed(self.name, 1)
                version, role = line.champion, CHAMPION
                coded = _coded(version, values[at], f"rows[{at}]." if len(rows) > 1 else "")
            turns.append((version, role, coded))
        return turns

    async def _scores(
        self, line: Line, turns: "list[Turn]", values: Sequence[dict[str, Value]]
    ) -> list[float]:
        if all(version is line.champion for version, _, _ in turns):
            return await line.champion.score([coded for _, _, coded in turns])
        scores: list[float] = [0.0] * len(turns)
        theirs = [at for at, (version, _, _) in enumerate(turns) if version is not line.champion]
        try:
            found = await turns[theirs[0]][0].score([turns[at][2] for at in theirs])
        except Exception:  # noqa: BLE001 - a challenger does no harm
            _log.exception("The challenger of %s does not score; its champion answers.", self.name)
            self._meters.challenger_failed(self.name, len(theirs))
            for at in theirs:
                turns[at] = (line.champion, CHAMPION, _coded(line.champion, values[at], f"rows[{at}]."))
            return await line.champion.score([coded for _, _, coded in turns])
        for at, score in zip(theirs, found, strict=True):
            scores[at] = score
        ours = [at for at in range(len(turns)) if turns[at][0] is line.champion]
        if ours:
            for at, score in zip(ours, await line.champion.score([turns[at][2] for at in ours]), strict=True):
                scores[at] = score
        return scores

    def _keep(
        self,
        line: Line,
        *,
        rows: Sequence[Row],
        keys: Sequence[Mapping[str, Any]],
        values: Sequence[dict[str, Value]],
        turns: "list[Turn]",
        scores: Sequence[float],
        request_id: str,
    ) -> None:
        """Count and log the answers, and offer the rows to a shadow."""
        now, shadow = datetime.now(UTC), line.shadow
        for at, (version, role, coded) in enumerate(turns):
            self._meters.answered(self.name, version.version, role)
            if version.log is None and shadow is None:
                continue
            row = rows[at]
            asked = Asked(request_id, at, now, keys[at], values[at], row.event_time)
            if version.log is not None:
                features = version.coder.given(values[at], coded)
                version.log.append(asked.entry(version.version, role, features, scores[at]))
            if shadow is not None:
                self.shadow.offer(shadow, asked)


Turn = tuple[ServedVersion, str, Numbers]


def _key(row: Row, line: Line, place: str) -> Mapping[str, Any]:
    """Return the row's key as it is logged, or say which part cannot be logged as the key it is."""
    key = {**(row.entities or {}), **(row.key or {})}
    if not key or (log := line.champion.log) is None:
        return key
    if strange := [name for name in row.key or {} if name not in log.keys]:
        raise RefusedError(
            422,
            f"{strange[0][:64]!r} is none of this model's keys.{did_you_mean(strange[0][:64], log.keys)} "
            f"They are: {', '.join(sorted(log.keys))}.",
            [f"{place}key.{strange[0][:64]}"],
        )
    try:
        return {**key, **log.keyed(key)}
    except TypeError as error:
        said, name = error.args
        block = "key" if name in (row.key or {}) else "entities"
        raise RefusedError(422, f"{block}.{name} {said}", [f"{place}{block}.{name}"]) from None


def _coded(version: ServedVersion, values: dict[str, Value], place: str) -> Numbers:
    """Code a row, or say everything that is wrong with it."""
    coder = version.coder
    if missing := [name for name in coder.names if name not in values]:
        near = did_you_mean(missing[0], [name for name in values if name not in coder.names])
        hint = f" Instead of {missing[0]!r} there is another.{near}" if near else ""
        raise RefusedError(
            422,
            f"Version {version.version} of {version.model} needs {', '.join(missing)}, which the row lacks."
            f"{hint} Give null where a value is not known, or `entities` to have it looked up.",
            [f"{place}features.{name}" for name in missing],
        )
    if wrong := [name for name in coder.numbers if isinstance(values[name], str)]:
        raise RefusedError(
            422,
            f"{', '.join(wrong)} must be a number, true, false or null, not a text.",
            [f"{place}features.{name}" for name in wrong],
        )
    return coder.code(values)
