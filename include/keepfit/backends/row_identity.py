"""SQL that names a row, so that no two rows of other values are taken for one."""

from collections.abc import Iterable, Sequence

from keepfit.backends.engine import identifier, literal

_MARK, _UNIT = chr(30), chr(31)


def row_key(of: str, names: Sequence[str]) -> str:
    r"""Write the key of a row as a person reads it: `|` joins the parts of a compound one.

    Within them, `|` and `\` follow a `\`.
    """
    if len(names) == 1:
        return _readable(of, names[0])
    escaped = (f"replace(replace({_readable(of, name)}, '\\', '\\\\'), '|', '\\|')" for name in names)
    return _joined(escaped, "|")


def plain_key(of: str, names: Iterable[str]) -> str:
    """Write the key that a row had before the parts of compound keys were escaped."""
    return _joined((_readable(of, name) for name in names), "|")


def row_digest(of: str, names: Iterable[str]) -> str:
    """Write the digest of a row's values, in which a missing one and an empty text differ.

    The empty one is marked, and not the missing: what was ruled on rows with missing values stands.
    """
    return f"md5({_joined((_told_apart(of, name) for name in names), _UNIT)})"


def _readable(of: str, name: str) -> str:
    return f"coalesce({of}.{identifier(name)}::VARCHAR, '')"


def _told_apart(of: str, name: str) -> str:
    value, mark = f"{of}.{identifier(name)}::VARCHAR", literal(_MARK)
    marked = f"replace(replace({value}, {mark}, {mark} || 'm'), {literal(_UNIT)}, {mark} || 'u')"
    return f"CASE WHEN {value} IS NULL THEN '' WHEN {value} = '' THEN {mark} ELSE {marked} END"


def _joined(parts: Iterable[str], between: str) -> str:
    return f" || {literal(between)} || ".join(parts) or "''"
