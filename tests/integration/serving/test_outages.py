"""What is served, and what is kept of it, when databases are away, processes are killed or a disk lies."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pandas as pd
import pytest
from tests.integration.serving.conftest import MODEL, ROW, Answering, Shop, until

from keepfit.backends import model_files
from keepfit.backends.prediction_server import Served, what_is_served
from keepfit.steps.serve_check import wait_until_served

TOKEN = "an-open-secret"  # noqa: S105 - it opens nothing else
DATABASES = ("mlflow.db", "ledger.db", "feast_registry.db")


@contextmanager
def away(shop: Shop) -> Iterator[None]:
    """Take the databases of registry, ledger and features away in the block."""
    # Not what SQLite keeps beside them, which comes and goes as a server looks at them.
    elsewhere = shop.home / "elsewhere"
    elsewhere.mkdir()
    for name in DATABASES:
        os.replace(shop.home / name, elsewhere / name)
    try:
        yield
    finally:
        for name in DATABASES:
            os.replace(elsewhere / name, shop.home / name)
        elsewhere.rmdir()


@pytest.fixture(scope="module")
def guarded(shop: Shop) -> Iterator[Answering]:
    """Two workers that want a token."""
    shop.champion("1")
    with shop.serving("--workers", "2", KEEPFIT_SERVING_TOKEN=TOKEN) as answering:
        yield answering


def test_without_the_token_only_probes_are_answered(guarded: Answering) -> None:
    for given in ("", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
        for path in ("/models", f"/models/{MODEL}", "/metrics", "/docs", "/openapi.json", "/nowhere"):
            answer = guarded.client.get(path, headers={"Authorization": given})
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer.json()["detail"] == (
                "A token is needed: send `Authorization: Bearer <token>` with the server's "
                "KEEPFIT_SERVING_TOKEN."
            )
        assert guarded.predict(Authorization=given).status_code == 401
        for path in ("/live", "/ready"):
            assert guarded.client.get(path, headers={"Authorization": given}).status_code == 200
    assert guarded.predict().status_code == 200
    assert guarded.client.get("/openapi.json").json()["security"] == [{"token": []}]


def test_workers_count_together(guarded: Answering) -> None:
    counter = 'keepfit_requests_total{model="returns_soon",status="200"}'
    before = guarded.counted(counter)
    for _ in range(20):
        with another(guarded) as other:
            assert other.predict().status_code == 200
    assert guarded.counted(counter) == before + 20
    text = guarded.client.get("/metrics").text
    assert all(line.startswith(("#", "keepfit_")) for line in text.splitlines())


def test_each_worker_is_asked_whether_it_follows(guarded: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPFIT_SERVING_TOKEN", TOKEN)
    wait_until_served([guarded.url], MODEL, Served(champion="1"), timedelta(seconds=240))
    heard = {what_is_served(guarded.url, MODEL).workers for _ in range(2)}
    assert heard == {2}


@contextmanager
def another(server: Answering) -> Iterator[Answering]:
    """Ask by a connection of its own, which may be another worker's."""
    other = Answering(server.process, server.url, server.headers)
    try:
        yield other
    finally:
        other.client.close()


def test_who_answers_goes_on_while_registry_ledger_and_features_are_away(
    shop: Shop, guarded: Answering
) -> None:
    with away(shop):
        problem = (
            f"The model registry is away: {shop.home / 'mlflow.db'} is not there. Version 1 goes on serving."
        )
        until(lambda: guarded.served()["problem"] == problem, problem)
        assert guarded.served()["champion"]["version"] == "1"
        assert guarded.predict().json()["version"] == "1"
        looked_up = guarded.predict({"entities": {"customer": "ann"}, "features": {"amount": 25.0}})
        assert looked_up.status_code == 200
        assert guarded.client.get("/ready").status_code == 200
        assert not (shop.home / "mlflow.db").exists()
    until(lambda: guarded.served()["problem"] is None, "the recovery")


def test_an_ended_server_has_logged_everything_it_answered(shop: Shop, guarded: Answering) -> None:
    ids = set()
    for _ in range(20):
        with another(guarded) as other:
            ids |= {other.predict().json()["request_id"] for _ in range(3)}
    assert guarded.stop() == 0
    assert ids <= set(shop.logged()["request_id"])


@pytest.mark.usefixtures("guarded")
def test_a_server_begins_without_registry_and_when_killed_has_logged_what_waited_for_a_writing(
    shop: Shop,
) -> None:
    with away(shop), shop.serving() as server:
        found = server.served()
        assert found["champion"]["version"] == "1"
        assert found["problem"].endswith("is not there. Serving what was live last: version 1.")
        assert server.predict().json()["score"] == pytest.approx(score_of_copy(shop), abs=1e-12)
        answered: list[str] = []

        def ask_until_it_is_written() -> int:
            before = files_of_the_log(shop)

            def ask() -> bool:
                answered.append(server.predict().json()["request_id"])
                return files_of_the_log(shop) > before

            until(ask, "the writing")
            return len(answered)

        # What is answered while one file is written waits for the next: two more, and it is in one of them.
        first, second, _, _ = (ask_until_it_is_written() for _ in range(4))
        server.process.kill()
        server.process.wait(20)
    # All files were read: none is torn. Younger rows may be missing, and none is there twice.
    logged = shop.logged()
    assert 0 < first < second
    assert set(answered[:second]) <= set(logged["request_id"])
    assert not logged.duplicated(["request_id", "request_row", "version", "role"]).any()


def files_of_the_log(shop: Shop) -> int:
    return sum(1 for _ in shop.home.glob(f"lake/online__{MODEL}/date=*/*.parquet"))


def score_of_copy(shop: Shop) -> float:
    folder = shop.home / "serving" / MODEL / "1" / "model"
    return float(model_files.load(folder, model_files.digests(folder)).predict(pd.DataFrame([ROW]))[0])


def test_a_damaged_copy_is_never_served_and_fetched_anew(shop: Shop) -> None:
    copy = shop.home / "serving" / MODEL / "1" / "model" / "model.txt"
    sound = copy.read_text()
    copy.write_text(sound.replace("leaf_value=", "leaf_value=9", 1))
    with ExitStack() as stack:
        with away(shop):
            server = stack.enter_context(shop.serving(ready=False))
            found = server.served()
            assert found["champion"] is None
            assert "The last champion's copy does not load: The files of the model in " in found["problem"]
            ready = server.client.get("/ready")
            assert (ready.status_code, ready.json()) == (503, {"ready": False, "waiting_for": [MODEL]})
            answer = server.predict()
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["detail"].startswith(
                f"No champion of {MODEL} is loaded. The model registry is away: "
            )
        until(lambda: server.client.get("/ready").status_code == 200, "the recovery")
        assert server.predict().json()["version"] == "1"
        assert copy.read_text() == sound
