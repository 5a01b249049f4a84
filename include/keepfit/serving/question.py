"""What a request may say: its shape, and what is wrong with one of another shape."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from keepfit.backends.coding import LARGEST
from keepfit.backends.row_scorers import Value
from keepfit.serving.refused import RefusedError
from keepfit.spec.problem import did_you_mean

Key = str | int | float | bool | None


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One row to predict."""

    features: dict[str, Value] = {}
    """The model's features by name; null where a value is not known. With `entities`: those not online."""
    entities: dict[str, Key] | None = None
    """Keys, with which the other features are read from the online store."""
    key: dict[str, Key] | None = None
    """The row's key in its dataset, with which its label is joined later."""
    sticky: str | int | None = None
    """Who is always answered by the same version, such as a customer."""
    event_time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """The moment the row is of; now when not given."""


class Question(Row, forbid_unknown_fields=True):
    """One row, or `rows` with many."""

    rows: list[Row] | None = None


_READ = msgspec.json.Decoder(Question)
_FIELDS = tuple(field.name for field in msgspec.structs.fields(Question))
_SHOWN = 64
_PLAIN = (str, int, float, bool, type(None))


def read_question(body: bytes, most: int) -> Question:
    """Read a request's body.

    Args:
        body: JSON.
        most: How many rows it may hold.

    Raises:
        RefusedError: It is no JSON, or has another shape.
    """
    try:
        question = _READ.decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(body, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(
            400, f"The body is no JSON: {error}. NaN and Infinity are none; write null."
        ) from None
    if question.rows is None:
        _check_row(question, "")
    else:
        _check_rows(question, most)
        for at, row in enumerate(question.rows):
            _check_row(row, f"rows[{at}].")
    return question


def _check_rows(question: Question, most: int) -> None:
    rows = question.rows or []
    if beside := [name for name in _FIELDS[:-1] if getattr(question, name) not in (None, {})]:
        raise RefusedError(
            422, f"The body has `rows` and {', '.join(beside)} beside it. Put them into the rows.", beside
        )
    if not rows:
        raise RefusedError(422, "`rows` is empty. Give at least one row.", ["rows"])
    if len(rows) > most:
        raise RefusedError(
            413,
            f"{len(rows)} rows in one request; {most} are the most. Split it, or raise serving.max_rows.",
            ["rows"],
        )


def _check_row(row: Row, place: str) -> None:
    for name, value in row.features.items():
        if value.__class__ is not str and value is not None and not -LARGEST <= value <= LARGEST:  # type: ignore[operator]
            raise RefusedError(
                422,
                f"{place}features.{name} is too large: a number is from {-LARGEST:.4g} to {LARGEST:.4g}. "
                "Write null where a value is not known.",
                [f"{place}features.{name}"],
            )
    if row.event_time is not None:
        try:
            row.event_time.astimezone(UTC)
        except OverflowError:
            raise RefusedError(
                422, f"{place}event_time is not within the years 1 to 9999 in UTC.", [f"{place}event_time"]
            ) from None


def _misshapen(body: bytes, said: str) -> RefusedError:
    """Name the field: the decoder names none within a mapping."""
    for at, value in _values(_read_anyhow(body)):
        if not isinstance(value, _PLAIN):
            kind = "a list" if isinstance(value, list) else "an object"
            return RefusedError(422, f"{at} is {kind}. Give a number, a text, true, false or null.", [at])
    if unknown := re.search(r"unknown field `(.*?)`", said):
        name = unknown[1][:_SHOWN]
        near = did_you_mean(name, _FIELDS)
        return RefusedError(
            422, f"The body has an unknown field {name!r}.{near} It may have: {', '.join(_FIELDS)}.", [name]
        )
    place = re.search(r"`\$\.?(.*)`", said)
    fields = [place[1]] if place and place[1] else []
    endless = " Infinite numbers are refused: write null where a value is not known."
    hint = endless if "out of range" in said else ""
    return RefusedError(422, f"The body does not fit: {said}.{hint}", fields)


def _read_anyhow(body: bytes) -> Any:
    """Return a body of whatever shape, or nothing: what was refused early may have anything after it."""
    try:
        return msgspec.json.decode(body, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _values(found: Any) -> list[tuple[str, Any]]:
    """Return every value within `features`, `entities` and `key`, with its path."""
    if not isinstance(found, dict):
        return []
    rows = found.get("rows")
    inner = [(f"rows[{at}].", row) for at, row in enumerate(rows)] if isinstance(rows, list) else []
    return [
        (f"{place}{block}.{name}", value)
        for place, row in [("", found), *inner]
        if isinstance(row, dict)
        for block in ("features", "entities", "key")
        if isinstance(row.get(block), dict)
        for name, value in row[block].items()
    ]
