"""What settings change: entities nobody knows, and a shadow with little room."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.integration.serving.conftest import FEATURES, MODEL, OF, ROW, Answering, Shop, until


@pytest.fixture(scope="module")
def lenient(shop: Shop) -> Iterator[Answering]:
    """A server that predicts for unknown entities, and has room for ten rows that wait for a shadow."""
    file = shop.root / "feature_repo" / "keepfit.yaml"
    before = file.read_text()
    file.write_text(before.replace("serving: {", "serving: {unknown_entities: missing, shadow_rows: 10, "))
    with ExitStack() as stack:
        try:
            answering = stack.enter_context(shop.serving())
        finally:
            # Others that start later are not meant.
            file.write_text(before)
        yield answering


def test_an_unknown_entity_is_predicted_without_its_features_where_that_is_wanted(
    shop: Shop, lenient: Answering
) -> None:
    known = {"visits": 7, "spend": 50.0, "tier": "gold", "share": 0.5}
    rows = [
        {"entities": {"customer": name}, "features": {"amount": 25.0}, "event_time": OF}
        for name in ("zoe", "ann", None)
    ]
    together = lenient.predict({"rows": rows}).json()["predictions"]
    alone = [lenient.predict(row).json() for row in rows]
    wanted = [shop.score("1", row) for row in (dict.fromkeys(FEATURES), known, dict.fromkeys(FEATURES))]
    assert wanted[0] != wanted[1]
    assert [each["score"] for each in together] == pytest.approx(wanted, abs=1e-12)
    assert [each["score"] for each in alone] == pytest.approx(wanted, abs=1e-12)
    # They are not old: nothing is known of them.
    assert lenient.counted("keepfit_online_stale_total") == 0


@pytest.mark.usefixtures("as_begun")
def test_rows_beyond_a_shadow_s_room_are_answered_and_counted_as_dropped(
    shop: Shop, lenient: Answering
) -> None:
    shop.challenger("2", share=0.0)
    until(lambda: lenient.served()["challenger"] == {"version": "2", "share": 0.0})
    answer = lenient.predict({"rows": [{"features": ROW}] * 50})
    assert [each["role"] for each in answer.json()["predictions"]] == ["champion"] * 50

    def counted() -> tuple[float, float]:
        return (
            lenient.counted(f'keepfit_answers_total{{model="{MODEL}",role="shadow",version="2"}}'),
            lenient.counted(f'keepfit_shadow_dropped_total{{model="{MODEL}"}}'),
        )

    until(lambda: sum(counted()) == 50, "the shadow's work")
    scored, dropped = counted()
    assert dropped > 0
    assert scored >= 10
