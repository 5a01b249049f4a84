"""What goes from an online store when a view is taken out, and what stays."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from feast import Entity, FeatureView, Field
from feast.types import Float64, Int64
from feast.value_type import ValueType
from tests.integration.stores.conftest import DRIVER, EPOCH, Repo, stats

from keepfit.backends.feature_store.remove import remove

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.parametrize("repo", ["redis"], indirect=True),
]
ONE = stats((1, "2024-01-02T10:00:00", 5))


def fields(repo: Repo) -> list[bytes]:
    with redis.Redis(port=repo.port) as client:
        return [field for key in client.scan_iter() for field in client.hkeys(key)]


@pytest.mark.parametrize("way", ["remove", "teardown"])
def test_a_project_whose_name_ends_alike_keeps_its_values(repo: Repo, tmp_path: Path, way: str) -> None:
    shop, workshop = replace(repo, project="shop"), replace(repo, project="workshop", root=tmp_path / "work")
    stores = [each.apply() for each in (shop, workshop)]
    for each, store in zip((shop, workshop), stores, strict=True):
        each.write(ONE)
        each.load(store)
    if way == "remove":
        remove(stores[0], [stores[0].get_feature_view("stats")])
    else:
        stores[0].teardown()
    assert workshop.served(stores[1], 1) == [5]
    with redis.Redis(port=repo.port) as client:
        assert len(list(client.scan_iter())) == 1


def test_a_view_that_comes_back_after_its_removal_takes_any_row(repo: Repo) -> None:
    repo = replace(repo, created=True)
    store = repo.apply()
    source = repo.view.batch_source
    schema = [Field(name="rating", dtype=Float64)]
    other = FeatureView(name="other", entities=[DRIVER], ttl=timedelta(0), schema=schema, source=source)
    store.apply([other])
    repo.write(stats((1, "2024-01-02T10:00:00", 5), created="2024-01-05"))
    repo.load(store)
    store.materialize(EPOCH, EPOCH.replace(year=2100), feature_views=["other"])
    remove(store, [store.get_feature_view("stats")])
    assert {field for field in fields(repo) if b"stats" in field} == set()
    assert b"_ts:other" in fields(repo)
    store.apply([repo.view])
    repo.write(stats((1, "2024-01-02T10:00:00", 7), created="2024-01-03"))
    repo.load(store)
    assert repo.served(store, 1) == [7]


def test_values_of_features_that_a_view_had_once_go_with_it(repo: Repo) -> None:
    store = repo.apply()
    repo.write(ONE)
    repo.load(store)
    now = replace(repo, fields={"trips": Int64})
    store = now.apply()
    remove(store, [store.get_feature_view("stats")])
    assert fields(repo) == []


@pytest.mark.parametrize("key", ["k" * ord("["), "k" * ord("\\"), "d[r]?*\\i-^ver"])
def test_key_names_that_would_be_patterns_stand_for_themselves(repo: Repo, key: str) -> None:
    """The length of a name is one of its pattern's characters too."""
    entity = Entity(name="driver", join_keys=[key], value_type=ValueType.INT64)
    repo = replace(repo, entities=(entity,))
    store = repo.apply()
    repo.write(ONE.rename(columns={"driver_id": key}))
    repo.load(store)
    assert b"_ts:stats" in fields(repo)
    remove(store, [store.get_feature_view("stats")])
    assert fields(repo) == []
