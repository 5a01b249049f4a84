"""The rule that holds the champion against its own holdout, and against no model at all."""

from keepfit.policy.findings import Finding, Seen, is_known, unknown
from keepfit.policy.signals import PerformanceSignal
from keepfit.policy.wording import percent
from keepfit.spec.policy import Performance


def performance(rule: Performance, seen: Seen) -> Finding:
    """Ask when the champion does worse than on its holdout, or surely worse than that holdout's mean label.

    A champion whose holdout was bad has a low bar; one that is of no use must not be kept by it.
    """
    signal = seen[-1].performance
    if signal is None:
        return unknown("performance", "performance not judged", "not measured")
    value, holdout = signal.value, signal.holdout
    if not (is_known(value) and is_known(holdout)):
        return unknown("performance", f"{signal.metric} not judged", signal.reason)
    loss = holdout - value if signal.higher_is_better else value - holdout
    base = f"{signal.metric} {value:.4f} on {signal.rows:,} labelled rows is"
    if loss > rule.worse_by * abs(holdout):
        share = f"{percent(loss / abs(holdout))} " if holdout else ""
        text = f"{base} {share}worse than the holdout's {holdout:.4f} (limit {percent(rule.worse_by)})"
        return Finding("performance", True, text)
    within = f"{base} within {percent(rule.worse_by)} of the holdout's {holdout:.4f}"
    useless = _useless(signal, value)
    return Finding("performance", bool(useless), f"{within}{useless}")


def _useless(signal: PerformanceSignal, value: float) -> str:
    """Say so where the holdout's mean label for every row would do better, by more than chance."""
    baseline, noise = signal.baseline, signal.baseline_noise
    if not (is_known(baseline) and is_known(noise)):
        return ""
    behind = baseline - value if signal.higher_is_better else value - baseline
    if behind <= noise:
        return ""
    return (
        f", but {behind:.4f} worse than the {baseline:.4f} that the mean label of that holdout comes to, "
        f"given to every row (chance alone {noise:.2g})"
    )
