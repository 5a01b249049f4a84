"""Plain tables: readable on a terminal, and by `grep` and `awk`."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align rows under their head."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def moment(at: datetime | None) -> str:
    """Write a time in UTC to the minute, or a dash."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else "-"
