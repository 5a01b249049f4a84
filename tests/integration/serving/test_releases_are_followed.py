"""Releases of a real project by the command line, seen by a real server of it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from keepfit.backends.prediction_server import Served
from keepfit.cli.app import app
from keepfit.errors import ConfError, DeploymentError, NotServedError
from keepfit.pipeline.releasing import ReleaseRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.steps.serve_check import wait_until_served

if TYPE_CHECKING:
    from tests.integration.serving.conftest import Answering, Shop

MODEL = "returns_soon"
ONE = Served(champion="1")


@pytest.fixture
def watched(shop: "Shop", server: "Answering", as_begun: datetime) -> Iterator["Shop"]:  # noqa: ARG001
    """The shop, whose releases are verified against its server."""
    with verified_against(shop, server.url):
        yield shop


@contextmanager
def verified_against(shop: "Shop", *urls: str, seconds: float = 240) -> Iterator[None]:
    file = shop.root / "feature_repo" / "keepfit.yaml"
    before = file.read_text()
    more = f"serving: {{urls: [{', '.join(urls)}], release_seconds: {seconds}, "
    file.write_text(before.replace("serving: {", more))
    yield
    file.write_text(before)


def keepfit(shop: "Shop", *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--root", str(shop.root)])


def done(shop: "Shop", *arguments: str) -> str:
    result = keepfit(shop, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_release_and_the_way_back_are_served_and_known_for_ever(
    watched: "Shop", server: "Answering"
) -> None:
    released = done(watched, "release", MODEL, "--version", "2", "--why", "it is better")
    assert "version 2 is champion (before: version 1)" in released
    assert "registry, ledger and model agree, and every server answers so (1)" in released
    assert server.predict().json()["version"] == "2"
    between = watched.ledger.deployments(MODEL)[-1].moved_at
    went_back = done(watched, "rollback", MODEL, "--why", "it was not")
    assert "version 1 is champion (before: version 2)" in went_back
    assert server.predict().json()["version"] == "1"
    now = done(watched, "live", MODEL)
    assert re.match(r"version 1 is champion since 20\S+ \S+ UTC, by \S+ \(run cli__\S+\): it was not\n", now)
    then = done(watched, "live", MODEL, "--at", between.isoformat())
    assert then.startswith("version 2 is champion since ")
    long_ago = done(watched, "live", MODEL, "--at", "2020-01-01")
    assert long_ago == "returns_soon had no champion at 2020-01-01 00:00:00 UTC.\n"
    (last,) = [line for line in done(watched, "history", MODEL).splitlines() if line.endswith("it was not")]
    assert re.split(r" {2,}", last)[1:5] == ["champion", "2", "1", "-"]


def test_back_to_a_version_to_a_moment_and_not_to_what_is_live(watched: "Shop") -> None:
    done(watched, "release", MODEL, "--version", "2")
    of_two = watched.ledger.deployments(MODEL)[-1].moved_at
    done(watched, "rollback", MODEL, "--to", "1")
    done(watched, "rollback", MODEL, "--to", of_two.isoformat())
    assert watched.registry.champion(MODEL) == "2"
    refused = keepfit(watched, "rollback", MODEL, "--to", "2")
    assert refused.exit_code == 1
    assert "The champion of returns_soon is version 2 already since" in refused.stderr
    never = keepfit(watched, "rollback", MODEL, "--to", "3")
    assert "Version 3 of returns_soon was never its champion" in never.stderr


def test_a_challenger_is_served_with_its_share_and_taken_away(watched: "Shop", server: "Answering") -> None:
    assert "version 3 is challenger with a share of 0.25" in done(
        watched, "release", MODEL, "--version", "3", "--share", "0.25"
    )
    assert server.served()["challenger"] == {"version": "3", "share": 0.25}
    assert "version 3 is challenger, answers 25.0% of the requests" in done(watched, "live", MODEL)
    assert "there is no challenger any more (before: version 3)" in done(
        watched, "release", MODEL, "--withdraw"
    )
    assert server.served()["challenger"] is None
    shadow = done(watched, "release", MODEL, "--version", "3", "--as", "challenger")
    assert "version 3 is challenger with a share of 0\n" in shadow
    refused = keepfit(watched, "release", MODEL, "--version", "2", "--share", "1.5")
    assert "below 1, and 1.5 was given for version 2" in refused.stderr


def test_a_version_that_takes_other_features_is_refused_by_what_feast_gives(watched: "Shop") -> None:
    made, details = watched.root / "made" / "1", watched.registry.details(MODEL, "1")
    other = replace(
        details, features={**details.features, "weight": "number"}, tags={"keepfit.run_id": "other"}
    )
    files = {"reference": made / "reference.parquet", "training_set": made / "training_set.parquet"}
    version = watched.registry.register(MODEL, made / "model", other, **files, digest="d")
    refused = keepfit(watched, "release", MODEL, "--version", version, "--share", "0")
    assert (
        f"Version {version} of {MODEL} takes other features than its feature service gives now: weight"
        in (refused.stderr)
    )
    assert watched.registry.alias(MODEL, "challenger") is None


def test_an_alias_moved_behind_keepfit_s_back_is_shown_with_what_settles_it(watched: "Shop") -> None:
    watched.registry.move_alias(MODEL, "challenger", "3")
    words = f"WARNING The challenger of {MODEL} is version 3, but the ledger deployed none last"
    command = f"keepfit release {MODEL} --withdraw --as challenger"
    for shown in (done(watched, "list"), done(watched, "history", MODEL), done(watched, "live", MODEL)):
        assert words in shown
        assert f"or put it back with `{command}`" in shown
    done(watched, *command.split()[1:])
    assert words not in done(watched, "list")


@contextmanager
def saying(*answers: Any, status: int = 200) -> Iterator[str]:
    """A server that gives one answer after the other, and the last for ever."""
    left = list(answers)
    with asked(lambda: {"models": left.pop(0) if len(left) > 1 else left[0]}, status) as url:
        yield url


@contextmanager
def working(*workers: list[Any], **more: Any) -> Iterator[str]:
    """A server any of whose workers answers; each gives its answers one by one, and its last for ever."""
    chance = Random(7)  # noqa: S311, no secret

    def answer() -> dict[str, Any]:
        number = chance.randrange(len(workers))
        left = workers[number]
        return {"worker": 100 + number, **more, "models": left.pop(0) if len(left) > 1 else left[0]}

    with asked(answer) as url:
        yield url


@contextmanager
def asked(answer: Callable[[], dict[str, Any]], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer()).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def said(version: str | None, problem: str | None = None) -> list[Any]:
    champion = {"version": version, "since": None} if version else None
    return [{"name": MODEL, "champion": champion, "challenger": None, "problem": problem}]


def waited(*urls: str, workers: int = 1, seconds: float = 0.6) -> None:
    wait_until_served(urls, MODEL, ONE, timedelta(seconds=seconds), workers)


def test_a_release_that_changes_nothing_at_a_server_has_failed_and_says_where(
    watched: "Shop", server: "Answering"
) -> None:
    with saying(said("1")) as stubborn, verified_twice(watched, server.url, stubborn, seconds=10):
        failed = keepfit(watched, "release", MODEL, "--version", "2")
    assert failed.exit_code == 1
    assert (
        f"{MODEL} should be served with champion 2, as its aliases say and the ledger has recorded, but "
        f"within 10 s 1 of 2 servers did not follow: {stubborn} still answers with champion 1. The aliases "
        f"stay where they are. Look at the server's log, or go back with `keepfit rollback {MODEL}`."
    ) in failed.stderr
    assert watched.registry.champion(MODEL) == "2"
    assert watched.ledger.deployments(MODEL)[-1].to_version == "2"


@contextmanager
def verified_twice(shop: "Shop", *urls: str, seconds: float = 2) -> Iterator[None]:
    file = shop.root / "feature_repo" / "keepfit.yaml"
    before = file.read_text()
    changed = re.sub(
        r"urls: \[.*?\], release_seconds: \S+,",
        f"urls: [{', '.join(urls)}], release_seconds: {seconds},",
        before,
    )
    file.write_text(changed)
    yield
    file.write_text(before)


def test_what_a_server_says_meanwhile_is_waited_for() -> None:
    with saying(said(None), said("2"), said("1")) as url:
        waited(url, seconds=240)


def test_a_server_that_cannot_load_or_serve_the_model_says_why() -> None:
    words = r"still answers with champion 2 \(version 1: its file is gone\)"
    with saying(said("2", "version 1: its file is gone")) as url, pytest.raises(NotServedError, match=words):
        waited(url)
    with saying([]) as url, pytest.raises(NotServedError, match=f"{url} does not serve {MODEL}"):
        waited(url)


def test_a_server_that_is_away_or_closed_to_us_says_so() -> None:
    words = "answers 401: set KEEPFIT_SERVING_TOKEN to the server's"
    with saying([], status=401) as url, pytest.raises(NotServedError, match=words):
        waited(url)
    with pytest.raises(NotServedError, match=r"http://127\.0\.0\.1:1 does not answer \(ConnectError"):
        waited("http://127.0.0.1:1")


@pytest.mark.parametrize("number", [2, 4, 8])
def test_a_worker_that_never_follows_is_not_lucky(number: int) -> None:
    others = [[said("1")] for _ in range(number - 1)]
    words = f"{number} workers|worker {99 + number} still answers with champion 2"
    with working(*others, [said("2")]) as url, pytest.raises(NotServedError, match=words):
        waited(url, workers=number, seconds=2)


def test_every_worker_of_a_server_may_follow_in_its_own_time() -> None:
    with working([said("2"), said("1")], [said("1")], [said(None), said("2"), said("1")]) as url:
        waited(url, workers=3, seconds=240)


def test_a_server_knows_best_how_many_workers_it_has() -> None:
    with working([said("1")], workers=1) as url:
        waited(url, workers=4, seconds=240)
    with working([said("1")], workers=2) as url, pytest.raises(NotServedError) as error:
        waited(url)
    assert f"{url} only 1 of its 2 workers have answered" in str(error.value)


def test_a_server_that_does_not_tell_its_workers_is_taken_as_one() -> None:
    with saying(said("2"), said("1")) as url:
        waited(url, workers=4, seconds=240)


def run(shop: "Shop", run_id: str, **settings: Any) -> ReleaseRun:
    dag_id = f"{MODEL}__release"
    return ReleaseRun(take_snapshot(shop.project, dag_id, run_id, model=MODEL, settings=settings))


def test_a_rollback_that_is_tried_again_goes_back_once(watched: "Shop") -> None:
    newest = watched.register(6)
    done(watched, "release", MODEL, "--version", "2")
    done(watched, "release", MODEL, "--version", newest)
    for _ in range(2):
        told = run(watched, "once", action="rollback").release("anna")
        assert (told["from"], told["to"]) == (newest, "2")
    last = watched.ledger.deployments(MODEL)[-1]
    assert (last.who, last.why, last.run_id) == ("anna", "rollback without a reason", "once")
    assert watched.registry.champion(MODEL) == "2"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"action": "promote"}, "action is 'promote'. Give one of: release, rollback, withdraw"),
        ({"action": "release"}, "give the `version` of returns_soon that is to be champion"),
        ({"action": "release", "version": "2", "time": "2024-01-01"}, "time given: a release takes none"),
        ({"action": "rollback", "share": 0.5}, "share given: a rollback takes none"),
        ({"action": "rollback", "role": "challenger"}, "role given: a rollback takes none"),
        ({"action": "rollback", "version": "1", "time": "2024-01-01"}, "Both `version` and `time` are given"),
        ({"action": "rollback", "time": "soon"}, "time is 'soon', which is no ISO 8601 time"),
        ({"action": "withdraw", "version": "2"}, "version given: a withdraw takes none"),
    ],
)
def test_a_form_that_says_two_things_or_none_moves_nothing(
    watched: "Shop", settings: dict[str, Any], words: str
) -> None:
    before = watched.ledger.deployments(MODEL)
    with pytest.raises(ConfError, match=words):
        run(watched, f"{abs(hash(words))}", **settings).release("anna")
    assert watched.ledger.deployments(MODEL) == before


def test_a_version_that_does_not_exist_is_named_by_the_command(watched: "Shop") -> None:
    refused = keepfit(watched, "release", MODEL, "--version", "99")
    assert refused.exit_code == 1
    assert re.search(
        r"returns_soon has no version 99\. There are: 1, 2, 3.*Nothing was moved", refused.stderr
    )


def test_a_training_s_champion_is_held_against_the_servers_too(watched: "Shop") -> None:
    from keepfit.pipeline.aliases import Aliases, find_unfollowed

    project = watched.project
    assert Aliases(project, project.model(MODEL), project.spec).verify() == "1"
    assert find_unfollowed(project) == []
    with saying(said("3")) as stubborn, verified_twice(watched, stubborn):
        (line,) = find_unfollowed(watched.project)
        assert f"{stubborn} still answers with champion 3" in line
    with pytest.raises(DeploymentError, match="is version 1 already"):
        run(watched, "again", action="release", version="1").release("anna")
