"""What every trainer must hold to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from keepfit.backends import model_files
from keepfit.plugins import Model, Trainer, TrainingTask
from keepfit.testing.data import CATEGORIES, classes, values


class TrainerTests(ABC):
    """Inherit from this, name your trainer, and pytest runs the contract on it.

    ```python
    class TestMine(TrainerTests):
        @property
        def trainer(self): return my_package.train
    ```
    """

    task: ClassVar[Literal["classification", "regression"]] = "classification"
    estimator: ClassVar[str | None] = None
    params: ClassVar[Mapping[str, Any]] = {}

    @property
    @abstractmethod
    def trainer(self) -> Trainer:
        """The trainer under test."""

    def rows(self) -> pd.DataFrame:
        """Return the rows to train and predict on."""
        return classes() if self.task == "classification" else values()

    def trained(self) -> Model:
        """Train a model on all the rows."""
        rows = self.rows()
        return self.trainer(
            TrainingTask(
                frame=features_of(rows),
                label=rows["label"].to_numpy(np.float64),
                task=self.task,
                categorical=CATEGORIES,
                params=self.params,
                seed=7,
                threads=1,
                estimator=self.estimator,
            )
        )

    def test_it_gives_one_finite_score_per_row(self) -> None:
        """A score is a float64 that is a number; a probability lies between 0 and 1."""
        scores = self.trained().predict(features_of(self.rows()))
        assert scores.shape == (len(self.rows()),)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        if self.task == "classification":
            assert scores.min() >= 0
            assert scores.max() <= 1

    def test_it_does_better_than_the_mean(self) -> None:
        """It learns something: of plain data, on the rows it was trained on."""
        rows = self.rows()
        label = rows["label"].to_numpy(np.float64)
        error = np.mean((self.trained().predict(features_of(rows)) - label) ** 2)
        assert error < 0.9 * label.var()

    def test_the_same_task_gives_the_same_scores(self) -> None:
        """Seed and threads are taken from the task, chance from nowhere else."""
        frame = features_of(self.rows())
        np.testing.assert_array_equal(self.trained().predict(frame), self.trained().predict(frame))

    def test_it_survives_being_saved(self, tmp_path: Path) -> None:
        """A model read back from its folder gives the same scores, and has not been pickled."""
        model, frame = self.trained(), features_of(self.rows())
        model.save(tmp_path)
        again = model_files.load(tmp_path, model_files.digests(tmp_path))
        np.testing.assert_allclose(again.predict(frame), model.predict(frame), rtol=0, atol=1e-12)
        assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]

    def test_it_takes_gaps_and_levels_never_seen(self) -> None:
        """At prediction anything may be missing; an unknown category counts as missing."""
        frame = features_of(self.rows()).head(20)
        unknown, missing = frame.assign(colour="violet"), frame.assign(colour=None)
        model = self.trained()
        np.testing.assert_array_equal(model.predict(unknown), model.predict(missing))
        assert np.isfinite(model.predict(frame.assign(size=np.nan, weight=np.nan, colour=None))).all()

    def test_the_order_of_columns_does_not_matter(self) -> None:
        """A model picks its features by name."""
        frame = features_of(self.rows()).head(20)
        model = self.trained()
        turned = frame[frame.columns[::-1]].assign(something_else=1)
        np.testing.assert_array_equal(model.predict(turned), model.predict(frame))

    def test_no_rows_give_no_scores(self) -> None:
        """An empty window is no error."""
        assert self.trained().predict(features_of(self.rows()).head(0)).shape == (0,)


def features_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the features alone."""
    return rows.drop(columns=["event_time", "label"])
