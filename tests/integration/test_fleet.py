"""Many models with one view in common: what one corrupted source starts, and what an answer starts."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import FILES
from typer.testing import CliRunner

from keepfit.cli.app import app
from keepfit.errors import ConfError, DecisionError
from keepfit.ledger import Decision, Incident, Ledger, Training, decision_key, migrate
from keepfit.pipeline.answering import answer_case, incident_run_id, released
from keepfit.pipeline.asked_for import refuse_unasked
from keepfit.pipeline.fleet import Fleet
from keepfit.pipeline.incident import find_case, find_cases
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.pipeline.unstarted import find_unstarted
from keepfit.policy import Champion, policy_version
from keepfit.spec import Project, Window, load_project
from keepfit.steps.decide import Measured, Memory, make_decision

START = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)
SERVICES = 10
FEATURES = """
visits = FeatureView(
    name="visits",
    entities=[buyer],
    ttl=timedelta(days=2),
    schema=[Field(name="pages", dtype=Int64)],
    source=published("pages"),
)
for number in range({services}):
    features = [habits] if number % 2 else [habits[["spend"]], visits]
    globals()[f"service_{{number}}"] = FeatureService(name=f"service_{{number}}", features=features)
alone = FeatureService(name="alone", features=[visits])
"""
PAGES = """
name: pages
source: {type: files, path: pages.parquet}
columns: {customer: string, seen_at: timestamp, pages: int64}
key: [customer, seen_at]
event_time: seen_at
feature_views: [visits]
"""
MODEL = """
name: {name}
task: classification
entities: {{dataset: orders, columns: [customer, amount]}}
features: {service}
label: {{column: returned, delay: 3d}}
train: {{holdout: 2d, candidates: [{{trainer: lightgbm}}]}}
evaluate: {{objective: log_loss}}
policy: {{rules: [{{rule: drift_share, share: 0.2}}], cooldown: {cooldown}}}
"""


def write_fleet(root: Path, models: int, fleet: str = "{}", cooldown: str = "7d") -> Project:
    """Write a project of many models, of which all lean on the view `habits`, and some on `visits` too."""
    files = {name: text for name, text in FILES.items() if not name.startswith("models/")}
    files["keepfit.yaml"] += f"fleet: {fleet}\n"
    files["features.py"] += FEATURES.format(services=SERVICES)
    files["datasets/pages.yaml"] = PAGES
    for number in range(models):
        name, service = f"m{number:03d}", f"service_{number % SERVICES}"
        files[f"models/{name}.yaml"] = MODEL.format(name=name, service=service, cooldown=cooldown)
    for name, text in files.items():
        path = root / "feature_repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = load_project(root)
    assert project.problems == ()
    migrate(project.locations.ledger_url)
    return project


def register(project: Project) -> None:
    from keepfit.backends.feature_store import FeatureStore

    FeatureStore(project).register()


def week(number: int, length: timedelta = WEEK) -> Window:
    return Window(START + number * WEEK, START + number * WEEK + length)


def drift(
    *, drifted: bool = True, jumped: tuple[str, ...] = (), broken: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What the drift's step stores of a window whose only feature is `spend`."""
    return {
        "columns": [{"column": "spend", "drifted": drifted, "score": 0.75}],
        "share": 1.0 if drifted else 0.0,
        "rows": 900,
        "reason": "",
        "missing": [],
        "broken": list(broken),
        "jumped": list(jumped),
    }


JUMPED = drift(jumped=("spend",))
BROKEN = drift(broken=("spend is 100 times what it was: another unit",))


@dataclass(frozen=True)
class Watch:
    """The end of a monitoring run: the decision about a window, with a real ledger and real features."""

    project: Project

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.project.locations.ledger_url)

    def decide(self, model: str, window: Window, seen: Mapping[str, Any] = JUMPED) -> Decision:
        run_id = f"watch_{window.key}"
        taken = take_snapshot(self.project, f"{model}__monitor", run_id, model=model, window=window)
        champion = Champion("1", START - WEEK)
        measured = Measured({"new_rows": 0}, {"signal": None}, seen, champion, 1.0)
        spec = taken.the_model

        def make(memory: Memory) -> Decision:
            return make_decision(spec, window, measured, memory, run_id)

        fleet = Fleet(taken, measured.signals(model, window), measured.drift)
        return fleet.decide(self.ledger, decision_key(model, policy_version(spec), window), make)

    def answer(self, key: str, word: str, why: str | None = "looked at it") -> Any:
        at = datetime(2024, 3, 1, tzinfo=UTC)
        return answer_case(self.project, key, word, who="ann", why=why, at=at)

    def released(self, key: str) -> list[dict[str, Any]]:
        return released(self.ledger, find_case(self.ledger, key))


Fleets = Callable[..., Watch]


@pytest.fixture
def fleet_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleets:
    """Make a fleet of so many models."""
    for variable in ("HOME", "LAKE", "LEDGER_URL", "TRACKING_URI", "FEAST_REGISTRY", "FEAST_ONLINE"):
        monkeypatch.delenv(f"KEEPFIT_{variable}", raising=False)

    def make(models: int, **options: str) -> Watch:
        project = write_fleet(tmp_path, models, **options)
        register(project)
        return Watch(project)

    return make


def test_one_jump_of_a_view_holds_200_models_in_one_incident_and_real_starts_each_once(
    fleet_of: Fleets,
) -> None:
    watch = fleet_of(200)
    made = [watch.decide(model, week(1)) for model in watch.project.models]
    assert Counter(each.verdict for each in made) == {"held": 200}
    (incident,) = watch.ledger.incidents()
    assert (incident.key, incident.view, incident.columns) == (f"habits:{week(1).key}", "habits", ("spend",))
    assert incident.models == 200
    assert incident.reason == "spend jumped from the window before (drift 0.75)"
    assert made[7].reason.startswith(
        f"spend of habits moved at once for 200 models: incident {incident.key} asks whether that is a fault"
    )
    assert {each.run_id for each in made} == {None}
    assert watch.released(incident.key) == []

    watch.answer(incident.key, "real")
    started = watch.released(incident.key)
    assert Counter((each["model"], each["run_id"]) for each in started) == {
        (model, f"decision__{week(1).key}"): 1 for model in watch.project.models
    }
    assert started == watch.released(incident.key)
    for each in started:
        settings = {**each["conf"]}
        refuse_unasked(watch.project, each["model"], each["run_id"], settings)
        watch.ledger.record_training(
            Training(each["run_id"], each["model"], settings["decision"], week(1).end, "2", "pass", (), {})
        )
    assert watch.released(incident.key) == []


def test_broken_windows_are_blocked_in_one_incident_and_no_answer_starts_them(fleet_of: Fleets) -> None:
    watch = fleet_of(6)
    made = [watch.decide(model, week(1), BROKEN) for model in watch.project.models]
    assert {each.verdict for each in made} == {"blocked"}
    assert made[3].reason == (
        "broken data is never trained on: spend is 100 times what it was: another unit; "
        f"incident habits:{week(1).key} asks what has happened"
    )
    case = find_case(watch.ledger, f"habits:{week(1).key}")
    assert case.models("blocked") == tuple(watch.project.models)
    assert case.incident.reason == "spend is 100 times what it was: another unit"
    assert {each.incident_key for each in case.decisions} == {case.incident.key}
    watch.answer(case.incident.key, "real")
    assert watch.released(case.incident.key) == []


def test_a_window_that_is_blocked_names_every_incident_that_asks_about_it(fleet_of: Fleets) -> None:
    watch = fleet_of(6)
    seen = drift(broken=("spend is 100 times what it was: another unit", "pages is text"))
    made = watch.decide("m000", week(1), seen)
    keys = sorted((f"habits:{week(1).key}", f"visits:{week(1).key}"))
    assert sorted(made.incidents) == keys
    assert all(key in made.reason for key in keys)
    assert made.reason.endswith(" ask what has happened")


def test_fewer_models_than_it_takes_or_null_hold_nothing(fleet_of: Fleets) -> None:
    watch = fleet_of(2)
    assert watch.decide("m000", week(1)).verdict == "retrain"
    watch = fleet_of(4, fleet="{common_cause: null}")
    assert watch.decide("m003", week(1)).verdict == "retrain"
    assert watch.ledger.incidents() == []


def test_a_drift_without_a_jump_or_a_jump_that_no_rule_minds_is_no_incident(fleet_of: Fleets) -> None:
    watch = fleet_of(4)
    assert watch.decide("m000", week(1), drift()).verdict == "retrain"
    assert watch.decide("m001", week(1), drift(drifted=False, jumped=("spend",))).verdict == "keep"
    assert watch.ledger.incidents() == []


def test_a_longer_window_that_overlaps_joins_and_one_after_it_opens_its_own(fleet_of: Fleets) -> None:
    watch = fleet_of(4)
    first = watch.decide("m000", week(1))
    longer = watch.decide("m001", week(0, 4 * WEEK))
    after = watch.decide("m002", week(2))
    assert longer.incident_key == first.incident_key == f"habits:{week(1).key}"
    assert after.incident_key == f"habits:{week(2).key}"
    watch.answer(f"habits:{week(1).key}", "real")
    assert {each["model"] for each in watch.released(f"habits:{week(1).key}")} == {"m000", "m001"}
    assert watch.released(f"habits:{week(2).key}") == []


def test_a_model_held_by_two_causes_waits_for_both_answers(fleet_of: Fleets) -> None:
    watch = fleet_of(8)
    both = drift(jumped=("spend", "pages"))
    assert watch.decide("m000", week(1), both).incidents == (f"habits:{week(1).key}", f"visits:{week(1).key}")
    watch.decide("m001", week(1))
    watch.answer(f"habits:{week(1).key}", "real")
    assert [each["model"] for each in watch.released(f"habits:{week(1).key}")] == ["m001"]
    watch.answer(f"visits:{week(1).key}", "real")
    assert [each["model"] for each in watch.released(f"visits:{week(1).key}")] == ["m000"]


def test_a_training_that_one_cause_has_ended_waits_for_no_other_and_takes_no_budget(
    fleet_of: Fleets,
) -> None:
    watch = fleet_of(8, fleet="{budget: 1, budget_period: 28d}")
    watch.decide("m000", week(1), drift(jumped=("spend", "pages")))
    assert watch.decide("m001", week(2)).restrained.startswith("the fleet's budget: 1 of 1")
    watch.answer(f"visits:{week(1).key}", "fault")
    assert watch.decide("m003", week(2)).restrained == "", "no answer starts the first any more"


def test_an_answer_counts_no_training_that_another_cause_holds(fleet_of: Fleets) -> None:
    watch = fleet_of(8)
    habits, visits = f"habits:{week(1).key}", f"visits:{week(1).key}"
    watch.decide("m000", week(1), drift(jumped=("spend", "pages")))
    watch.decide("m001", week(1))
    assert watch.answer(habits, "real").consequence.endswith(
        "are trained, each once: 1. Another incident decides about m000."
    )
    assert watch.answer(visits, "real").consequence.endswith("are trained, each once: 1.")
    assert find_case(watch.ledger, habits).consequence.endswith("are trained, each once: 2.")


def test_a_model_that_looks_after_the_answer_is_held_by_a_fault_and_let_go_by_a_change(
    fleet_of: Fleets,
) -> None:
    watch = fleet_of(4)
    for number, word in enumerate(("fault", "real"), 1):
        watch.decide("m000", week(2 * number))
        watch.answer(f"habits:{week(2 * number).key}", word, why="the till was down")
    late = watch.decide("m001", week(2))
    assert late.verdict == "held"
    assert f"incident habits:{week(2).key} was answered by ann: a fault (the till was down)" in late.reason
    assert watch.decide("m001", week(4)).verdict == "retrain"
    assert watch.released(f"habits:{week(2).key}") == []


def test_a_released_training_counts_in_the_cool_down_as_one_that_was_asked_for(fleet_of: Fleets) -> None:
    watch = fleet_of(4, cooldown="14d")
    key = watch.decide("m000", week(1)).incident_key or ""
    watch.answer(key, "real")
    next_week = watch.decide("m000", week(2), drift())
    assert next_week.verdict == "keep"
    assert next_week.reason.startswith("cool-down of 14 d: the window ending 2024-01-15 asked for a training")


def test_a_held_training_may_start_only_once_it_is_released(fleet_of: Fleets) -> None:
    watch = fleet_of(3)
    held = watch.decide("m000", week(1))
    asked = {"as_of": week(1).end.isoformat(), "decision": held.key}
    run_id = f"decision__{week(1).key}"
    with pytest.raises(ConfError, match=r"asks for no training: its verdict is 'held'"):
        refuse_unasked(watch.project, "m000", run_id, asked)
    watch.answer(held.incident_key or "", "real")
    refuse_unasked(watch.project, "m000", run_id, asked)
    refuse_unasked(watch.project, "m000", f"{run_id}~2", asked)  # Cleared, and so begun again.
    with pytest.raises(ConfError, match=rf"asks for the run '{run_id}', not 'another'"):
        refuse_unasked(watch.project, "m000", "another", asked)


def test_the_first_answer_stands_and_all_others_are_refused_in_words(fleet_of: Fleets) -> None:
    watch = fleet_of(3)
    key = watch.decide("m000", week(1)).incident_key or ""
    with pytest.raises(ConfError, match=r"There is no incident 'habit:.*'\. Did you mean 'habits:"):
        watch.answer(key.replace("habits", "habit"), "fault")
    with pytest.raises(ConfError, match=r"is answered fault without a reason\. Say why"):
        watch.answer(key, "fault", why=" ")
    with pytest.raises(ConfError, match=r"'reel' is no answer to .* Answer fault or real\."):
        watch.answer(key, "reel")
    assert watch.answer(key, "fault").consequence == (
        f"{key} is a fault, says ann: looked at it. No training of the models it held is started: 1. "
        "The window is left out of trainings until it is published anew."
    )
    assert watch.answer(key, "fault").answer.answer == "fault"
    with pytest.raises(
        DecisionError, match=r"was answered fault by ann at 2024-03-01 00:00 \(looked at it\)"
    ):
        watch.answer(key, "real")


def test_the_question_names_view_window_numbers_and_who_waits(fleet_of: Fleets) -> None:
    watch = fleet_of(5)
    for model in ("m000", "m001"):
        watch.decide(model, week(1))
    watch.decide("m002", week(1), BROKEN)
    (case,) = find_cases(watch.ledger)
    assert case.subject == "Is habits broken? 3 models wait for an answer"
    assert case.body.startswith(
        "From **2024-01-08 00:00** to **2024-01-15 00:00** UTC the feature view **habits**, "
        "which 5 models lean on, moved at once:\n\n"
        "- spend jumped from the window before (drift 0.75)\n\n"
        "- held, to be trained if it is real (2): m000, m001\n"
        "- blocked by broken data, whatever the answer (1): m002\n\n"
        "**fault**: the data was wrong."
    )


def test_a_model_alone_is_asked_about_in_the_singular(fleet_of: Fleets) -> None:
    watch = fleet_of(1, fleet="{common_cause: 1}")
    assert watch.decide("m000", week(1)).verdict == "held"
    (case,) = find_cases(watch.ledger)
    assert case.subject == "Is habits broken? 1 model waits for an answer"
    assert "which 1 model leans on, moved at once:" in case.body


DECIDE = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from keepfit.spec import load_project
from tests.integration.test_fleet import Watch, week
watch = Watch(load_project(Path(sys.argv[1])))
print(json.dumps([watch.decide(model, week(1)).verdict for model in sys.argv[2:]]))
"""


def test_processes_that_look_at_once_open_one_incident(fleet_of: Fleets, warm: list[str]) -> None:
    watch = fleet_of(8)
    names = list(watch.project.models)
    # Every model is decided about twice, by two processes.
    commands = [[*warm, "-c", DECIDE, str(watch.project.root), *some] for some in (names, names[::-1])]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    told = [process.communicate(timeout=300)[0] for process in processes]
    assert [json.loads(words) for words in told] == [["held"] * 8] * 2
    assert len(watch.ledger.incidents()) == 1
    assert [len(watch.ledger.decisions(name)) for name in names] == [1] * 8


def test_a_signal_that_swings_about_its_threshold_stays_within_the_fleet_s_budget(fleet_of: Fleets) -> None:
    watch = fleet_of(2, fleet="{budget: 3, budget_period: 28d}", cooldown="0d")
    made = [
        watch.decide(model, week(number), drift(drifted=(number + at) % 2 == 0))
        for number in range(100)
        for at, model in enumerate(watch.project.models)
    ]
    asked = [each.window_end for each in made if each.verdict == "retrain"]
    most = max(sum(end - timedelta(days=28) < other <= end for other in asked) for end in asked)
    assert most == 3
    assert len(asked) <= 3 * 100 / 4 + 3
    kept = [each for each in made if "the fleet's budget: 3 of 3 trainings in 28 d are spent" in each.reason]
    assert len(kept) + len(asked) == 100


def test_a_cool_down_holds_back_a_held_training_too_and_the_window_is_asked_about_all_the_same(
    fleet_of: Fleets,
) -> None:
    watch = fleet_of(4, cooldown="14d")
    assert watch.decide("m000", week(1), drift()).verdict == "retrain"
    made = [watch.decide(model, week(2)) for model in ("m000", "m001")]
    assert [each.verdict for each in made] == ["held", "held"]
    assert (
        "; if that is real, no training is started all the same: cool-down of 14 d: the window ending "
        "2024-01-15 asked for a training, 7 d away; "
    ) in made[0].reason
    assert "all the same" not in made[1].reason
    case = find_case(watch.ledger, f"habits:{week(2).key}")
    assert (
        "- held, to be trained if it is real (1): m001\n"
        "- held, and kept from training by cool-down or budget (1): m000\n"
    ) in case.body
    answered = watch.answer(case.incident.key, "real")
    assert answered.consequence.endswith(
        "The models it held are trained, each once: 1. Not trained all the same, by cool-down or budget: 1."
    )
    assert [each["model"] for each in watch.released(case.incident.key)] == ["m001"]
    settings = {"decision": made[0].key, "as_of": week(2).end.isoformat()}
    with pytest.raises(ConfError, match="asks for no training: its verdict is 'held'"):
        refuse_unasked(watch.project, "m000", f"decision__{week(2).key}", settings)


def test_an_answer_releases_no_more_trainings_than_the_fleet_s_budget_has_left(fleet_of: Fleets) -> None:
    watch = fleet_of(8, fleet="{budget: 3, budget_period: 28d}", cooldown="8d")
    first, second = f"habits:{week(2).key}", f"habits:{week(3).key}"
    assert watch.decide("m000", week(1), drift()).verdict == "retrain"
    made = [watch.decide(model, week(2)) for model in watch.project.models]
    assert {each.verdict for each in made} == {"held"}
    # The first is in its cool-down, so it takes nothing from the two that are left.
    spent = "the fleet's budget: 3 of 3 trainings in 28 d are spent"
    assert [each.restrained for each in made[3:]] == [spent] * 5
    again = [watch.decide(model, week(3)) for model in ("m001", "m002", "m003")]
    assert [bool(each.restrained) for each in again] == [False, False, True], "a model waits once"
    watch.answer(first, "fault")
    watch.answer(second, "real")
    assert [each["model"] for each in watch.released(second)] == ["m001", "m002"]
    assert watch.decide("m005", week(4), drift()).reason.startswith(spent)


def unanswered(watch: Watch, weeks: tuple[int, ...], models: tuple[str, ...] = ("m000", "m001")) -> None:
    """Let models look at a jump week after week, with nobody answering."""
    made = [watch.decide(model, week(number)) for number in weeks for model in models]
    assert {(each.verdict, each.restrained) for each in made} == {("held", "")}


def all_released(watch: Watch) -> Counter[tuple[str, str]]:
    keys = [each.key for each in watch.ledger.incidents()]
    return Counter((each["model"], each["run_id"]) for key in keys for each in watch.released(key))


ONE_JUMP = {"fleet": "{common_cause: 2, budget: 3, budget_period: 60d}", "cooldown": "21d"}


@pytest.mark.parametrize(("order", "trained"), [((2, 3, 4), 2), ((4, 3, 2), 4), ((3, 4, 2), 3)])
def test_a_jump_that_nobody_answered_for_weeks_trains_each_model_once(
    fleet_of: Fleets, order: tuple[int, ...], trained: int
) -> None:
    watch = fleet_of(2, **ONE_JUMP)
    unanswered(watch, (2, 3, 4))
    told = [watch.answer(f"habits:{week(number).key}", "real").consequence for number in order]
    once = {(model, f"decision__{week(trained).key}"): 1 for model in ("m000", "m001")}
    assert all_released(watch) == once
    assert told[0].endswith("The models it held are trained, each once: 2.")
    for each in told[1:]:
        assert (
            "are trained, each once: 0. Not trained all the same, by cool-down or budget: 2. m000, m001: "
        ) in each
    later = datetime(2024, 3, 2, tzinfo=UTC)
    found = find_unstarted(watch.project, later)
    assert Counter((each["model"], each["decision"]["run_id"]) for each in found) == once
    assert watch.ledger.audit().findings == ()


def test_an_answer_says_to_what_a_training_gives_way_and_its_run_is_refused(fleet_of: Fleets) -> None:
    watch = fleet_of(2, **ONE_JUMP)
    unanswered(watch, (2, 3))
    first, second = f"habits:{week(2).key}", f"habits:{week(3).key}"
    watch.answer(first, "real")
    said = watch.answer(second, "real").consequence
    assert said.endswith(
        "m000, m001: cool-down of 21 d: the window ending 2024-01-22 asked for a training, 7 d away."
    )
    assert watch.answer(second, "real").consequence == said == find_case(watch.ledger, second).consequence
    asked = {"as_of": week(3).end.isoformat(), "decision": watch.ledger.decisions("m000")[-1].key}
    with pytest.raises(ConfError, match="asks for no training: its verdict is 'held'"):
        refuse_unasked(watch.project, "m000", f"decision__{week(3).key}", asked)
    # Three weeks after what was released, and not after what gave way.
    assert watch.decide("m000", week(5), drift()).verdict == "retrain"


def test_an_older_window_gives_way_to_a_newer_one_however_long_ago(fleet_of: Fleets) -> None:
    watch = fleet_of(2, **(ONE_JUMP | {"cooldown": "0d"}))
    unanswered(watch, (2, 3))
    watch.answer(f"habits:{week(3).key}", "real")
    assert watch.answer(f"habits:{week(2).key}", "real").consequence.endswith(
        "m000, m001: the window ending 2024-01-29 00:00 asked for a training, which knows this one too."
    )
    assert {run for _, run in all_released(watch)} == {f"decision__{week(3).key}"}


def test_a_fault_leaves_the_next_week_s_training_free(fleet_of: Fleets) -> None:
    watch = fleet_of(2, **ONE_JUMP)
    unanswered(watch, (2, 3))
    watch.answer(f"habits:{week(2).key}", "fault")
    watch.answer(f"habits:{week(3).key}", "real")
    assert {run for _, run in all_released(watch)} == {f"decision__{week(3).key}"}


def test_the_fleet_s_budget_is_counted_again_when_the_answer_comes(fleet_of: Fleets) -> None:
    watch = fleet_of(6, fleet="{common_cause: 2, budget: 3, budget_period: 28d}")
    unanswered(watch, (2,), ("m002", "m001"))
    for model in ("m003", "m004"):
        assert watch.decide(model, week(2), drift()).verdict == "retrain"
    assert watch.answer(f"habits:{week(2).key}", "real").consequence.endswith(
        "are trained, each once: 1. Not trained all the same, by cool-down or budget: 1. "
        "m001: the fleet's budget: 3 of 3 trainings in 28 d are spent."
    )
    assert [model for model, _ in all_released(watch)] == ["m002"], "who asked first is trained"


def test_a_model_s_own_budget_is_counted_again_when_the_answer_comes(fleet_of: Fleets) -> None:
    watch = fleet_of(3, cooldown="0d, budget: 1, budget_period: 28d")
    unanswered(watch, (2,))
    assert watch.decide("m000", week(1), drift()).verdict == "retrain"
    assert watch.answer(f"habits:{week(2).key}", "real").consequence.endswith(
        "m000: budget: 1 of 1 trainings in 28 d are spent."
    )
    assert [model for model, _ in all_released(watch)] == ["m001"]


def test_two_answers_at_once_release_each_model_once(fleet_of: Fleets) -> None:
    watch = fleet_of(2, **ONE_JUMP)
    unanswered(watch, (2, 3))
    keys = [each.key for each in watch.ledger.incidents()]
    with ThreadPoolExecutor() as pool:

        def hold(_: Any) -> Decision:
            # Both look, and none may record while somebody decides.
            pending.extend(pool.submit(watch.answer, key, "real") for key in keys)
            wait(pending, timeout=1)
            assert not any(each.done() for each in pending)
            raise KeyError("nothing is decided")

        pending: list[Future[Any]] = []
        with pytest.raises(KeyError):
            watch.ledger.decide_once("m000:held", hold)
        said = [each.result().consequence for each in pending]
    assert sorted("Not trained all the same" in each for each in said) == [False, True]
    assert sorted(model for model, _ in all_released(watch)) == ["m000", "m001"]


def test_two_incidents_never_share_a_run_id_and_a_plain_key_stays_readable() -> None:
    assert incident_run_id("weather:a_b") == "incident__weather:a_b"
    assert incident_run_id("my view:a_b") != incident_run_id("my/view:a_b")


def test_an_open_incident_is_listed_before_an_answered_one(fleet_of: Fleets) -> None:
    watch = fleet_of(3)
    for number in (1, 3, 5):
        watch.ledger.open_incident(
            Incident(
                f"k{number}", "v", week(number).start, week(number).end, ("x",), 3, "x jumped", "m, run r"
            )
        )
    watch.answer("k5", "fault")
    assert [each.incident.key for each in find_cases(watch.ledger)] == ["k3", "k1", "k5"]


def test_a_released_training_that_nobody_started_is_found_until_it_comes_to_a_verdict(
    fleet_of: Fleets,
) -> None:
    watch = fleet_of(3)
    held = watch.decide("m000", week(1))
    later = datetime(2024, 3, 2, tzinfo=UTC)
    assert find_unstarted(watch.project, later) == []
    watch.answer(held.incident_key or "", "real")
    assert find_unstarted(watch.project, datetime(2024, 3, 1, tzinfo=UTC)) == []
    (found,) = find_unstarted(watch.project, later)
    assert (found["model"], found["decision"]["run_id"]) == ("m000", f"decision__{week(1).key}")
    cleared = f"{found['decision']['run_id']}~1"
    done = Training(cleared, "m000", held.key, week(1).end, "2", "fail", (), {})
    watch.ledger.record_training(done)
    assert find_unstarted(watch.project, later) == []


def test_the_command_line_lists_shows_answers_and_says_how_to_start(fleet_of: Fleets) -> None:
    watch = fleet_of(5)
    for model in watch.project.models:
        watch.decide(model, week(1))
    key = f"habits:{week(1).key}"

    def keepfit(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["incidents", *arguments, "--root", str(watch.project.root)])

    listed = keepfit().stdout.splitlines()[1]
    assert listed.startswith(f"{key}  open    habits  2024-01-15 00:00  spend jumped from the window before")
    assert "  5 held: m000, m001, m002, ...  " in listed
    shown = keepfit(key).stdout
    assert shown.startswith("Is habits broken? 5 models wait for an answer\n\nFrom **2024-01-08 00:00**")
    assert keepfit("--answer", "real").exit_code != 0
    assert "without a reason. Say why" in keepfit(key, "--answer", "real").stderr
    assert "There is no incident 'x'." in keepfit("x", "--answer", "real", "--why", "new prices").stderr
    done = keepfit(key, "--answer", "real", "--why", "new prices").stdout
    assert "new prices. The models it held are trained, each once: 5.\n5 trainings have come to no " in done
    assert f"`keepfit incidents {key} --start` does them in this process; where Airflow runs, clear" in done
    again = keepfit(key, "--answer", "fault", "--why", "no")
    assert again.exit_code == 1
    assert "The first answer stands; " in again.stderr
    assert f"{key}  real  " in keepfit().stdout
