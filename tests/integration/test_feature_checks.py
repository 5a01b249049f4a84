"""Are features fresh, and does the online store say what was published? And what predictions make of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from keepfit.errors import NotReadyError
from keepfit.ledger import FeatureLedger, migrate
from keepfit.pipeline.features import check_all
from keepfit.pipeline.prediction import PredictionRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.spec import Window

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

    from keepfit.ledger import FeatureCheck

WEEK = Window.parse("2020-06-01", "2020-06-08")


@pytest.fixture
def served(shop: "Shop") -> "Shop":
    """Habits of two customers, all of them online; the newest is of the 3rd, good for two days."""
    migrate(shop.project.locations.ledger_url)
    store = shop.store()
    store.register()
    shop.habits(("ann", "1", 1, 1.5, "a"), ("ann", "2", 2, None, "b"), ("bob", "3", 3, 3.5, None))
    store.materialize("habits", WEEK)
    return shop


def checked(shop: "Shop", day: str, sample: int = 50) -> tuple["FeatureCheck", "FeatureCheck"]:
    (fresh,), (equal,) = check_all(shop.project, shop.at(day).to_pydatetime(), sample, "run")
    return fresh, equal


def test_a_view_is_fresh_until_its_time_to_live_is_over(served: "Shop") -> None:
    assert [checked(served, day)[0].passed for day in ("4", "5", "5 00:01")] == [True, True, False]
    late, _ = checked(served, "6")
    assert late.reason == (
        "habits is 3d old at 2020-06-06 00:00, and 2d at most is promised: ingest habits, or promise less"
    )


def test_a_dataset_may_promise_more_than_its_view(served: "Shop") -> None:
    served.edit("datasets/habits.yaml", "event_time: seen_at", "event_time: seen_at\nfreshness: 12h")
    assert [checked(served, day)[0].passed for day in ("3 12:00", "3 12:01")] == [True, False]


def test_values_that_come_later_make_nothing_fresh(served: "Shop") -> None:
    served.habits(("ann", "1", 1, 1.5, "a"), ("bob", "20", 3, 3.5, "b"))
    assert not checked(served, "10")[0].passed


def test_a_view_with_a_promise_and_no_values_is_not_fresh(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    fresh, equal = checked(shop, "1")
    assert (fresh.passed, fresh.reason) == (False, "habits has no values known by 2020-06-01 00:00")
    assert (equal.passed, equal.reason) == (True, "habits is not in the online store yet")


def test_what_was_published_and_what_is_served_agree(served: "Shop") -> None:
    _, equal = checked(served, "4")
    assert (equal.passed, equal.reason) == (True, "habits: all of 2 entities agree")


def test_a_value_that_differs_online_is_named_with_its_entity(served: "Shop") -> None:
    served.habits(("ann", "1", 1, 1.5, "a"), ("ann", "2", 2, None, "c"), ("bob", "3", 3, 3.5, None))
    _, equal = checked(served, "4")
    assert not equal.passed
    assert equal.reason == (
        "habits: 1 of 2 entities differ online, such as tier of customer=ann: 'c' is published and 'b' is "
        "online. Ingest the last windows again, or all, which takes off withdrawn rows: "
        "`keepfit run habits --full-refresh --from ... --to ...`"
    )
    assert equal.evidence["sampled"] == 2


def test_a_sample_is_of_the_size_asked_for_and_always_the_same(served: "Shop") -> None:
    first, again = checked(served, "4", 1)[1], checked(served, "4", 1)[1]
    assert first.evidence == again.evidence
    assert first.evidence["sampled"] == 1


def test_rows_that_are_not_online_yet_are_no_difference(served: "Shop") -> None:
    served.habits(
        ("ann", "1", 1, 1.5, "a"),
        ("ann", "2", 2, None, "b"),
        ("bob", "3", 3, 3.5, None),
        ("ann", "9", 9, 9.5, "z"),
    )
    assert checked(served, "4")[1].passed


def test_numbers_that_are_narrower_online_agree_too(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    narrow = (shop.root / "feature_repo/features.py").read_text()
    narrow = narrow.replace('"spend", dtype=Float64', '"spend", dtype=Float32')
    shop.write("features.py", narrow.replace("import Float64,", "import Float32, Float64,"))
    shop.habits(("ann", "1", 1, 0.1, "a"))
    store = shop.store()
    store.register()
    store.materialize("habits", WEEK)
    assert checked(shop, "2")[1].passed


def test_checks_are_kept_in_the_ledger(served: "Shop") -> None:
    _, equal = checked(served, "4")
    kept = FeatureLedger(served.project.locations.ledger_url).last_check("habits", "parity")
    assert kept is not None
    assert (kept.reason, kept.at, kept.run_id) == (equal.reason, datetime(2020, 6, 4, tzinfo=UTC), "run")


def prediction(shop: "Shop", window: Window, name: str = "r") -> PredictionRun:
    taken = take_snapshot(shop.project, "returns_soon__predict", name, model="returns_soon", window=window)
    return PredictionRun(taken)


OVER = Window.parse("2020-06-08", "2020-06-09")


def test_a_prediction_is_marked_with_what_is_not_fresh(served: "Shop") -> None:
    marked = prediction(served, OVER).check_features()["unfit_features"]
    assert len(marked) == 1
    assert marked[0].startswith("habits is 6d old at 2020-06-09 00:00")
    assert prediction(served, Window.parse("2020-06-02", "2020-06-03"), "s").check_features() == {
        "unfit_features": []
    }


def test_a_prediction_stops_where_its_model_says_so(served: "Shop") -> None:
    served.edit("models/returns_soon.yaml", "task:", "predict: {unfit_features: stop}\ntask:")
    message = "returns_soon predicts nothing for 20200608T000000Z_20200609T000000Z: habits is 6d old"
    with pytest.raises(NotReadyError, match=message):
        prediction(served, OVER).check_features()


def test_a_prediction_stops_while_the_last_check_found_other_values_online(served: "Shop") -> None:
    served.edit("models/returns_soon.yaml", "task:", "predict: {unfit_features: stop}\ntask:")
    served.habits(("ann", "2", 2, None, "c"), ("bob", "3", 3, 3.5, None))
    day = Window.parse("2020-06-03", "2020-06-04")
    prediction(served, day).check_features()
    checked(served, "4")
    with pytest.raises(NotReadyError, match="1 of 2 entities differ online"):
        prediction(served, day).check_features()
    served.store().materialize("habits", WEEK)
    checked(served, "4")
    assert prediction(served, day).check_features() == {"unfit_features": []}


def test_an_online_store_that_is_away_is_no_difference_but_an_error(served: "Shop") -> None:
    served.lose_online_store()
    with pytest.raises(NotReadyError, match="The online store does not answer for 'habits'"):
        checked(served, "4")
