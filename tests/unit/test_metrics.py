"""Metrics: scikit-learn is the oracle, the shipped contract the rest."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as oracle

from keepfit import plugins
from keepfit.errors import TrainingError, UnknownPluginError
from keepfit.plugins import Metric
from keepfit.steps import metrics
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.testing import MetricTests

Array = NDArray[np.float64]
OF_CLASSES = {
    "roc_auc": oracle.roc_auc_score,
    "average_precision": oracle.average_precision_score,
    "log_loss": oracle.log_loss,
    "brier": oracle.brier_score_loss,
    "accuracy": lambda truth, score: oracle.accuracy_score(truth, score >= 0.5),
}
OF_VALUES = {
    "mae": oracle.mean_absolute_error,
    "rmse": oracle.root_mean_squared_error,
    "r2": oracle.r2_score,
    "pinball": oracle.mean_pinball_loss,
    "keepfit.steps.metrics:pinball_90": lambda t, s: oracle.mean_pinball_loss(t, s, alpha=0.9),
    "keepfit.steps.metrics:pinball_10": lambda t, s: oracle.mean_pinball_loss(t, s, alpha=0.1),
}


def built_in(name: str, task: str) -> type[MetricTests]:
    return type(
        f"Test_{name}", (MetricTests,), {"task": task, "metric": property(lambda _: find_metric(name))}
    )


def test_a_metric_that_fails_on_scores_or_labels_all_the_same_is_found_by_the_contract() -> None:
    def spread(y_true: Array, score: Array) -> float:
        for name, each in (("labels", y_true), ("scores", score)):
            if each.min() == each.max():
                raise ValueError(f"constant {name}")
        return float(np.corrcoef(y_true, score)[0, 1])

    class Contract(MetricTests):
        @property
        def metric(self) -> Metric:
            return spread

    with pytest.raises(ValueError, match="constant scores"):
        Contract().test_scores_that_are_all_the_same_are_measured()
    with pytest.raises(ValueError, match="constant labels"):
        Contract().test_rows_of_one_label_are_measured()


TestRocAuc = built_in("roc_auc", "classification")
TestAveragePrecision = built_in("average_precision", "classification")
TestLogLoss = built_in("log_loss", "classification")
TestBrier = built_in("brier", "classification")
TestAccuracy = built_in("accuracy", "classification")
TestMae = built_in("mae", "regression")
TestRmse = built_in("rmse", "regression")
TestR2 = built_in("r2", "regression")
TestPinball = built_in("pinball", "regression")


@st.composite
def classified(draw: st.DrawFn) -> tuple[Array, Array]:
    """Truth of both classes, and scores with ties."""
    rows = draw(st.integers(2, 60))
    truth = np.array(
        [0.0, 1.0, *draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=rows - 2, max_size=rows - 2))]
    )
    steps = draw(st.lists(st.integers(0, 12), min_size=rows, max_size=rows))
    return truth, np.array(steps) / 12


@pytest.mark.parametrize("name", OF_CLASSES)
@given(drawn=classified())
@settings(max_examples=60, deadline=None)
def test_metrics_of_classes_equal_scikit_learns(name: str, drawn: tuple[Array, Array]) -> None:
    truth, score = drawn
    expected = OF_CLASSES[name](truth, score)
    np.testing.assert_allclose(find_metric(name)(truth, score), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OF_VALUES)
@given(drawn=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=60))
@settings(max_examples=60, deadline=None)
def test_metrics_of_values_equal_scikit_learns(name: str, drawn: list[tuple[float, float]]) -> None:
    truth, score = np.array(drawn).T
    if name == "r2" and truth.std() < 1e-6:
        return
    np.testing.assert_allclose(
        find_metric(name)(truth, score), OF_VALUES[name](truth, score), rtol=1e-7, atol=1e-9
    )


def test_calibration_error_is_the_gap_between_promised_and_seen() -> None:
    truth = np.array([0.0, 1.0, 1.0, 1.0])
    assert metrics.calibration_error(truth, np.full(4, 0.75)) == 0
    assert metrics.calibration_error(truth, np.full(4, 0.55)) == pytest.approx(0.2)
    assert metrics.calibration_error(truth, np.array([0.1, 0.1, 0.9, 1.0])) == pytest.approx((0.8 + 0.1) / 4)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_one_class_only_is_nan_and_no_guess(name: str) -> None:
    assert np.isnan(find_metric(name)(np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4])))


def test_r2_of_a_constant_truth_is_nan() -> None:
    assert np.isnan(metrics.r2(np.ones(4), np.zeros(4)))


def test_a_certain_mistake_costs_much_and_not_infinitely_much() -> None:
    assert np.isfinite(metrics.log_loss(np.array([1.0]), np.array([0.0])))


def test_every_installed_metric_says_its_direction() -> None:
    upwards = {name for name in plugins.names("metrics") if is_higher_better(find_metric(name))}
    assert upwards == {"accuracy", "average_precision", "r2", "roc_auc"}


def of_plugins(tmp_path: object, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "plugins"
    folder.mkdir()
    (folder / "my_metrics.py").write_text(body)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(__import__("sys").modules, "my_metrics", raising=False)


def test_a_metric_of_ones_own_lies_in_plugins(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    of_plugins(
        tmp_path, monkeypatch, "def cost(y_true, score):\n    return 5.0 * float((y_true > score).sum())\n"
    )
    truth, score = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    assert measure(("my_metrics:cost", "accuracy"), truth, score) == {"my_metrics:cost": 5.0, "accuracy": 0.5}


def test_a_metric_that_fails_is_named(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    of_plugins(tmp_path, monkeypatch, "def broken(y_true, score):\n    return 'much'\n")
    said = "The metric 'my_metrics:broken' fails on 2 rows: ValueError.*: NaN where they define none, as for"
    with pytest.raises(TrainingError, match=said):
        measure(("my_metrics:broken",), np.zeros(2), np.zeros(2))


def test_an_unknown_metric_is_refused_with_a_hint() -> None:
    with pytest.raises(UnknownPluginError, match=r"No plugin 'roc_auk'.*Did you mean 'roc_auc'"):
        find_metric("roc_auk")


Of = Callable[[Array, Array], float]
_: Metric = metrics.roc_auc
