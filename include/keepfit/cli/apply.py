"""`keepfit plan` and `keepfit apply`: what an edit of feature_repo/ changes, and making it so."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.jobs import Job, do
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.spec import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keepfit.pipeline.applying import ApplyRun, Result
    from keepfit.steps.plan import Plan

AllowDeletions = Annotated[
    bool,
    typer.Option(
        "--allow-deletions",
        help="Delete what is no longer in feature_repo/, even features that a live version needs.",
    ),
]


def plan(root: Root = None) -> None:
    """Show what is added, changed and removed since the last apply, and what applying it would do."""
    from keepfit.pipeline.planning import make_plan, unfilled_features

    project = open_project(root)
    with open_stores(project):
        planned = make_plan(project)
        made = planned.plan
        typer.echo(_told(made, project))
        for line in unfilled_features(project, planned.contents):
            typer.echo(line)
    if made.problems or made.stops:
        raise typer.Exit(1)


def apply(allow_deletions: AllowDeletions = False, root: Root = None) -> None:
    """Apply feature_repo/: check it, register it, materialise what changed, train what uses it.

    A broken edit changes nothing. Views are materialised and models trained in this process. A training
    that an earlier apply asked for and that came to no verdict is done again.
    """
    from keepfit.embedded.reparse import reparse
    from keepfit.pipeline.applying import DAG_ID

    project = open_project(root)
    with open_stores(project):
        run = _run(project, allow_deletions=allow_deletions)
        run.plan()
        run.check()
        typer.echo(_told(run.planned, project))
        for view in run.apply()["views"]:
            until = run.rematerialize(view)["until"]
            typer.echo(f"  {view}: {f'materialised until {until}' if until else 'nothing published yet'}")
        asked = run.decide()
        if reparse(project.root, DAG_ID):
            typer.echo("  Airflow reads the project again")
        for each in asked:
            why = each["skipped"]
            typer.echo(f"  {each['model']}: {f'not trained, {why}' if why else each['decision']['reason']}")
        for each in asked:
            if each["decision"]:
                do(project, _training(project, each))


def _run(project: Project, *, allow_deletions: bool) -> "ApplyRun":
    from keepfit.pipeline.applying import DAG_ID, ApplyRun
    from keepfit.pipeline.snapshot import take_snapshot

    run_id = f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    return ApplyRun(take_snapshot(project, DAG_ID, run_id, settings={"allow_deletions": allow_deletions}))


def _training(project: Project, asked: "Result") -> Job:
    decision, model = asked["decision"], asked["model"]
    settings = {"promotion": project.model(model).promotion, **decision["conf"]}
    return Job("train", model, decision["run_id"], None, settings)


def _told(plan: "Plan", project: Project) -> str:
    lines = [str(change) for change in plan.changes]
    lines += [f"touches {model}: {', '.join(why)}" for model, why in (plan.touched or {}).items()]
    lines += [f"will materialise {view} whole" for view in plan.views]
    lines += [f"will train {model}: {', '.join(why)}" for model, why in (plan.retrain or {}).items()]
    lines += _refreshes(plan, project)
    lines += [f"stops {stop}" for stop in plan.stops]
    lines += [f"problem: {problem}" for problem in plan.problems]
    return "\n".join(lines or ["Nothing differs from what is applied."])


def _refreshes(plan: "Plan", project: Project) -> "Iterator[str]":
    from keepfit.ledger import Ledger
    from keepfit.pipeline.refresh import refresh_command

    ledger = Ledger(project.locations.ledger_url)
    for name in plan.refresh:
        if command := refresh_command(ledger, name):
            yield f"{name} keeps its published rows: `{command}`"
