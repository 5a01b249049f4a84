"""A view that is replaced as a whole, and a replacement that is cut short."""

from collections.abc import Callable
from typing import Any

import pytest
from feast import FeatureStore
from tests.integration.stores.conftest import Repo, stats

from keepfit.backends.feature_store.materialize import materialize
from keepfit.spec import Window

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
ALL = Window.parse("1970-01-01", "2024-07-01")
JANUARY = Window.parse("2024-01-01", "2024-02-01")


@pytest.fixture
def loaded(repo: Repo) -> FeatureStore:
    store = repo.apply()
    repo.write(
        stats((1, "2024-01-02T10:00:00", 1), (1, "2024-06-02T10:00:00", 6), (2, "2024-01-03T10:00:00", 2))
    )
    materialize(store, "stats", ALL)
    return store


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def cut(loaded: FeatureStore, repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], FeatureStore]:
    """Cut a replacement short at one of its steps, and return the store as another process opens it."""

    def at(step: str) -> FeatureStore:
        where = loaded if step == "materialize" else type(loaded._get_provider().online_store)
        with monkeypatch.context() as broken:
            broken.setattr(where, step, killed)
            with pytest.raises(KeyboardInterrupt):
                materialize(loaded, "stats", ALL, replace=True)
        return FeatureStore(config=repo.config)

    return at


@pytest.mark.parametrize("step", ["loosen", "materialize", "sweep"])
def test_an_older_window_after_a_replacement_that_was_cut_short_finishes_it(
    repo: Repo, cut: Callable[[str], FeatureStore], step: str
) -> None:
    store = cut(step)
    assert materialize(store, "stats", JANUARY) == ALL
    assert repo.served(store, 1, 2) == [6, 2]
    assert materialize(store, "stats", JANUARY) == JANUARY


def test_what_a_replacement_that_was_cut_short_would_have_withdrawn_goes_with_the_next_window(
    repo: Repo, cut: Callable[[str], FeatureStore]
) -> None:
    store = cut("sweep")
    repo.write(stats((1, "2024-01-02T10:00:00", 1)))
    materialize(store, "stats", JANUARY)
    assert repo.served(store, 1, 2) == [1, None]


def test_a_later_window_is_taken_in_with_what_was_to_be_replaced(
    repo: Repo, cut: Callable[[str], FeatureStore]
) -> None:
    store = cut("materialize")
    repo.write(stats((1, "2024-06-02T10:00:00", 6), (2, "2024-08-02T10:00:00", 8)))
    later = Window.parse("2024-08-01", "2024-09-01")
    assert materialize(store, "stats", later) == Window(ALL.start, later.end)
    assert repo.served(store, 1, 2) == [6, 8]


def test_a_whole_replacement_leaves_nothing_to_finish(repo: Repo, loaded: FeatureStore) -> None:
    materialize(loaded, "stats", ALL, replace=True)
    assert materialize(loaded, "stats", JANUARY) == JANUARY
    assert repo.served(loaded, 1, 2) == [6, 2]
