"""The model registry: versions, their files and lineage, and the aliases. The only door to mlflow.

Belongs here: what is written to MLflow and read from it, one room for each concern.
Does not belong here: which version should be live (`steps.deploy`), and that it was (`ledger`).
"""

from keepfit.backends.model_registry.aliases import CHALLENGER, CHAMPION, Alias
from keepfit.backends.model_registry.loaded import LoadedModel
from keepfit.backends.model_registry.registry import ModelRegistry

__all__ = ["CHALLENGER", "CHAMPION", "Alias", "LoadedModel", "ModelRegistry"]
