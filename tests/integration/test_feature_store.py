"""Features in real Feast stores: a SQL registry and an online store on SQLite, tables in a real lake."""

import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from feast.infra.offline_stores.ibis import get_historical_features_ibis

from keepfit.backends.feature_store.lake_source import read_source
from keepfit.cli.transform_check import Compiled
from keepfit.errors import FeatureStoreError, NotReadyError
from keepfit.pipeline.feature_check import feature_problems
from keepfit.spec import Window

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

# Feast's own join, which is compared with ours, and ibis beneath it.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


def asked(shop: "Shop", *rows: tuple[str | None, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer", "event_timestamp"])
    return frame.assign(event_timestamp=frame["event_timestamp"].map(shop.at), amount=10.0)


def spends(shop: "Shop", *rows: tuple[str | None, str]) -> list[float | None]:
    store = shop.store()
    store.register()
    found = store.historical(asked(shop, *rows), "shopper")["spend"]
    return [None if pd.isna(value) else float(value) for value in found]


def test_a_row_gets_the_newest_value_known_by_then(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"), ("ann", "2", 2, 20.0, "a"), ("bob", "1", 7, 70.0, "b"))
    assert spends(shop, ("ann", "1 23:59"), ("ann", "2"), ("ann", "2 12:00"), ("bob", "2 12:00")) == [
        10,
        20,
        20,
        70,
    ]


def test_a_value_is_not_known_before_its_time(shop: "Shop") -> None:
    shop.habits(("ann", "2", 1, 10.0, "a"))
    assert spends(shop, ("ann", "1 23:59")) == [None]


def test_a_value_expires_after_its_time_to_live_and_not_at_its_end(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"))
    assert spends(shop, ("ann", "3"), ("ann", "3 00:01")) == [10, None]


def test_an_expired_value_does_not_hide_behind_an_older_one(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"), ("ann", "2", 2, None, "a"))
    assert spends(shop, ("ann", "2 12:00")) == [None]


def test_an_unknown_key_and_no_key_at_all_get_nothing(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"), (None, "1", 9, 90.0, "n"))
    assert spends(shop, ("zoe", "2"), (None, "2"), ("ann", "2")) == [None, None, 10]


def test_rows_come_back_in_their_order_each_once(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"), ("bob", "1", 2, 20.0, "b"))
    rows = [("bob", "2"), ("ann", "2"), ("bob", "2"), ("ann", "1 12:00"), ("ann", "2")]
    assert spends(shop, *rows) == [20, 10, 20, 10, 10]


def test_a_published_dataset_without_rows_gives_nulls(shop: "Shop") -> None:
    shop.habits()
    assert spends(shop, ("ann", "1")) == [None]


def test_an_on_demand_view_is_computed_from_joined_values_and_the_rows_own(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 40.0, "a"))
    store = shop.store()
    store.register()
    found = store.historical(asked(shop, ("ann", "2"), ("bob", "2")), "shopper")
    assert found["share"].tolist()[0] == 0.25
    assert list(found.columns) == [
        "customer",
        "event_timestamp",
        "amount",
        "visits",
        "spend",
        "tier",
        "share",
    ]
    assert found["visits"].dtype == np.float64
    assert found["tier"].tolist() == ["a", None]


def test_rows_can_be_joined_with_an_older_publication(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"))
    before = shop.lake.version("habits")
    shop.habits(("ann", "1", 1, 99.0, "a"))
    store = shop.store()
    store.register()
    rows = asked(shop, ("ann", "2"))
    assert store.historical(rows, "shopper", {"habits": before})["spend"].tolist() == [10]
    assert store.historical(rows, "shopper")["spend"].tolist() == [99]


@pytest.mark.parametrize("seed", range(3))
def test_of_tied_rows_the_greatest_counts_offline_and_online_in_whatever_order_they_lie(
    shop: "Shop", seed: int
) -> None:
    shop.edit("datasets/habits.yaml", "key: [customer, seen_at]", "key: [customer, seen_at, visits]")
    tied: list[tuple[str | None, str, int | None, float | None, str | None]] = [
        ("ann", "1", 1, 10.0, "a"),
        ("ann", "2", 2, 30.0, "a"),
        ("ann", "2", 9, 20.0, "z"),
        ("ann", "2", 8, None, "z"),
        ("bob", "2", 1, 5.0, "a"),
        ("bob", "2", 2, 5.0, "b"),
        ("bob", "2", 3, 5.0, None),
    ]
    many = [(f"c{number}", "2", place, float(place), "a") for number in range(99) for place in range(5)]
    rows = [*tied, *many]
    shop.habits(*(rows[place] for place in np.random.default_rng(seed).permutation(len(rows))))
    store = shop.store()
    store.register()
    store.materialize("habits", Window(shop.at("1").to_pydatetime(), shop.at("3").to_pydatetime()))
    greatest = {
        "ann": [30, 2, "a"],
        "bob": [5, 2, "b"],
        **{f"c{number}": [4, 4, "a"] for number in range(99)},
    }
    asks = asked(shop, *((name, "2 01:00") for name in greatest))
    offline = store.historical(asks, "shopper")[["spend", "visits", "tier"]]
    assert offline.to_numpy().tolist() == list(greatest.values())
    online = store.online("shopper", [{"customer": name, "amount": 1.0} for name in greatest])
    assert [[each[name] for name in ("spend", "visits", "tier")] for each in online] == [*greatest.values()]


TIES = """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

one = Entity(name="one", join_keys=["a"], value_type=ValueType.STRING)
two = Entity(name="two", join_keys=["b"], value_type=ValueType.INT64)
pairs = FeatureView(
    name="pairs", entities=[one, two], ttl=timedelta(hours=5),
    schema=[Field(name="x", dtype=Float64), Field(name="t", dtype=String)],
    source=FileSource(
        name="pairs", path="{lake}/pairs", file_format=DeltaFormat(),
        timestamp_field="known", created_timestamp_column="written", field_mapping={{"x_raw": "x"}},
    ),
)
singles = FeatureView(
    name="singles", entities=[one], ttl=timedelta({ttl}),
    schema=[Field(name="n", dtype=Int64)],
    source=FileSource(
        name="singles", path="{lake}/singles", file_format=DeltaFormat(), timestamp_field="known"
    ),
)
both = FeatureService(name="both", features=[pairs, singles.with_join_key_map({{"a": "other"}})])
"""


LETTERS = np.array(["p", "q", "r", None], dtype=object)


def random_tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Make values with ties, nulls and gaps, and rows that ask exactly at, between and far from them."""
    random = np.random.default_rng(seed)
    start = pd.Timestamp("2020-06-01", tz="UTC")

    def table(rows: int, **columns: Any) -> pd.DataFrame:
        return pd.DataFrame({"a": random.choice(LETTERS, rows), **columns})

    def moments(rows: int) -> Any:
        return start + pd.to_timedelta(random.integers(0, 40, rows), unit="h")

    pairs = table(
        300, b=random.integers(0, 3, 300), x_raw=random.normal(size=300), t=random.choice(LETTERS[2:], 300)
    )
    pairs = pairs.assign(
        known=moments(300), written=start + pd.to_timedelta(random.permutation(300), unit="m")
    )
    pairs.loc[random.random(300) < 0.2, "x_raw"] = np.nan
    singles = (
        table(200, n=random.integers(0, 9, 200)).assign(known=moments(200)).drop_duplicates(["a", "known"])
    )
    # The key 3 is unknown.
    rows = table(250, b=random.integers(0, 4, 250), other=random.choice(LETTERS, 250))
    return (
        pairs,
        singles,
        rows.assign(event_timestamp=moments(250) + pd.to_timedelta(random.integers(0, 2, 250), "s")),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ttl", ["hours=3", "0"])
def test_the_join_gives_what_feasts_own_gives(shop: "Shop", seed: int, ttl: str) -> None:
    pairs, singles, rows = random_tables(seed)
    shop.edit("datasets/habits.yaml", "feature_views: [habits]", "")
    shop.write("features.py", TIES.format(lake=shop.project.locations.lake.parent / "elsewhere", ttl=ttl))
    for name, table in (("pairs", pairs), ("singles", singles)):
        shop.publish(name, table)
    (shop.root / ".keepfit" / "elsewhere").symlink_to(shop.project.locations.lake)
    store = shop.store()
    store.register()
    ours = store.historical(rows.assign(row=range(len(rows))), "both")

    feast = store._feast
    views = [view.with_projection(projection) for view, projection in _projected(feast)]
    theirs = get_historical_features_ibis(
        config=feast.config,
        feature_views=views,
        feature_refs=["pairs:x", "pairs:t", "singles:n"],
        entity_df=rows.assign(row=range(len(rows))),
        registry=feast.registry,
        project="shop",
        data_source_reader=read_source,
        data_source_writer=None,
    ).to_df()
    theirs = theirs.sort_values("row", ignore_index=True)
    assert ours["x"].notna().sum() > 50
    assert ours["n"].notna().sum() > 50
    for column in ("x", "n"):
        np.testing.assert_array_equal(ours[column].to_numpy(float), theirs[column].to_numpy(float))
    assert ours["t"].tolist() == theirs["t"].astype(object).where(theirs["t"].notna(), None).tolist()
    assert ours["row"].tolist() == list(range(len(rows)))


def _projected(feast: Any) -> list[tuple[Any, Any]]:
    service = feast.get_feature_service("both")
    return [(feast.get_feature_view(each.name), each) for each in service.feature_view_projections]


def test_what_is_registered_already_is_not_imported_again(shop: "Shop") -> None:
    imports = shop.root / "imports.txt"
    shop.edit(
        "features.py",
        "from datetime",
        f"with open({str(imports)!r}, 'a') as file:\n    file.write('x')\nfrom datetime",
    )
    first = shop.store().register()
    assert shop.store().register() == first
    assert imports.read_text() == "x"


def test_a_repository_that_does_not_import_is_refused_with_the_file(shop: "Shop") -> None:
    shop.edit("features.py", "import pandas as pd", "import pandaz as pd")
    with pytest.raises(
        FeatureStoreError, match=r"features.py does not import: ModuleNotFoundError: No module"
    ):
        shop.store().register()


def test_files_of_a_repository_may_import_each_other_and_leave_no_trace(
    shop: "Shop", monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = ModuleType("features")
    monkeypatch.setitem(sys.modules, "features", stranger)
    shop.write("more.py", "from feast import FeatureService\nfrom features import habits\n"
                          "small = FeatureService(name='small', features=[habits[['spend']]])\n")  # fmt: skip
    path = list(sys.path)
    store = shop.store()
    store.register()
    assert store.service("small").feature_names == ("spend",)
    assert sys.modules["features"] is stranger
    assert "more" not in sys.modules
    assert sys.path == path


def test_what_is_new_is_registered_by_itself(shop: "Shop") -> None:
    first = shop.store().register()
    more = '\nvisitor = FeatureService(name="visitor", features=[habits])\n'
    shop.write("features.py", (shop.root / "feature_repo/features.py").read_text() + more)
    store = shop.store()
    assert store.register() != first
    assert store.service("visitor").feature_names == ("visits", "spend", "tier")


def test_what_goes_waits_until_the_edit_is_applied(shop: "Shop") -> None:
    first = shop.store().register()
    shop.edit("features.py", 'name="shopper"', 'name="visitor"')
    store = shop.store()
    assert store.register() == first
    assert store.service("shopper").join_keys == ("customer",)
    with pytest.raises(FeatureStoreError, match="No feature service is named 'visitor'"):
        store.service("visitor")


def test_a_service_is_described(shop: "Shop") -> None:
    store = shop.store()
    store.register()
    service = store.service("shopper")
    assert [(field.name, field.dtype, field.view) for field in service.features] == [
        ("visits", "int64", "habits"),
        ("spend", "float64", "habits"),
        ("tier", "string", "habits"),
        ("share", "float64", "basket"),
    ]
    assert service.needed_columns == ("customer", "amount")
    assert service.datasets == ("habits",)
    assert service.categorical == ("tier",)


def test_two_projects_of_one_process_do_not_mix(
    shop: "Shop", tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = type(shop)(tmp_path_factory.mktemp("other"))
    for file in shop.root.glob("feature_repo/**/*"):
        if file.is_file():
            other.write(str(file.relative_to(shop.root / "feature_repo")), file.read_text())
    shop.habits(("ann", "1", 1, 10.0, "a"))
    other.habits(("ann", "1", 1, 99.0, "a"))
    assert spends(shop, ("ann", "2")) == [10]
    assert spends(other, ("ann", "2")) == [99]


REGISTER = """
import sys
from pathlib import Path
from keepfit.backends.feature_store import FeatureStore
from keepfit.spec import load_project
print(FeatureStore(load_project(Path(sys.argv[1]))).register())
"""


@pytest.mark.slow
def test_processes_may_register_at_once(shop: "Shop", warm: list[str]) -> None:
    command = [*warm, "-c", REGISTER, str(shop.root)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    digests = {process.communicate(timeout=300)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(digests) == 1
    assert shop.store().service("shopper").datasets == ("habits",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'name="spend", dtype=Float64',
            'name="spent", dtype=Float64',
            "needs the column 'spent', which the published",
        ),
        (
            'name="spend", dtype=Float64',
            'name="spend", dtype=Int64',
            "declares 'spend' as Int64, but the published",
        ),
        ('join_keys=["customer"]', 'join_keys=["client"]', "It has: customer, seen_at, visits, spend, tier."),
    ],
)
def test_a_view_that_does_not_fit_its_published_dataset_is_refused(
    shop: "Shop", old: str, new: str, message: str
) -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"))
    shop.edit("features.py", old, new)
    with pytest.raises(FeatureStoreError, match=message):
        shop.store().register()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'name="spend", dtype=Float64',
            'name="spent", dtype=Float64',
            "The view 'habits' needs the column 'spent', which the dataset 'habits' as declared does not "
            "have. Did you mean 'spend'? It has: customer, seen_at, visits, spend, tier.",
        ),
        (
            'name="spend", dtype=Float64',
            'name="spend", dtype=Int64',
            "The view 'habits' declares 'spend' as Int64, but the dataset 'habits' as declared holds "
            "float64: online and offline values would differ. Correct the type in its schema, or cast it in "
            "the dataset's transform.",
        ),
    ],
)
@pytest.mark.parametrize("transform", [None, "FROM source"])
def test_check_holds_a_view_against_what_its_dataset_would_publish(
    shop: "Shop", old: str, new: str, message: str, transform: str | None
) -> None:
    if transform:
        shop.write("transforms/habits.sql", transform)
        shop.edit("datasets/habits.yaml", "key:", "transform: habits\nkey:")
    assert list(feature_problems(shop.project, Compiled(shop.project).columns)) == []
    shop.edit("features.py", old, new)
    (problem,) = feature_problems(shop.project, Compiled(shop.project).columns)
    assert str(problem) == f"features.py: {message}"


def test_a_join_with_a_table_that_lacks_a_column_says_so(shop: "Shop") -> None:
    store = shop.store()
    store.register()
    shop.publish("habits", pd.DataFrame({"customer": ["ann"], "seen_at": [shop.at("1")], "visits": [1]}))
    rows = pd.DataFrame({"event_timestamp": [shop.at("2")], "customer": ["ann"], "amount": [1.0]})
    with pytest.raises(FeatureStoreError) as refused:
        store.historical(rows, "shopper")
    assert str(refused.value) == (
        "features.py: The view 'habits' needs the column 'spend', which the published dataset 'habits' does "
        "not have. It has: customer, seen_at, visits. Correct the view, or ingest the dataset again with "
        "this column."
    )


def test_a_view_of_no_dataset_is_refused(shop: "Shop") -> None:
    shop.edit("features.py", 'published("habits")', 'published("habit")')
    with pytest.raises(FeatureStoreError, match=r"No dataset is named 'habit'. Did you mean 'habits'"):
        shop.store().register()


TIERS = """
tiers = FeatureView(
    name="tiers", entities=[buyer], schema=[Field(name="tier", dtype=String)], source=published("orders")
)


@on_demand_feature_view(sources=[tiers], schema=[Field(name="length", dtype=Int64)])
def lengths(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"length": inputs["tier"].str.len()})


climber = FeatureService(name="climber", features=[lengths])
"""


def test_a_broken_dataset_holds_up_only_what_reads_it(shop: "Shop") -> None:
    shop.edit("features.py", "shopper =", f"{TIERS}shopper =")
    shop.edit("datasets/orders.yaml", "key:", "kee: 1\nkey:")
    store = shop.store()
    store.register()
    assert store.service("shopper").feature_names == ("visits", "spend", "tier", "share")
    with pytest.raises(FeatureStoreError) as refused:
        store.service("climber")
    assert str(refused.value) == (
        "The feature service 'climber' reads a dataset that is left out: "
        "datasets/orders.yaml: kee: unknown field. Did you mean 'key'?"
    )
    shop.habits(("ann", "1", 1, 10.0, "a"))
    shop.store().materialize("habits", Window(shop.at("1"), shop.at("2")))


def test_what_reads_a_dataset_that_broke_stays_registered_as_it_was(shop: "Shop") -> None:
    shop.store().register()
    shop.edit("datasets/habits.yaml", "key:", "kee:")
    store = shop.store()
    store.register()
    assert store.service("shopper").datasets == ("habits",)
    assert store._feast.get_feature_view("habits").batch_source.timestamp_field == "seen_at"
    shop.edit("datasets/habits.yaml", "key:", "key:")
    assert shop.store().register() == shop.store().register()


def test_a_dataset_that_names_an_unknown_view_is_refused(shop: "Shop") -> None:
    shop.edit("datasets/habits.yaml", "[habits]", "[habbits]")
    message = "datasets/habits.yaml: feature_views: no feature view is named 'habbits'. Did you mean 'habits'"
    with pytest.raises(FeatureStoreError, match=message):
        shop.store().register()


def test_a_dataset_that_names_a_view_of_another_is_refused(shop: "Shop") -> None:
    shop.write("datasets/orders.yaml", _with_view(shop))
    with pytest.raises(FeatureStoreError, match="'habits' does not read this dataset"):
        shop.store().register()


def _with_view(shop: "Shop") -> str:
    return (shop.root / "feature_repo/datasets/orders.yaml").read_text() + "feature_views: [habits]\n"


def test_an_unknown_service_is_named_with_a_hint(shop: "Shop") -> None:
    store = shop.store()
    store.register()
    with pytest.raises(
        FeatureStoreError, match=r"No feature service is named 'shoper'. Did you mean 'shopper'"
    ):
        store.service("shoper")


def test_rows_without_a_needed_column_are_refused(shop: "Shop") -> None:
    store = shop.store()
    store.register()
    rows = asked(shop, ("ann", "1")).rename(columns={"amount": "amounts"})
    with pytest.raises(
        FeatureStoreError, match=r"needs 'amount', which the rows do not have. Did you mean 'amounts'"
    ):
        store.historical(rows, "shopper")


def test_a_join_with_what_was_never_published_says_so(shop: "Shop") -> None:
    with pytest.raises(NotReadyError, match="Nothing of 'habits' is published"):
        spends(shop, ("ann", "1"))


def test_a_file_without_feature_store_yaml_is_refused(shop: "Shop") -> None:
    (shop.root / "feature_repo/feature_store.yaml").unlink()
    with pytest.raises(FeatureStoreError, match=r"feature_store.yaml is missing"):
        shop.store().register()


def test_an_odd_url_of_the_registry_is_named(shop: "Shop", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPFIT_FEAST_REGISTRY", "postgresql://me:a@b:s3cret@host/db")
    with pytest.raises(FeatureStoreError) as refused:
        shop.store().register()
    assert str(refused.value).startswith(
        "The URL of Feast's registry, KEEPFIT_FEAST_REGISTRY, has no host and port that can be read."
    )
    assert "cret" not in str(refused.value)


def test_a_bad_dataset_is_named_by_its_reader(shop: "Shop") -> None:
    shop.write("datasets/habits.yaml", "name: habits\nkeys: [customer]\n")
    store = shop.store()
    store.register()
    with pytest.raises(FeatureStoreError, match=r"datasets/habits.yaml: "):
        store.service("shopper")


def online(shop: "Shop", customer: str) -> dict[str, Any]:
    return shop.store().online("shopper", [{"customer": customer, "amount": 10.0}])[0]


def week(start: str, end: str, shop: "Shop") -> Window:
    return Window(shop.at(start).to_pydatetime(), shop.at(end).to_pydatetime())


def test_the_online_store_has_the_newest_values_of_a_window(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"), ("ann", "2", 2, 20.0, "b"), ("bob", "1", 3, 30.0, "c"))
    store = shop.store()
    store.register()
    store.materialize("habits", week("1", "3", shop))
    assert online(shop, "ann") == {"visits": 2, "spend": 20.0, "tier": "b", "share": 0.5}
    assert online(shop, "bob")["tier"] == "c"
    assert online(shop, "zoe")["spend"] is None


def test_an_older_window_does_not_bring_back_older_values(shop: "Shop") -> None:
    shop.habits(("ann", "1", 1, 10.0, "a"), ("ann", "9", 2, 20.0, "b"))
    store = shop.store()
    store.register()
    store.materialize("habits", week("8", "10", shop))
    store.materialize("habits", week("1", "2", shop))
    assert online(shop, "ann")["spend"] == 20.0


def test_a_corrected_value_replaces_the_wrong_one(shop: "Shop") -> None:
    store = shop.store()
    store.register()
    for spend in (10.0, 11.0):
        shop.habits(("ann", "1", 1, spend, "a"))
        store.materialize("habits", week("1", "2", shop))
    assert online(shop, "ann")["spend"] == 11.0


def test_a_view_registered_before_its_dataset_is_checked_when_it_is_materialised(shop: "Shop") -> None:
    shop.edit("features.py", 'name="tier"', 'name="tiers"')
    store = shop.store()
    store.register()
    shop.habits(("ann", "1", 1, 10.0, "a"))
    message = (
        r"features\.py: The view 'habits' needs the column 'tiers'.* Did you mean 'tier'\? It has: customer"
    )
    with pytest.raises(FeatureStoreError, match=message):
        store.materialize("habits", week("1", "2", shop))


def test_feast_leaves_other_libraries_warnings_as_they_were() -> None:
    """Its modules turn deprecation warnings on, and those of other libraries would fill the terminal."""
    code = (
        "import warnings; before = list(warnings.filters); import keepfit.backends.feature_store; "
        "print([each for each in warnings.filters if each not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "DeprecationWarning" not in done.stdout
