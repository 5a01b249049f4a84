"""`keepfit__incident`: asks a person whether a common cause is a fault; if not, starts what was held."""

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Context, Param, get_current_context, task

from keepfit.airflow.conf import Trigger
from keepfit.airflow.dag import new_dag
from keepfit.airflow.operators import trigger_runs
from keepfit.spec import Project, load_project

if TYPE_CHECKING:
    from keepfit.ledger import Ledger

FAULT, REAL = "Fault", "Real"
_AT_ONCE = 100
"""How many incidents may wait for their answers at a time."""
_LONGEST = 1000
_DOC = """Asks a person about an incident: a feature view that broke or jumped, and that several models
lean on. It is started by the first model that sees it, once, and waits as long as nobody answers.

**Fault**: no held training is started, and the window is left out of trainings until it is published anew.
**Real**: each held model is trained once. `keepfit incidents` shows the same, and takes the answer too; if it
has, clear `ask`, and the run goes on with that answer."""


class Ask(HITLOperator):
    """Show an incident, and wait for an answer; one that was answered already is not asked about."""

    template_fields: Sequence[str] = (*HITLOperator.template_fields, "asked")

    def __init__(self, *, asked: Any, **options: Any) -> None:
        """Take the result of the `find` task as `asked`."""
        super().__init__(
            subject="Is it a fault?",
            options=[FAULT, REAL],
            # Nobody's silence is an answer, so it may wait as long as it takes.
            execution_timeout=None,
            **options,
        )
        self.asked = asked

    def execute(self, context: Context) -> Any:
        """Ask, unless somebody has answered."""
        from keepfit.pipeline.incident import find_case

        case = find_case(_ledger(self.asked["root"]), self.asked["incident"])
        if case.answer:
            self.log.info(
                "%s was answered by %s: %s.", case.incident.key, case.answer.who, case.answer.answer
            )
            return self.asked
        self.subject, self.body = case.subject, case.body
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer, and hand on."""
        from keepfit.pipeline.answering import answer_case

        said = super().execute_complete(context, event)
        user: Mapping[str, str] = said["responded_by_user"] or {}
        why = said["params_input"].get("why")
        case = answer_case(
            load_project(Path(self.asked["root"])),
            self.asked["incident"],
            said["chosen_options"][0].lower(),
            who=user.get("name") or user.get("id") or "unknown",
            why=str(why)[:_LONGEST] if why else None,
            at=said["responded_at"].astimezone(UTC),
        )
        self.log.info("%s", case.consequence)
        return self.asked


@task(multiple_outputs=False)
def find(root: str) -> dict[str, str]:
    """Check what started the run: an incident that is in the ledger."""
    from keepfit.errors import ConfError
    from keepfit.pipeline.incident import find_case

    trigger = Trigger.of(get_current_context())
    if not trigger.values["incident"]:
        raise ConfError("The run names no incident. Give `incident`, a key of `keepfit incidents`.")
    case = find_case(_ledger(root), trigger.values["incident"])
    return {"root": root, "incident": case.incident.key}


@task(multiple_outputs=False)
def release(asked: dict[str, str]) -> list[dict[str, Any]]:
    """List the trainings to start, as a trigger takes them; none after a fault."""
    from keepfit.pipeline.answering import released
    from keepfit.pipeline.incident import find_case

    ledger = _ledger(asked["root"])
    return [
        {
            "trigger_dag_id": f"{each['model']}__train",
            "trigger_run_id": each["run_id"],
            "conf": each["conf"],
        }
        for each in released(ledger, find_case(ledger, asked["incident"]))
    ]


def incident_dag(project: Project) -> DAG:
    """Build the project's DAG."""
    key = Param(None, type=["null", "string"], description="The incident's key. Filled in by the monitor.")
    why = Param(
        None, type=["null", "string"], description="Why; kept in the ledger. An answer without it is refused."
    )
    with new_dag(
        project,
        "keepfit",
        "incident",
        doc=_DOC,
        description="Asks a person about a cause that several models have in common.",
        schedule=None,
        params={"incident": key},
        retries=2,
        timeout=timedelta(hours=1),
        max_active_runs=_AT_ONCE,
    ) as dag:
        asked = Ask(task_id="ask", asked=find(str(project.root)), params={"why": why}).output
        trigger_runs("trigger_training", release(asked))
    return dag


def _ledger(root: str) -> "Ledger":
    from keepfit.airflow.specs import load_locations
    from keepfit.ledger import Ledger

    return Ledger(load_locations(Path(root)).ledger_url)
