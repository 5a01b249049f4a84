"""The examples of docs/feast.md, as a reader would run it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[3] / "docs/feast.md").read_text()


@pytest.mark.slow
def test_the_examples_run_beside_the_first_file(tmp_path: Path) -> None:
    yaml, *_ = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    code = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
    (tmp_path / "feature_store.yaml").write_text(yaml)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
