"""How old the snapshots are that a window is computed from or predicted with.

A snapshot's publication stands for all time: nobody knows whether the facts have changed since, and a
window that waited for the next one might wait for ever. So every window may read it, and the run says from
when it is.
"""

from collections.abc import Iterable
from datetime import timedelta

from keepfit.ledger import Ledger
from keepfit.policy.wording import days
from keepfit.spec import DatasetSpec, Window


def snapshot_ages(ledger: Ledger, datasets: Iterable[DatasetSpec], window: Window) -> list[str]:
    """Say of each snapshot from when it is, seen from a window's end."""
    return [
        note
        for each in datasets
        if each.snapshot
        for note in _note(ledger, each.name, each.event_time, window)
    ]


def _note(ledger: Ledger, name: str, event_time: str, window: Window) -> Iterable[str]:
    # Snapshots published before their ends were recorded are of no known age.
    taken = [each.window_end for each in ledger.publications(name) if each.window_end]
    if not taken:
        return
    first, last = min(taken), taken[-1]
    if first > window.end:
        yield (
            f"{name} was first taken as of {first:%Y-%m-%d %H:%M}, after this window: what it said before is "
            f"not known, and only {event_time} keeps later facts out"
        )
    elif last > window.end:
        yield (
            f"{name} is as of {last:%Y-%m-%d %H:%M}, {days(last - window.end)} after this window's end: "
            f"only {event_time} keeps later facts out"
        )
    else:
        age = window.end - last
        since = f"{days(age)} before" if age > timedelta() else "at"
        yield f"{name} is as of {last:%Y-%m-%d %H:%M}, {since} this window's end"
