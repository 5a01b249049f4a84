"""Ask a human, in Airflow's UI or by REST, whether a version may go live."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context, Param

if TYPE_CHECKING:
    from keepfit.pipeline.approval import ApprovalRun

APPROVE, REJECT = "Approve", "Reject"
_LONGEST = 1000


class Approve(HITLOperator):
    """Show the gate's report and the model card, and wait for an answer; where nobody is asked, go on.

    It hands on what it was given. What was said is in the run's folder and in the ledger: the deployment
    that follows goes by that.
    """

    template_fields: Sequence[str] = (*HITLOperator.template_fields, "work")

    def __init__(self, *, work: Any, **options: Any) -> None:
        """Take the result of the `register` task as `work`."""
        super().__init__(
            subject="Shall the new version go live?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            # The run's own rules are read when it runs; without any, Airflow would take the task's time-out.
            response_timeout=timedelta(days=1),
            **options,
        )
        self.work = work

    def execute(self, context: Context) -> Any:
        """Ask, unless nobody has to be asked."""
        question = self._run().question()
        # Airflow may try a task again that was answered within a second: it takes the old try for lost.
        if question is None or self._run().is_answered(_go(context)):
            self.log.info("Nobody has to be asked.")
            return self.work
        rules = question.rules
        self.subject, self.body = question.subject, question.body
        self.defaults = [APPROVE if rules.default == "approve" else REJECT]
        self.response_timeout = rules.timeout
        self.assigned_users = [{"id": name, "name": name} for name in rules.assignees]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer, and hand on."""
        said = super().execute_complete(context, event)
        user: Mapping[str, str] = said["responded_by_user"] or {}
        answer = self._run().answer(
            approved=said["chosen_options"] == [APPROVE],
            who=user.get("name") or user.get("id"),
            why=_words(said["params_input"].get("why")),
            at=said["responded_at"],
            go=_go(context),
        )
        word = "Approved" if answer["approved"] else "Rejected"
        self.log.info("%s by %s. %s", word, answer["who"], answer["why"])
        return self.work

    def _run(self) -> "ApprovalRun":
        from keepfit.pipeline.approval import ApprovalRun
        from keepfit.pipeline.snapshot import open_snapshot

        return ApprovalRun(open_snapshot(Path(self.work["folder"])))


def approve(work: Any) -> Any:
    """Put the question between a registered version and its deployment."""
    why = Param(None, type=["null", "string"], description="Why; kept with the version.")
    return Approve(task_id="approve", work=work, params={"why": why}).output


def _go(context: Context) -> int:
    """Return how often the run was cleared."""
    return context["dag_run"].clear_number or 0 if "dag_run" in context else 0


def _words(given: Any) -> str | None:
    """Return a reason as one line; whoever answers by REST may send anything."""
    return " ".join(str(given).split())[:_LONGEST] if given else None
