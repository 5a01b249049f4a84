"""What a request gets for an answer, over HTTP from a real server."""

import pytest
from tests.integration.serving.conftest import MODEL, ROW, Answering, Shop

NAMES = "visits, spend, tier, share"


def test_a_row_is_scored_as_the_registered_model_scores_it(shop: Shop, server: Answering) -> None:
    answer = server.predict(**{"X-Request-ID": "order-17"})
    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("score") == pytest.approx(shop.score("1", ROW), abs=1e-12)
    assert isinstance(found.pop("positive"), bool)
    assert found == {"model": MODEL, "request_id": "order-17", "version": "1", "role": "champion"}
    assert answer.headers["X-Request-ID"] == "order-17"
