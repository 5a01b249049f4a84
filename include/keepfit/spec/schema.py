"""JSON schemas of the files, with which an editor completes, explains and checks them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic.json_schema import GenerateJsonSchema

from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.fields import Closed, duration_text
from keepfit.spec.model import ModelSpec
from keepfit.spec.project import ProjectSpec

Kind = Literal["dataset", "model", "project"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_SPECS: dict[Kind, type[Closed]] = {"dataset": DatasetSpec, "model": ModelSpec, "project": ProjectSpec}


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write a duration as it is written in a file, not as ISO 8601 does."""
        return duration_text(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of one kind of file; its descriptions are the specs' docstrings."""
    schema = _SPECS[kind].model_json_schema(schema_generator=_Schema)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    described: dict[str, Any] = _tidied({"$schema": dialect, **schema, "title": f"keepfit {kind}"})
    return described


def write_schemas(repo: Path) -> tuple[Path, ...]:
    """Write all schemas into `.schemas/` of a `feature_repo/`, where the files' first lines point to."""
    folder = repo / ".schemas"
    folder.mkdir(exist_ok=True)
    paths = {kind: folder / f"{kind}.json" for kind in KINDS}
    for kind, path in paths.items():
        path.write_text(json.dumps(json_schema(kind), indent=2) + "\n", encoding="utf-8")
    return tuple(paths.values())


def _tidied(part: Any) -> Any:
    """Take the code's line breaks out of descriptions; let whole numbers fit both kinds of range."""
    if isinstance(part, list):
        return [_tidied(item) for item in part]
    if not isinstance(part, dict):
        return part
    tidy = {key: _tidied(value) for key, value in part.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    if "oneOf" in tidy and "discriminator" not in tidy:
        tidy["anyOf"] = tidy.pop("oneOf")
    return tidy
