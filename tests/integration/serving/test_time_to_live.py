"""Values that are too old are missing online as they are in training, and newer ones cannot be un-known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from tests.integration.serving.conftest import FEATURES, MODEL, Answering, Shop, until

from keepfit.backends.feature_store import FeatureStore

STALE = f'keepfit_online_stale_total{{model="{MODEL}",view="habits"}}'
END = datetime(2024, 1, 3, 10, tzinfo=UTC)
"""Two days, which is the view's time to live, after what is known of Ann."""
AFTER = timedelta(microseconds=1)


def asked(at: datetime | None, customer: str = "ann") -> dict[str, Any]:
    of = {"event_time": at.isoformat()} if at else {}
    return {"entities": {"customer": customer}, "features": {"amount": 25.0}, **of}


def trained_on(shop: Shop, moments: list[datetime]) -> list[dict[str, Any]]:
    """Return Ann's features as a training or a batch prediction would be given them."""
    rows = pd.DataFrame({"event_timestamp": moments, "customer": "ann", "amount": 25.0})
    found = FeatureStore(shop.project).historical(rows, "shopper")[list(FEATURES)]
    return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]


def test_values_are_good_online_exactly_as_long_as_in_training(shop: Shop, server: Answering) -> None:
    moments = [END - timedelta(days=1), END, END + AFTER, END + timedelta(days=400)]
    rows = trained_on(shop, moments)
    assert [row["visits"] == 7.0 for row in rows] == [True, True, False, False]
    before = server.counted(STALE)
    answer = server.predict({"rows": [asked(at) for at in moments]}, **{"X-Request-ID": "of-ages"})
    scores = [each["score"] for each in answer.json()["predictions"]]
    assert scores == pytest.approx([shop.score("1", row) for row in rows], abs=1e-12)
    assert scores[1] != scores[2]
    assert server.counted(STALE) == before + 2
    until(lambda: len(logged(shop, "of-ages")) == 4, "the log")
    # What the on-demand view makes of missing values is missing, too.
    pd.testing.assert_frame_equal(
        logged(shop, "of-ages"), pd.DataFrame(rows), check_dtype=False, check_column_type=False
    )


def logged(shop: Shop, request: str) -> pd.DataFrame:
    log = shop.logged()
    if log.empty:
        return log
    return log[log["request_id"] == request].sort_values("request_row", ignore_index=True)[list(FEATURES)]


def test_one_row_of_old_values_alone_is_of_a_known_entity(shop: Shop, server: Answering) -> None:
    before = server.counted(STALE)
    (missing,) = trained_on(shop, [END + AFTER])
    # Without an event time a row is of now, years later.
    for body in (asked(END + AFTER), asked(None)):
        answer = server.predict(body)
        assert answer.status_code == 200
        assert answer.json()["score"] == pytest.approx(shop.score("1", missing), abs=1e-12)
    assert server.counted(STALE) == before + 2
    assert server.predict(asked(None, "zoe")).status_code == 404


def test_values_newer_than_the_row_are_used_online_and_not_in_training(shop: Shop, server: Answering) -> None:
    long_before = END - timedelta(days=900)
    (training,) = trained_on(shop, [long_before])
    assert pd.isna(training["visits"])
    online = {"visits": 7, "spend": 50.0, "tier": "gold", "share": 0.5}
    score = server.predict(asked(long_before)).json()["score"]
    assert score == pytest.approx(shop.score("1", online), abs=1e-12)
