"""The wheel in a stranger's own Airflow: a fresh environment, his own feature_repo, no checkout."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = pytest.mark.e2e

CHECKOUT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
DAGS = {
    "keepfit__apply",
    "keepfit__sweep",
    "keepfit__incident",
    "orders__ingest",
    "returns__monitor",
    "returns__predict",
    "returns__release",
    "returns__replay",
    "returns__train",
}
LIST_DAGS = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags", bundle_path=None, collect_dags=True)
assert not bag.import_errors, bag.import_errors
import keepfit
print(keepfit.__file__)
print(*sorted(bag.dags))
"""


@pytest.fixture(scope="module")
def stranger() -> Iterator[Path]:
    """A folder with an environment that holds only the pinned requirements and the wheel."""
    with TemporaryDirectory(prefix="keepfit-wheel-") as folder:
        home = Path(folder)
        run(home, UV, "build", "--quiet", "--wheel", "--out-dir", home, CHECKOUT)
        run(home, UV, "venv", "--quiet", "--python", sys.executable, "env")
        install = (UV, "pip", "install", "--quiet", "--python", "env")
        run(home, *install, "--require-hashes", "-r", CHECKOUT / "requirements.txt")
        run(home, *install, "--no-deps", *home.glob("*.whl"))
        yield home


def run(where: Path, *command: str | Path) -> str:
    foreign = ("AIRFLOW", "KEEPFIT", "PYTEST", "VIRTUAL_ENV", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    airflow = {"AIRFLOW_HOME": str(where / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=where,
        env=clean | airflow,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_builds_a_strangers_dags(stranger: Path) -> None:
    run(stranger, "env/bin/keepfit", "new", "shop")
    run(stranger, "env/bin/keepfit", "check", "--root", "shop")
    run(stranger, "env/bin/airflow", "db", "migrate")
    where, dags = run(stranger / "shop", stranger / "env/bin/python", "-c", LIST_DAGS).splitlines()[-2:]
    assert where.startswith(str(stranger))
    assert set(dags.split()) == DAGS


def test_airflow_knows_the_package_as_a_provider(stranger: Path) -> None:
    assert "keepfit" in run(stranger, "env/bin/airflow", "providers", "list")
