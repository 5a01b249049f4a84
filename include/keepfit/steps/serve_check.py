"""Do the prediction servers answer with what was released?"""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import isclose

from keepfit.backends.prediction_server import Served, what_is_served
from keepfit.errors import NotServedError
from keepfit.ledger import Ledger

_PAUSE = 0.05
_AT_LEAST = 2.0
"""Seconds a server is asked even if those before it took all the time: each worker has to be heard."""


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
        workers: The processes of a server that does not say how many it has. Each answers for itself, so
            each must have been heard, and have answered rightly when it was heard last. A server that does
            not say which of them answers is taken to have one.

    Raises:
        NotServedError: Some do not, in time; it says which, and what they answer with.
    """
    seconds, late = wait.total_seconds(), {}
    until = time.monotonic() + seconds
    for url in urls:
        at_least = time.monotonic() + min(seconds, _AT_LEAST)
        if said := _late(url, model, expected, max(until, at_least), workers):
            late[url] = said
    if late:
        each = "; ".join(f"{url} {said}" for url, said in late.items())
        raise NotServedError(
            f"{model} should be served with {expected}, as its aliases say and the ledger has recorded, but "
            f"within {seconds:g} s {len(late)} of {len(urls)} servers did not follow: {each}. "
            "The aliases stay where they are. Look at the server's log, or go back with "
            f"`keepfit rollback {model}`."
        )


def _late(url: str, model: str, expected: Served, until: float, workers: int) -> str:
    """Return what is wrong with a server at last; nothing once each of its workers says what is expected."""
    last: dict[str, str] = {}
    while True:
        try:
            said = what_is_served(url, model)
        except OSError as error:
            found = str(error)
        else:
            found, needed = _problem(said.served, model, expected), said.workers or workers
            if said.worker is not None and needed > 1:
                last[said.worker] = found
                found = _summary(last, needed)
            if not found:
                return ""
        if time.monotonic() > until:
            return found
        time.sleep(_PAUSE)


def _problem(found: Served | None, model: str, expected: Served) -> str:
    if found is None:
        return f"does not serve {model}: see `serving.models` in its keepfit.yaml"
    return "" if _same(found, expected) else f"still answers with {found}"


def _summary(last: Mapping[str, str], needed: int) -> str:
    """Say which workers do not follow, by what each said last, and whether some never answered."""
    each = [f"worker {worker} {said}" for worker, said in last.items() if said]
    if len(last) < needed:
        each.append(f"only {len(last)} of its {needed} workers have answered")
    return ", ".join(each)


def _same(found: Served, expected: Served) -> bool:
    return (found.champion, found.challenger) == (expected.champion, expected.challenger) and isclose(
        found.share or 0, expected.share or 0, abs_tol=1e-9
    )
