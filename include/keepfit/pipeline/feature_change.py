"""The trainings that an edit of `feature_repo/` asks for, through the ledger as those that drift asks for."""

from dataclasses import dataclass
from typing import Any

from keepfit.ledger import Decision, Ledger
from keepfit.spec import ModelSpec, Window


@dataclass(frozen=True)
class FeatureChange:
    """One edit, which asks once for a training of each model it touches."""

    ledger: Ledger
    position: int
    """The edit's number."""
    digest: str
    """What holds after it."""
    run_id: str
    """The run that applies it."""

    def ask(self, model: ModelSpec, why: tuple[str, ...]) -> dict[str, Any]:
        """Decide that a model is trained as of its last rows, unless it was never trained."""
        key = f"{model.name}:feature_change:{self.position}-{self.digest}"
        made = next((each for each in self.ledger.decisions(model.name) if each.key == key), None)
        made = made or self._decide(key, model, why)
        if made is None:
            skipped = "no champion yet: its first training is not up to an edit"
            return {"model": model.name, "skipped": skipped, "decision": None}
        conf = {"as_of": made.window_end.isoformat(), "reason": made.reason, "decision": key}
        decision = {"verdict": made.verdict, "reason": made.reason, "run_id": made.run_id, "conf": conf}
        return {"model": model.name, "skipped": None, "decision": decision}

    def _decide(self, key: str, model: ModelSpec, why: tuple[str, ...]) -> Decision | None:
        window = self._last_window(model.entities.dataset)
        if window is None or self.ledger.live(model.name) is None:
            return None
        return self.ledger.decide(
            Decision(
                key=key,
                model=model.name,
                policy_version="feature_change",
                window_start=window.start,
                window_end=window.end,
                verdict="retrain",
                trigger="feature_change",
                reason=f"feature_repo/ was edited: {', '.join(why)}",
                evidence={"edit": self.position, "digest": self.digest, "changes": list(why)},
                # Not by window: a decision about the same one may have had its training before the edit.
                run_id=f"decision__edit_{self.position}__{self.digest[:10]}",
                decided_by=self.run_id,
            )
        )

    def _last_window(self, dataset: str) -> Window | None:
        published = [
            Window(each.window_start, each.window_end)
            for each in self.ledger.publications(dataset)
            if each.window_start and each.window_end
        ]
        return max(published, key=lambda each: each.end, default=None)
