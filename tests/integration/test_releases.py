"""The one function that moves aliases: what it refuses, what it completes, and what it leaves behind."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from keepfit.backends import model_files
from keepfit.backends.lock import alone
from keepfit.backends.model_registry import Alias, ModelRegistry
from keepfit.backends.trainers.lightgbm import train
from keepfit.backends.version import VersionDetails
from keepfit.embedded.postgres import Postgres
from keepfit.errors import DeploymentError
from keepfit.ledger import Deployment, Ledger, migrate
from keepfit.plugins import TrainingTask
from keepfit.steps.deploy import Move, deploy, verify
from keepfit.steps.register import reference_sample
from keepfit.steps.roll_back import once_champion, version_at, version_before
from keepfit.testing import classes
from keepfit.testing.data import CATEGORIES
from keepfit.testing.trainers import features_of

ROWS = classes(200)
VERSIONS = ("1", "2", "3", "4")


@dataclass
class Place:
    """A registry with four versions of one model, a ledger, and a hand that moves."""

    path: Path
    registry: ModelRegistry
    url: str
    model: str = "returns"
    runs: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.url)

    def state(self) -> tuple[Any, ...]:
        """Everything that a refused move leaves as it is."""
        aliases = [self.registry.alias(self.model, each) for each in ("champion", "challenger")]
        return *aliases, self.moves(), self.moves("challenger")

    def moves(self, alias: str = "champion") -> list[Deployment]:
        return self.ledger.deployments(self.model, alias)

    def wish(self, to: str | None, alias: Alias = "champion", **changes: Any) -> Move:
        wished: dict[str, Any] = {
            "model": self.model,
            "to_version": to,
            "from_version": self.registry.alias(self.model, alias),
            "who": "anna",
            "why": "it is better",
            "run_id": f"run-{next(self.runs)}",
            "alias": alias,
        }
        return Move(**wished | changes)

    def move(self, to: str | None, alias: Alias = "champion", **changes: Any) -> Deployment | None:
        return self.do(self.wish(to, alias, **changes))

    def do(self, wish: Move, **options: Any) -> Deployment | None:
        return deploy(self.registry, self.ledger, wish, self.path / "locks", **options)

    def behind_keepfits_back(self, to: str | None, alias: Alias = "champion") -> None:
        self.registry.move_alias(self.model, alias, to)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Register four versions, once: each test gets copies of the two databases."""
    path = tmp_path_factory.mktemp("releases")
    registry = ModelRegistry(f"sqlite:///{path / 'mlflow.db'}", path / "artifacts")
    registry.initialise()
    for version in VERSIONS:
        register(registry, path / version, version)
    migrate(f"sqlite:///{path / 'ledger.db'}")
    return Place(path, registry, f"sqlite:///{path / 'ledger.db'}")


def register(registry: ModelRegistry, path: Path, run: str) -> None:
    frame, label = features_of(ROWS), ROWS["label"].to_numpy(np.float64)
    params = {"n_estimators": 3 + int(run)}
    model = train(TrainingTask(frame, label, "classification", CATEGORIES, params, 7, 1, None))
    (path / "model").mkdir(parents=True)
    model.save(path / "model")
    reference_sample(model, ROWS, dict.fromkeys(frame.columns, ""), 7).to_parquet(path / "reference.parquet")
    details = VersionDetails(
        task="classification",
        features=model.coding.features,
        files=model_files.digests(path / "model"),
        reference_sha256=model_files.sha256(path / "reference.parquet"),
        tags={"keepfit.run_id": run},
    )
    files = {"reference": path / "reference.parquet", "training_set": path / "reference.parquet"}
    registry.register("returns", path / "model", details, **files, digest="d")


def copied(made: Place, path: Path) -> Place:
    path.mkdir(parents=True, exist_ok=True)
    for name in ("mlflow.db", "ledger.db"):
        with (
            closing(sqlite3.connect(made.path / name)) as original,
            closing(sqlite3.connect(path / name)) as copy,
        ):
            original.backup(copy)
    registry = ModelRegistry(f"sqlite:///{path / 'mlflow.db'}", made.path / "artifacts")
    return Place(path, registry, f"sqlite:///{path / 'ledger.db'}")


@pytest.fixture
def place(made_once: Place, tmp_path: Path) -> Place:
    return copied(made_once, tmp_path)


def refused(place: Place, wish: Move, words: str, **options: Any) -> None:
    before = place.state()
    with pytest.raises(DeploymentError, match=words) as error:
        place.do(wish, **options)
    assert place.state() == before
    assert "Nothing was moved" in str(error.value)


def test_a_version_that_does_not_exist_is_refused_with_those_that_do(place: Place) -> None:
    refused(place, place.wish("9"), r"returns has no version 9\. There are: 1, 2, 3, 4\.")


@pytest.mark.parametrize("share", [1.0, -0.1, 1.5, float("nan"), float("inf"), None])
def test_a_share_outside_its_bounds_is_refused(place: Place, share: float | None) -> None:
    place.move("1")
    wish = place.wish("2", "challenger", share=share)
    refused(place, wish, r"at least 0 .* and below 1, and (none|\S+) was given for version 2 of returns\.")


def test_a_champion_has_no_share(place: Place) -> None:
    refused(place, place.wish("1", share=0.5), "A share of 0.5 is given, but the champion answers all that")
    refused(place, place.wish(None, "challenger", share=0.5), "A share of 0.5 is given, but nobody does")


def test_a_challenger_challenges_another_version(place: Place) -> None:
    wish = place.wish("1", "challenger", share=0.1)
    refused(place, wish, "returns has no champion, so version 1 cannot challenge it")
    place.move("1")
    refused(place, wish, "returns has version 1 as its champion already, so version 1 cannot challenge it")


def test_a_champion_is_not_taken_away_from_its_challenger(place: Place) -> None:
    place.move("1")
    place.move("2", "challenger", share=0.0)
    refused(place, place.wish(None), r"a challenger, version 2, .*--withdraw --as challenger")


def test_a_move_to_what_is_live_is_refused_with_since_when_and_why(place: Place) -> None:
    place.move("1", why="it was the first")
    words = r"The champion of returns is version 1 already since 20.* UTC \(it was the first\)"
    refused(place, place.wish("1"), words)
    place.move("2", "challenger", share=0.1)
    refused(place, place.wish("2", "challenger", share=0.1), "is version 2 with a share of 0.1 already since")
    place.move(None, "challenger")
    refused(place, place.wish(None, "challenger"), "The challenger of returns is none already")


def test_a_move_while_another_runs_is_refused(place: Place) -> None:
    with alone(place.path / "locks" / "move__returns.lock"):
        words = "Somebody else has been moving an alias of returns for 0.1 s"
        refused(place, place.wish("1"), words, wait=timedelta(seconds=0.1))
    assert place.move("1")


def test_features_that_are_not_given_any_more_are_named(place: Place) -> None:
    features = place.registry.details("returns", "1").features
    numbers = {name: kind for name, kind in features.items() if kind == "number"}
    words = r"Version 1 of returns takes other features .* now: colour \(a category, given no more\)\."
    refused(place, place.wish("1"), words, given=lambda: numbers)
    words = r"now: colour \(a category, given as a number\)\..*`keepfit apply`"
    refused(place, place.wish("1"), words, given=lambda: dict.fromkeys(features, "number"))
    place.do(place.wish("1"), given=lambda: {**features, "one_more": "number"})
    assert place.registry.champion("returns") == "1"


def test_an_alias_deleted_by_hand_stops_all_moves_but_those_that_settle_it(place: Place) -> None:
    place.move("3")
    place.behind_keepfits_back(None)
    words = (
        "The champion of returns is none, but the ledger deployed version 3 last: somebody moved the alias "
        "past keepfit. Keep it so with `keepfit release returns --withdraw --as champion`, or put it back "
        "with `keepfit release returns --version 3`."
    )
    refused(place, place.wish("4"), words)
    with pytest.raises(DeploymentError, match="past keepfit"):
        verify(place.registry, place.ledger, "returns")
    place.move("3")
    assert [(each.from_version, each.to_version) for each in place.moves()] == [(None, "3"), (None, "3")]
    assert verify(place.registry, place.ledger, "returns") == "3"


def test_an_alias_deleted_by_hand_may_stay_away(place: Place) -> None:
    place.move("3")
    place.behind_keepfits_back(None)
    place.move(None)
    assert [(each.from_version, each.to_version) for each in place.moves()] == [(None, "3"), ("3", None)]
    assert verify(place.registry, place.ledger, "returns") is None


def test_an_alias_moved_by_hand_is_kept_or_put_back(place: Place) -> None:
    place.move("1")
    place.move("2", "challenger", share=0.2)
    place.behind_keepfits_back("3", "challenger")
    words = (
        "The challenger of returns is version 3, but the ledger deployed version 2 last: .*"
        "`keepfit release returns --version 3 --as challenger --share 0`, or put it back with "
        "`keepfit release returns --version 2 --as challenger --share 0.2`"
    )
    refused(place, place.wish("4", "challenger", share=0.2), words)
    place.move("2", "challenger", share=0.2)
    assert place.registry.alias("returns", "challenger") == "2"
    place.behind_keepfits_back("3", "challenger")
    place.move("3", "challenger", share=0.0)
    last = place.moves("challenger")[-1]
    assert (last.from_version, last.to_version, last.share) == ("2", "3", 0.0)
    assert verify(place.registry, place.ledger, "returns") == "1"


def test_a_run_that_is_tried_again_moves_nothing_twice(place: Place) -> None:
    wish = place.wish("1")
    assert place.do(wish)
    assert place.do(wish) is None
    assert len(place.moves()) == 1


def test_a_run_that_is_tried_again_does_not_undo_what_another_did_meanwhile(place: Place) -> None:
    place.move("1")
    wish = place.wish("2")
    place.do(wish)
    place.move("1", who="ben", why="it did harm")
    words = (
        r"This run moved the champion of returns to version 2 already at 20.* UTC; since then it was moved "
        r"to version 1 by ben at 20.* UTC \(it did harm\)\. .*start a new run"
    )
    refused(place, wish, words)
    share = place.wish("2", "challenger", share=0.1)
    place.do(share)
    place.move("2", "challenger", share=0.0)
    refused(place, share, "This run moved the challenger of returns to version 2 already")
    place.move("2")
    assert place.do(place.wish("1"))


def test_another_share_for_the_same_challenger_is_recorded(place: Place) -> None:
    place.move("1")
    for share in (0.0, 0.1, 0.5):
        place.move("2", "challenger", share=share)
    found = [(each.from_version, each.to_version, each.share) for each in place.moves("challenger")]
    assert found == [(None, "2", 0.0), ("2", "2", 0.1), ("2", "2", 0.5)]


def test_a_challenger_that_becomes_champion_is_the_challenger_no_more(place: Place) -> None:
    place.move("1")
    place.move("2", "challenger", share=0.1)
    place.move("2")
    assert place.state()[:2] == ("2", None)
    last = place.moves("challenger")[-1]
    assert (last.to_version, last.why) == (None, "it became champion: it is better")
    assert verify(place.registry, place.ledger, "returns") == "2"


def test_a_run_killed_before_the_challenger_was_relieved_does_it_when_tried_again(place: Place) -> None:
    place.move("1")
    place.move("2", "challenger", share=0.1)
    wish = place.wish("2")
    place.behind_keepfits_back("2")
    place.ledger.record_deployment(
        Deployment("returns", "champion", "1", "2", wish.who, wish.why, None, wish.run_id)
    )
    place.do(wish)
    assert place.state()[:2] == ("2", None)
    assert len(place.moves()) == 2


class Killed(BaseException):
    """No error that anything would catch: as if the process were gone."""


def test_a_run_killed_before_the_relief_was_recorded_does_it_when_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.move("1")
    place.move("2", "challenger", share=0.1)
    wish, record = place.wish("2"), Ledger.record_deployment

    def until_relieved(ledger: Ledger, deployment: Deployment) -> Deployment:
        if deployment.alias == "challenger":
            raise Killed
        return record(ledger, deployment)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "record_deployment", until_relieved)
        with pytest.raises(Killed):
            place.do(wish)
    assert place.state()[:2] == ("2", None)
    assert [each.to_version for each in place.moves("challenger")] == ["2"]
    for _ in range(2):
        assert place.do(wish) is None
    found = [(each.from_version, each.to_version) for each in place.moves("challenger")]
    assert found == [(None, "2"), ("2", None)]
    assert verify(place.registry, place.ledger, "returns") == "2"
    assert place.move("3", "challenger", share=0.1)


def test_going_back_undoes_and_does_not_come_back_to_what_was_given_up(place: Place) -> None:
    with pytest.raises(DeploymentError, match="No version was champion of returns before none"):
        version_before(place.ledger, "returns")
    for version, before in (("1", None), ("2", "1"), ("3", "2"), ("2", "1"), ("4", "2"), (None, "4")):
        place.ledger.record_deployment(
            Deployment("returns", "champion", None, version, "a", "b", None, f"run {version} {before}")
        )
        if before:
            assert version_before(place.ledger, "returns") == before


def test_going_back_to_a_time_or_a_version_needs_one_that_was_live(place: Place) -> None:
    place.move("1")
    place.move("2")
    then = place.moves()[0].moved_at
    assert version_at(place.ledger, "returns", then) == "1"
    with pytest.raises(DeploymentError, match=r"returns had no champion at .* Nothing was moved"):
        version_at(place.ledger, "returns", then - timedelta(seconds=1))
    assert once_champion(place.ledger, "returns", "1") == "1"
    words = r"Version 3 of returns was never its champion.* these were: 1, 2\. Nothing was moved"
    with pytest.raises(DeploymentError, match=words):
        once_champion(place.ledger, "returns", "3")


@dataclass
class Truth:
    """What should be live, kept by other means than the code under test."""

    champion: str | None = None
    challenger: tuple[str, float] | None = None
    path: list[str] = field(default_factory=list)
    """The champions that nothing has undone."""

    def allows(self, to: str | None, share: float | None) -> bool:
        if share is not None:
            return self.champion not in (None, to) and self.challenger != (to, share)
        if to is None:
            return self.champion is not None and self.challenger is None
        return self.champion != to

    def follow(self, to: str | None, share: float | None) -> None:
        if share is not None:
            self.challenger = (to, share) if to else None
            return
        self.champion = to
        if to is not None:
            self.path = [*(self.path[: self.path.index(to)] if to in self.path else self.path), to]
            if self.challenger and self.challenger[0] == to:
                self.challenger = None

    def snapshot(self) -> tuple[str | None, tuple[str, float] | None]:
        return self.champion, self.challenger


ACTIONS = st.one_of(
    st.tuples(st.just("champion"), st.sampled_from(VERSIONS)),
    st.tuples(st.just("challenger"), st.tuples(st.sampled_from(VERSIONS), st.sampled_from([0.0, 0.1, 0.5]))),
    st.tuples(st.sampled_from(["undo", "away", "relieve"]), st.none()),
)


def wanted(kind: str, what: Any, truth: Truth) -> tuple[str | None, float | None, bool] | None:
    """Return version, share and whether it is allowed; None where there is nothing to wish for."""
    if kind == "champion":
        return what, None, truth.allows(what, None)
    if kind == "challenger":
        return *what, truth.allows(*what)
    if kind == "undo":
        older = truth.path[:-1] if truth.champion else truth.path
        return (older[-1], None, True) if older else None
    if kind == "away":
        return None, None, truth.allows(None, None)
    return None, -1.0, truth.challenger is not None


@given(history=st.lists(ACTIONS, min_size=1, max_size=8))
# A history is short enough to be read as it is; to shrink one takes minutes.
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
def test_a_random_history_of_moves_is_known_for_every_time(made_once: Place, history: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place, truth = copied(made_once, Path(folder)), Truth()
        known: list[tuple[datetime, Any]] = [(datetime.now(UTC), truth.snapshot())]
        for kind, what in history:
            replay(place, truth, kind, what)
            known.append((datetime.now(UTC), truth.snapshot()))
        for moment, expected in known:
            assert live(place, moment) == expected
        assert live(place, None) == truth.snapshot()


def replay(place: Place, truth: Truth, kind: str, what: Any) -> None:
    wish = wanted(kind, what, truth)
    if wish is None:
        with pytest.raises(DeploymentError):
            version_before(place.ledger, "returns")
        return
    to, share, allowed = wish
    if kind == "undo":
        assert version_before(place.ledger, "returns") == to
    given_share = share if to else None
    moved = place.wish(to, "champion" if share is None else "challenger", share=given_share)
    if not allowed:
        refused(place, moved, ".")
        return
    place.do(moved)
    truth.follow(to, share)
    assert verify(place.registry, place.ledger, "returns") == truth.champion


def live(place: Place, at: datetime | None) -> Any:
    champion = place.ledger.live("returns", at)
    challenger = place.ledger.live("returns", at, "challenger")
    return champion and champion.to_version, challenger and (challenger.to_version, challenger.share)


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    # Not under pytest's folder: as root the server is another user, whom any other pytest would lock out.
    with tempfile.TemporaryDirectory(prefix="keepfit-") as folder:
        server = Postgres(Path(folder))
        with server.used():
            yield server.url("postgres")


def test_of_movers_on_several_machines_one_wins_and_the_others_are_told(
    place: Place, postgres_url: str
) -> None:
    migrate(postgres_url)
    place.url = postgres_url
    place.move("1")
    together, told = Barrier(3), []

    def promote(version: str) -> None:
        wish = place.wish(version)
        together.wait()
        try:
            # Locks in a folder of his own: nothing but the ledger is between him and the others.
            deploy(place.registry, place.ledger, wish, place.path / f"machine-{version}")
        except DeploymentError as error:
            told.append(str(error))

    movers = [Thread(target=promote, args=(version,)) for version in ("2", "3", "4")]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert len(told) == 2
    assert all("Nothing was moved; compare with the new champion first" in each for each in told)
    assert [each.to_version for each in place.moves()] == ["1", place.registry.champion("returns")]
