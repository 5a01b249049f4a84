"""What parsing costs: the DAGs of 1, 10, 100 and 1,000 model specs against hand-written imports.

Baselines, in the same run: a DAG file that imports only `airflow.sdk`, and one that imports the five
libraries at its top, as most published examples do.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
HEAVY = (
    "pandas",
    "numpy",
    "sklearn",
    "mlflow",
    "feast",
    "great_expectations",
    "evidently",
    "duckdb",
    "pyarrow",
)
MEASURE = """
import json, resource, sys
{code}
use = resource.getrusage(resource.RUSAGE_SELF)
heavy = [name for name in {heavy!r} if name in sys.modules]
print(json.dumps([use.ru_utime + use.ru_stime, use.ru_maxrss / 1024, heavy]))
"""
BARE = "from airflow.sdk import DAG"
HAND_WRITTEN = BARE + "\nimport evidently, feast, great_expectations, mlflow, pandas, sklearn.ensemble"
OURS = (
    "from pathlib import Path\nfrom keepfit.airflow import project_dags\ndags = project_dags(Path({root!r}))"
)
RUNS = 5


def measure(code: str) -> tuple[float, float, list[str]]:
    """Return the median CPU seconds and peak MB of a fresh process, and the heavy modules it loaded."""
    script = MEASURE.format(code=code, heavy=HEAVY)
    runs = [told_by(script) for _ in range(RUNS)]
    return median(run[0] for run in runs), median(run[1] for run in runs), runs[0][2]


def told_by(script: str) -> tuple[float, float, list[str]]:
    """Run a script in a fresh process and read its last line; the libraries print at import too."""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    cpu, peak, heavy = json.loads(done.stdout.splitlines()[-1])
    return cpu, peak, heavy


def project_of(models: int, folder: Path) -> Path:
    """Copy the example with so many copies of its first model."""
    shutil.copytree(ROOT / "feature_repo", folder / "feature_repo")
    first = folder / "feature_repo" / "models" / "flight_delay.yaml"
    text = first.read_text()
    for other in first.parent.glob("*.yaml"):
        other.unlink()
    for number in range(models):
        name = f"model_{number:04d}"
        (first.parent / f"{name}.yaml").write_text(text.replace("name: flight_delay", f"name: {name}", 1))
    return folder


def main() -> None:
    """Print the table."""
    bare, bare_mb, _ = measure(BARE)
    hand, hand_mb, _ = measure(HAND_WRITTEN)
    print("| DAG file | CPU s | x bare | peak MB | heavy modules |\n|---|---|---|---|---|")
    print(f"| bare `airflow.sdk` | {bare:.2f} | 1.0 | {bare_mb:.0f} | - |")
    print(f"| five libraries at the top | {hand:.2f} | {hand / bare:.1f} | {hand_mb:.0f} | all |")
    for models in (1, 10, 100, 1000):
        with tempfile.TemporaryDirectory() as folder:
            root = project_of(models, Path(folder))
            cpu, peak, heavy = measure(OURS.format(root=str(root)))
        loaded = ", ".join(heavy) or "none"
        print(f"| keepfit, {models} models | {cpu:.2f} | {cpu / bare:.1f} | {peak:.0f} | {loaded} |")


if __name__ == "__main__":
    main()
