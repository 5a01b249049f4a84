"""A release run: a version becomes champion or challenger, a role is taken away, or one goes back."""

from typing import TYPE_CHECKING, Any

from keepfit.errors import ConfError
from keepfit.ledger import Ledger
from keepfit.pipeline.aliases import Aliases
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec.window import parse_moment

if TYPE_CHECKING:
    from keepfit.backends.model_registry import Alias
    from keepfit.steps.deploy import Move

ACTIONS = ("release", "rollback", "withdraw")


class ReleaseRun:
    """One move of an alias by someone's wish. Each step can be done again, with the same result."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work on a model's run, whose settings say what to move where, and why."""
        self._snapshot = snapshot
        self._settings = snapshot.settings
        self._model = snapshot.the_model.name
        self._aliases = Aliases(snapshot, snapshot.the_model, snapshot.project)

    def release(self, who: str) -> dict[str, Any]:
        """Choose the version, move the alias and record it.

        Args:
            who: Who wishes it.

        Raises:
            ConfError: The settings do not say one thing.
            DeploymentError: Nothing was moved, for a reason it says.
        """
        move = self._wish(who)
        self._aliases.move(move)
        told = {"role": move.alias, "from": move.from_version, "to": move.to_version, "share": move.share}
        return self._snapshot.folder.write("release", {**told, "warnings": self._warnings(move)})

    def verify(self) -> dict[str, Any]:
        """Check that the registry, the ledger, the loaded champion and all running servers agree."""
        champion = self._aliases.verify()
        servers = len(self._snapshot.project.serving.servers)
        return self._snapshot.folder.write("verified", {"champion": champion, "servers": servers})

    def _wish(self, who: str) -> "Move":
        """Say what to move; a retry wishes the same, wherever the alias is by now."""
        from keepfit.steps.deploy import Move

        folder = self._snapshot.folder
        if not folder.has("wish"):
            alias, version, share = self._chosen()
            from_version = self._aliases.at(alias)
            folder.write(
                "wish", {"who": who, "alias": alias, "to": version, "from": from_version, "share": share}
            )
        wish = folder.read("wish")
        return Move(
            model=self._model,
            alias=wish["alias"],
            to_version=wish["to"],
            from_version=wish["from"],
            share=wish["share"],
            who=wish["who"],
            why=str(self._settings.get("reason") or f"{self._settings.get('action')} without a reason"),
            run_id=self._snapshot.run_id,
        )

    def _chosen(self) -> tuple["Alias", str | None, float | None]:
        action, share = self._settings.get("action"), self._settings.get("share")
        role: Alias = self._settings.get("role") or "champion"
        if action == "rollback":
            self._refuse("share", "role") if role != "champion" else self._refuse("share")
            return "champion", self._back(), None
        if action == "withdraw":
            self._refuse("version", "time", "share")
            return role, None, None
        if action != "release":
            raise ConfError(f"action is {action!r}. Give one of: {', '.join(ACTIONS)}.")
        self._refuse("time")
        version = self._settings.get("version")
        if not version:
            raise ConfError(f"To release, give the `version` of {self._model} that is to be {role}.")
        return role, str(version), 0.0 if share is None and role == "challenger" else share

    def _back(self) -> str:
        from keepfit.steps.roll_back import once_champion, version_at, version_before

        ledger = Ledger(self._snapshot.locations.ledger_url)
        version, time = self._settings.get("version"), self._settings.get("time")
        if version and time:
            raise ConfError("Both `version` and `time` are given. Give one of them, or neither to undo.")
        if version:
            return once_champion(ledger, self._model, str(version))
        if time:
            return version_at(ledger, self._model, parse_moment(str(time), "time"))
        return version_before(ledger, self._model)

    def _refuse(self, *names: str) -> None:
        given = [name for name in names if self._settings.get(name) is not None]
        if given:
            action = self._settings.get("action")
            raise ConfError(f"{' and '.join(given)} given: a {action} takes none. Leave it out.")

    def _warnings(self, move: "Move") -> list[str]:
        """Say what the gate thought of a version that is released."""
        if move.to_version is None or self._settings.get("action") != "release":
            return []
        trained = Ledger(self._snapshot.locations.ledger_url).trainings(self._model)
        return [
            f"version {each.version} did not pass its gate ({each.verdict}): {'; '.join(each.reasons)}"
            for each in trained
            if each.version == move.to_version and each.verdict != "pass"
        ]
