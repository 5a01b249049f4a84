"""A model's aliases in a project's stores: moved by one hand, and verified down to the running servers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from keepfit.ledger import Deployment, Ledger
from keepfit.spec import Locations, ModelSpec, Project, ProjectSpec

if TYPE_CHECKING:
    from keepfit.backends.feature_store.has_stores import HasStores
    from keepfit.backends.model_registry import Alias, ModelRegistry
    from keepfit.steps.deploy import Move
    from keepfit.steps.try_out import Given


@dataclass(frozen=True)
class Aliases:
    """The champion and the challenger of one model."""

    stores: "HasStores"
    """The project, or a run's snapshot of it."""
    model: ModelSpec
    project: ProjectSpec

    def at(self, alias: "Alias") -> str | None:
        """Return the version that an alias points at in the registry."""
        return self._registry.alias(self.model.name, alias)

    def move(self, move: "Move") -> Deployment | None:
        """Move an alias and record it, if the version can take its role; None if its run has done so before.

        Raises:
            DeploymentError: Nothing was moved, for a reason it says.
        """
        from keepfit.steps.deploy import deploy

        locks = self._locations.home / "locks"
        return deploy(self._registry, self._ledger, move, locks, given=self._given)

    def verify(self) -> str | None:
        """Check that aliases, ledger, the loaded champion and all servers agree; return the champion.

        Raises:
            NotServedError: A server answers with something else.
            DeploymentError: An alias is not where the ledger says.
        """
        from keepfit.steps.deploy import verify

        champion = verify(self._registry, self._ledger, self.model.name)
        self.wait_for_servers()
        return champion

    def wait_for_servers(self) -> None:
        """Wait until all servers that serve the model answer as the ledger says.

        Raises:
            NotServedError: A server does not, in time.
        """
        from keepfit.steps.serve_check import wait_until_served, wanted

        serving, name = self.project.serving, self.model.name
        if serving.servers and (not serving.models or name in serving.models):
            wait_until_served(
                serving.servers,
                name,
                wanted(self._ledger, name),
                timedelta(seconds=serving.release_seconds),
                serving.workers,
            )

    @property
    def _locations(self) -> Locations:
        return self.stores.locations

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self._locations.ledger_url)

    @property
    def _registry(self) -> "ModelRegistry":
        from keepfit.backends.model_registry import ModelRegistry

        return ModelRegistry(self._locations.tracking_uri, self._locations.artifacts)

    def _given(self) -> "Given":
        """Ask Feast which features the model's service gives."""
        from keepfit.backends.feature_store import FeatureStore

        service = FeatureStore(self.stores, self.project.engine).service(self.model.features)
        return {
            name: "category" if name in service.categorical else "number" for name in service.feature_names
        }


def find_strays(project: Project, models: Iterable[str]) -> list[str]:
    """Say of each alias of some models that is not where the ledger says so, and what settles it.

    Raises:
        RegistryError: The registry cannot be asked.
    """
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.steps.strays import strays

    at = project.locations
    registry, ledger = ModelRegistry(at.tracking_uri, at.artifacts), Ledger(at.ledger_url)
    return [line for model in models for line in strays(registry, ledger, model)]


def find_unfollowed(project: Project) -> list[str]:
    """Say of each model which servers answer with something else than the ledger says."""
    from keepfit.errors import NotServedError

    found = []
    for model in project.models.values():
        try:
            Aliases(project, model, project.spec).wait_for_servers()
        except NotServedError as error:
            found.append(str(error))
    return found
