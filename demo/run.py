"""Walk the example round the loop in a real Airflow: load a quarter, replay it, deploy, go on by weeks, undo.

Every run has a fixed id, so an interrupted demo goes on where it was: what is done stays done.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from demo.chosen import COSTS
from demo.service import Answer, Flight, Service, next_flight
from demo.story import Story
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.stores import stores
from keepfit.embedded.supervisor import Status, up
from keepfit.errors import KeepfitError
from keepfit.ledger import Decision, Ledger
from keepfit.plugins import use_plugins
from keepfit.spec import Project, Window, load_project

ROOT = Path(__file__).parents[1]
FIRST = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
WEEK = timedelta(days=7)
MOST_WEEKS = 8
STAGES = ("train", "monitor", "predict", "release", "replay")
REPLAY = "demo__replay"
SOURCE = Path("data", "source")


class Walk:
    """The example's way through the year."""

    def __init__(
        self, project: Project, airflow: AirflowClient, ledger: Ledger, service: Service, story: Story
    ) -> None:
        """Walk a project that is up."""
        self.project, self.airflow, self.ledger, self.story = project, airflow, ledger, story
        self.service = service

    def go(self, most_weeks: int) -> None:
        """Load the first quarter, replay it, deploy version 1, then walk until a retraining is promoted."""
        self._unpause()
        self._ingest(FIRST)
        for model in self.project.models:
            conf = {"cost": COSTS[model], "to": FIRST.end.isoformat()}
            self.airflow.trigger(f"{model}__replay", REPLAY, conf)
        self._deploy()
        for model, spec in self.project.models.items():
            self.story.doing(f"{model}: replaying January to March, which policy would have paid?")
            self._await(f"{model}__replay", REPLAY)
            self.story.replayed(spec, self._report(model))
        for week in _weeks(most_weeks):
            self._ingest(week)
            flight = next_flight(self.project.root / SOURCE, week.end)
            before = self._ask_all(flight)
            promoted = [model for model in self.project.models if self._watch(model, week)]
            if promoted:
                self._undo(promoted, flight, before)
                return
        self.story.console.print(f"No retraining was promoted in {most_weeks} weeks; --weeks walks further.")

    def _deploy(self) -> None:
        """Train a first version of each model, as soon as its first prediction has found none."""
        for model in self.project.models:
            self.story.until(lambda name=model: self._has_tried_to_predict(name), f"{model}__predict")
            self._run(
                f"{model}__train", "demo__first", {"as_of": FIRST.end.isoformat(), "reason": "first training"}
            )
            self.story.trained(self.ledger.trainings(model)[0])

    def _report(self, model: str) -> Path:
        """Ask Airflow where a replay has left its report."""
        path = f"/dags/{model}__replay/dagRuns/{REPLAY}/taskInstances/choose/xcomEntries/return_value"
        return Path(self.airflow.get(path, {"stringify": "false"})["value"]["report"])

    def _ask_all(self, flight: Flight) -> list[Answer]:
        return [self.service.ask(model, flight) for model in self.project.models]

    def _undo(self, promoted: list[str], flight: Flight, before: list[Answer]) -> None:
        """Ask the live service again, go back to the version before in one step, and ask a third time."""
        self.story.asked(flight, "before the training", before)
        self.story.asked(flight, "after it", self._ask_all(flight))
        for model in promoted:
            conf = {"action": "rollback", "reason": "the demo shows the way back"}
            self._run(f"{model}__release", "demo__rollback", conf)
            self.story.rolled_back(self.ledger.deployments(model)[-1])
            self.story.asked(flight, "after the way back", [self.service.ask(model, flight)])

    def _unpause(self) -> None:
        self.story.doing("waiting until Airflow shows the DAGs")
        for dataset in self.project.datasets:
            self.airflow.unpause(f"{dataset}__ingest")
        for model in self.project.models:
            for stage in STAGES:
                self.airflow.unpause(f"{model}__{stage}")

    def _has_tried_to_predict(self, model: str) -> bool:
        """Tell whether the first window's prediction has ended: it finds no champion yet and skips."""
        return self._has_ended(f"{model}__predict", FIRST)

    def _is_done(self, dataset: str, window: Window) -> bool:
        """Tell whether a window of a computed dataset is published, and online."""
        return self.ledger.covers(dataset, window) and self._has_ended(f"{dataset}__ingest", window)

    def _has_ended(self, dag_id: str, window: Window) -> bool:
        runs = self.airflow.runs(dag_id)
        return any(run["partition_key"] == window.key and run["state"] == "success" for run in runs)

    def _ingest(self, window: Window) -> None:
        """Ingest every dataset that has a source of its own; the others follow by themselves."""
        self.story.doing(f"loading {window.start:%d %b} to {window.end:%d %b}")
        sources = [spec for spec in self.project.datasets.values() if not spec.inputs]
        due = [spec for spec in sources if not (spec.snapshot and window != FIRST)]
        conf = {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}
        for spec in due:
            self.airflow.trigger(f"{spec.name}__ingest", _run_id(window), conf)
        for spec in due:
            self._await(f"{spec.name}__ingest", _run_id(window))
        for spec in self.project.datasets.values():
            if spec.inputs:
                self.story.until(
                    lambda name=spec.name: self._is_done(name, window), f"{spec.name} of {window.key}"
                )

    def _watch(self, model: str, week: Window) -> bool:
        """Wait for the week's decision, and for the training it may have asked for; say if it is promoted."""
        self.story.doing(f"{model}: predicting, joining matured labels, looking for drift")
        decision = self.story.until(
            lambda: self._decision(model, week), f"the decision of {model} on {week.key}"
        )
        self.story.decided(week, decision, self.project.model(model).policy.because)
        if decision.run_id is None:
            return False
        self.story.doing(f"{model}: retraining ({decision.trigger})")
        self._await(f"{model}__train", decision.run_id)
        training = next(each for each in self.ledger.trainings(model) if each.run_id == decision.run_id)
        self.story.trained(training)
        return training.verdict == "pass"

    def _decision(self, model: str, week: Window) -> Decision | None:
        return next((each for each in self.ledger.decisions(model) if each.window == week), None)

    def _run(self, dag_id: str, run_id: str, conf: dict[str, str]) -> None:
        self.story.doing(f"{dag_id} is running")
        self.airflow.trigger(dag_id, run_id, conf)
        self._await(dag_id, run_id)

    def _await(self, dag_id: str, run_id: str) -> None:
        if self.airflow.wait(dag_id, run_id, within=1800) == "failed":
            raise KeepfitError(f"{run_id} of {dag_id} failed.\n{self.airflow.failure(dag_id, run_id)}")


def _weeks(most: int) -> Iterator[Window]:
    for number in range(most):
        start = FIRST.end + number * WEEK
        yield Window(start, start + WEEK)


def _run_id(window: Window) -> str:
    return f"demo__{window.key}"


def walk(root: Path, most_weeks: int, console: Console) -> Status:
    """Set everything up, walk, tell the story, and leave Airflow running."""
    use_plugins(root)
    from nyc_flights import write_source

    story = Story(console)
    write_source(root / SOURCE)
    status = up(root, on_progress=story.doing)
    project = load_project(root)
    with (
        stores(project) as locations,
        AirflowClient(status.airflow_url, status.user, status.password) as airflow,
    ):
        ledger = Ledger(locations.ledger_url)
        Walk(project, airflow, ledger, Service(str(status.serving_url)), story).go(most_weeks)
        story.tell(project, ledger)
    return status


def main() -> int:
    """Run the demo; an interrupted one goes on where it was."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--weeks", type=int, default=MOST_WEEKS, help="walk so many weeks at most")
    arguments.add_argument("--root", type=Path, default=ROOT, help="the project")
    options = arguments.parse_args()
    console = Console()
    try:
        status = walk(options.root, options.weeks, console)
    except KeepfitError as error:
        console.print(f"[bold red]The demo stopped:[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted. `make demo` goes on from here; `make down` stops what still runs.")
        return 130
    console.print(f"Airflow  {status.airflow_url}\nMLflow   {status.mlflow_url}")
    console.print(f"Serving  {status.serving_url}/docs")
    console.print(f"login    {status.user} / {status.password}", highlight=False)
    console.print("[dim]`make down` stops them, `make up` starts them again.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
