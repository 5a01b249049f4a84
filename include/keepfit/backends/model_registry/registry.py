"""The registry as keepfit uses it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from keepfit.backends.coding import Kind
from keepfit.backends.model_registry import attaching, fetching, registering
from keepfit.backends.model_registry.aliases import CHAMPION, Alias, read_aliases, write_alias
from keepfit.backends.model_registry.loaded import LoadedModel
from keepfit.backends.model_registry.place import Place, has_version, make_database
from keepfit.backends.model_registry.quiet import told
from keepfit.backends.version import PINS, VersionDetails, attached_tag
from keepfit.errors import RegistryError
from keepfit.spec.database_url import store_problem


class ModelRegistry:
    """An MLflow registry, in a database or behind a server."""

    def __init__(self, tracking_uri: str, artifacts: Path) -> None:
        """Refer to a registry; nothing is opened yet.

        Args:
            tracking_uri: A database's URL, or a server's.
            artifacts: Where files lie if the registry is a database, and where those of a server are kept.

        Raises:
            RegistryError: The URL is none of the two.
        """
        if problem := store_problem(tracking_uri):
            raise RegistryError(f"The model registry's URL, KEEPFIT_TRACKING_URI, {problem}")
        self._place = Place(tracking_uri, artifacts.absolute())

    def initialise(self) -> None:
        """Create or upgrade the database, once, however many start at the same time."""
        make_database(self._place)

    def register(
        self,
        model: str,
        folder: Path,
        details: VersionDetails,
        *,
        reference: Path,
        training_set: Path,
        digest: str,
        pins: Path | None = None,
    ) -> str:
        """Make a version of a model's folder and return its number; a run asking again gets the same version.

        Args:
            model: The model's name.
            folder: The model's files, as `details.files` has them.
            details: What to record; its tags name the run.
            reference: The sample of training rows, as Parquet.
            training_set: What it was trained on, as Parquet.
            digest: The training set's SHA-256.
            pins: The record from which the training set can be built again.
        """
        files = registering.Files(folder, reference, training_set, digest, pins)
        return registering.register(self._place, model, files, details)

    def versions(self, model: str) -> list[str]:
        """List a model's versions, oldest first."""
        with told(f"The versions of {model} cannot be listed"):
            return [str(each.version) for each in registering.versions(self._place, model)]

    def has(self, model: str, version: str) -> bool:
        """Tell whether there is such a version."""
        with told(f"Version {version} of {model} cannot be looked for"):
            return has_version(self._place, model, version)

    def details(self, model: str, version: str) -> VersionDetails:
        """Return what was recorded of a version.

        Raises:
            RegistryError: There is no such version, or keepfit did not register it.
        """
        found, details = self._found(model, version)
        with told(f"Version {version} of {model} cannot be read"):
            run = self._place.client().get_run(found.run_id).data
        return replace(details, metrics=dict(run.metrics), params=dict(run.params))

    def features(self, model: str, version: str) -> Mapping[str, Kind]:
        """Return what a version takes, in order.

        Raises:
            RegistryError: There is no such version, or keepfit did not register it.
        """
        return self._found(model, version)[1].features

    def alias(self, model: str, name: Alias) -> str | None:
        """Return the version that an alias points at; None where it points at none."""
        return self.aliases(model).get(name)

    def aliases(self, model: str) -> Mapping[str, str]:
        """Return the version that each alias points at."""
        return read_aliases(self._place, model)

    def move_alias(self, model: str, name: Alias, version: str | None) -> None:
        """Point an alias at a version, or take it away. Only `steps.deploy` calls this."""
        write_alias(self._place, model, name, version)

    def champion(self, model: str) -> str | None:
        """Return the version that is live; None before the first."""
        return self.alias(model, CHAMPION)

    def load(self, model: str, version: str) -> LoadedModel:
        """Read a version's model, if its files are those recorded when it was registered.

        Raises:
            RegistryError: There is no such version.
            UntrustedModelError: Its files have been changed.
        """
        found, details = self._found(model, version)
        return fetching.load(self._place, found, details.files)

    def copy_files(self, model: str, version: str, folder: Path) -> None:
        """Copy a version's model files into a new folder, as they are: who reads them verifies them."""
        fetching.copy(self._place, self._found(model, version)[0], folder)

    def reference(self, model: str, version: str) -> Path:
        """Return a version's sample of training rows: its features, `score` and `label`, as Parquet.

        Raises:
            UntrustedModelError: The file has been changed.
        """
        found, details = self._found(model, version)
        name, digest = registering.REFERENCE_FILE, details.reference_sha256
        return fetching.kept_file(self._place, found, name, what="reference sample", digest=digest)

    def pins(self, model: str, version: str) -> Path:
        """Return the record from which a version's training set can be built again.

        Raises:
            RegistryError: None was kept with this version.
            UntrustedModelError: The record has been changed.
        """
        found, details = self._found(model, version)
        digest = details.tags.get(PINS)
        if digest is None:
            raise RegistryError(
                f"Version {version} of {model} was registered without a record of what it was trained on, "
                "so it cannot be rebuilt. Versions that are trained from now on have one."
            )
        name = registering.PINS_FILE
        return fetching.kept_file(self._place, found, name, what="record of inputs", digest=digest)

    def attach(self, model: str, version: str, *files: Path) -> None:
        """Keep files beside a version, under their names; one that is kept already stays as it is."""
        attaching.attach(self._place, model, version, *files)

    def attached(self, model: str, version: str, name: str) -> Path:
        """Return a file that was attached to a version.

        Raises:
            RegistryError: There is none of that name.
            UntrustedModelError: The file has been changed.
        """
        found, details = self._found(model, version)
        digest = details.tags.get(attached_tag(name))
        if digest is None:
            raise RegistryError(
                f"Version {version} of {model} was registered without {name}. "
                "Versions that are trained from now on have one."
            )
        return fetching.kept_file(self._place, found, name, what=name, digest=digest)

    def _found(self, model: str, version: str) -> tuple[ModelVersion, VersionDetails]:
        """Return a version and what its tags say; its run's metrics and parameters are not read."""
        with told(f"Version {version} of {model} cannot be read"):
            found = self._place.client().get_model_version(model, version)
        try:
            return found, VersionDetails.of(found.tags, {}, {})
        except KeyError as missing:
            raise RegistryError(
                f"Version {version} of {model} has no tag {missing}: keepfit did not register it. "
                "Train the model with keepfit, or choose another version."
            ) from None
