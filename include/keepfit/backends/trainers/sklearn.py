"""Any scikit-learn estimator, with the preparation it needs, kept by skops against a fixed allow-list."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import Coding, Matrix
from keepfit.backends.model_files import Card, Task, dump_estimator, load_estimator
from keepfit.backends.trainers.params import own_params
from keepfit.errors import TrainingError
from keepfit.plugins import TrainingTask
from keepfit.spec.problem import did_you_mean

PACKAGES = ("sklearn", "lightgbm")
"""Where an estimator may come from: what a spec names is imported, so not anywhere."""


class SkopsModel(CodedModel):
    """A fitted scikit-learn pipeline behind a coding."""

    flavor = "skops"
    file = "model.skops"

    def __init__(self, coding: Coding, task: Task, pipeline: Any) -> None:
        """Put a coding in front of a fitted estimator that takes a matrix of numbers."""
        super().__init__(coding, task)
        self.pipeline = pipeline

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """Score coded rows."""
        if self.task == "classification":
            scores = self.pipeline.predict_proba(matrix)[:, list(self.pipeline.classes_).index(1)]
        else:
            scores = self.pipeline.predict(matrix)
        return np.asarray(scores, dtype=np.float64).reshape(len(matrix))

    def write(self, path: Path) -> None:
        """Write the pipeline with skops."""
        dump_estimator(self.pipeline, path)


def train(task: TrainingTask) -> SkopsModel:
    """Fit the estimator the spec names."""
    from sklearn.pipeline import Pipeline
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    coding = Coding.learn(task.frame, task.categorical)
    estimator = _estimator(task)
    pipeline = Pipeline([*_preparation(estimator, coding), ("estimator", estimator)])
    try:
        # Histogram gradient boosting has no n_jobs: it takes all of OpenMP's threads.
        with threadpool_limits(task.threads):
            pipeline.fit(coding.matrix(task.frame), task.label)
    except ValueError as error:
        raise TrainingError(f"{task.estimator} does not train with {dict(task.params)}: {error}") from error
    return SkopsModel(coding, task.task, pipeline)


def read(folder: Path, card: Card) -> SkopsModel:
    """Read a pipeline back, if it holds only known types."""
    return SkopsModel(card.coding, card.task, load_estimator(folder / SkopsModel.file))


def _estimator(task: TrainingTask) -> Any:
    """Make the estimator with the spec's parameters, its seed and its threads."""
    kind = _find(task.estimator)
    params = own_params(task)
    known = inspect.signature(kind).parameters
    for name in params:
        if name not in known:
            raise TrainingError(f"{task.estimator} has no parameter {name!r}.{did_you_mean(name, known)}")
    ours = {"random_state": task.seed}
    if kind.__module__.startswith("lightgbm."):
        ours |= {"n_jobs": task.threads, "verbosity": -1}
    elif task.threads > 1:
        # Unset, scikit-learn takes one; some estimators no longer want to be told.
        ours |= {"n_jobs": task.threads}
    estimator = kind(
        **params, **{name: value for name, value in ours.items() if name in {*known, "verbosity"}}
    )
    _refuse_wrong_task(task, estimator)
    return estimator


def _find(name: str | None) -> type[Any]:
    from sklearn.base import BaseEstimator

    module, _, attribute = (name or "").rpartition(".")
    if module.split(".")[0] not in PACKAGES:
        raise TrainingError(
            f"The trainer `sklearn` takes an `estimator` from {' or '.join(PACKAGES)}, not {name!r}. "
            "Name it like sklearn.ensemble.HistGradientBoostingClassifier."
        )
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TrainingError(f"There is no estimator {name}: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise TrainingError(f"{name} is no scikit-learn estimator. Name a class that is one.")
    return found


def _refuse_wrong_task(task: TrainingTask, estimator: Any) -> None:
    from sklearn.base import is_classifier, is_regressor

    if task.task == "regression" and not is_regressor(estimator):
        raise TrainingError(
            f"The model's task is regression, but {task.estimator} is no regressor. Name one."
        )
    if task.task == "classification" and not (
        is_classifier(estimator) and hasattr(estimator, "predict_proba")
    ):
        raise TrainingError(
            f"The model's task is classification, but {task.estimator} gives no probabilities. "
            "Name a classifier that has predict_proba."
        )


def _preparation(estimator: Any, coding: Coding) -> list[tuple[str, Any]]:
    """Choose what must happen to a coded matrix before this estimator takes it.

    Whoever takes NaN is a tree, and takes categories by their positions too. Its own notion of categories
    would bring functions into the file, which the allow-list does not let in.
    """
    return [] if estimator.__sklearn_tags__().input_tags.allow_nan else _columns_and_scale(coding)


def _columns_and_scale(coding: Coding) -> list[tuple[str, Any]]:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False)
    gaps = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    columns = ColumnTransformer(
        [("categories", levels, list(coding.categories)), ("numbers", gaps, list(coding.numbers))],
    )
    return [("columns", columns), ("scale", StandardScaler())]
