"""Batch prediction: batch by batch into one file, with the same columns whatever a batch holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from keepfit.backends.engine import Connection, engine, scan
from keepfit.errors import FeatureStoreError, SpecError
from keepfit.spec import DatasetSpec, ModelSpec, Window
from keepfit.spec.project import EngineSpec
from keepfit.steps.entity_rows import entity_rows
from keepfit.steps.predict import Predicted, Scorer, Stamp, predict

WINDOW = Window.parse("2024-01-01", "2024-01-03")
STAMP = Stamp(version="3", role="champion", run_id="predict-1")
FEATURES = {"size": "float64", "count": "int64", "colour": "string"}
DATASET = DatasetSpec.model_validate(
    {
        "name": "things",
        "source": {"type": "files", "path": "things.parquet"},
        "columns": {"id": "int64", "known_at": "timestamp", "kind": "string", "shelf": "string"},
        "key": ["id"],
        "event_time": "known_at",
    }
)


def model(**entities: object) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "shapes",
            "task": "classification",
            "entities": {"dataset": "things", "columns": ["kind"], **entities},
            "features": "shapes_v1",
            "label": {"column": "late", "delay": "6h"},
            "train": {"holdout": "10d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": "log_loss"},
            "predict": {"batch_rows": 100},
        }
    )


@pytest.fixture
def table(tmp_path: Path) -> str:
    times = pd.date_range("2023-12-31", periods=4 * 24 * 60, freq="min", tz="UTC")
    rows = pd.DataFrame({"id": np.arange(len(times))[::-1], "known_at": times, "kind": "a", "shelf": "x"})
    rows.loc[rows["id"] % 3 == 0, "kind"] = "b"
    rows.sample(frac=1, random_state=1).to_parquet(tmp_path / "things.parquet")
    return scan([tmp_path / "things.parquet"])


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with engine(EngineSpec(), tmp_path / "scratch") as opened:
        yield opened


class Half:
    """A model that knows nothing."""

    flavor = "skops"

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        return np.full(len(frame), 0.5)

    def save(self, folder: Path) -> None:
        raise NotImplementedError(folder)


def known(rows: pd.DataFrame) -> pd.DataFrame:
    """Give every third row nothing, and a whole batch no colour."""
    size = rows["id"].astype("float64").where(rows["id"] % 3 > 0)
    return rows.assign(size=size, count=size.round(), colour=None)


def rows_of(connection: Connection, table: str, spec: ModelSpec) -> pd.DataFrame:
    return pd.concat(batches_of(connection, table, spec), ignore_index=True)


def batches_of(connection: Connection, table: str, spec: ModelSpec) -> list[pd.DataFrame]:
    return [batch.to_pandas() for batch in entity_rows(connection, table, DATASET, spec, WINDOW)]


def test_the_rows_of_the_window_come_in_order_and_in_batches(connection: Connection, table: str) -> None:
    batches = batches_of(connection, table, model())
    rows = pd.concat(batches, ignore_index=True)
    assert list(rows.columns) == ["id", "kind", "event_timestamp"]
    assert len(rows) == 2 * 24 * 60
    assert rows["event_timestamp"].is_monotonic_increasing
    assert rows["event_timestamp"].iloc[0] == WINDOW.start
    assert rows["event_timestamp"].iloc[-1] < WINDOW.end
    assert len(batches) > 1


def test_the_models_condition_picks_the_rows(connection: Connection, table: str) -> None:
    rows = rows_of(connection, table, model(where="kind = 'b' OR shelf = 'nowhere'"))
    assert set(rows["kind"]) == {"b"}
    assert rows["event_timestamp"].min() >= WINDOW.start


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        ({"where": "kindd = 'b'"}, "kindd"),
        ({"columns": ["colour"]}, "colour"),
        ({"columns": ["kin"]}, "kin"),
    ],
)
def test_a_condition_that_is_wrong_names_the_file(
    connection: Connection, table: str, entities: dict[str, object], said: str
) -> None:
    with pytest.raises(
        SpecError, match=rf"models/shapes\.yaml: entities: .*{said}.*Correct `where` or `columns`"
    ):
        rows_of(connection, table, model(**entities))


def predicted(batches: list[pd.DataFrame], out: Path) -> Predicted:
    return predict(batches, known, [Scorer(Half(), STAMP, out)], key={"id": "int64"}, features=FEATURES)


def test_predictions_carry_key_time_features_score_and_stamp(
    connection: Connection, table: str, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.parquet"
    batches = batches_of(connection, table, model())
    found = predicted(batches, out)
    assert found == Predicted(rows=2880, without_features=960)
    written = pq.read_table(out)
    assert {
        name: str(kind) for name, kind in zip(written.schema.names, written.schema.types, strict=True)
    } == {
        "id": "int64",
        "event_time": "timestamp[us, tz=UTC]",
        "size": "double",
        "count": "double",
        "colour": "string",
        "score": "double",
        "version": "string",
        "role": "string",
        "run_id": "string",
    }
    row = written.slice(0, 1).to_pylist()[0]
    assert (row["score"], row["version"], row["role"], row["run_id"]) == (0.5, "3", "champion", "predict-1")
    assert written["size"].null_count == 960
    assert written["id"].to_pylist() == pd.concat(batches)["id"].to_list()


def test_each_batch_is_written_before_the_next_is_read(tmp_path: Path) -> None:
    alive: list[int] = []

    def batches() -> Iterator[pd.DataFrame]:
        for start in range(0, 500, 100):
            times = pd.date_range("2024-01-01", periods=100, freq="min", tz="UTC")
            alive.append(start)
            yield pd.DataFrame({"id": np.arange(start, start + 100), "event_timestamp": times})

    seen: list[int] = []

    def noted(rows: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(alive))
        return known(rows)

    out = tmp_path / "predictions.parquet"
    predict(batches(), noted, [Scorer(Half(), STAMP, out)], key={"id": "int64"}, features=FEATURES)
    assert seen == [1, 2, 3, 4, 5]
    assert pq.ParquetFile(out).metadata.num_row_groups == 5


def test_an_empty_window_is_a_file_without_rows(tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    assert predicted([], out) == Predicted(rows=0, without_features=0)
    assert pq.read_table(out).schema.names[0] == "id"


@pytest.mark.parametrize("name", ["score", "version", "event_time"])
def test_a_feature_called_like_a_column_of_ours_is_refused(name: str) -> None:
    with pytest.raises(FeatureStoreError, match=f"{name} is a column of the predictions themselves"):
        predict([], known, [], key={"id": "int64"}, features={name: "float64"})


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("true)); COPY (SELECT 1) TO 'stolen.csv' --", "syntax error"),
        ("true) OR (true", "syntax error"),
        ("id IN (SELECT id FROM 'other.parquet')", "asks for more than the row"),
        ("known_at > now()", "now reads the clock"),
        ("age(known_at) > INTERVAL 1 DAY", "reads the clock"),
        ("random() > 0.5", "random gives other rows each time"),
    ],
)
def test_a_condition_is_one_expression_on_the_row(
    connection: Connection, table: str, where: str, said: str
) -> None:
    with pytest.raises(SpecError, match=rf"models/shapes\.yaml: entities\.where: .*{said}"):
        rows_of(connection, table, model(where=where))


def test_a_row_is_positive_from_the_threshold_on(tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    times = pd.date_range("2024-01-01", periods=3, freq="min", tz="UTC")
    rows = pd.DataFrame({"id": [1, 2, 3], "event_timestamp": times})
    for threshold, positive in ((0.5, True), (0.6, False)):
        predict(
            [rows],
            known,
            [Scorer(Half(), STAMP, out)],
            key={"id": "int64"},
            features=FEATURES,
            threshold=threshold,
        )
        assert pq.read_table(out)["positive"].to_pylist() == [positive] * 3
