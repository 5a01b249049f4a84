"""Edits of `feature_repo/`: planned, checked, applied whole or not at all, and followed up once."""

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError
from tests.integration.conftest import FILES, new_shop

from keepfit.backends.feature_store.online.sqlite import GuardedSqliteOnlineStore
from keepfit.embedded.postgres import Postgres
from keepfit.errors import EditError, FeatureStoreError, NotReadyError
from keepfit.ledger import Decision, Deployment, FeatureLedger, Ledger, Publication, Training, migrate
from keepfit.pipeline.applying import DAG_ID, ApplyRun
from keepfit.pipeline.feature_change import FeatureChange
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.planning import make_plan, unfilled_features
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
STEPS = ("extract", "check_schema", "validate", "transform", "publish", "materialize")
DAYS = (Window.parse("2020-06-01", "2020-06-02"), Window.parse("2020-06-02", "2020-06-03"))


def ingest(shop: "Shop", dataset: str, window: Window) -> None:
    run_id = f"{window.key}-{datetime.now(UTC):%H%M%S%f}"
    taken = take_snapshot(
        shop.project,
        f"{dataset}__ingest",
        run_id,
        dataset=dataset,
        window=window,
        settings={"full_refresh": False},
    )
    run = IngestRun(taken, NOWHERE)
    for step in STEPS if dataset == "habits" else STEPS[:-1]:
        getattr(run, step)()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> "Shop":
    """A project whose features are applied and served, and whose model is live; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        shop = new_shop(tmp_path_factory.mktemp("prepared"), patch)
        migrate(shop.project.locations.ledger_url)
        habits = [
            {"customer": who, "seen_at": shop.at(day), "visits": 1, "spend": spend, "tier": "a"}
            for who, day, spend in (("ann", "1 12:00", 1.5), ("bob", "2 12:00", 2.5))
        ]
        pd.DataFrame(habits).to_parquet(shop.root / "habits.parquet")
        order = {
            "order_id": 1,
            "customer": "ann",
            "ordered_at": shop.at("2 13:00"),
            "amount": 5.0,
            "returned": 0,
        }
        pd.DataFrame([order]).to_parquet(shop.root / "orders.parquet")
        for window in DAYS:
            ingest(shop, "habits", window)
        ingest(shop, "orders", DAYS[1])
        live = Deployment("returns_soon", "champion", None, "1", "test", "first", None, "first")
        Ledger(shop.project.locations.ledger_url).record_deployment(live)
        applied(shop, "first")
    return shop


@pytest.fixture
def running(shop: "Shop", prepared: "Shop") -> "Shop":
    """A copy of the prepared project, which may be changed."""
    shutil.copytree(prepared.root, shop.root, dirs_exist_ok=True)
    # The registry names the folder that the rows lie in.
    shop.store().apply()
    return shop


def started(shop: "Shop", run_id: str, *, allow_deletions: bool = False) -> ApplyRun:
    settings = {"allow_deletions": allow_deletions}
    run = ApplyRun(take_snapshot(shop.project, DAG_ID, run_id, settings=settings))
    run.plan()
    return run


def applied(shop: "Shop", run_id: str, *, allow_deletions: bool = False) -> list[dict[str, Any]]:
    run = started(shop, run_id, allow_deletions=allow_deletions)
    run.check()
    for view in run.apply()["views"]:
        run.rematerialize(view)
    return run.decide()


def judged(shop: "Shop", run_id: str, verdict: Literal["pass", "error"]) -> None:
    made = next(each for each in decisions(shop) if each.run_id == run_id)
    training = Training(run_id, made.model, made.key, made.window_end, None, verdict, (), {})
    Ledger(shop.project.locations.ledger_url).record_training(training)


def decisions(shop: "Shop") -> list[Decision]:
    return Ledger(shop.project.locations.ledger_url).decisions("returns_soon")


def online(shop: "Shop", customer: str, service: str = "shopper") -> dict[str, Any]:
    return shop.store().online(service, [{"customer": customer, "amount": 5.0}])[0]


def changes(shop: "Shop") -> list[str]:
    return [str(change) for change in make_plan(shop.project).plan.changes]


LONGER = ("timedelta(days=2)", "timedelta(days=3)")


def test_what_was_applied_and_not_edited_leaves_nothing_to_do(running: "Shop") -> None:
    plan = make_plan(running.project).plan
    assert (plan.changes, plan.views, plan.problems) == ((), (), ())


def test_a_comment_and_a_description_ask_for_no_training(running: "Shop") -> None:
    running.edit("features.py", 'name="habits",', 'name="habits",  # seen daily\n    description="Seen.",')
    made = make_plan(running.project).plan
    assert [str(change) for change in made.changes] == ["~ feature view habits: description (none) -> Seen."]
    assert (made.views, made.retrain) == ((), {})


def test_a_plan_says_what_changes_which_models_it_touches_and_what_will_be_done(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    running.edit("models/returns_soon.yaml", "holdout: 2d", "holdout: 3d")
    made = make_plan(running.project).plan
    assert [str(change) for change in made.changes] == [
        "~ feature view habits: ttl 172800s -> 259200s",
        "~ model returns_soon: train.holdout 2d -> 3d",
    ]
    assert made.views == ("habits",)
    why = ("feature view habits changed", "model returns_soon changed")
    assert made.touched == {"returns_soon": why}
    assert made.retrain == {"returns_soon": why}


def test_an_edited_dataset_touches_its_models_and_asks_to_be_refreshed(running: "Shop") -> None:
    running.edit("datasets/habits.yaml", "tier: string}", "tier: string, note: string}")
    made = make_plan(running.project).plan
    assert made.touched == {"returns_soon": ("dataset habits changed",)}
    assert (made.retrain, made.refresh) == ({}, ("habits",))


def test_a_column_that_is_published_for_one_window_only_is_named_with_what_fills_it(
    running: "Shop",
) -> None:
    rows = pd.read_parquet(running.root / "habits.parquet").assign(note=[1.0, 2.0])
    rows.to_parquet(running.root / "habits.parquet")
    running.edit("datasets/habits.yaml", "tier: string}", "tier: string, note: float64}")
    ingest(running, "habits", DAYS[1])
    tier = '        Field(name="tier", dtype=String),\n'
    running.edit("features.py", tier, f'{tier}        Field(name="note", dtype=Float64),\n')
    made = make_plan(running.project)
    assert unfilled_features(running.project, made.contents) == [
        "note of the view habits has no value in 1 of 2 published rows of habits, from 2020-06-01 12:00 to "
        "2020-06-01 12:00. If its column came later, fill it: `keepfit run habits --full-refresh "
        "--from 2020-06-01T00:00:00Z --to 2020-06-03T00:00:00Z`"
    ]
    assert started(running, "told").plan()["unfilled"] == unfilled_features(running.project, made.contents)


def test_a_plan_writes_nothing(running: "Shop") -> None:
    before = running.store().registered()
    running.edit("features.py", *LONGER)
    assert changes(running) == changes(running)
    assert running.store().registered() == before


def test_a_change_waits_to_be_applied_while_everything_works_on_as_before(
    running: "Shop", caplog: pytest.LogCaptureFixture
) -> None:
    before = running.store().registered()
    running.edit("features.py", *LONGER)
    digest = running.store().register()
    assert running.store().registered() == before
    assert digest == running.store().register()
    assert "feature_repo/ changes or drops feature view habits: see `keepfit plan`" in caplog.text


def test_a_file_that_no_longer_imports_waits_too(running: "Shop", caplog: pytest.LogCaptureFixture) -> None:
    running.write("features.py", "import nothing_of_this_name\n")
    ingest(running, "habits", DAYS[1])
    assert online(running, "bob")["spend"] == 2.5
    assert "feature_repo/ is broken: " in caplog.text


def test_a_new_view_is_registered_by_itself_and_gets_all_that_is_published(running: "Shop") -> None:
    running.edit("features.py", *_another_view())
    running.edit("datasets/habits.yaml", "[habits]", "[habits, tiers]")
    ingest(running, "habits", DAYS[1])
    assert online(running, "ann", "tiered") == {"tier": "a"}


def _another_view() -> tuple[str, str]:
    view = (
        'tiers = FeatureView(name="tiers", entities=[buyer], ttl=timedelta(days=9),\n'
        '    schema=[Field(name="tier", dtype=String)], source=published("habits"))\n'
        'tiered = FeatureService(name="tiered", features=[tiers])\n'
    )
    return "order = RequestSource", f"{view}order = RequestSource"


def test_a_changed_view_is_materialised_whole_and_its_models_are_asked_for_once(running: "Shop") -> None:
    running.edit("features.py", 'Field(name="visits", dtype=Int64)', 'Field(name="visits", dtype=Float64)')
    asked = applied(running, "second")
    judged(running, asked[0]["decision"]["run_id"], "pass")
    again = applied(running, "third")
    (decision,) = decisions(running)
    assert (decision.verdict, decision.trigger) == ("retrain", "feature_change")
    assert decision.reason == "feature_repo/ was edited: feature view habits changed"
    assert [each["decision"]["run_id"] for each in asked] == [decision.run_id]
    assert asked[0]["decision"]["conf"]["as_of"] == "2020-06-03T00:00:00+00:00"
    assert again == []
    # Ann was last seen before the window that was ingested last.
    assert isinstance(online(running, "ann")["visits"], float)


def test_an_edit_taken_back_is_an_edit_again(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    applied(running, "there")
    running.edit("features.py", *LONGER[::-1][::-1])
    running.write(
        "features.py", (running.root / "feature_repo/features.py").read_text().replace(*LONGER[::-1])
    )
    applied(running, "back")
    running.edit("features.py", *LONGER)
    applied(running, "there again")
    assert len({each.run_id for each in decisions(running)}) == 3


def test_a_run_that_was_cut_short_is_finished_by_the_next(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    cut = started(running, "cut")
    cut.check()
    cut.apply()
    assert changes(running) == ["~ feature view habits: ttl 172800s -> 259200s"]
    assert len(applied(running, "next")) == 1
    assert len(cut.decide()) == 1
    assert len(decisions(running)) == 1
    assert changes(running) == []


def test_a_step_done_again_changes_nothing(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    asked = applied(running, "twice")
    assert applied(running, "twice") == asked
    assert len(decisions(running)) == 1
    last = FeatureLedger(running.project.locations.ledger_url).last_edit()
    assert last is not None
    assert (last.position, last.run_id) == (2, "twice")


def test_files_edited_after_the_plan_are_not_applied_by_it(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    run = started(running, "old")
    run.check()
    running.edit("features.py", "timedelta(days=2)", "timedelta(days=4)")
    with pytest.raises(EditError, match="was edited since it was planned"):
        run.apply()


def test_a_plan_that_another_edit_has_overtaken_is_not_applied(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    run = started(running, "slow")
    run.check()
    running.edit("features.py", "timedelta(days=2)", "timedelta(days=4)")
    applied(running, "fast")
    with pytest.raises(NotReadyError, match="Run fast has applied another edit since"):
        run.apply()


def test_a_registry_changed_by_others_is_put_right(running: "Shop") -> None:
    store = running.store()
    running.edit("features.py", *LONGER)
    store.apply()
    running.write(
        "features.py", (running.root / "feature_repo/features.py").read_text().replace(*LONGER[::-1])
    )
    assert changes(running) == ["~ feature view habits: ttl 259200s -> 172800s"]


def test_a_deletion_without_leave_is_refused_by_name_and_with_it_is_done(running: "Shop") -> None:
    running.edit("features.py", *_another_view())
    applied(running, "more")
    running.edit("features.py", "from datetime", "from datetime")
    with pytest.raises(EditError, match="This edit removes feature service tiered, feature view tiers"):
        started(running, "less").check()
    assert "feature view tiers" in running.store().registered()
    assert online(running, "ann", "tiered") == {"tier": "a"}
    applied(running, "gone", allow_deletions=True)
    assert "feature view tiers" not in running.store().registered()
    assert changes(running) == []
    assert online(running, "bob")["spend"] == 2.5


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("features.py", 'name="spend"', 'name="spent"', "needs the column 'spent'"),
        ("features.py", "dtype=String", "dtype=Int64", "declares 'tier' as Int64, but the published"),
        ("features.py", 'published("habits")', 'published("habit")', "No dataset is named 'habit'"),
        ("features.py", 'join_keys=["customer"]', 'join_keys=["client"]', "needs the column 'client'"),
        ("features.py", "from datetime", "from date_time", "does not import"),
        (
            "features.py",
            'inputs["spend"]',
            'inputs["spent"]',
            "does not accept feature_repo/: KeyError: 'spent'",
        ),
        ("models/returns_soon.yaml", "features: shopper", "features: shoper", "Did you mean 'shopper'"),
        ("datasets/habits.yaml", "key:", "keys:", "keys: unknown field"),
    ],
)
def test_a_broken_edit_changes_nothing_and_says_why(
    running: "Shop", file: str, old: str, new: str, message: str
) -> None:
    before = running.store().registered()
    running.edit(file, old, new)
    with pytest.raises(EditError, match=message):
        started(running, "broken").check()
    assert not any(line.startswith("-") for line in changes(running))
    assert running.store().registered() == before
    assert online(running, "bob")["spend"] == 2.5
    assert decisions(running) == []


def test_a_model_without_a_champion_is_not_trained_because_of_an_edit(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    applied(shop, "first")
    shop.edit("features.py", *LONGER)
    (asked,) = applied(shop, "second")
    assert asked["decision"] is None
    assert asked["skipped"] == "no champion yet: its first training is not up to an edit"
    assert changes(shop) == []


def test_a_live_model_without_published_rows_is_skipped_for_that_reason(shop: "Shop") -> None:
    url = shop.project.locations.ledger_url
    migrate(url)
    Ledger(url).record_deployment(
        Deployment("returns_soon", "champion", None, "1", "test", "first", None, "first")
    )
    applied(shop, "first")
    shop.edit("features.py", *LONGER)
    (asked,) = applied(shop, "second")
    assert (asked["decision"], asked["skipped"]) == (None, "nothing of orders is published to train on")


def test_a_model_whose_rows_are_a_snapshot_is_trained_as_of_its_end(running: "Shop") -> None:
    ledger = Ledger(running.project.locations.ledger_url)
    end = datetime(2020, 6, 9, tzinfo=UTC)
    ledger.record_publication(Publication("orders", None, end, 1, "d", 9, "whole"))
    running.edit("features.py", *LONGER)
    (asked,) = applied(running, "second")
    assert asked["decision"]["conf"]["as_of"] == end.isoformat()


def test_a_training_without_a_verdict_is_asked_for_again_until_it_has_one(running: "Shop") -> None:
    running.edit("features.py", *LONGER)
    (asked,) = applied(running, "killed before its training")
    run_id = asked["decision"]["run_id"]
    assert applied(running, "second") == [asked]
    judged(running, run_id, "error")
    assert applied(running, "third") == [asked]
    judged(running, run_id, "pass")
    assert applied(running, "fourth") == []
    assert len(decisions(running)) == 1


def test_a_training_asked_for_by_an_edit_that_was_never_applied_whole_is_not_asked_for_again(
    running: "Shop",
) -> None:
    ledger = Ledger(running.project.locations.ledger_url)
    cut = FeatureChange(ledger, 1, "not what was applied", "cut")
    assert cut.ask(running.project.model("returns_soon"), ("model returns_soon changed",))["decision"]
    assert applied(running, "taken back") == []


def test_a_locked_registry_is_named_and_stays_as_it_is(running: "Shop") -> None:
    before = running.store().registered()
    running.edit("features.py", *LONGER)
    run = started(running, "locked")
    run.check()
    holder = sqlite3.connect(running.project.locations.home / "feast_registry.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(NotReadyError, match=r"registry at sqlite:.* is locked by another process"):
        run.apply()
    holder.close()
    assert running.store().registered() == before
    run.apply()
    assert running.store().registered() != before


def stored(shop: "Shop") -> sqlite3.Connection:
    return sqlite3.connect(shop.project.locations.home / "feast_registry.db")


@pytest.mark.parametrize("table", ["feature_services", "projects"])
def test_a_write_that_fails_half_way_leaves_all_as_it_was_and_the_next_apply_finishes(
    running: "Shop", table: str
) -> None:
    before, served = running.store().registered(), online(running, "bob")
    more = _another_view()[1].replace("order = RequestSource", "")
    edited = (running.root / "feature_repo/features.py").read_text().replace(*LONGER)
    running.write("features.py", edited.replace("features=[habits, basket]", "features=[habits]") + more)
    run = started(running, "cut", allow_deletions=True)
    run.check()
    with stored(running) as database:
        for what in ("INSERT", "UPDATE"):
            database.execute(
                f"CREATE TRIGGER stop_{what} BEFORE {what} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END"
            )
    with pytest.raises((FeatureStoreError, IntegrityError), match="the disk is gone"):
        run.apply()
    assert running.store().registered() == before
    assert online(running, "bob") == served
    with stored(running) as database:
        for what in ("INSERT", "UPDATE"):
            database.execute(f"DROP TRIGGER stop_{what}")
    assert "~ feature view habits: ttl 172800s -> 259200s" in changes(running)
    applied(running, "next", allow_deletions=True)
    assert changes(running) == []
    assert online(running, "ann", "tiered") == {"tier": "a"}
    assert online(running, "bob") == {name: served[name] for name in ("visits", "spend", "tier")}


@pytest.mark.parametrize("retried", [True, False])
def test_a_removal_that_is_cut_short_is_finished_by_its_retry_and_by_the_next_apply(
    running: "Shop", monkeypatch: pytest.MonkeyPatch, retried: bool
) -> None:
    running.edit("features.py", *_another_view())
    applied(running, "more")
    running.write("features.py", FILES["features.py"])
    run = started(running, "less", allow_deletions=True)
    run.check()
    run.apply()
    assert online(running, "ann", "tiered") == {"tier": "a"}

    update = GuardedSqliteOnlineStore.update

    def killed(store: GuardedSqliteOnlineStore, **given: Any) -> None:
        if given["tables_to_delete"]:
            raise KeyboardInterrupt
        update(store, **given)

    with monkeypatch.context() as broken:
        broken.setattr(GuardedSqliteOnlineStore, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            run.decide()
    assert "feature view tiers" not in running.store().registered()
    assert online(running, "bob")["spend"] == 2.5
    assert "shop_tiers" in tables_online(running)
    if retried:
        ApplyRun(run.snapshot).decide()
    else:
        applied(running, "next", allow_deletions=True)
    assert tables_online(running) == {"shop_habits"}
    assert changes(running) == []


def test_the_features_of_a_live_model_are_those_applied_until_an_edit_of_them_is(
    running: "Shop", caplog: pytest.LogCaptureFixture
) -> None:
    more = 'tiered = FeatureService(name="tiered", features=[habits, basket])\n'
    running.write("features.py", FILES["features.py"] + more)
    running.edit("models/returns_soon.yaml", "features: shopper", "features: tiered")
    assert model_of(running, "before") == "shopper"
    assert "models/returns_soon.yaml: features: 'tiered' waits to be applied, and 'shopper' is" in caplog.text
    planned = make_plan(running.project).plan
    assert "~ model returns_soon: features shopper -> tiered" in map(str, planned.changes)
    assert (planned.retrain, planned.stops) == ({"returns_soon": ("model returns_soon changed",)}, ())
    run = started(running, "cut")
    run.check()
    run.apply()
    assert model_of(running, "during") == "shopper"
    run.decide()
    assert model_of(running, "after") == "tiered"


def test_the_features_of_a_model_that_is_not_live_are_those_of_its_file(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    applied(shop, "first")
    shop.edit("models/returns_soon.yaml", "features: shopper", "features: tiered")
    assert model_of(shop, "draft") == "tiered"


def test_a_service_that_a_live_model_is_given_is_removed_after_the_model_has_left_it(
    running: "Shop",
) -> None:
    text = FILES["features.py"]
    renamed = text.replace('shopper = FeatureService(name="shopper"', 'other = FeatureService(name="other"')
    running.write("features.py", renamed)
    running.edit("models/returns_soon.yaml", "features: shopper", "features: other")
    run = started(running, "renamed", allow_deletions=True)
    run.check()
    run.apply()
    assert model_of(running, "cut short") == "shopper"
    assert online(running, "bob")["spend"] == 2.5
    applied(running, "next", allow_deletions=True)
    assert "feature service shopper" not in running.store().registered()
    assert (model_of(running, "next"), changes(running)) == ("other", [])


def model_of(shop: "Shop", run_id: str) -> str:
    """Return the feature service that a run of the model would use."""
    return take_snapshot(
        shop.project, "returns_soon__predict", run_id, model="returns_soon"
    ).the_model.features


def tables_online(shop: "Shop") -> set[str]:
    with sqlite3.connect(shop.project.locations.feast_online_path) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_an_online_store_that_is_away_is_asked_before_anything_is_written(running: "Shop") -> None:
    before = running.store().registered()
    running.edit("features.py", *LONGER)
    running.lose_online_store()
    run = started(running, "away")
    run.check()
    with pytest.raises(NotReadyError, match=r"online store \(redis\) does not answer: .*Nothing was changed"):
        run.apply()
    assert running.store().registered() == before


def test_a_registry_in_postgres_is_written_whole_or_not_at_all(
    shop: "Shop", monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = (
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE 'the disk is gone'; END $$",
        "CREATE TRIGGER stop BEFORE UPDATE ON feature_services FOR EACH ROW EXECUTE FUNCTION stop()",
    )
    # Not pytest's own folder: as root the server is another user, whom pytest locks out.
    with TemporaryDirectory(prefix="keepfit-") as home, (server := Postgres(Path(home))).used():
        monkeypatch.setenv("KEEPFIT_FEAST_REGISTRY", server.url("postgres"))
        shop.store().register()
        before = shop.store().registered()
        edited = FILES["features.py"].replace(*LONGER)
        shop.write("features.py", edited.replace("features=[habits, basket]", "features=[habits]"))
        database = create_engine(server.url("postgres"), poolclass=NullPool)
        with database.begin() as connection:
            for statement in stop:
                connection.execute(text(statement))
        with pytest.raises(FeatureStoreError, match="the disk is gone"):
            shop.store().apply()
        assert shop.store().registered() == before
        with database.begin() as connection:
            connection.execute(text("DROP TRIGGER stop ON feature_services"))
        shop.store().apply()
        assert shop.store().registered()["feature view habits"] != before["feature view habits"]
