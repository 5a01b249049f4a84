"""The estimate without labels, against the published formulas written anew, and against counting pairs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import auc

from keepfit.steps import metrics
from keepfit.steps.estimate import Calibration, Estimated, estimate, expected_metrics

Array = NDArray[np.float64]


def published_area(chance: Array) -> float:
    """NannyML 0.13: the curve over thresholds, which are the calibrated chances and, above them all, 1."""
    thresholds = np.append(np.sort(chance), 1)
    tp, fp = (np.cumsum(each[::-1])[::-1] for each in (thresholds, 1 - thresholds))
    fn, tn = (np.cumsum(np.insert(each, 0, 0)[:-1]) for each in (thresholds, 1 - thresholds))
    new = np.diff(np.insert(thresholds, 0, -1)).astype(bool)
    return float(auc((fp / (fp + tn))[new], (tp / (tp + fn))[new]))


def published_confusion(chance: Array, yes: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Each row's part in each cell of the table, summed up."""
    cells = [np.where(which, part, 0).sum() for which in (yes, ~yes) for part in (chance, 1 - chance)]
    tp, fp, fn, tn = cells
    return float(tp), float(fp), float(fn), float(tn)


def drawn(count: int, seed: int, shift: float = 0.0) -> tuple[Array, Array]:
    """Scores that are too sure of themselves, and labels."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(shift, 1, count)
    label = (chance.random(count) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    return 1 / (1 + np.exp(-2 * truth)), label


def reference(count: int = 5000) -> pd.DataFrame:
    score, label = drawn(count, 1)
    return pd.DataFrame({"score": score, "label": label})


def test_it_equals_the_published_method() -> None:
    known, (score, _) = reference(), drawn(4000, 2, shift=0.7)
    found = estimate(score, known, 0.5)
    assert isinstance(found, Estimated)
    chance = Calibration(known["score"].to_numpy(), known["label"].to_numpy()).chance(score)
    tp, fp, fn, tn = published_confusion(chance, score >= 0.5)
    expected = {
        "true_positives": tp,
        "false_positives": fp,
        "false_negatives": fn,
        "true_negatives": tn,
        "accuracy": np.mean(np.where(score >= 0.5, chance, 1 - chance)),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": tp / (tp + 0.5 * (fp + fn)),
    }
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-12)
    # The published curve has one row more, a certain positive: it weighs one in 4,000.
    assert found.metrics["roc_auc"] == pytest.approx(published_area(chance), abs=2 / len(score))
    assert (found.rows, found.reference_rows) == (4000, 5000)


def test_the_published_curve_is_ours_with_one_certain_positive_more() -> None:
    chance = np.random.default_rng(5).choice([0.0, 0.1, 0.4, 0.4, 0.9, 1.0], 300)
    with_one_more = np.append(chance, 1.0)
    ours = expected_metrics(with_one_more, with_one_more, 0.5)["roc_auc"]
    assert published_area(chance) == pytest.approx(ours, rel=1e-12)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.sampled_from([0.1, 0.3, 0.5, 0.8])),
        min_size=2,
        max_size=12,
    )
)
def test_the_area_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[float, float]]) -> None:
    chance, score = (np.array(each) for each in zip(*rows, strict=True))
    pairs = [
        (c * (1 - d), 1.0 if s > t else 0.5 if s == t else 0.0)
        for c, s in zip(chance, score, strict=True)
        for d, t in zip(chance, score, strict=True)
    ]
    weight = sum(each for each, _ in pairs)
    found = expected_metrics(chance, score, 0.5)["roc_auc"]
    if weight == 0:
        assert found is None
    else:
        assert found == pytest.approx(sum(each * right for each, right in pairs) / weight)


def test_with_labels_for_chances_it_is_the_metrics_themselves() -> None:
    score, label = drawn(3000, 3)
    found = expected_metrics(label, score, 0.5)
    for name in ("roc_auc", "log_loss", "brier", "accuracy"):
        assert found[name] == pytest.approx(getattr(metrics, name)(label, score))


def test_it_sees_a_shift_of_the_rows_and_is_blind_to_a_change_of_their_meaning() -> None:
    known = reference(20_000)
    score, label = drawn(20_000, 4, shift=1.5)
    found = estimate(score, known, 0.5)
    assert isinstance(found, Estimated)
    for name in ("roc_auc", "log_loss", "accuracy"):
        real = getattr(metrics, name)(label, score)
        assert found.metrics[name] == pytest.approx(real, abs=0.02)
        assert found.reference[name] == pytest.approx(
            getattr(metrics, name)(known["label"].to_numpy(), known["score"].to_numpy())
        )
    worst = metrics.roc_auc(1 - label, score)
    estimated = found.metrics["roc_auc"]
    assert estimated is not None
    assert estimated - worst > 0.3


def test_it_says_why_there_is_none() -> None:
    score, _ = drawn(50, 5)
    assert estimate(score, reference(99), 0.5) == "99 rows of the holdout, 100 needed"
    assert estimate(score, reference().assign(label=1.0), 0.5) == "the holdout has only one class"
    assert estimate(np.empty(0), reference(), 0.5) == "the window holds no predictions of the champion"
    nothing = estimate(np.full(20, 0.1), reference(), 0.5)
    assert isinstance(nothing, Estimated)
    assert (nothing.metrics["precision"], nothing.metrics["recall"]) == (None, 0.0)
