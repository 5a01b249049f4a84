"""The texts that define features: those in the repository, and those that were applied last."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from keepfit.backends.feature_store.collect import python_files
from keepfit.backends.feature_store.config import FILE
from keepfit.spec import Locations


def read_definitions(repo: Path) -> dict[str, str]:
    """Return the texts of all files that decide what is registered, by path within the folder."""
    repo = repo.resolve()
    files = (*sorted(python_files(repo)), repo / FILE)
    return {file.relative_to(repo).as_posix(): file.read_text(encoding="utf-8") for file in files}


def keep_definitions(texts: Mapping[str, str], locations: Locations, digest: str) -> None:
    """Keep texts under their digest, for while an edit of them waits to be applied."""
    path = _kept(locations, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    staging.write_text(json.dumps(texts), encoding="utf-8")
    os.replace(staging, path)


def kept_definitions(locations: Locations, digest: str) -> dict[str, str] | None:
    """Return the texts that were applied under a digest, if they were kept."""
    path = _kept(locations, digest)
    if not path.exists():
        return None
    texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return texts


def _kept(locations: Locations, digest: str) -> Path:
    return locations.home / "features" / f"{digest}.json"
