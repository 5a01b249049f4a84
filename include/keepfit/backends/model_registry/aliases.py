"""Aliases: names that point at one version of a model each. MLflow neither compares nor remembers."""

from collections.abc import Mapping
from typing import Literal

from keepfit.backends.model_registry.place import Place
from keepfit.backends.model_registry.quiet import MlflowException, told

Alias = Literal["champion", "challenger"]
CHAMPION: Alias = "champion"
CHALLENGER: Alias = "challenger"


def read_aliases(place: Place, model: str) -> Mapping[str, str]:
    """Return the version that each alias points at."""
    with told(f"The aliases of {model} cannot be read"):
        try:
            found = place.client().get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}
    return {str(name): str(version) for name, version in found.items()}


def write_alias(place: Place, model: str, name: Alias, version: str | None) -> None:
    """Point an alias at a version, or take it away."""
    with told(f"The {name} of {model} cannot be set to {f'version {version}' if version else 'none'}"):
        if version is None:
            place.client().delete_registered_model_alias(model, name)
        else:
            place.client().set_registered_model_alias(model, name, version)
