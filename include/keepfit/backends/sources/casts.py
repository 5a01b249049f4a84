"""SQL that casts a source's values to the declared types, and stops at the first that would lose."""

from keepfit.backends.engine import identifier, literal, moment
from keepfit.spec.columns import LogicalType, TakenSpec
from keepfit.spec.window import Window

ZONED = "TIMESTAMP WITH TIME ZONE"
STOP = "keepfit: "
"""How the engine's error begins when a value does not cast."""
_TYPES: dict[LogicalType, str] = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": ZONED,
    "date": "DATE",
}


def cast(name: str, taken: TakenSpec, found: str) -> str:
    """Write the expression that yields a source's column of engine type `found` as the wanted type.

    Whole numbers, truth values and dates must survive the way back, so 5.7 is no int64 and noon is no date.

    Args:
        name: What keepfit calls the column.
        taken: Its type, and what the source calls it and how it writes it.
        found: The engine's type of it.
    """
    value = source_value(name, taken)
    if (sound := _sound(name, taken, found)) is None:
        return value if found == _TYPES[taken.type] else f"{value}::VARCHAR"
    stop = f"error({literal(f'{STOP}{complaint(name, taken)} ')} || {shown(value)})"
    if (found, _TYPES[taken.type]) == ("TIMESTAMP", ZONED):
        # The zone is UTC, but the engine's own cast asks the calendar of each value: eight times as slow.
        utc = f"make_timestamptz(epoch_us({value}))"
        return f"CASE WHEN isfinite({value}) THEN {utc} WHEN {value} IS NOT NULL THEN {stop} END"
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {sound} THEN {_tried(name, taken)} ELSE {stop} END"


def unsound(name: str, taken: TakenSpec, found: str) -> str | None:
    """Write the condition under which a value does not cast; None where every value does."""
    sound = _sound(name, taken, found)
    return f"({source_value(name, taken)} IS NOT NULL AND NOT coalesce({sound}, false))" if sound else None


def complaint(name: str, taken: TakenSpec) -> str:
    """Say what is wrong with a column that holds a value which does not cast, up to that value."""
    called = f" (the source's {taken.column!r})" if taken.column not in (None, name) else ""
    written = f", written {taken.format!r}" if taken.format else ""
    return f"column {name!r}{called} is declared {taken.type}{written}, but the source holds"


def source_value(name: str, taken: TakenSpec) -> str:
    """Write the source's own value of a column."""
    return identifier(taken.column or name)


def shown(value: str) -> str:
    """Write a value as a quoted text that is short enough to be told."""
    return f"concat(chr(39), left({value}::VARCHAR, 60), chr(39))"


def inside(name: str, taken: TakenSpec, found: str, window: Window) -> tuple[str, ...]:
    """Write the conditions that together pick the rows of a window, each for a scan of its own.

    A row without a time is picked too: it is in no window, but whoever checks the rows must see it.
    """
    value = source_value(name, taken)
    if not found.startswith("TIMESTAMP"):
        known = cast(name, taken.model_copy(update={"type": "timestamp"}), found)
        return (f"({_between(known, window, zoned=True)}) OR {value} IS NULL",)
    # A scan skips what a filter on the bare column rules out, but not what an OR does.
    return _between(value, window, zoned=found == ZONED), f"{value} IS NULL"


def perhaps_inside(name: str, taken: TakenSpec, found: str, window: Window) -> str:
    """Write the condition that picks a window's rows, and those whose time cannot be read."""
    time = taken.model_copy(update={"type": "timestamp"})
    known = f"coalesce({_between(_tried(name, time), window, zoned=True)}, true)"
    return known if found.startswith("TIMESTAMP") else f"({known} OR {unsound(name, time, found)})"


def _sound(name: str, taken: TakenSpec, found: str) -> str | None:
    """Write the condition under which a value that is there casts; None where every value does."""
    is_time = taken.type in ("timestamp", "date")
    if taken.type == "string" or (found == _TYPES[taken.type] and not is_time):
        return None
    tried, text = _tried(name, taken), "TIMESTAMP" if taken.format else found
    lossless = _lossless(_read(name, taken), tried, text, taken.type)
    return f"{tried} IS NOT NULL{lossless}{_datable(name, taken, found) if is_time else ''}"


def _datable(name: str, taken: TakenSpec, found: str) -> str:
    """Write what else a time must be: no word, such as infinity or epoch, and of four digits for %Y."""
    if found != "VARCHAR" and not taken.format:
        return f" AND isfinite({_tried(name, taken)})"
    # Under any format the engine reads such a word as 1900-01-01.
    written = f" AND regexp_matches({source_value(name, taken)}::VARCHAR, '[0-9]')"
    return f"{written} AND year({_read(name, taken)}) >= 1000" if taken.has_full_year else written


def _tried(name: str, taken: TakenSpec) -> str:
    return f"TRY_CAST({_read(name, taken)} AS {_TYPES[taken.type]})"


def _read(name: str, taken: TakenSpec) -> str:
    value = source_value(name, taken)
    return f"try_strptime({value}::VARCHAR, {literal(taken.format)})" if taken.format else value


def _between(value: str, window: Window, *, zoned: bool) -> str:
    return f"{value} >= {moment(window.start, zoned=zoned)} AND {value} < {moment(window.end, zoned=zoned)}"


def _lossless(value: str, tried: str, found: str, wanted: LogicalType) -> str:
    if wanted == "int64":
        whole = f"TRY_CAST({value} AS DOUBLE)" if found == "VARCHAR" else value
        return f" AND {tried} = {whole}"
    if wanted == "date" and found != "DATE":
        return f" AND {tried}::TIMESTAMP = TRY_CAST({value} AS TIMESTAMP)"
    if wanted == "bool" and found != "VARCHAR":
        return f" AND {value} IN (0, 1)"
    return ""
