"""How all that is published of a dataset is published anew: the command, with the windows it takes."""

from datetime import datetime, timedelta

from keepfit.ledger import Ledger

_INSTANT = timedelta(seconds=1)


def refresh_command(ledger: Ledger, dataset: str) -> str | None:
    """Write the command that refreshes a dataset in full; None where nothing of it is published."""
    taken = [each for each in ledger.publications(dataset) if each.window_end]
    if not taken:
        return None
    end = max(each.window_end for each in taken if each.window_end)
    # A snapshot is the whole table, taken at a window's end: where the window begins makes no difference.
    start = min(each.window_start or end - _INSTANT for each in taken)
    return f"keepfit run {dataset} --full-refresh --from {_text(start)} --to {_text(end)}"


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
