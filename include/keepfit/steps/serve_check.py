"""Do the prediction servers answer with what was released?"""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import isclose

from keepfit.backends.prediction_server import Served, what_is_served
from keepfit.errors import NotServedError
from keepfit.ledger import Ledger

_PAUSE = 0.25
_ROUNDS = 3
"""How often a server is asked for each of its workers: each answers for itself."""


def wanted(ledger: Ledger, model: str) -> Served:
    """Return what servers should answer with, by the ledger."""
    champion, challenger = ledger.live(model), ledger.live(model, alias="challenger")
    return Served(
        champion=champion.to_version if champion else None,
        challenger=challenger.to_version if challenger else None,
        share=challenger.share if challenger else None,
    )


def wait_until_served(
    urls: Sequence[str], model: str, expected: Served, wait: timedelta, workers: int = 1
) -> None:
    """Ask each server until it answers as expected.

    Args:
        urls: The servers.
        model: What to ask about.
        expected: What they should say.
        wait: How long all of them together may take.
        workers: The processes of each server: so many times as it has workers, it must answer so in a row.

    Raises:
        NotServedError: Some do not, in time; it says which, and what they answer with.
    """
    until = time.monotonic() + wait.total_seconds()
    late = dict(filter(None, (_late(url, model, expected, until, workers) for url in urls)))
    if late:
        each = "; ".join(f"{url} {said}" for url, said in late.items())
        raise NotServedError(
            f"{model} should be served with {expected}, as its aliases say and the ledger has recorded, but "
            f"within {wait.total_seconds():g} s {len(late)} of {len(urls)} servers did not follow: {each}. "
            "The aliases stay where they are. Look at the server's log, or go back with "
            f"`keepfit rollback {model}`."
        )


def _late(url: str, model: str, expected: Served, until: float, workers: int) -> tuple[str, str] | None:
    """Return what a server says at last, unless it says what is expected often enough."""
    needed = _ROUNDS * workers if workers > 1 else 1
    right, said = 0, ""
    for said in _answers(url, model, expected):
        right = 0 if said else right + 1
        if right >= needed:
            return None
        if said and time.monotonic() > until:
            return url, said
        if said:
            time.sleep(_PAUSE)
    return url, said


def _answers(url: str, model: str, expected: Served) -> Iterator[str]:
    """Ask for ever; yield what is wrong with each answer, or nothing."""
    while True:
        try:
            found = what_is_served(url, model)
        except OSError as error:
            yield str(error)
            continue
        if found is None:
            yield f"does not serve {model}: see `serving.models` in its keepfit.yaml"
        elif not _same(found, expected):
            yield f"still answers with {found}"
        else:
            yield ""


def _same(found: Served, expected: Served) -> bool:
    return (found.champion, found.challenger) == (expected.champion, expected.challenger) and isclose(
        found.share or 0, expected.share or 0, abs_tol=1e-9
    )
