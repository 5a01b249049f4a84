"""The commands that README and docs show are run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keepfit.spec import load_dataset

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/your-own-model.md"])
def test_the_commands_shown_work(page: str) -> None:
    script = "set -e\n" + "\n".join(SHOWN.findall((ROOT / page).read_text()))
    foreign = ("AIRFLOW", "KEEPFIT")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    clean["PATH"] = f"{Path(sys.executable).parent}:{clean['PATH']}"
    # Not pytest's own folder: as root the database is another user, whom another pytest would lock out of it.
    with TemporaryDirectory(prefix="keepfit-readme-") as folder:
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=clean, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_dataset_shown_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "your-own-model.md").read_text()
    shown = re.search(r"^```yaml\n(name: payments.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown
    path = tmp_path / "payments.yaml"
    path.write_text(shown[1])
    assert load_dataset(path).schedule == "@daily"


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []
