"""The example's year of flights in a project of its own, and replays of its models."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from common import day, say

from keepfit.cli.access import local_access
from keepfit.cli.project import open_project, open_stores
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.replaying import ReplayRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.policy import Matrix
from keepfit.spec import Project, Window

CHECKOUT = Path(__file__).parents[1]
MODELS = ("arrival_delay", "flight_delay")
YEAR = Window(day("2013-01-01"), day("2014-01-01"))
STEPS = ("extract", "check_schema", "validate", "transform", "publish")


@contextmanager
def flights(keep: Path | None = None) -> Iterator[Project]:
    """Lend the example with its year of flights published, and nothing online.

    `flight_delay` is trained as `arrival_delay` is, without its search and its second candidate: one fit
    instead of seven at each of fifty cuts.

    Args:
        keep: Where to make it, or to find it made before; it is gone after the block when not given.
    """
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        root = (keep or Path(folder)) / "year"
        made = root / "made"
        if not made.exists():
            shutil.rmtree(root, ignore_errors=True)
            _make(root)
        project = open_project(root)
        with open_stores(project):
            if not made.exists():
                _fill(project)
                made.touch()
            yield project


def _make(root: Path) -> None:
    for name in ("feature_repo", "plugins"):
        shutil.copytree(CHECKOUT / name, root / name)
    settings = root / "feature_repo" / "keepfit.yaml"
    settings.write_text(settings.read_text().replace("database: embedded", "database: sqlite"))
    plain, searched = (root / "feature_repo" / "models" / f"{name}.yaml" for name in MODELS)
    spec = yaml.safe_load(searched.read_text())
    spec["train"]["candidates"] = yaml.safe_load(plain.read_text())["train"]["candidates"]
    searched.write_text(yaml.safe_dump(spec, sort_keys=False))


def _fill(project: Project) -> None:
    from nyc_flights import write_source

    write_source(project.root / "data" / "source")
    for name in sorted(project.datasets, key=lambda each: bool(project.datasets[each].inputs)):
        say(f"ingesting {name}")
        settings = {"full_refresh": False, "recompute": False}
        taken = take_snapshot(
            project, f"{name}__ingest", "year", dataset=name, window=YEAR, settings=settings
        )
        run = IngestRun(taken, local_access(taken.locations))
        for step in STEPS:
            getattr(run, step)()


def replayed(project: Project, model: str, every: str) -> tuple[Matrix, Mapping[str, float]]:
    """Replay a model; return the matrix, and the CPU seconds of each step."""
    settings = {"cost": 1.0, "every": every}
    run_id = f"replay_{every}_{time.time_ns()}"
    run = ReplayRun(take_snapshot(project, f"{model}__replay", run_id, model=model, settings=settings))
    seconds = {}
    count, seconds["lay out the history"] = timed(lambda: run.lay_out()["cuts"])
    trained = []
    for index in range(count):
        told, spent = timed(lambda index=index: run.train_cut(index)["told"])
        say(f"{model}: {told[0]}, {spent:.1f} s")
        trained.append(spent)
    seconds["train at the cuts"] = sum(trained)
    _, seconds["assemble the matrix"] = timed(run.assemble)
    (matrix,) = run.matrices()
    return matrix, seconds


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work gives, and its CPU seconds: other work may share the machine."""
    began = time.process_time()
    return work(), time.process_time() - began
