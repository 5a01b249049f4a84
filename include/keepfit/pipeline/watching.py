"""The watch over a new champion: it is rolled back when matured labels show that it does harm."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from keepfit.errors import KeepfitError
from keepfit.ledger import Deployment, Ledger
from keepfit.pipeline.aliases import Aliases
from keepfit.pipeline.monitored import LABELS, PREDICTIONS, labels_of, tables
from keepfit.pipeline.snapshot import Snapshot
from keepfit.plugins import use_plugins

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.model_registry import LoadedModel, ModelRegistry
    from keepfit.steps.watch import Held


class WatchRun:
    """A monitoring run's look at the champion. It moves the alias once at most, and only back."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work on a monitoring run."""
        self._snapshot = snapshot
        self._model = snapshot.the_model
        self._window = snapshot.the_window
        self._moves = Ledger(snapshot.locations.ledger_url).deployments(self._model.name)
        use_plugins(snapshot.root)

    def watch(self) -> dict[str, Any]:
        """Roll the champion back if it does harm; say what was seen, or why nothing was looked at.

        Raises:
            DeploymentError: It does harm, and could not be rolled back.
        """
        from keepfit.steps.watch import watcher

        last = next(reversed(self._moves), None)
        if last and (last.who, last.run_id) == (watcher(self._model.name), self._snapshot.run_id):
            self._aliases.verify()
            return self._told(last.from_version, last.why, back_to=last.to_version)
        if last is None or last.to_version is None:
            return self._told(None, "there is no champion")
        if refusal := self._why_not(last):
            return self._told(last.to_version, refusal)
        return self._look(str(last.to_version), str(last.from_version))

    def _why_not(self, last: Deployment) -> str | None:
        """Say why a champion is not watched: only one that is live for the first time, after another, is."""
        if self._model.watch is None:
            return f"models/{self._model.name}.yaml has no `watch`"
        if last.from_version is None:
            return "no version was live before it"
        if any(last.to_version in (each.from_version, each.to_version) for each in self._moves[:-1]):
            return "it has been champion before, so it was chosen to go back to"
        return None

    def _look(self, version: str, former: str) -> dict[str, Any]:
        from keepfit.steps.deploy import Move
        from keepfit.steps.watch import watcher

        try:
            before = self._registry.load(self._model.name, former)
            held = self._held(version, before)
        except KeepfitError as error:
            return self._told(version, f"version {former} cannot be held against it: {error}")
        if not held.harmful:
            return self._told(version, held.reason, held)
        why = f"version {version} does harm: {held.reason}"
        move = Move(
            model=self._model.name,
            to_version=former,
            from_version=version,
            who=watcher(self._model.name),
            why=why,
            run_id=self._snapshot.run_id,
        )
        self._aliases.move(move)
        self._aliases.verify()
        return self._told(version, why, held, back_to=former)

    def _held(self, version: str, before: "LoadedModel") -> "Held":
        from keepfit.steps.watch import Held, hold, looks

        rule = self._model.watch
        assert rule is not None  # noqa: S101 - `_why_not` has looked
        rows = self._rows(version, before)
        if rows.empty:
            return Held(False, f"no labelled rows, {rule.min_rows:,} needed", 0)
        first = rows["event_time"].iloc[0]
        watched = rows[rows["event_time"] < first + rule.period]
        due = self._window.shifted(-self._model.label.delay)
        if due.start >= first + rule.period:
            return Held(False, f"its watch of {rule.period.days} days has ended", len(watched))
        return hold(watched, before.predict(watched), self._model, rule, looks(rule, self._window))

    def _rows(self, version: str, before: "LoadedModel") -> "pd.DataFrame":
        from keepfit.steps.watch import watched_rows

        delay = self._model.label.delay
        with tables(self._snapshot, PREDICTIONS, LABELS) as connection:
            return watched_rows(
                connection,
                PREDICTIONS,
                labels_of(self._snapshot),
                version=version,
                features=before.features,
                since=max(self._known_until(version), self._known_until(before.version)) - delay,
                end=self._window.end,
                delay=delay,
            )

    def _known_until(self, version: str) -> datetime:
        """Return up to when a version's training knew the data."""
        tags = self._registry.details(self._model.name, version).tags
        if "keepfit.as_of" not in tags:
            raise KeepfitError(f"nothing tells up to when version {version} knew the data")
        return datetime.fromisoformat(tags["keepfit.as_of"])

    def _told(
        self, version: str | None, reason: str, held: "Held | None" = None, back_to: str | None = None
    ) -> dict[str, Any]:
        numbers = (
            {name: getattr(held, name) for name in ("rows", "value", "former", "low", "high")} if held else {}
        )
        told = {"version": version, "rolled_back_to": back_to, "reason": reason, **numbers}
        return self._snapshot.folder.write("watch", told)

    @property
    def _aliases(self) -> Aliases:
        return Aliases(self._snapshot, self._model, self._snapshot.project)

    @property
    def _registry(self) -> "ModelRegistry":
        from keepfit.backends.model_registry import ModelRegistry

        at = self._snapshot.locations
        return ModelRegistry(at.tracking_uri, at.artifacts)
