"""One edit of `feature_repo/`: planned, checked, applied, and followed by what it asks for."""

from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepfit.errors import EditError, NotReadyError
from keepfit.ledger import Edit, FeatureLedger, Ledger
from keepfit.pipeline.feature_change import FeatureChange
from keepfit.pipeline.planning import make_plan, of_dict, to_dict, unfilled_features
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Project, load_project
from keepfit.spec.content import Content

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore
    from keepfit.steps.plan import Plan

DAG_ID = "keepfit__apply"
_FEAST = ("entity", "source", "feature view", "on-demand view", "feature service")
Result = dict[str, Any]


class ApplyRun:
    """The steps of an edit, in their order. Each can be done again, with the same result."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work on a run; it is about the whole project."""
        self.snapshot = snapshot
        self.folder = snapshot.folder
        self.edits = FeatureLedger(snapshot.locations.ledger_url)
        self.ledger = Ledger(snapshot.locations.ledger_url)

    def plan(self) -> Result:
        """Say what would change and what would be done about it; a retry keeps to the first answer."""
        if not self.folder.has("plan"):
            made = make_plan(self._project)
            self.folder.write(
                "plan",
                {
                    **asdict(made.plan),
                    "contents": to_dict(made.contents),
                    "digest": made.digest,
                    "position": made.position,
                },
            )
        plan = self.planned
        return {
            "changes": [str(change) for change in plan.changes],
            "rematerialize": list(plan.views),
            "retrain": list(plan.retrain or ()),
            "problems": list(plan.problems),
            "unfilled": unfilled_features(self._project, of_dict(self._stored["contents"])),
        }

    def check(self) -> Result:
        """Refuse an edit that is broken, or deletes or stops a live version without leave.

        Raises:
            EditError: With all reasons at once.
        """
        plan = self.planned
        if plan.problems:
            told = "\n".join(plan.problems)
            raise EditError(
                f"{told}\nNothing is applied. Correct feature_repo/; `keepfit plan` says the rest."
            )
        removed = ", ".join(change.label for change in plan.removed)
        if (removed or plan.stops) and not self.snapshot.settings.get("allow_deletions"):
            raise EditError(_unallowed(removed, plan.stops))
        return self.folder.write(
            "check", {"changes": len(plan.changes), "removed": removed, "stops": list(plan.stops)}
        )

    def apply(self) -> Result:
        """Write the edit into Feast's registry; return the views to materialise whole.

        What is removed stays until the edit is recorded: till then the live versions may read it.

        Raises:
            EditError: The files were edited since the plan, or are broken by now.
            NotReadyError: Another edit was applied since the plan, or a store does not answer.
        """
        self.folder.read("check")
        if not self._is_recorded():
            now = make_plan(self._project)
            if now.digest != self._stored["digest"]:
                raise EditError("feature_repo/ was edited since it was planned. Start again.")
            self._store.apply()
        return self.folder.write("apply", {"views": list(self.planned.views)})

    def rematerialize(self, view: str) -> Result:
        """Bring all published values of a changed view into the online store."""
        from keepfit.steps.materialize import rematerialize

        done = rematerialize(self._store, view)
        return {"view": view, "until": done.end.isoformat() if done else None}

    def decide(self) -> list[Result]:
        """Record the edit and ask for the trainings it makes necessary; return them, and those skipped.

        What the edit removes is taken out then.

        A training that an earlier edit asked for and that came to no verdict is asked for again.
        """
        self.folder.read("apply")
        plan, recorded = self.planned, self._is_recorded()
        change = FeatureChange(
            self.ledger, self._stored["position"], self._stored["digest"], self.snapshot.run_id
        )
        asked = [change.ask(self._project.model(model), why) for model, why in (plan.retrain or {}).items()]
        others = [model for name, model in self._project.models.items() if name not in (plan.retrain or {})]
        asked += [each for model in others if (each := change.unfinished(model, self.edits))]
        if not recorded and (plan.changes or self._stored["position"] == 1):
            self.edits.record_edit(self._edit())
        if not self.folder.has("decide"):
            self._remove()
        self.folder.write("decide", {"asked": asked})
        return asked

    def _remove(self) -> None:
        """Take out what is gone from the files, last of all: nothing reads it any more.

        What a try that was cut short took out of the registry may still be online.
        """
        removed = [each for each in self.planned.removed if each.kind in _FEAST]
        if removed:
            held = self._store.registered()
            self._store.remove([Content(each.kind, each.name, {}) for each in removed if each.label in held])

    def _edit(self) -> Edit:
        return Edit(
            position=self._stored["position"],
            digest=self._stored["digest"],
            contents=self._stored["contents"],
            changes=tuple(str(change) for change in self.planned.changes),
            run_id=self.snapshot.run_id,
        )

    def _is_recorded(self) -> bool:
        """Tell whether this edit has come to its end before, by this run or another.

        Raises:
            NotReadyError: Another edit has, since the plan.
        """
        last, planned = self.edits.last_edit(), self._stored["position"]
        if last is None or last.position < planned:
            return False
        if (last.position, last.digest) == (planned, self._stored["digest"]):
            return True
        raise NotReadyError(
            f"Run {last.run_id} has applied another edit since this one was planned. Plan and apply again."
        )

    @cached_property
    def _stored(self) -> Result:
        return self.folder.read("plan")

    @property
    def planned(self) -> "Plan":
        """What was planned."""
        from keepfit.steps.plan import Plan

        return Plan.of_dict(self._stored)

    @cached_property
    def _project(self) -> Project:
        return load_project(self.snapshot.root)

    @cached_property
    def _store(self) -> "FeatureStore":
        from keepfit.backends.feature_store import FeatureStore

        return FeatureStore(self._project, self.snapshot.project.engine)


def _unallowed(removed: str, stops: tuple[str, ...]) -> str:
    gone = [f"This edit removes {removed}."] if removed else []
    told = "\n".join([*gone, *(f"{stop}." for stop in stops)])
    return (
        f"{told} Nothing is applied. Bring back what should stay; "
        "to do without it, say `keepfit apply --allow-deletions`, or trigger keepfit__apply "
        "with allow_deletions."
    )
