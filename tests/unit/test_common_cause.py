"""Which view a fault comes from, and when several models have it in common."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.policy import (
    Champion,
    CommonCause,
    DriftSignal,
    History,
    MissingChange,
    Origin,
    Signals,
    Suspicion,
    common_causes,
    decide,
    suspects,
)
from keepfit.spec.policy import PolicySpec

WEATHER, PLANES = Origin("weather"), Origin("planes")
HABITS, BASKET = Origin("habits"), Origin("basket", ("habits",))
END = datetime(2024, 1, 8, tzinfo=UTC)


def drift(
    *, jumped: tuple[str, ...] = (), broken: tuple[str, ...] = (), missing: tuple[MissingChange, ...] = ()
) -> DriftSignal:
    return DriftSignal(900, 3, ("temp",), 1.0, jumped=jumped, broken=broken, missing=missing)


def test_suspect_is_what_jumped_what_is_missing_and_what_a_fault_is_told_of() -> None:
    seen = drift(
        jumped=("temp",),
        broken=("humid was a number and holds 'n/a'", "wind is not among the predictions"),
        missing=(
            MissingChange("seats", 0.0, 0.9),
            MissingChange("built", 0.1, 0.2),
            MissingChange("engine", 0.6, 0.7),
        ),
    )
    columns = ("temp", "humid", "wind", "wind_dir", "seats", "built", "engine")
    assert suspects(seen, columns) == ("temp", "humid", "wind", "seats")
    assert suspects(None, columns) == ()


def test_a_column_whose_name_another_begins_with_is_not_suspect_for_that_one() -> None:
    seen = drift(broken=("spend_7d is stuck: 3 in 90% of the rows",), jumped=("visits_30d",))
    assert suspects(seen, ("spend", "spend_7d", "visits", "visits_30d")) == ("spend_7d", "visits_30d")


def test_a_view_that_enough_models_lean_on_is_one_cause_with_its_columns_and_models() -> None:
    fleet = {
        "a": {"temp": WEATHER, "humid": WEATHER},
        "b": {"temp": WEATHER, "seats": PLANES},
        "c": {"humid": WEATHER},
        "d": {"seats": PLANES},
    }
    found = common_causes(("temp", "humid"), fleet["a"], fleet, 3)
    assert found == (Suspicion("weather", ("temp", "humid"), ("a", "b", "c")),)
    assert common_causes(("temp", "humid"), fleet["a"], fleet, 4) == ()
    assert common_causes(("unknown",), fleet["a"], fleet, 1) == ()


def test_a_column_of_the_same_name_from_another_view_is_no_common_cause() -> None:
    fleet = {"a": {"temp": WEATHER}, "b": {"temp": PLANES}, "c": {"temp": PLANES}}
    assert common_causes(("temp",), fleet["a"], fleet, 2) == ()


def test_what_is_computed_from_a_view_that_moved_is_no_cause_of_its_own() -> None:
    fleet = {
        "a": {"spend": HABITS, "share": BASKET},
        "b": {"share": BASKET},
        "c": {"spend": HABITS},
    }
    both = common_causes(("spend", "share"), fleet["a"], fleet, 2)
    assert both == (Suspicion("habits", ("spend",), ("a", "b", "c")),)
    assert common_causes(("share",), fleet["a"], fleet, 2) == (Suspicion("basket", ("share",), ("a", "b")),)


def test_columns_computed_from_the_rows_alone_are_shared_only_by_models_of_the_same_rows() -> None:
    of_flights, of_orders = Origin("plan", (), "flights"), Origin("plan", (), "orders")
    fleet = {"a": {"miles": of_flights}, "b": {"miles": of_flights}, "c": {"miles": of_orders}}
    assert common_causes(("miles",), fleet["a"], fleet, 2) == (Suspicion("plan", ("miles",), ("a", "b")),)


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.dictionaries(st.sampled_from(("x", "y", "z")), st.sampled_from((WEATHER, PLANES, HABITS, BASKET))),
        min_size=1,
    ),
    st.sets(st.sampled_from(("x", "y", "z"))),
    st.integers(2, 4),
)
def test_a_cause_is_shared_by_as_many_models_as_it_takes_and_its_finder_is_one(
    fleet: dict[str, dict[str, Origin]], bad: set[str], least: int
) -> None:
    for model, own in fleet.items():
        found = common_causes(sorted(bad), own, fleet, least)
        for each in found:
            assert len(each.models) >= least
            assert model in each.models
            assert set(each.columns) <= bad
        assert len({each.view for each in found}) == len(found)
        assert list(found) == sorted(found, key=lambda each: (-len(each.models), each.view))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "incident k asks whether that is a fault"),
        (
            "was answered by ann: a fault (dead sensor)",
            "incident k was answered by ann: a fault (dead sensor)",
        ),
    ],
)
def test_a_training_that_a_rule_calls_for_is_held_by_its_incident(answer: str, words: str) -> None:
    policy = PolicySpec.model_validate({"rules": [{"rule": "drift_share", "share": 0.5}]})
    signals = Signals(
        "a", END, END, 900, Champion("1", datetime(2023, 12, 1, tzinfo=UTC)), None, drift(jumped=("temp",))
    )
    cause = CommonCause("weather", ("temp",), ("a", "b", "c"), "k", answer)
    held = decide(signals, (), policy, History(common=cause))
    assert held.word == "held"
    assert held.reason.startswith(
        f"temp of weather moved at once for 3 models: {words}; 1 of 3 columns drifted"
    )
    own = CommonCause("weather", ("temp",), ("a",), "k", answer)
    alone = decide(signals, (), policy, History(common=own))
    assert alone.reason.startswith(f"temp of weather moved at once for 1 model: {words}; ")
    assert decide(signals, (), policy, History()).word == "retrain"
    calm = PolicySpec.model_validate({"rules": [{"rule": "calendar", "every": "90d"}]})
    assert decide(signals, (), calm, History(common=cause)).word == "keep"
