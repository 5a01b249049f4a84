"""Data that was found broken is trained on by nobody, until it comes anew or somebody calls it real."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from tests.integration.conftest import new_shop
from tests.integration.watched import REGRET, START, Watched, day, rows

from keepfit.cli.telling import tell
from keepfit.errors import TrainingError
from keepfit.ledger import Decision, Incident, IncidentAnswer, Publication
from keepfit.pipeline.broken import broken_windows
from keepfit.pipeline.rebuild import Rebuild
from keepfit.pipeline.replaying import ReplayRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.spec import Window

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
BROKEN = Window(day(43), day(50))
KNOWN = 56


def nulls(habits: pd.DataFrame) -> pd.DataFrame:
    within = habits["seen_at"].between(day(43), day(50), inclusive="left")
    return habits.assign(visits=habits["visits"].astype("Int64").where(~within))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The shop after a week whose visits were all missing, and the decision about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        made = Watched(new_shop(tmp_path_factory.mktemp("shop"), patch))
        made.set_up(nulls)
        made.monitor(43, "broken").decide()
        yield made


@pytest.fixture
def broken(house: Watched) -> Iterator[Watched]:
    """The same, with a ledger of its own."""
    kept = house.ledger_bytes()
    yield house
    house.restore_ledger(kept)


def built(house: Watched, run_id: str, number: int = KNOWN) -> tuple[TrainingRun, dict[str, Any]]:
    settings = {"as_of": day(number).isoformat()}
    run = TrainingRun(take_snapshot(house.shop.project, "t", run_id, model="returns_soon", settings=settings))
    return run, run.build_training_set()


def windows(house: Watched) -> list[str]:
    taken = take_snapshot(house.shop.project, "t", "look", model="returns_soon")
    return [f"{each.start:%d %H} - {each.end:%d %H}" for each in broken_windows(taken, day(KNOWN))]


def repair(house: Watched, first: int, last: int, digest: str, dataset: str = "habits") -> None:
    house.ledger.record_publication(Publication(dataset, day(first), day(last), 1, digest, 1, digest))


def test_a_week_of_broken_data_is_left_out_told_and_rebuilt_to_the_same_bits(broken: Watched) -> None:
    decided = broken.ledger.decisions("returns_soon")[0]
    assert (decided.verdict, decided.window) == ("blocked", BROKEN)
    run, made = built(broken, "sound")
    frame = pd.read_parquet(run.folder.file("training_set.parquet"))
    times = rows()[1]["ordered_at"]
    wanted = times.between(day(KNOWN - 14), day(KNOWN - 1)) & ~times.between(
        BROKEN.start, BROKEN.end, inclusive="left"
    )
    assert sorted(frame["event_time"]) == sorted(times[wanted])
    assert made["dropped"]["in a window of broken data"] == 140
    warned = (
        "140 rows are left out, since their data was found broken: 2020-02-13 00:00 to 2020-02-20 00:00. "
        "Repair the source and ingest these windows again; if the data was right, answer the incident with "
        "`real`. Where there is none, `fleet: {common_cause: 1}` in keepfit.yaml has the next such window "
        "asked about."
    )
    assert made["warnings"] == [warned]
    assert f"WARNING {warned}" in tell("build_training_set", made, run.snapshot)
    for index in (0, 1):
        run.train(index)
    run.evaluate()
    run.gate()
    version = run.register()["version"]
    repair(broken, 43, 50, "other rows")
    again = Rebuild(broken.registry, broken.at, "returns_soon", version, broken.shop.root / "again")
    found = again.run(train=True)
    assert found.same, found.findings


def test_a_challenger_is_not_trained_on_it_either(broken: Watched) -> None:
    broken.write(REGRET)
    told = broken.monitor(52, "challenged").challenge()["told"][0]
    # Before the holdout lie the days from the 38th on, less those that were broken.
    times = rows()[1]["ordered_at"]
    sound = times.between(day(38), day(51)) & ~times.between(BROKEN.start, BROKEN.end, inclusive="left")
    cut = times[sound].max() - pd.Timedelta(days=3)
    trained = int((times[sound] + pd.Timedelta(days=1) <= cut).sum())
    assert f"; trained on {trained} rows known at 2020-02-22, " in told


def test_what_was_predicted_on_it_is_not_measured_when_its_labels_come(broken: Watched) -> None:
    joined = broken.monitor(50, "measured").folder.read("join_labels")
    assert joined["broken"] > 0
    assert joined["warnings"][-1].startswith(
        f"{joined['broken']} labelled predictions were made on data that"
    )
    labelled = pd.read_parquet(broken.monitor(50, "measured").folder.file("labelled.parquet"))
    assert not labelled["event_time"].between(BROKEN.start, BROKEN.end, inclusive="left").any()


def test_a_replay_trains_on_it_no_more_than_the_live_loop_does(broken: Watched) -> None:
    settings = {"cost": 0.1, "from": day(52).isoformat(), "every": "12h"}
    taken = take_snapshot(
        broken.shop.project, "returns_soon__replay", "replayed", model="returns_soon", settings=settings
    )
    run = ReplayRun(taken)
    run.lay_out()
    known = pd.read_parquet(built(broken, "as known then", 52)[0].folder.file("training_set.parquet"))
    cut = known["event_time"].max() - pd.Timedelta(days=3)
    trained = int((known["event_time"] + pd.Timedelta(days=1) <= cut).sum())
    assert run.train_cut(0)["told"][0].endswith(f"as of 2020-02-22: trained on {trained} rows")


def test_what_was_published_anew_is_trusted_again_and_no_more_than_that(broken: Watched) -> None:
    assert windows(broken) == ["13 00 - 20 00"]
    repair(broken, 43, 50, "d", "orders")
    assert windows(broken) == ["13 00 - 20 00"], "the broken column is not read from there"
    repair(broken, 45, 47, "better")
    assert windows(broken) == ["13 00 - 15 00", "17 00 - 20 00"]
    repair(broken, 47, 60, "better still")
    repair(broken, 40, 44, "the best")
    assert windows(broken) == ["14 00 - 15 00"]
    _, made = built(broken, "in part")
    assert made["dropped"]["in a window of broken data"] == 20


def test_the_same_rows_again_repair_nothing(broken: Watched) -> None:
    broken.ledger.record_publication(Publication("habits", START, day(60), 1, "d", 0, "once more"))
    assert windows(broken) == ["13 00 - 20 00"]
    broken.ledger.record_publication(Publication("habits", None, day(60), 1, "whole", 2, "a snapshot"))
    assert windows(broken) == []


@pytest.mark.parametrize(
    ("verdict", "answer", "expected"),
    [
        ("held", "fault", ["13 00 - 22 00"]),
        ("held", "real", ["13 00 - 20 00"]),
        ("held", None, ["13 00 - 20 00"]),
        ("blocked", "real", ["13 00 - 20 00"]),
        ("blocked", None, ["13 00 - 22 00"]),
        ("blocked", "fault", ["13 00 - 22 00"]),
        ("keep", None, ["13 00 - 20 00"]),
    ],
)
def test_what_a_person_said_of_an_incident_decides(
    broken: Watched, verdict: Any, answer: Any, expected: list[str]
) -> None:
    window = Window(day(48), day(52))
    bounds, now = (window.start, window.end), datetime.now(UTC)
    incident = Incident("i", "habits", window.start, window.end, ("visits",), 3, "jumped", "m")
    broken.ledger.open_incident(incident)
    if answer:
        broken.ledger.answer_incident(IncidentAnswer("i", answer, "ann", "seen", now))
    made = Decision("k", "returns_soon", "1", *bounds, verdict, "none", "r", {}, None, "w", now, "i")
    broken.ledger.decide(made)
    assert windows(broken) == expected


def test_where_all_is_broken_the_training_says_so(broken: Watched) -> None:
    whole = Window(START, day(60))
    broken.ledger.decide(
        Decision("k", "returns_soon", "1", whole.start, whole.end, "blocked", "none", "r", {}, None, "w")
    )
    with pytest.raises(TrainingError, match=r"empty one; 260 are in windows of broken data\. Publish"):
        built(broken, "nothing left")
