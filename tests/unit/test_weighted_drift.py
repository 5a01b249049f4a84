"""Drift weighed by importance: methods of all kinds add up, and what nobody measured is no number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.policy import Score
from keepfit.steps.detect_drift import ColumnDrift
from keepfit.steps.weighted_drift import weighted_drift


def column(
    name: str, method: str = "wasserstein", score: float = 0.1, threshold: float = 0.1, noise: float = 0.02
) -> ColumnDrift:
    return ColumnDrift(name, method, score, threshold, True, noise)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 1), st.sampled_from(["wasserstein", "ks", "psi", "chisquare"])),
        min_size=1,
        max_size=8,
    )
)
def test_columns_at_their_thresholds_make_one_whatever_the_method(given: list[tuple[float, str]]) -> None:
    total = sum(weight for weight, _ in given)
    shares = {f"c{at}": weight / total for at, (weight, _) in enumerate(given)}
    columns = [column(f"c{at}", method, 0.05, 0.05, 0.05) for at, (_, method) in enumerate(given)]
    found = weighted_drift(columns, shares, "3")
    assert found.value == pytest.approx(1)
    assert found.noise == pytest.approx(1)


def test_drift_counts_by_what_the_column_is_worth() -> None:
    columns = [
        column("needed", score=0.05, noise=0.01),
        column("spared", score=90.0),
        column("city", "ks", 0.04, 0.05, 0.7),
    ]
    found = weighted_drift(columns, {"needed": 0.8, "spared": 0.0, "city": 0.2}, "3")
    assert found.value == pytest.approx(0.8 * 0.5 + 0.2 * 0.96 / 0.95)
    assert found.noise == pytest.approx(0.8 * 0.1 + 0.2 * 0.3 / 0.95)


def test_a_threshold_that_every_p_value_is_below_is_always_reached() -> None:
    assert weighted_drift([column("city", "ks", 0.7, 1.0)], {"city": 1.0}, "3").value == 1


def test_what_was_not_compared_is_left_out_until_too_little_is_left() -> None:
    shares = {"needed": 0.6, "skipped": 0.4}
    half = weighted_drift([column("needed")], shares, "3")
    assert half.value == pytest.approx(1)
    assert half.noise == pytest.approx(0.2)
    assert weighted_drift([column("needed")], {"needed": 0.5, "skipped": 0.5}, "3").value == pytest.approx(1)
    turned = weighted_drift([column("skipped")], shares, "3")
    assert turned == Score(reason="features of 40% of the importance were compared, 50% needed")


def test_a_version_without_importances_is_not_measured() -> None:
    found = weighted_drift([column("needed")], None, "3")
    assert found == Score(reason="not measured: version 3 has no importances; train it again")
    assert weighted_drift([column("a")], {}, "3").reason == "no feature is worth anything to version 3"
