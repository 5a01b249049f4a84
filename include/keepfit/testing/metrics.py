"""What every metric must hold to."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from keepfit.plugins import Metric
from keepfit.steps.metrics import is_higher_better


class MetricTests(ABC):
    """Inherit from this, name your metric, and pytest runs the contract on it."""

    task: ClassVar[Literal["classification", "regression"]] = "classification"

    @property
    @abstractmethod
    def metric(self) -> Metric:
        """The metric under test."""

    def truth(self) -> NDArray[np.float64]:
        """Return some truth."""
        chance = np.random.default_rng(3)
        drawn = chance.integers(0, 2, 400) if self.task == "classification" else chance.normal(size=400)
        return drawn.astype(np.float64)

    def scores(self, noise: float) -> NDArray[np.float64]:
        """Return scores of the truth, the worse the more noise."""
        noisy = self.truth() + np.random.default_rng(4).normal(0, noise, 400)
        return np.clip(0.2 + 0.6 * noisy, 0.01, 0.99) if self.task == "classification" else noisy

    def test_it_is_a_number(self) -> None:
        """One float for any rows of both classes."""
        assert np.isfinite(float(self.metric(self.truth(), self.scores(0.5))))

    def test_scores_that_are_all_the_same_are_measured(self) -> None:
        """Each evaluation holds models against the mean label for every row; NaN where that has no value."""
        truth = self.truth()
        with np.errstate(all="ignore"):
            float(self.metric(truth, np.full(len(truth), truth.mean())))

    def test_rows_of_one_label_are_measured(self) -> None:
        """A window, a slice or a draw of days may have no other; NaN where that has no value."""
        scores = self.scores(0.5)
        with np.errstate(all="ignore"):
            float(self.metric(np.zeros(len(scores)), scores))

    def test_its_direction_is_the_one_it_says(self) -> None:
        """Good scores are better than bad ones, by `higher_is_better`."""
        good = float(self.metric(self.truth(), self.scores(0.1)))
        bad = float(self.metric(self.truth(), self.scores(3.0)))
        assert good > bad if is_higher_better(self.metric) else good < bad

    def test_the_order_of_rows_does_not_matter(self) -> None:
        """The bootstrap draws rows in any order."""
        truth, scores = self.truth(), self.scores(0.5)
        turned = float(self.metric(truth[::-1], scores[::-1]))
        np.testing.assert_allclose(turned, float(self.metric(truth, scores)), rtol=1e-9)

    def test_it_changes_nothing_it_is_given(self) -> None:
        """Other metrics read the same arrays."""
        truth, scores = self.truth(), self.scores(0.5)
        before = truth.copy(), scores.copy()
        self.metric(truth, scores)
        np.testing.assert_array_equal(truth, before[0])
        np.testing.assert_array_equal(scores, before[1])
