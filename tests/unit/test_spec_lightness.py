import subprocess
import sys
from pathlib import Path

HEAVY = (
    "airflow",
    "duckdb",
    "deltalake",
    "evidently",
    "feast",
    "great_expectations",
    "lightgbm",
    "mlflow",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "sklearn",
    "sqlalchemy",
    "typer",
)
ROOT = Path(__file__).parents[2]


def loaded_by(code: str) -> set[str]:
    """Return the heavy modules that a fresh interpreter has loaded after running some code."""
    script = f"{code}\nimport sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_specs_and_plugins_load_nothing_heavy() -> None:
    assert loaded_by("import keepfit.spec, keepfit.plugins, keepfit.spec.schema") == set()


def test_loading_and_checking_a_project_loads_nothing_heavy() -> None:
    code = "from pathlib import Path; from keepfit.spec import check_project"
    assert loaded_by(f"{code}; assert not check_project(Path('.'))") == set()


def test_the_command_line_starts_without_anything_heavy() -> None:
    assert loaded_by("import keepfit.__main__") <= {"typer"}
