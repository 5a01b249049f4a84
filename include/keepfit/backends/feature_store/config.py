"""Opens Feast for a project: its own file, with the project's stores filled in."""

import os
from pathlib import Path
from string import Template

import yaml
from feast.repo_config import RepoConfig
from pydantic import ValidationError

from keepfit.errors import FeatureStoreError
from keepfit.spec.database_url import url_problem
from keepfit.spec.project import EngineSpec, Locations

FILE = "feature_store.yaml"
OFFLINE_STORE = "keepfit.backends.feature_store.offline.LakeOfflineStore"


def repo_config(
    repo: Path, locations: Locations, engine: EngineSpec, *, trial: Path | None = None
) -> RepoConfig:
    """Read `feature_store.yaml`; its `${KEEPFIT_...}` variables are the project's own stores.

    The process's environment is not changed, so one process can work on several projects.

    Args:
        repo: The folder with the file.
        locations: The project's stores.
        engine: The bounds of the offline store's engine.
        trial: A folder for a registry and an online store that stand in for the file's own.
    """
    file = repo / FILE
    if not file.exists():
        raise FeatureStoreError(f"{file} is missing. Copy it from another project, or run `keepfit new`.")
    raw = yaml.safe_load(Template(file.read_text()).safe_substitute(_variables(locations)))
    offline = raw.get("offline_store")
    if isinstance(offline, dict) and offline.get("type") == OFFLINE_STORE:
        offline |= {"memory_limit": engine.memory_limit, "threads": engine.threads} | offline
    if trial is not None:
        raw["registry"] = {"registry_type": "sql", "path": f"sqlite:///{trial / 'registry.db'}"}
        raw["online_store"] = {"type": "sqlite", "path": str(trial / "online.db")}
    try:
        config = RepoConfig(**raw)
    except ValidationError as error:
        raise FeatureStoreError(f"{file}: Feast does not accept it: {error}") from error
    config.repo_path = repo
    return config


def _variables(locations: Locations) -> dict[str, str]:
    # Feast turns a bare postgresql:// into psycopg 3, which is not among keepfit's dependencies.
    registry = locations.feast_registry_url.replace("postgresql://", "postgresql+psycopg2://")
    if problem := url_problem(registry):
        raise FeatureStoreError(f"The URL of Feast's registry, KEEPFIT_FEAST_REGISTRY, {problem}")
    return dict(os.environ) | locations.environment() | {"KEEPFIT_FEAST_REGISTRY": registry}
