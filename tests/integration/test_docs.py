"""What the documentation shows is there: its settings are read, its commands and options exist."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from typer.main import get_command

from keepfit.cli.app import app
from keepfit.spec import DatasetSpec, ModelSpec, ProjectSpec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INLINE = re.compile(r"`keepfit ([^`\n]+)`")
BLOCK = re.compile(r"^```(?:bash|sh|console)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?:\$ )?keepfit ([^#\n|&>]+)", re.MULTILINE)
COMMANDS: Mapping[str, Any] = vars(get_command(app))["commands"]


def shown(page: Path) -> Iterator[list[str]]:
    text = page.read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in LINE.findall(block)]
    yield from map(shlex.split, [*INLINE.findall(text), *lines])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    for name, *arguments in shown(page):
        assert name in COMMANDS, f"keepfit {name}"
        options = {option for each in COMMANDS[name].params for option in each.opts}
        named = {each.partition("=")[0] for each in arguments if re.match(r"--\w", each)}
        assert named <= {*options, "--help"}, f"keepfit {name}"


@pytest.mark.parametrize(
    ("page", "of"),
    [
        ("approval", ModelSpec),
        ("policies", ModelSpec),
        ("watching", ModelSpec),
        ("serving", ProjectSpec),
        ("release", ProjectSpec),
        ("validation", DatasetSpec),
    ],
)
def test_the_settings_that_a_page_shows_are_read(page: str, of: type[BaseModel]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = [
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]
    settings = [block for block in blocks if "expectations" not in block]
    assert settings
    for name, value in (item for block in settings for item in block.items()):
        annotation: Any = of.model_fields[name].annotation
        assert TypeAdapter[Any](annotation).validate_python(value)
