"""The trainings that an edit of `feature_repo/` asks for, through the ledger as those that drift asks for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from keepfit.ledger import Decision, FeatureLedger, Ledger
from keepfit.spec import ModelSpec, Window

_INSTANT = timedelta(seconds=1)


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
        """Decide that a model is trained as of its last rows, unless it has none or was never trained."""
        key = f"{model.name}:feature_change:{self.position}-{self.digest}"
        made = next((each for each in self.ledger.decisions(model.name) if each.key == key), None)
        window = made.window if made else self._last_window(model.entities.dataset)
        if made is None and self.ledger.live(model.name) is None:
            return _skipped(model, "no champion yet: its first training is not up to an edit")
        if window is None:
            return _skipped(model, f"nothing of {model.entities.dataset} is published to train on")
        return _asked(made or self._decide(key, model, window, why))

    def unfinished(self, model: ModelSpec, edits: FeatureLedger) -> dict[str, Any] | None:
        """Return what the last edit that asked for a training of a model asks, if it came to no verdict."""
        made = [
            each
            for each in self.ledger.decisions(model.name)
            if each.trigger == "feature_change"
            and edits.was_applied(each.evidence["edit"], each.evidence["digest"])
        ]
        last = max(made, key=lambda each: int(each.evidence["edit"]), default=None)
        judged = {each.run_id for each in self.ledger.trainings(model.name) if each.verdict != "error"}
        return None if last is None or last.run_id in judged else _asked(last)

    def _decide(self, key: str, model: ModelSpec, window: Window, why: tuple[str, ...]) -> Decision:
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
        """Return the window published last; of a snapshot, which stands for all time, its last second."""
        published = [
            Window(each.window_start or each.window_end - _INSTANT, each.window_end)
            for each in self.ledger.publications(dataset)
            if each.window_end
        ]
        return max(published, key=lambda each: each.end, default=None)


def _asked(made: Decision) -> dict[str, Any]:
    decision = {"verdict": made.verdict, "reason": made.reason, "run_id": made.run_id, "conf": made.conf}
    return {"model": made.model, "skipped": None, "decision": decision}


def _skipped(model: ModelSpec, why: str) -> dict[str, Any]:
    return {"model": model.name, "skipped": why, "decision": None}
