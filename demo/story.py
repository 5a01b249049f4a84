"""What the demo shows while it walks, and the story it tells at the end."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.chosen import tell_choice
from demo.service import Answer, Flight
from keepfit.errors import KeepfitError
from keepfit.ledger import Decision, Deployment, Ledger, Training
from keepfit.policy import Signals
from keepfit.spec import ModelSpec, Project, Window

Found = TypeVar("Found")
PATIENCE = 900.0


class Story:
    """Prints one line for each thing that happened; a spinner says what is going on."""

    def __init__(self, console: Console) -> None:
        """Tell the story on a console."""
        self.console = console
        self._status = console.status("")
        self._said: set[str] = set()

    def doing(self, what: str) -> None:
        """Say what is being waited for."""
        if not self.console.is_terminal:
            return
        self._status.update(f"[dim]{what}[/]")
        self._status.start()

    def until(self, look: Callable[[], Found | None], what: str) -> Found:
        """Look until there is an answer."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if answer := look():
                return answer
            time.sleep(0.5)
        raise KeepfitError(
            f"{what} has not come within {PATIENCE:.0f} s. The Airflow UI shows which run failed and why; "
            "`make demo` goes on from here."
        )

    def replayed(self, spec: ModelSpec, report: Path) -> None:
        """Say which policy a replay chose."""
        self._status.stop()
        tell_choice(self.console, spec, report)

    def trained(self, training: Training) -> None:
        """Say how a training ended."""
        live = f"version {training.version} " + ("is live" if training.verdict == "pass" else "is refused")
        self._status.stop()
        self.console.print(
            f"[bold]{training.model}[/] trained as of {training.as_of:%d %b}: {training.verdict}, {live}. "
            f"{'; '.join(training.reasons)}",
            highlight=False,
        )

    def asked(self, flight: Flight, when: str, answers: Iterable[Answer]) -> None:
        """Say what the live service answered about a flight."""
        self._status.stop()
        told = ", ".join(f"{each.model} {each.score:.3f} (version {each.version})" for each in answers)
        self.console.print(f"The live service on {flight.name}, {when}: {told}", highlight=False)

    def rolled_back(self, move: Deployment) -> None:
        """Say that a model went back to a version."""
        self._status.stop()
        self.console.print(
            f"[bold]{move.model}[/] rolled back from version {move.from_version} to {move.to_version} "
            f"in one step; `keepfit live {move.model} --at TIME` tells what was live when",
            highlight=False,
        )

    def decided(self, week: Window, decision: Decision, because: str) -> None:
        """Say what a week brought; why the policy was chosen is part of each reason, and said here once."""
        self._status.stop()
        reason = decision.reason
        if decision.model in self._said:
            reason = reason.removesuffix(f"; {because}")
        self._said.add(decision.model)
        facts = week_facts(decision)
        numbers = "  ".join(f"{name} {value}" for name, value in facts.items())
        word = f"[bold yellow]{decision.verdict}[/]" if decision.verdict == "retrain" else decision.verdict
        self.console.print(
            f"{week.start:%d %b}  {decision.model:14s} {numbers}\n        {word}: {reason}",
            highlight=False,
        )

    def tell(self, project: Project, ledger: Ledger) -> None:
        """Tell the whole story in a table."""
        self._status.stop()
        for model in project.models:
            table = Table(title=f"{model} in 2013", title_justify="left", box=SIMPLE_HEAD)
            for column in ("when", "rows", "quality", "drift", "what", "why", "live"):
                table.add_column(column, no_wrap=column == "quality", ratio=1 if column == "why" else None)
            for row in _rows(model, ledger):
                table.add_row(*row)
            self.console.print(table)


def week_facts(decision: Decision) -> dict[str, str]:
    """Return the numbers of a week by which the decision was taken."""
    signals = Signals.of_json(decision.evidence["signals"])
    live = signals.champion.version if signals.champion else None
    quality: Mapping[str, Any] = decision.evidence["performance"]["versions"].get(live, {})
    shown = {
        name: f"{value:.4f}"
        for name, value in quality.items()
        if isinstance(value, float) and ":" not in name
    }
    share = signals.drift.share if signals.drift else None
    return {
        "rows": f"{signals.rows:,}",
        **shown,
        "drift": "-" if share is None else f"{share:.2f}",
        "live": f"v{live}",
    }


def _rows(model: str, ledger: Ledger) -> list[tuple[str, ...]]:
    trainings = {each.run_id: each for each in ledger.trainings(model)}
    first = next(each for each in trainings.values() if each.decision_key is None)
    rows = [_training_row(first)]
    for decision in ledger.decisions(model):
        facts = week_facts(decision)
        live, drift, count = facts.pop("live"), facts.pop("drift"), facts.pop("rows")
        quality = "\n".join(f"{name} {value}" for name, value in facts.items())
        when = f"{decision.window_start:%d %b}"
        rows.append((when, count, quality, drift, decision.verdict, _first_clause(decision.reason), live))
        if decision.run_id in trainings:
            rows.append(_training_row(trainings[decision.run_id]))
    return rows


def _training_row(training: Training) -> tuple[str, ...]:
    done = "promoted" if training.verdict == "pass" else "refused"
    why = _first_clause("; ".join(training.reasons))
    return f"{training.as_of:%d %b}", "", "", "", f"trained, {done}", why, f"v{training.version}"


def _first_clause(reason: str) -> str:
    """Return the part of a reason that decided; the rest is in `keepfit decisions`."""
    return reason.partition(";")[0]
