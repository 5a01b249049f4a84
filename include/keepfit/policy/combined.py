"""Rules made of rules. What could not be judged stays so, unless the rest is enough to answer."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from keepfit.policy.findings import Finding, Seen, Sight
from keepfit.spec.policy import MofN, Rule


def all_of(found: Sequence[Finding]) -> Finding:
    """Call for a training when all do: one "no" is enough to say no."""
    return _joined("all of", found, decides=False, first=("harm", "shift", "clock"))


def any_of(found: Sequence[Finding]) -> Finding:
    """Call for a training when one does: one "yes" is enough to say yes."""
    return _joined("any of", found, decides=True, first=("harm", "clock", "shift"))


def _joined(name: str, found: Sequence[Finding], *, decides: bool, first: tuple[Sight, ...]) -> Finding:
    """Join answers by Kleene's logic.

    Args:
        name: How the combination is called.
        found: The answers.
        decides: The answer that decides by itself.
        first: Of the parts that led to the answer, which one gives it its name.
    """
    answers = [each.fires for each in found]
    fires = decides if decides in answers else None if None in answers else not decides
    led = (each for each in found if each.fires is fires)
    named = min(led, key=lambda each: first.index(each.sees))
    return Finding(named.trigger, fires, f"{name} [{'; '.join(each.text for each in found)}]", named.sees)


def m_of_n(rule: MofN, seen: Seen, find: Callable[[Rule, Seen], Finding]) -> Finding:
    """Call for a training when a rule does in the newest window, and in enough of those just before it."""
    within, unseen = _last(seen, rule.n)
    found = [find(rule.of, seen[: at + 1]) for at in within]
    now = found[-1]
    fired = sum(each.fires is True for each in found)
    blind = unseen + sum(each.fires is None for each in found)
    fires = now.fires
    if fires and fired < rule.m:
        fires = None if fired + blind >= rule.m else False
    not_judged = f", {blind} not judged" if blind else ""
    text = f"{fired} of the last {rule.n} windows ({rule.m} needed{not_judged}): {now.text}"
    return Finding(now.trigger, fires, text, now.sees)


def _last(seen: Seen, n: int) -> tuple[range, int]:
    """Return which windows are among the last n in time, and how many of those nobody looked at."""
    listed = range(max(0, len(seen) - n), len(seen))
    length = max(seen[at].window_end - seen[at].window_start for at in listed)
    if length <= timedelta():
        return listed, 0
    end = seen[-1].window_end
    # Months differ in length: half a window is to spare.
    within = [at for at in listed if (end - seen[at].window_end) / length < n - 0.5]
    there = min(n, round((end - seen[0].window_end) / length) + 1)
    return range(within[0], len(seen)), max(0, there - len(within))
