import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from keepfit.spec.schema import KINDS, Kind, json_schema, write_schemas

REPO = Path(__file__).parents[2] / "feature_repo"


def errors(kind: Kind, content: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    return [error.message for error in validator.iter_errors(content)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_a_schema_and_explains_its_fields(kind: Kind) -> None:
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"keepfit {kind}"
    assert "\n" not in json.dumps(schema["properties"])
    assert any("description" in field for field in schema["properties"].values())


@pytest.mark.parametrize(
    ("kind", "file"),
    [("project", REPO / "keepfit.yaml")]
    + [("dataset", file) for file in sorted(REPO.glob("datasets/*.yaml"))]
    + [("model", file) for file in sorted(REPO.glob("models/*.yaml"))],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_the_examples_files_fit_their_schemas(kind: Kind, file: Path) -> None:
    assert errors(kind, yaml.safe_load(file.read_text())) == []


def defaults(part: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield each field that has a default, with that default and the field's own schema."""
    for name, field in part.get("properties", {}).items():
        if "default" in field:
            yield name, field["default"], field
    for inner in part.get("$defs", {}).values():
        yield from defaults(inner)


def test_durations_show_their_defaults_as_one_would_write_them() -> None:
    shown = {name: default for kind in KINDS for name, default, _ in defaults(json_schema(kind))}
    durations = {"lookback": "0d", "timeout": "6h", "cooldown": "7d", "rest": "90d"}
    assert {name: shown.get(name) for name in durations} == durations
    assert json_schema("dataset")["properties"]["timeout"]["default"] == "1h"


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_fits_its_own_schema(kind: Kind) -> None:
    schema = json_schema(kind)
    for name, default, field in defaults(schema):
        validator = jsonschema.Draft202012Validator({**field, "$defs": schema.get("$defs", {})})
        assert validator.is_valid(default), f"{name}: {default!r}"


def test_an_editor_marks_a_typo() -> None:
    assert any("'projct' was unexpected" in error for error in errors("project", {"projct": "shop"}))


def test_a_range_of_whole_numbers_fits() -> None:
    model = yaml.safe_load((REPO / "models" / "flight_delay.yaml").read_text())
    model["train"]["candidates"] = [
        {"trainer": "lightgbm", "search": {"space": {"a": {"low": 1, "high": 9}}}}
    ]
    assert errors("model", model) == []
    model["train"]["candidates"][0]["search"]["space"]["a"] = {"low": 1}
    assert errors("model", model) != []


def test_schemas_are_written_where_the_files_first_lines_point_to(tmp_path: Path) -> None:
    (tmp_path / "feature_repo").mkdir()
    written = write_schemas(tmp_path / "feature_repo")
    assert [path.name for path in written] == ["dataset.json", "model.json", "project.json"]
    for path in written:
        assert json.loads(path.read_text()) == json_schema(path.stem)  # type: ignore[arg-type]
