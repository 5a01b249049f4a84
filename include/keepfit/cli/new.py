"""`keepfit new`: a small project that runs, to edit rather than to type."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from keepfit.cli.starter_data import orders_csv
from keepfit.errors import SpecError
from keepfit.spec.load import FEATURE_REPO
from keepfit.spec.schema import write_schemas

_FILES = {
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".airflowignore": "airflowignore",
    "dags/keepfit_dags.py": "dags.py",
    "plugins/shop_metrics.py": "plugin.py",
    "feature_repo/keepfit.yaml": "keepfit.yaml",
    "feature_repo/feature_store.yaml": "feature_store.yaml",
    "feature_repo/features.py": "features.py",
    "feature_repo/datasets/orders.yaml": "orders.yaml",
    "feature_repo/expectations/orders.yaml": "suite.yaml",
    "feature_repo/models/returns.yaml": "returns.yaml",
}
"""Where each file of `keepfit/templates/` goes."""


def new(folder: Annotated[Path, typer.Argument(help="The folder to make.")]) -> None:
    """Begin a project: one dataset, one model and half a year of made-up data with a change in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"{folder} exists and is not an empty folder. Name another one.")
    templates = files("keepfit") / "templates"
    for target, source in _FILES.items():
        text = (templates / f"{source}.template").read_text(encoding="utf-8")
        _write(folder / target, text.replace("PROJECT_NAME", _project_name(folder)))
    _write(folder / "data" / "orders.csv", orders_csv())
    write_schemas(folder / FEATURE_REPO)
    typer.echo(
        f"{folder} is ready. Next: cd {folder}, keepfit check, and README.md, which goes on from there."
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _project_name(folder: Path) -> str:
    """Make a project's name from a folder's, as far as it can serve."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_")[:64]
    return name if re.match(r"[a-z]", name) else f"project_{name}"[:64].rstrip("_")
