"""One corrupted source, 200 models: what a drift-share loop starts, and what keepfit does.

`.venv/bin/python benchmarks/fleet.py` (2 minutes) makes a project of 200 models, each with a feature service
of its own on one common view, and a ledger in SQLite. Every model then decides about a window in which all
columns of the view have drifted: by drift share alone, each for itself, as loops around Evidently's preset
do; with keepfit, where the view jumped; and where it is broken. At last a signal swings about its threshold
for 100 windows, without a budget of the fleet and with one. What is timed is the decision: reading the ledger
and Feast's definitions, deciding, recording, opening the incident. Measuring the window is not part of it.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common import say, starter

from keepfit.backends.feature_store import FeatureStore
from keepfit.ledger import Decision, Ledger, decision_key, migrate
from keepfit.pipeline.answering import answer_case, released
from keepfit.pipeline.fleet import Fleet
from keepfit.pipeline.incident import find_case
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.policy import Champion, policy_version
from keepfit.spec import Project, Window, load_project
from keepfit.steps.decide import Measured, Memory, make_decision

MODELS, FEW, WINDOWS, BUDGET = 200, 10, 100, 10
START, WEEK, PERIOD = datetime(2024, 1, 1, tzinfo=UTC), timedelta(weeks=1), timedelta(days=28)
COLUMNS = ("price", "discount", "items")
SERVICES = """
for number in range({models}):
    globals()[f"service_{{number}}"] = FeatureService(name=f"service_{{number}}", features=[order_facts])
"""


@dataclass(frozen=True)
class Spent:
    """What a fleet's decisions came to."""

    trainings: int
    incidents: int
    cpu: float
    """Seconds, of all decisions together."""
    decisions: int

    def row(self, name: str) -> str:
        """Write a line of the table."""
        cells = (self.trainings, self.incidents, f"{1000 * self.cpu / self.decisions:.1f}")
        return f"| {name} | {' | '.join(map(str, cells))} |"


def fleet_of(root: Path, models: int, fleet: str, cooldown: str) -> Project:
    """Turn a starter project into one of many models on one view."""
    repo = root / "feature_repo"
    spec = (repo / "models" / "returns.yaml").read_text()
    shutil.rmtree(repo / "models")
    (repo / "models").mkdir()
    rules = f"policy: {{rules: [{{rule: drift_share, share: 0.5}}], cooldown: {cooldown}}}\n"
    for number in range(models):
        text = spec[: spec.index("policy:")].replace("name: returns ", f"name: m{number:03d} ")
        text = text.replace("features: orders ", f"features: service_{number} ") + rules
        (repo / "models" / f"m{number:03d}.yaml").write_text(text)
    with (repo / "features.py").open("a") as features:
        features.write(SERVICES.format(models=models))
    settings = (repo / "keepfit.yaml").read_text().replace("database: embedded", "database: sqlite")
    (repo / "keepfit.yaml").write_text(f"{settings}fleet: {fleet}\n")
    project = load_project(root)
    if project.problems:
        raise RuntimeError(str(project.problems[0]))
    migrate(project.locations.ledger_url)
    FeatureStore(project).register()
    return project


def drift(*, drifted: bool = True, jumped: bool = False, broken: bool = False) -> dict[str, Any]:
    """Return what the drift's step stores of a window."""
    return {
        "columns": [{"column": name, "drifted": drifted, "score": 0.8} for name in COLUMNS],
        "share": float(drifted),
        "rows": 5000,
        "reason": "",
        "missing": [],
        "broken": [f"{COLUMNS[0]} is 100 times what it was: another unit"] if broken else [],
        "jumped": list(COLUMNS) if jumped else [],
    }


def decide(project: Project, model: str, window: Window, seen: Mapping[str, Any]) -> tuple[Decision, float]:
    """Decide as the last step of a monitoring run does; return the CPU seconds as well."""
    run_id = f"watch_{window.key}"
    taken = take_snapshot(project, f"{model}__monitor", run_id, model=model, window=window)
    spec = taken.the_model
    measured = Measured({"new_rows": 0}, {"signal": None}, seen, Champion("1", START - WEEK), 1.0)

    def make(memory: Memory) -> Decision:
        return make_decision(spec, window, measured, memory, run_id)

    began = time.process_time()
    fleet = Fleet(taken, measured.signals(model, window), measured.drift)
    key = decision_key(model, policy_version(spec), window)
    made = fleet.decide(Ledger(project.locations.ledger_url), key, make)
    return made, time.process_time() - began


def week(number: int) -> Window:
    """Return one of the weeks."""
    return Window(START + number * WEEK, START + (number + 1) * WEEK)


def corrupted(fleet: str, seen: Mapping[str, Any]) -> tuple[Spent, int]:
    """Let every model decide about the same window; return also what the answer `real` releases."""
    with starter() as root:
        project = fleet_of(root, MODELS, fleet, "7d")
        made, cpu = [], 0.0
        for model in project.models:
            decision, seconds = decide(project, model, week(1), seen)
            made.append(decision)
            cpu += seconds
        ledger = Ledger(project.locations.ledger_url)
        spent = Spent(sum(each.verdict == "retrain" for each in made), len(ledger.incidents()), cpu, MODELS)
        return spent, sum(_release(project, each.key) for each in ledger.incidents())


def _release(project: Project, key: str) -> int:
    ledger, began = Ledger(project.locations.ledger_url), time.perf_counter()
    answer_case(project, key, "real", who="benchmark", why="to see", at=datetime.now(UTC))
    runs = {(each["model"], each["run_id"]) for each in released(ledger, find_case(ledger, key))}
    say(f"released {len(runs)} in {time.perf_counter() - began:.2f} s")
    return len(runs)


def swinging(fleet: str) -> tuple[Spent, int]:
    """Let a signal cross its threshold in every other window; return also the most trainings in a period."""
    with starter() as root:
        project = fleet_of(root, FEW, fleet, "0d")
        cpu, asked = 0.0, []
        for number in range(WINDOWS):
            for at, model in enumerate(project.models):
                decision, seconds = decide(
                    project, model, week(number), drift(drifted=(number + at) % 2 == 0)
                )
                cpu += seconds
                asked += [decision.window_end] if decision.verdict == "retrain" else []
        most = max(sum(end - PERIOD < other <= end for other in asked) for end in asked)
        return Spent(len(asked), 0, cpu, WINDOWS * FEW), most


def rows() -> Iterator[str]:
    """Measure, line by line."""
    cases = (
        ("drift share, each model for itself", "{common_cause: null}", drift(jumped=True)),
        ("keepfit, the view jumped", "{}", drift(jumped=True)),
        ("keepfit, the view is broken", "{}", drift(broken=True)),
    )
    for name, fleet, seen in cases:
        say(name)
        spent, free = corrupted(fleet, seen)
        yield f"{spent.row(name)} {free} | - |"
    budget = f"{{budget: {BUDGET}, budget_period: {PERIOD.days}d}}"
    for name, fleet in (("swinging signal, no budget", "{}"), (f"swinging, a budget of {BUDGET}", budget)):
        say(name)
        spent, most = swinging(fleet)
        yield f"{spent.row(name)} - | {most} |"


def main() -> None:
    """Print the table."""
    print(
        "| 200 models (swinging: 10, for 100 windows) | trainings | incidents | CPU ms each | after `real` "
        "| most in 28 days |"
    )
    print("|---|---|---|---|---|---|")
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
