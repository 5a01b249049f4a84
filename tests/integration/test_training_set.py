"""Training sets from real published tables and a real feature store."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from keepfit.cli.transform_check import Compiled
from keepfit.errors import ConfError, NotReadyError, TrainingError
from keepfit.pipeline.feature_check import feature_problems
from keepfit.steps.training_set import TrainingSet, build_training_set

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

# Customer, ordered at, amount, returned.
ORDERS = [
    ("ann", "2 10:00", 10.0, 1),
    ("bob", "2 11:00", 30.0, 0),
    ("ann", "3 09:00", 20.0, 0),
    ("zoe", "3 10:00", 50.0, None),
    ("bob", "5", 40.0, 1),
    ("ann", "7", 15.0, 0),
]


def orders(shop: "Shop", rows: list[tuple[str, str, float, int | None]]) -> None:
    frame = pd.DataFrame(rows, columns=["customer", "ordered_at", "amount", "returned"])
    frame = frame.assign(order_id=range(1, len(frame) + 1), ordered_at=frame["ordered_at"].map(shop.at))
    shop.publish("orders", frame.astype({"returned": "Int64"}))


@pytest.fixture
def open_shop(shop: "Shop") -> "Shop":
    orders(shop, ORDERS)
    shop.habits(("ann", "1", 1, 100.0, "a"), ("ann", "2 12:00", 2, 200.0, "a"), ("bob", "2", 3, 300.0, "b"))
    return shop


def build(shop: "Shop", as_of: str = "8", **options: Any) -> TrainingSet:
    project = shop.project
    assert not project.problems, project.problems
    return build_training_set(
        project.model("returns_soon"),
        project.datasets,
        shop.store(),
        shop.lake,
        as_of=shop.at(as_of).to_pydatetime(),
        out=shop.root / "training_set.parquet",
        scratch=shop.root / "scratch",
        **options,
    )


def ids(built: TrainingSet) -> list[int]:
    found: list[int] = pd.read_parquet(built.path)["order_id"].tolist()
    return found


def test_a_training_set_is_the_labelled_rows_with_their_features_by_time(open_shop: "Shop") -> None:
    built = build(open_shop)
    rows = pd.read_parquet(built.path)
    columns = ["order_id", "event_time", "visits", "spend", "tier", "share", "label"]
    assert list(rows.columns) == columns
    assert rows["order_id"].tolist() == [1, 2, 3, 5]
    assert rows["spend"].tolist()[:3] == [100.0, 300.0, 200.0]
    assert rows["share"].tolist()[:3] == [0.1, 0.1, 0.1]
    assert rows["label"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert dict(built.features) == {
        "visits": "int64",
        "spend": "float64",
        "tier": "string",
        "share": "float64",
    }
    assert built.categorical == ("tier",)
    assert built.rows == 4
    assert (built.first, built.last) == (open_shop.at("2 10:00"), open_shop.at("5"))


def test_no_label_is_used_before_it_is_known(open_shop: "Shop") -> None:
    built = build(open_shop, as_of="6 09:00")
    assert ids(built) == [1, 2, 3]
    assert built.dropped == {"label not known yet": 2, "no label": 0, "in a window of broken data": 0}
    assert ids(build(open_shop, as_of="6 08:59")) == [1, 2]
    later = build(open_shop, as_of="6 10:00").dropped
    assert (later["label not known yet"], later["no label"]) == (1, 1)


def test_a_row_at_or_after_the_moment_does_not_count_at_all(open_shop: "Shop") -> None:
    assert build(open_shop, as_of="7").dropped["label not known yet"] == 1
    assert build(open_shop, as_of="7 00:01").dropped["label not known yet"] == 2


def test_where_picks_the_rows(open_shop: "Shop") -> None:
    where = "where: customer = 'ann' OR amount > 35,"
    open_shop.edit("models/returns_soon.yaml", "dataset: orders,", f"dataset: orders, {where}")
    assert ids(build(open_shop)) == [1, 3, 5]
    assert build(open_shop, as_of="7").dropped["label not known yet"] == 1


@pytest.mark.parametrize("setting", ["start: 2020-06-03", "length: 5d"])
def test_history_can_be_cut(open_shop: "Shop", setting: str) -> None:
    open_shop.edit("models/returns_soon.yaml", "holdout: 2d,", f"holdout: 2d, {setting},")
    assert ids(build(open_shop)) == [3, 5]


@pytest.mark.parametrize(
    ("as_of", "more", "kept"),
    [
        ("22", "", [*range(1, 6), *range(9, 16), 19, 20, 21]),
        ("21 12:00", "", [*range(1, 5), *range(9, 15), 19, 20]),
        ("22", ", start: 2020-06-04", [4, 5, *range(9, 16), 19, 20, 21]),
        ("5", "", [2, 3, 4]),
    ],
)
def test_the_same_season_is_picked_from_this_period_and_those_before(
    open_shop: "Shop", as_of: str, more: str, kept: list[int]
) -> None:
    orders(open_shop, [("ann", f"{day}", 10.0, day % 2) for day in range(1, 22)])
    season = f"delay: 1d}}\ntrain: {{holdout: 1d, season: {{period: 10d, around: 3d}}{more},"
    open_shop.edit("models/returns_soon.yaml", "delay: 3d}\ntrain: {holdout: 2d,", season)
    assert ids(build(open_shop, as_of=as_of)) == kept


def test_a_label_is_joined_from_another_dataset_by_key_as_known_by_then(open_shop: "Shop") -> None:
    decided = [(1, "4", 0.0), (1, "5", 1.0), (2, "5", 0.0), (3, "9", 1.0), (1, "9", 0.0)]
    frame = pd.DataFrame(decided, columns=["order_id", "decided_at", "came_back"])
    open_shop.publish("returns", frame.assign(decided_at=frame["decided_at"].map(open_shop.at)))
    open_shop.edit("models/returns_soon.yaml", "column: returned,", "column: came_back, dataset: returns,")
    built = build(open_shop)
    rows = pd.read_parquet(built.path)
    assert dict(zip(rows["order_id"], rows["label"], strict=True)) == {1: 1.0, 2: 0.0}
    assert built.dropped["no label"] == 3
    assert set(built.versions) == {"orders", "returns", "habits"}


def test_chunks_change_nothing(open_shop: "Shop") -> None:
    whole = pd.read_parquet(build(open_shop).path)
    pieces = pd.read_parquet(build(open_shop, chunk_rows=1).path)
    pd.testing.assert_frame_equal(whole, pieces)


SLICED = """
evaluate:
  objective: log_loss
  gate:
    slices: [{column: amount, floors: {log_loss: 1}}, {column: visits, floors: {log_loss: 1}}]"""


def test_columns_to_slice_by_come_along_as_texts_and_train_nothing(open_shop: "Shop") -> None:
    open_shop.edit("models/returns_soon.yaml", "\nevaluate: {objective: log_loss}", SLICED)
    built = build(open_shop, chunk_rows=1)
    rows = pd.read_parquet(built.path)
    features = ["visits", "spend", "tier", "share"]
    assert list(rows.columns) == ["order_id", "event_time", *features, "amount", "label"]
    amounts = dict(zip(range(1, len(ORDERS) + 1), (f"{each[2]:g}" for each in ORDERS), strict=True))
    assert list(rows["amount"]) == [amounts[order] for order in rows["order_id"]]
    assert list(built.features) == features


def test_a_column_to_slice_by_that_the_rows_lack_is_named(open_shop: "Shop") -> None:
    sliced = SLICED.replace("visits", "amonut")
    open_shop.edit("models/returns_soon.yaml", "\nevaluate: {objective: log_loss}", sliced)
    with pytest.raises(TrainingError) as refused:
        build(open_shop)
    assert str(refused.value) == (
        "models/returns_soon.yaml: evaluate.gate.slices: the rows have no column 'amonut'. Did you mean "
        "'amount'? Slice by a feature, or by a column of the key or of `entities.columns`."
    )


def test_a_training_set_is_the_same_to_the_byte_again(open_shop: "Shop") -> None:
    first = build(open_shop)
    assert build(open_shop) == first
    assert hashlib.sha256(first.path.read_bytes()).hexdigest() == first.digest


def test_what_was_built_survives_json_with_its_features_in_order(open_shop: "Shop") -> None:
    built = build(open_shop)
    read = TrainingSet.of(json.loads(json.dumps(built.as_dict(), sort_keys=True)))
    assert read == built
    assert list(read.features) == ["visits", "spend", "tier", "share"]
    assert isinstance(read.as_of, datetime)
    assert isinstance(read.path, Path)


def test_a_feature_without_any_value_is_left_out_and_named(open_shop: "Shop") -> None:
    open_shop.habits(("ann", "1", 1, 100.0, None), ("bob", "2", 3, 300.0, None))
    built = build(open_shop)
    assert built.empty_features == ("tier",)
    assert "tier" not in built.features


def test_a_training_set_without_a_feature_value_is_refused(open_shop: "Shop") -> None:
    open_shop.habits(("zed", "1", 1, 100.0, "a"))
    with pytest.raises(TrainingError, match="No feature of 'shopper' has a value in any of 4 rows"):
        build(open_shop)


def test_no_rows_are_refused_with_what_became_of_them(open_shop: "Shop") -> None:
    message = (
        r"There is no row to train 'returns_soon' on as of 2020-06-05T00:00:00\+00:00. Of 4 rows of "
        r"'orders' by then, 4 have no label yet \(it is known 3d after the event\), and 0 have an empty one"
    )
    with pytest.raises(TrainingError, match=message):
        build(open_shop, as_of="5")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("delay: 3d", "delay: 999999d", "label.delay"),
        ("holdout: 2d", "holdout: 2d, length: 999999d", "train.length"),
    ],
)
def test_a_duration_longer_than_the_calendar_is_named(
    open_shop: "Shop", old: str, new: str, field: str
) -> None:
    open_shop.edit("models/returns_soon.yaml", old, new)
    with pytest.raises(ConfError) as refused:
        build(open_shop)
    assert str(refused.value) == (
        f"models/returns_soon.yaml: {field}: so long before 2020-06-08T00:00:00+00:00 lies outside the "
        "years 1 to 9999. Choose another time, or a shorter duration."
    )


def test_a_single_class_is_refused(open_shop: "Shop") -> None:
    orders(open_shop, [(*row[:3], 1) for row in ORDERS])
    with pytest.raises(TrainingError, match="All 5 rows have the label 1: there is nothing to tell apart"):
        build(open_shop)


def test_a_label_that_is_a_feature_is_refused(open_shop: "Shop") -> None:
    open_shop.edit("models/returns_soon.yaml", "column: returned,", "column: spend, dataset: null,")
    with pytest.raises(TrainingError) as refused:
        build_unchecked(open_shop)
    assert str(refused.value) == (
        "models/returns_soon.yaml: label.column: 'spend' is also a feature of 'shopper', which would give "
        "the answer away. Take it out of the service."
    )


ENDINGS = """
placed = Entity(name="placed", join_keys=["order_id"], value_type=ValueType.INT64)
endings = FeatureView(
    name="endings",
    entities=[placed],
    schema=[Field(name=name, dtype=Float64) for name in (FIELDS)],
    source=SOURCE,
)


@on_demand_feature_view(sources=[endings], schema=[Field(name="hidden", dtype=Float64)])
def hidden(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"hidden": inputs.iloc[:, -1]})


shopper = FeatureService(name="shopper", features=[habits, ENDING])
"""
SHOPPER = 'shopper = FeatureService(name="shopper", features=[habits, basket])'


def refused(shop: "Shop") -> list[str]:
    """Return what `keepfit check` and a training say of the features; they say the same."""
    told = [str(problem) for problem in feature_problems(shop.project, Compiled(shop.project).columns)]
    if told:
        with pytest.raises(TrainingError) as error:
            build(shop)
        assert str(error.value).splitlines() == told
    return told


def with_endings(shop: "Shop", source: str, *fields: str, ending: str = "endings") -> None:
    text = ENDINGS.replace("FIELDS", f"{', '.join(map(repr, fields))},")
    text = text.replace("SOURCE", source).replace("ENDING", ending)
    shop.edit("features.py", SHOPPER, text.replace("published(", "renamed("))
    file = shop.root / "feature_repo/features.py"
    file.write_text(f"{file.read_text()}".replace("buyer = ", f"{RENAMED}\nbuyer = ", 1))


RENAMED = """
def renamed(dataset, **names):
    source = published(dataset)
    source.field_mapping = {column: feature for feature, column in names.items()}
    return source
"""


@pytest.mark.parametrize("ending", ["endings", "hidden"])
def test_the_label_under_another_name_is_refused(open_shop: "Shop", ending: str) -> None:
    with_endings(
        open_shop, 'published("orders", size="amount", end="returned")', "size", "end", ending=ending
    )
    assert refused(open_shop) == [
        "models/returns_soon.yaml: label.column: 'returned' of 'orders' is in the view 'endings' as 'end', "
        "which would give the answer away. Take it out of the view. What is known of earlier labels belongs "
        "in a dataset computed from this one, with the event time at which they are known."
    ]


def test_the_label_of_another_dataset_is_refused_under_another_name(open_shop: "Shop") -> None:
    label = "label: {column: came_back, dataset: returns, delay: 3d}"
    open_shop.edit("models/returns_soon.yaml", "label: {column: returned, delay: 3d}", label)
    with_endings(open_shop, 'published("returns", end="came_back")', "end")
    (told,) = refused(open_shop)
    assert "label.column: 'came_back' of 'returns' is in the view 'endings' as 'end'" in told


def test_a_view_on_the_rows_own_dataset_holds_only_what_the_model_says_is_known(open_shop: "Shop") -> None:
    with_endings(open_shop, 'published("orders", size="amount", known="paid")', "size", "known")
    orders_file = "datasets/orders.yaml"
    open_shop.edit(orders_file, "returned: int64", "returned: int64, paid: float64")
    open_shop.publish("orders", paid_orders(open_shop))
    assert refused(open_shop) == [
        "models/returns_soon.yaml: entities.known: lacks 'paid', which the view 'endings' reads from "
        "'orders', the rows' own dataset. If it is known when the prediction is asked for, add it; if it is "
        "known later, take it out of the view: it would tell how the row ends."
    ]
    open_shop.edit("models/returns_soon.yaml", "amount]}", "amount], known: [paid]}")
    assert refused(open_shop) == []
    assert "known" in build(open_shop).features


def paid_orders(shop: "Shop") -> pd.DataFrame:
    frame = pd.read_parquet(shop.root / "orders.parquet")
    return frame.assign(paid=1.0).astype({"returned": "Int64"})


def build_unchecked(shop: "Shop") -> TrainingSet:
    """Build from a model whose file `keepfit check` refuses: a published table may differ from its spec."""
    from keepfit.spec import ModelSpec
    from keepfit.spec.yaml_file import read_yaml

    file = shop.root / "feature_repo/models/returns_soon.yaml"
    spec = ModelSpec.model_validate(read_yaml(file, file.name).content)
    moment = shop.at("8").to_pydatetime()
    out = shop.root / "training_set.parquet"
    datasets = shop.project.datasets
    return build_training_set(
        spec, datasets, shop.store(), shop.lake, as_of=moment, out=out, scratch=shop.root
    )


def with_column(shop: "Shop", name: str, values: list[int]) -> None:
    """Publish the orders with a column more, which the model has among those of its rows."""
    shop.edit("datasets/orders.yaml", "returned: int64", f"returned: int64, {name}: int64")
    shop.edit(
        "models/returns_soon.yaml", "columns: [customer, amount]", f"columns: [customer, amount, {name}]"
    )
    frame = pd.DataFrame(ORDERS, columns=["customer", "ordered_at", "amount", "returned"])
    frame = frame.assign(order_id=range(1, 7), ordered_at=frame["ordered_at"].map(shop.at), **{name: values})
    shop.publish("orders", frame.astype({"returned": "Int64"}))


@pytest.mark.parametrize("name", ["known", "usable"])
def test_what_a_column_is_called_decides_nothing_about_its_rows(shop: "Shop", name: str) -> None:
    with_column(shop, name, [0, 1, 0, 1, 1, 1])
    shop.habits(("ann", "1", 1, 100.0, "a"), ("bob", "2", 3, 300.0, "b"))
    assert ids(build_unchecked(shop)) == [1, 2, 3, 5]


@pytest.mark.parametrize("name", ["label", "Label", "event_time", "event_timestamp"])
def test_a_column_named_as_one_the_training_set_adds_is_refused(shop: "Shop", name: str) -> None:
    with_column(shop, name, [0, 1, 0, 1, 1, 1])
    with pytest.raises(TrainingError) as refused:
        build_unchecked(shop)
    assert str(refused.value) == (
        f"models/returns_soon.yaml: entities: the rows of 'orders' would bring a column {name!r}, and a "
        "training set has one of its own of that name. Leave it out of `entities.columns`, or give it "
        "another name in the dataset."
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dataset: orders,", "dataset: orders, where: amont > 3,"),
        ("columns: [customer, amount]", "columns: [customer, amount, colour]"),
        ("column: returned", "column: ordered_at"),
    ],
)
def test_a_model_that_does_not_fit_its_rows_is_refused(open_shop: "Shop", old: str, new: str) -> None:
    open_shop.edit("models/returns_soon.yaml", old, new)
    with pytest.raises(
        TrainingError, match=r"models/returns_soon.yaml: the rows of 'orders' cannot be selected"
    ):
        build_unchecked(open_shop)


def test_an_unpublished_dataset_is_named(shop: "Shop") -> None:
    with pytest.raises(NotReadyError, match="Nothing of 'orders' is published"):
        build(shop)
