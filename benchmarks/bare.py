"""The starter's loop by hand, with bare calls of the libraries.

No ledger, no lineage, no gate, no safe retry: what a notebook would do. `benchmarks/loop.py` times it.
"""

import os
from pathlib import Path
from typing import Any

import great_expectations as gx
import mlflow
import mlflow.lightgbm
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = {"price": Float64, "discount": Int64, "items": Int64, "new_customer": Int64}
FEATURES = ["category", *NUMBERS]
REFERENCES = [f"order_facts:{name}" for name in FEATURES]
HOLDOUT = pd.Timedelta(days=10)
DELAY = pd.Timedelta(days=7)


class Loop:
    """The steps, on files in one folder."""

    def __init__(self, orders: Path, folder: Path) -> None:
        """Make the stores."""
        self.orders = orders
        self.folder = folder
        self.lake = folder / "lake"
        self.lake.mkdir(parents=True)
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        os.chdir(folder)
        mlflow.set_experiment("returns")
        self.store: FeatureStore | None = None
        self.reference = pd.DataFrame()

    def ingest(self, start: pd.Timestamp, end: pd.Timestamp) -> None:
        """Read a window, validate it, write it, bring it online."""
        rows = pd.read_csv(self.orders, parse_dates=["ordered_at"])
        rows = rows[(rows["ordered_at"] >= start) & (rows["ordered_at"] < end)]
        validate(rows)
        rows.to_parquet(self.lake / f"{start:%Y%m%d}.parquet")
        self.store = self.store or feature_store(self.lake, self.folder)
        self.store.materialize(start, end)

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Join the features to rows as of their times."""
        entities = rows[["order_id", "ordered_at", "returned"]].rename(
            columns={"ordered_at": "event_timestamp"}
        )
        assert self.store is not None  # noqa: S101
        return self.store.get_historical_features(entities, REFERENCES).to_df()

    def train(self, as_of: pd.Timestamp) -> None:
        """Fit two candidates, take the better one, log and register it as champion."""
        rows = pd.read_parquet(self.lake)
        frame = self.features(rows[rows["ordered_at"] < as_of - DELAY])
        late = frame["event_timestamp"] >= as_of - DELAY - HOLDOUT
        fit, held = coded(frame[~late]), coded(frame[late])
        best = min((model.fit(fit[FEATURES], fit["returned"]) for model in candidates()), key=loss_on(held))
        metrics = measured(held["returned"], best.predict_proba(held[FEATURES])[:, 1])
        final = best.fit(*split(coded(frame)))
        self.reference = coded(frame)[FEATURES].tail(10_000)
        self._register(final, metrics)

    def _register(self, model: Any, metrics: dict[str, float]) -> None:
        example = self.reference.head(5)
        signature = mlflow.models.infer_signature(example, model.predict(example))
        flavour: Any = mlflow.lightgbm if isinstance(model, LGBMClassifier) else mlflow.sklearn
        with mlflow.start_run():
            mlflow.log_metrics(metrics)
            logged = flavour.log_model(
                model,
                name="model",
                signature=signature,
                pip_requirements=["lightgbm", "scikit-learn"],
                registered_model_name="returns",
                **({} if flavour is mlflow.lightgbm else {"serialization_format": "cloudpickle"}),
            )
        mlflow.MlflowClient().set_registered_model_alias(
            "returns", "champion", logged.registered_model_version
        )
        self.flavour = flavour

    def predict(self, start: pd.Timestamp) -> None:
        """Score a window's rows with the champion."""
        rows = pd.read_parquet(self.lake / f"{start:%Y%m%d}.parquet")
        frame = coded(self.features(rows))
        model = self.flavour.load_model("models:/returns@champion")
        frame["score"] = model.predict_proba(frame[FEATURES])[:, 1]
        frame.to_parquet(self.folder / f"predictions_{start:%Y%m%d}.parquet")

    def monitor(self, start: pd.Timestamp) -> None:
        """Join labels, measure, compare each feature with the training's, draw the report."""
        frame = pd.read_parquet(self.folder / f"predictions_{start:%Y%m%d}.parquet")
        measured(frame["returned"], frame["score"])
        definition = DataDefinition(numerical_columns=list(NUMBERS), categorical_columns=["category"])
        data = [Dataset.from_pandas(text(each), definition) for each in (frame[FEATURES], self.reference)]
        drift = Report([ValueDrift(column=name) for name in FEATURES], include_tests=True)
        drift.run(*data).json()
        Report([DataDriftPreset()]).run(*data).save_html(str(self.folder / f"drift_{start:%Y%m%d}.html"))


def validate(rows: pd.DataFrame) -> None:
    """Hold rows against the starter's suite."""
    context = gx.get_context(mode="ephemeral")
    batch = (
        context.data_sources.add_pandas("p")
        .add_dataframe_asset("a")
        .add_batch_definition_whole_dataframe("b")
    )
    made = gx.expectations
    suite = gx.ExpectationSuite(
        name="orders",
        expectations=[
            made.ExpectColumnValuesToBeUnique(column="order_id"),
            made.ExpectColumnValuesToNotBeNull(column="ordered_at"),
            made.ExpectColumnValuesToBeBetween(column="price", min_value=0),
            made.ExpectColumnValuesToBeInSet(column="returned", value_set=[0, 1]),
            made.ExpectColumnValuesToBeInSet(column="category", value_set=["books", "clothes", "toys"]),
        ],
    )
    result = batch.get_batch({"dataframe": rows}).validate(suite)
    if not result.success:
        raise ValueError(str(result))


def feature_store(lake: Path, folder: Path) -> FeatureStore:
    """Apply the starter's feature view to a store with Feast's default offline store."""
    config = RepoConfig(
        project="shop",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    order = Entity(name="order", join_keys=["order_id"], value_type=ValueType.STRING)
    schema = [Field(name=name, dtype=kind) for name, kind in {"category": String, **NUMBERS}.items()]
    source = FileSource(path=str(lake), timestamp_field="ordered_at")
    view = FeatureView(
        name="order_facts",
        entities=[order],
        ttl=pd.Timedelta(days=30).to_pytimedelta(),
        schema=[Field(name="order_id", dtype=String), *schema],
        source=source,
    )
    store.apply([order, view])
    return store


def candidates() -> list[Any]:
    """Return the starter's two candidates."""
    columns = make_column_transformer((OneHotEncoder(), ["category"]), (StandardScaler(), list(NUMBERS)))
    return [
        LGBMClassifier(n_estimators=120, learning_rate=0.05, num_leaves=15, n_jobs=1, verbose=-1),
        make_pipeline(columns, LogisticRegression()),
    ]


def coded(frame: pd.DataFrame) -> pd.DataFrame:
    """Make the category one that LightGBM takes."""
    kind = pd.CategoricalDtype(["books", "clothes", "toys"])
    return frame.assign(category=frame["category"].astype(kind))


def text(frame: pd.DataFrame) -> pd.DataFrame:
    """Make the category one that Evidently takes."""
    return frame.assign(category=frame["category"].astype(str))


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    """Return features and label."""
    return frame[FEATURES], frame["returned"]


def loss_on(held: pd.DataFrame) -> Any:
    """Return a function that scores a model on held-out rows."""
    return lambda model: log_loss(held["returned"], model.predict_proba(held[FEATURES])[:, 1])


def measured(truth: "pd.Series[Any]", score: Any) -> dict[str, float]:
    """Return the starter's metrics."""
    return {
        "log_loss": float(log_loss(truth, score)),
        "roc_auc": float(roc_auc_score(truth, score)),
        "brier": float(brier_score_loss(truth, score)),
    }
