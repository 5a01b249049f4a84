"""One row scored as the model would score a frame of it."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import LARGEST, Coding, Matrix
from keepfit.backends.row_scorers import RowCoder, choose_scorer
from keepfit.backends.trainers.lightgbm import train as train_lightgbm
from keepfit.backends.trainers.sklearn import SkopsModel
from keepfit.backends.trainers.sklearn import train as train_sklearn
from keepfit.backends.trainers.xgboost import train as train_xgboost
from keepfit.plugins import TrainingTask
from keepfit.testing import classes
from keepfit.testing.data import CATEGORIES
from keepfit.testing.trainers import features_of

ROWS = classes(400)
FRAME = features_of(ROWS)
TRAIN = {"lightgbm": train_lightgbm, "xgboost": train_xgboost}
NUMBERS = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.sampled_from(
        [float("inf"), LARGEST, -LARGEST, 1e39, -1e39, 2**63, 2**64, -(2**70), 10**39, -(10**400)]
    ),
)
CATEGORY = st.one_of(
    st.sampled_from(["red", "7", "true", ""]),
    st.text(),
    st.integers(-9, 9),
    st.booleans(),
    st.none(),
    st.floats(),
)


def task(estimator: str | None = None, **params: Any) -> TrainingTask:
    label = ROWS["label"].to_numpy(np.float64)
    return TrainingTask(FRAME, label, "classification", CATEGORIES, params, 7, 1, estimator)


def trained(how: str) -> CodedModel:
    if how in TRAIN:
        return TRAIN[how](task(n_estimators=10))
    return train_sklearn(task(f"sklearn.{how}", **({"n_estimators": 10} if "Forest" in how else {})))


@given(st.lists(st.tuples(NUMBERS, CATEGORY), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_a_row_is_coded_to_the_numbers_a_frame_of_it_is(rows: list[tuple[Any, Any]]) -> None:
    coding = Coding({"size": "number", "colour": "category"}, {"colour": ("red", "7", "True", "1")})
    coder = RowCoder(coding)
    one_by_one = [coder.code({"size": size, "colour": colour}) for size, colour in rows]
    for (size, colour), coded in zip(rows, one_by_one, strict=True):
        frame = pd.DataFrame(
            {"size": pd.Series([size], dtype=object), "colour": pd.Series([colour], dtype=object)}
        )
        np.testing.assert_array_equal(coding.matrix(frame)[0], coded)


def test_all_rows_of_a_sample_are_coded_alike() -> None:
    coding = Coding.learn(FRAME, CATEGORIES)
    coder = RowCoder(coding)
    rows: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()}
        for row in FRAME.astype(object).replace({np.nan: None}).to_dict("records")
    ]
    np.testing.assert_array_equal(coder.matrix([coder.code(row) for row in rows]), coding.matrix(FRAME))


def test_a_text_in_a_numbers_place_and_an_absent_feature_are_refused() -> None:
    coder = RowCoder(Coding({"size": "number"}, {}))
    with pytest.raises(TypeError, match=r"'12' is no number"):
        coder.code({"size": "12"})
    with pytest.raises(KeyError, match="size"):
        coder.code({})
    assert math.isnan(coder.code({"size": 10**400})[0])


def test_what_is_logged_is_what_the_model_saw() -> None:
    coder = RowCoder(Coding({"size": "number", "colour": "category"}, {"colour": ("1",)}))
    values = {"size": True, "colour": 1.0}
    assert coder.given(values, coder.code(values)) == [1.0, "1"]


@pytest.mark.parametrize(
    ("how", "way"),
    [
        ("lightgbm", "booster"),
        ("xgboost", "in place"),
        ("ensemble.HistGradientBoostingClassifier", "treelite"),
        ("ensemble.RandomForestClassifier", "treelite"),
        ("ensemble.ExtraTreesClassifier", "treelite"),
        ("linear_model.LogisticRegression", "as trained"),
        ("tree.DecisionTreeClassifier", "as trained"),
    ],
)
def test_the_fast_way_is_taken_where_it_agrees_with_the_model(how: str, way: str) -> None:
    model = trained(how)
    matrix = model.coding.matrix(FRAME)
    scorer = choose_scorer(model, matrix)
    assert scorer.way == way
    np.testing.assert_allclose(scorer.score(matrix), model.score(matrix), rtol=0, atol=1e-6)
    for row in matrix[:5]:
        np.testing.assert_allclose(scorer.score(row[None, :]), model.score(row[None, :]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", ["lightgbm", "xgboost", "ensemble.RandomForestClassifier"])
def test_a_number_that_no_learner_takes_is_missing_in_a_frame_and_in_a_row(how: str) -> None:
    model = trained(how)
    row: dict[str, Any] = {str(name): value for name, value in FRAME.iloc[0].items()}
    coder = RowCoder(model.coding)
    name, scorer = coder.numbers[0], choose_scorer(model, model.coding.matrix(FRAME))
    missing = model.predict(pd.DataFrame([row | {name: np.nan}]))
    for large in (1e39, -1e39, 10**39):
        values = row | {name: large}
        np.testing.assert_array_equal(model.predict(pd.DataFrame([values])), missing)
        np.testing.assert_allclose(scorer.score(coder.matrix([coder.code(values)])), missing, atol=1e-6)


def test_a_fast_way_that_disagrees_is_not_taken() -> None:
    model = trained("ensemble.RandomForestClassifier")
    assert isinstance(model, SkopsModel)
    matrix = model.coding.matrix(FRAME)
    # The pipeline's last step is what treelite reads; what is asked is another forest's opinion.
    other = trained("ensemble.ExtraTreesClassifier")
    model.score = other.score  # type: ignore[method-assign]
    scorer = choose_scorer(model, matrix)
    assert scorer.way == "as trained"
    np.testing.assert_array_equal(scorer.score(matrix), other.score(matrix))


def test_a_fast_way_that_differs_at_the_far_ends_is_not_taken() -> None:
    model = trained("ensemble.RandomForestClassifier")
    matrix, own = model.coding.matrix(FRAME), model.score

    def score(rows: Matrix) -> Matrix:
        scores: Matrix = own(rows) + (rows == LARGEST).any(axis=1)
        return scores

    model.score = score  # type: ignore[method-assign,assignment]
    assert choose_scorer(model, matrix).way == "as trained"


def test_a_model_that_holds_up_a_process_is_known_as_slow() -> None:
    model = trained("linear_model.LogisticRegression")
    assert choose_scorer(model, model.coding.matrix(FRAME)).slow
    model = trained("lightgbm")
    assert not choose_scorer(model, model.coding.matrix(FRAME)).slow
