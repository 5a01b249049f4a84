"""What a request gets for an answer, over HTTP from a real server."""

import json
import socket
from typing import Any

import jsonschema
import pytest
from tests.integration.serving.conftest import MODEL, OF, ROW, Answering, Shop


def without(name: str) -> dict[str, Any]:
    return {each: value for each, value in ROW.items() if each != name}


def looked_up(customer: Any = "ann", **more: Any) -> dict[str, Any]:
    return {"entities": {"customer": customer}, "features": {"amount": 25.0}, "event_time": OF, **more}


def raw(server: Answering, body: bytes, **headers: str) -> Any:
    return server.client.post(f"/models/{MODEL}/predict", content=body, headers=headers)


def test_a_row_is_scored_as_the_registered_model_scores_it(shop: Shop, server: Answering) -> None:
    answer = server.predict(**{"X-Request-ID": "order-17"})
    assert answer.status_code == 200
    found = answer.json()
    assert found["positive"] is (found["score"] >= 0.5)
    assert found == {
        "model": MODEL,
        "request_id": "order-17",
        "score": pytest.approx(shop.score("1", ROW), abs=1e-12),
        "version": "1",
        "role": "champion",
        "positive": found["positive"],
    }
    assert answer.headers["X-Request-ID"] == "order-17"


def test_a_request_without_an_id_is_given_one(server: Answering) -> None:
    ids = {server.predict().json()["request_id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(isinstance(each, str) and len(each) == 32 for each in ids)


def test_missing_values_and_categories_never_seen_are_scored_as_in_training(
    shop: Shop, server: Answering
) -> None:
    for row in (
        {**ROW, "spend": None},
        {**ROW, "tier": "platinum"},
        dict.fromkeys(ROW),
        {**ROW, "visits": True},
    ):
        answer = server.predict({"features": row})
        assert answer.json()["score"] == pytest.approx(shop.score("1", row), abs=1e-12)


def test_many_rows_are_answered_in_their_order(shop: Shop, server: Answering) -> None:
    rows = [{**ROW, "visits": visits} for visits in range(9)]
    answer = server.predict({"rows": [{"features": row} for row in rows]}).json()
    assert set(answer) == {"model", "request_id", "predictions"}
    scores = [each["score"] for each in answer["predictions"]]
    assert scores == pytest.approx([shop.score("1", row) for row in rows], abs=1e-12)
    assert {(each["version"], each["role"]) for each in answer["predictions"]} == {("1", "champion")}


def test_features_are_looked_up_by_entity_and_made_on_demand(shop: Shop, server: Answering) -> None:
    online = {"visits": 7, "spend": 50.0, "tier": "gold", "share": 25.0 / 50.0}
    assert server.predict(looked_up()).json()["score"] == pytest.approx(shop.score("1", online), abs=1e-12)
    known_better = looked_up(features={"amount": 25.0, "visits": 0})
    wanted = shop.score("1", {**online, "visits": 0})
    assert server.predict(known_better).json()["score"] == pytest.approx(wanted, abs=1e-12)
    both = server.predict({"rows": [looked_up(), {"features": ROW}, looked_up("bob")]}).json()["predictions"]
    bobs = {"visits": 1, "spend": 200.0, "tier": "blue", "share": 25.0 / 200.0}
    scores = [shop.score("1", row) for row in (online, ROW, bobs)]
    assert [each["score"] for each in both] == pytest.approx(scores, abs=1e-12)


NULL = "Give null where a value is not known, or `entities` to have it looked up."
BRING = "Bring its features there, give them in `features`, or set serving.unknown_entities: missing."
NONE = "NaN and Infinity are none; write null."
REFUSED: list[tuple[Any, int, str, list[str]]] = [
    (
        {"features": ROW, "key": {"order": 17}},
        422,
        "'order' is none of this model's keys. Did you mean 'order_id'? They are: customer, order_id.",
        ["key.order"],
    ),
    (
        {"features": ROW, "key": {"order_id": 4.9}},
        422,
        "key.order_id must be a whole number or null, not 4.9.",
        ["key.order_id"],
    ),
    (
        {"features": without("tier")},
        422,
        "Version 1 of returns_soon needs tier, which the row lacks. " + NULL,
        ["features.tier"],
    ),
    (
        {"features": {**without("tier"), "teir": "gold"}},
        422,
        "Version 1 of returns_soon needs tier, which the row lacks. Instead of 'tier' there is another. "
        "Did you mean 'teir'? " + NULL,
        ["features.tier"],
    ),
    (
        {"features": {**ROW, "visits": "3"}},
        422,
        "visits must be a number, true, false or null, not a text.",
        ["features.visits"],
    ),
    (
        {"features": {**ROW, "visits": [3]}},
        422,
        "features.visits is a list. Give a number, a text, true, false or null.",
        ["features.visits"],
    ),
    (
        {"rows": [{"features": ROW}, {"features": {**ROW, "tier": {}}}]},
        422,
        "rows[1].features.tier is an object. Give a number, a text, true, false or null.",
        ["rows[1].features.tier"],
    ),
    (
        {"rows": [{"features": ROW}, {"features": without("spend")}]},
        422,
        "Version 1 of returns_soon needs spend, which the row lacks. " + NULL,
        ["rows[1].features.spend"],
    ),
    (
        {"featuers": ROW},
        422,
        "The body has an unknown field 'featuers'. Did you mean 'features'? It may have: "
        "features, entities, key, sticky, event_time, rows.",
        ["featuers"],
    ),
    ([ROW], 422, "The body does not fit: Expected `object`, got `array`.", []),
    (
        {"features": ROW, "sticky": 1.5},
        422,
        "The body does not fit: Expected `int | str | null`, got `float` - at `$.sticky`.",
        ["sticky"],
    ),
    (
        {"features": ROW, "event_time": "2024-01-01T10:00:00"},
        422,
        "The body does not fit: Expected `datetime` with a timezone component - at `$.event_time`.",
        ["event_time"],
    ),
    ({"rows": []}, 422, "`rows` is empty. Give at least one row.", ["rows"]),
    (
        {"rows": [{"features": ROW}], "features": ROW},
        422,
        "The body has `rows` and features beside it. Put them into the rows.",
        ["features"],
    ),
    (
        {"rows": [{"features": ROW}] * 51},
        413,
        "51 rows in one request; 50 are the most. Split it, or raise serving.max_rows.",
        ["rows"],
    ),
    (
        looked_up("zoe"),
        404,
        "The online store knows no customer='zoe' (feature views habits). " + BRING,
        ["entities.customer"],
    ),
    (
        {"rows": [looked_up(), looked_up(None)]},
        404,
        "The online store knows no customer=None (feature views habits). " + BRING,
        ["rows[1].entities.customer"],
    ),
    (
        {"rows": [looked_up(), looked_up(5)]},
        422,
        "rows[1].entities.customer must be a text or null, not 5.",
        ["rows[1].entities.customer"],
    ),
    (
        looked_up(features={"amount": "much"}),
        422,
        "features.amount must be a number or null, not 'much'.",
        ["features.amount"],
    ),
    (
        looked_up(features={"amount": -1}),
        500,
        "Features cannot be made of what is known; the server's log tells why.",
        [],
    ),
    (
        {"entities": {"custommer": "ann"}, "features": {"amount": 2.0}},
        422,
        "'custommer' is none of this model's entities. Did you mean 'customer'? They are: customer.",
        ["entities.custommer"],
    ),
    (
        looked_up(features={"amuont": 25.0}),
        422,
        "'amuont' is none of this model's features. Did you mean 'amount'? "
        "They are: amount, customer, share, spend, tier, visits.",
        ["features.amuont"],
    ),
    (
        {"entities": {}},
        422,
        "To look up features, entities.customer, features.amount must be given too.",
        ["entities.customer", "features.amount"],
    ),
]


@pytest.mark.parametrize(("body", "status", "detail", "fields"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_request_that_cannot_be_answered_is_told_why_and_where(
    server: Answering, body: Any, status: int, detail: str, fields: list[str]
) -> None:
    answer = server.predict(body, **{"X-Request-ID": "a-1"})
    found = answer.json()
    assert (found["detail"], answer.status_code) == (detail, status)
    assert found == {"detail": detail, "fields": fields, "request_id": "a-1"}


def test_the_log_tells_why_an_on_demand_view_failed(shop: Shop, server: Answering) -> None:
    before = shop.log.read_text().count("ValueError: no order costs less than nothing")
    assert server.predict(looked_up(features={"amount": -1})).status_code == 500
    assert shop.log.read_text().count("ValueError: no order costs less than nothing") == before + 1
    assert server.predict(looked_up()).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"features": {', 400, "The body is no JSON: Input data was truncated. " + NONE),
        (b"", 400, "The body is no JSON: Input data was truncated. " + NONE),
        (
            b'{"features": {"visits": NaN}}',
            400,
            "The body is no JSON: JSON is malformed: invalid character (byte 24). " + NONE,
        ),
        (
            b'{"features": {"visits": 1e999}}',
            422,
            "The body does not fit: Number out of range - at `$.features[...]`. "
            "Infinite numbers are refused: write null where a value is not known.",
        ),
        (b'{"features": {"tier": "\xff"}}', 400, "The body is no JSON: "),
    ],
)
def test_what_is_no_json_or_no_finite_number_is_refused(
    server: Answering, body: bytes, status: int, detail: str
) -> None:
    answer = raw(server, body)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


def test_an_unknown_model_is_named_with_those_there_are(server: Answering) -> None:
    for answer in (server.predict(model="return_soon"), server.client.get("/models/return_soon")):
        assert answer.status_code == 404
        assert answer.json()["detail"] == (
            "No model 'return_soon' is served. Did you mean 'returns_soon'? There are: returns_soon."
        )
        assert answer.json()["fields"] == ["name"]


def test_an_id_that_would_break_a_log_is_refused(server: Answering) -> None:
    answer = server.predict(**{"X-Request-ID": "a b"})
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "X-Request-ID may have 1 to 128 letters, digits and any of . _ : - in it."
    )
    assert "X-Request-ID" not in answer.headers


TOO_LONG = "The body is longer than 20,000 bytes. Split the request, or raise serving.max_body_bytes."


def test_a_body_that_is_announced_as_too_long_is_refused_before_it_is_sent(server: Answering) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        head = f"POST /models/{MODEL}/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 90000000000\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["detail"] == TOO_LONG


def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_long(server: Answering) -> None:
    chunks = (b" " * 1000 for _ in range(1000))
    answer = server.client.post(f"/models/{MODEL}/predict", content=chunks)
    assert (answer.status_code, answer.json()["detail"]) == (413, TOO_LONG)


def test_the_openapi_describes_what_is_asked_and_answered(server: Answering) -> None:
    schema = server.client.get("/openapi.json").json()
    operation = schema["paths"]["/models/{name}/predict"]["post"]

    def check(content: dict[str, Any], found: Any) -> None:
        part = {**content["content"]["application/json"]["schema"], "components": schema["components"]}
        jsonschema.Draft202012Validator(part).validate(found)

    for body in ({"features": ROW}, {"rows": [{"features": ROW}, looked_up()]}):
        check(operation["requestBody"], body)
        check(operation["responses"]["200"], server.predict(body).json())
    models = schema["paths"]["/models"]["get"]["responses"]["200"]
    found = server.client.get("/models").json()
    check(models, found)
    assert (found["worker"] > 0, found["workers"]) == (True, 1)
    for body, status, _, _ in REFUSED:
        check(operation["responses"][str(status)], server.predict(body).json())
    with pytest.raises(jsonschema.ValidationError):
        check(operation["requestBody"], {"features": {"visits": [3]}})
    assert {each["name"] for each in operation["parameters"]} == {"name", "X-Request-ID"}
    assert {"/live", "/ready", "/metrics", "/models", "/models/{name}"} < set(schema["paths"])


def test_a_model_says_what_a_row_may_bring(server: Answering) -> None:
    found = server.client.get(f"/models/{MODEL}").json()
    assert found["features"] == {"visits": "number", "spend": "number", "tier": "category", "share": "number"}
    assert (found["entities"], found["request_features"]) == (["customer"], ["amount"])
    assert (found["scored_by"], found["online_store"], found["problem"]) == ("booster", None, None)


def test_requests_and_answers_are_counted(server: Answering) -> None:
    def counts() -> tuple[float, ...]:
        return (
            server.counted('keepfit_answers_total{model="returns_soon",role="champion",version="1"}'),
            server.counted('keepfit_requests_total{model="returns_soon",status="200"}'),
            server.counted('keepfit_requests_total{model="returns_soon",status="422"}'),
            server.counted('keepfit_requests_total{model="unknown",status="404"}'),
            server.counted('keepfit_request_seconds_count{model="returns_soon"}'),
        )

    before = counts()
    server.predict({"rows": [{"features": ROW}] * 3})
    server.predict({"features": {}})
    server.predict(model="nobody")
    assert tuple(after - then for after, then in zip(counts(), before, strict=True)) == (3, 1, 1, 1, 2)
    server.predict(looked_up())
    assert server.counted('keepfit_online_age_seconds{model="returns_soon",view="habits"}') > 86_400
    text = server.client.get("/metrics").text
    for meter in ("keepfit_log_lag_seconds", "keepfit_load_failures", "keepfit_problem", "keepfit_live"):
        assert f"# HELP {meter}" in text
    # Whoever starts a server may have imported Feast, which leaves a folder for numbers in the environment.
    assert "feast" not in text
