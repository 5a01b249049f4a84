"""Whether somebody must approve of a version before it goes live, what is shown to them, what they said."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keepfit.ledger import Approval, Ledger
from keepfit.pipeline.describing import CARD
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec.promotion import ApprovalSpec, Promotion, most_careful

if TYPE_CHECKING:
    from keepfit.steps.gate import Judgement

ANSWER = "approval"
_TIMED_OUT = "time-out"


@dataclass(frozen=True)
class Question:
    """What a human is asked, and how long."""

    subject: str
    body: str
    """Markdown: the gate's report and the model card."""
    rules: ApprovalSpec


class ApprovalRun:
    """The part of a training run between the gate and the deployment."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work on a training run."""
        self._snapshot = snapshot
        self._folder = snapshot.folder
        self._spec = snapshot.the_model

    @property
    def promotion(self) -> Promotion:
        """How a version of this run may go live: as the model says, or more carefully if the run does."""
        asked = self._snapshot.settings.get("promotion") or self._spec.promotion
        return most_careful((self._spec.promotion, asked))

    def question(self) -> Question | None:
        """Return what to ask; None where nobody has to be asked."""
        from keepfit.steps.gate import Judgement

        judgement = Judgement.of_json(self._folder.read("gate"))
        if self.promotion != "approval" or judgement.verdict != "pass":
            return None
        version = self._folder.read("registered")["version"]
        return Question(
            subject=f"Shall version {version} of {self._spec.name} go live?",
            body=self._body(str(version), judgement),
            rules=self._spec.approval,
        )

    def answer(
        self, *, approved: bool, who: str | None, why: str | None, at: datetime, go: int = 0
    ) -> dict[str, Any]:
        """Record an answer; recording it again changes nothing.

        Args:
            approved: What was said.
            who: Who said it; None if nobody did in time.
            why: The reason given.
            at: When.
            go: How often the run had been cleared: one answer counts until it is cleared again.
        """
        said = Approval(
            model=self._spec.name,
            version=str(self._folder.read("registered")["version"]),
            run_id=self._snapshot.run_id,
            answer="approved" if approved else "rejected",
            who=who or _TIMED_OUT,
            why=why or self._without_words(who),
            answered_at=at.astimezone(UTC),
        )
        Ledger(self._snapshot.locations.ledger_url).record_approval(said)
        told = {
            "approved": approved,
            "who": said.who,
            "why": said.why,
            "at": said.answered_at.isoformat(),
            "go": go,
        }
        return self._folder.write(ANSWER, told)

    def given(self) -> dict[str, Any] | None:
        """Return the answer, if there is one."""
        return self._folder.read(ANSWER) if self._folder.has(ANSWER) else None

    def is_answered(self, go: int) -> bool:
        """Tell whether somebody has answered since the run was cleared last."""
        said = self.given()
        return said is not None and said["go"] == go

    def refusal(self) -> str | None:
        """Say why the version does not go live: nobody has approved, or somebody refused; None if it may."""
        if self.promotion != "approval":
            return None
        version, said = self._folder.read("registered")["version"], self.given()
        if said is None:
            release = f"`keepfit release {self._spec.name} --version {version}`"
            return f"it awaits approval. To approve of it, run {release}"
        reason = f": {said['why']}" if said["why"] else ""
        return None if said["approved"] else f"{said['who']} rejected it{reason}"

    def _without_words(self, who: str | None) -> str:
        default = self._spec.approval.default
        return "" if who else f"nobody answered in time, and `approval.default` is {default}"

    def _body(self, version: str, judgement: "Judgement") -> str:
        from keepfit.backends.page import plain_text

        reasons = "\n".join(f"- {plain_text(each)}" for each in judgement.reasons)
        card = self._folder.file(CARD).read_text(encoding="utf-8")
        return f"The gate lets version {version} pass:\n\n{reasons}\n\n---\n\n{card}"
