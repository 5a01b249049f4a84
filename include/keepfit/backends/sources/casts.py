"""SQL that casts a source's values to the declared types, and stops at the first that would lose."""

from keepfit.backends.engine import identifier, literal, moment
from keepfit.spec.dataset import LogicalType
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


def cast(column: str, found: str, wanted: LogicalType) -> str:
    """Write the expression that yields a column of engine type `found` as the wanted type.

    Whole numbers, truth values and dates must survive the way back, so 5.7 is no int64 and noon is no date.
    """
    value, kind = identifier(column), _TYPES[wanted]
    if found == kind:
        return value
    if wanted == "string":
        return f"{value}::VARCHAR"
    if (found, kind) == ("TIMESTAMP", ZONED):
        # The zone is UTC, but the engine's own cast asks the calendar of each value: eight times as slow.
        utc = f"make_timestamptz(epoch_us({value}))"
        return f"CASE WHEN isfinite({value}) THEN {utc} ELSE {value}::{kind} END"
    tried = f"TRY_CAST({value} AS {kind})"
    sound = f"{tried} IS NOT NULL{_lossless(value, tried, found, wanted)}"
    message = literal(f"{STOP}column {column!r} is declared {wanted}, but the source holds '")
    stop = f"error({message} || left({value}::VARCHAR, 60) || '''')"
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {sound} THEN {tried} ELSE {stop} END"


def inside(column: str, found: str, window: Window) -> tuple[str, ...]:
    """Write the conditions that together pick the rows of a window, each for a scan of its own.

    A row without a time is picked too: it is in no window, but whoever checks the rows must see it.
    """
    name = identifier(column)
    if not found.startswith("TIMESTAMP"):
        value = cast(column, found, "timestamp")
        return (f"({_between(value, window, zoned=True)}) OR {name} IS NULL",)
    # A scan skips what a filter on the bare column rules out, but not what an OR does.
    return _between(name, window, zoned=found == ZONED), f"{name} IS NULL"


def _between(value: str, window: Window, *, zoned: bool) -> str:
    return f"{value} >= {moment(window.start, zoned=zoned)} AND {value} < {moment(window.end, zoned=zoned)}"


def _lossless(value: str, tried: str, found: str, wanted: LogicalType) -> str:
    if wanted == "int64":
        whole = f"TRY_CAST({value} AS DOUBLE)" if found == "VARCHAR" else value
        return f" AND {tried} = {whole}"
    if wanted == "date":
        return f" AND {tried}::TIMESTAMP = TRY_CAST({value} AS TIMESTAMP)"
    if wanted == "bool" and found != "VARCHAR":
        return f" AND {value} IN (0, 1)"
    return ""
