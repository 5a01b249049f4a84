"""Drift from sketches against Evidently's preset and SciPy, from Parquet files, each in its own process.

Each way's clock starts after a pair of a thousand rows, with nothing else read yet; up to 200,000 rows it is
the median of three. Compared are 30 columns, 24 of numbers (4 of
them with few values) and 6 of categories, with Evidently's DataDriftPreset; and 10 columns of numbers with
SciPy's Wasserstein distance.

    .venv/bin/python benchmarks/drift.py                                     # small, half a minute
    .venv/bin/python benchmarks/drift.py --preset 100000 1000000 --scipy 5000000   # as in README.md
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CATEGORIES = ("c0", "c1", "c2", "c3", "c4", "c5")


def write(path: Path, rows: int, columns: int, by: float, seed: int) -> None:
    """Write one side, in row groups, so that nobody has to hold it."""
    chance = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, 250_000):
        part = pa.table(_part(chance, min(250_000, rows - start), columns, by))
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer:
        writer.close()


def _part(chance: np.random.Generator, rows: int, columns: int, by: float) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for number in range(columns):
        shift = by * (number % 3)
        if number % 5 == 3 and columns > 10:
            made[f"n{number}"] = chance.poisson(6 + shift, rows).astype(float)
        elif number % 5 == 4:
            made[f"n{number}"] = chance.lognormal(shift, 1, rows)
        else:
            made[f"n{number}"] = chance.normal(shift, 1 + number, rows)
    if columns > 10:
        for name in CATEGORIES:
            chances = chance.dirichlet(np.full(12, 5.0)) if by else np.full(12, 1 / 12)
            made[name] = chance.choice([f"level {each}" for each in range(12)], rows, p=chances)
    return made


def keepfit(reference: Path, current: Path) -> dict[str, Any]:
    """Sketch both sides with the engine and measure."""
    from keepfit.backends.engine import columns_of, engine, scan
    from keepfit.backends.sketches import sketch_columns
    from keepfit.spec.project import EngineSpec
    from keepfit.steps.distances import measure

    began, used = time.perf_counter(), time.process_time()
    with engine(EngineSpec(memory_limit="256MB", threads=2), reference.parent / "scratch") as connection:
        names = list(columns_of(connection, scan([reference])))
        sides = [sketch_columns(connection, scan([each]), names) for each in (reference, current)]
    sketched = time.perf_counter()
    scores = {name: measure(sides[0][name], sides[1][name]).score for name in names}
    ended = time.perf_counter()
    return {
        "wall": ended - began,
        "cpu": time.process_time() - used,
        "measuring": ended - sketched,
        "scores": scores,
    }


def evidently(reference: Path, current: Path) -> dict[str, Any]:
    """Run Evidently's preset."""
    import warnings

    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    warnings.simplefilter("ignore")
    began, used = time.perf_counter(), time.process_time()
    sides = [pd.read_parquet(each) for each in (current, reference)]
    texts = [name for name in sides[0] if name in CATEGORIES]
    definition = DataDefinition(
        numerical_columns=[name for name in sides[0] if name not in texts], categorical_columns=texts
    )
    done = Report([DataDriftPreset()]).run(*(Dataset.from_pandas(each, definition) for each in sides))
    ended, cpu = time.perf_counter(), time.process_time() - used
    drifts = (each for each in json.loads(done.json())["metrics"] if each["metric_name"].startswith("Value"))
    scores = {each["config"]["column"]: each["value"] for each in drifts}
    return {"wall": ended - began, "cpu": cpu, "scores": scores}


def scipy(reference: Path, current: Path) -> dict[str, Any]:
    """Read column by column and measure each with SciPy."""
    import pandas as pd
    from scipy.stats import wasserstein_distance

    began, used = time.perf_counter(), time.process_time()
    scores = {}
    for name in pq.read_schema(reference).names:
        old, new = (pd.read_parquet(each, columns=[name])[name].to_numpy() for each in (reference, current))
        scores[name] = float(wasserstein_distance(old, new) / old.std())
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - used, "scores": scores}


def in_a_process(way: str, folder: Path) -> dict[str, Any]:
    """Do one way in a process of its own, and tell its peak memory."""
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, str(folder)], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(rows: int, columns: int, other: str) -> None:
    """Print a line of the table."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "small").mkdir()
        for place, count in ((folder, rows), (folder / "small", 1_000)):
            write(place / "reference.parquet", count, columns, 0, 1)
            write(place / "current.parquet", count, columns, 0.1, 2)
        ours, theirs = in_a_process("keepfit", folder), in_a_process(other, folder)
    apart = max(abs(ours["scores"][name] - score) for name, score in theirs["scores"].items())
    size = f"{rows:,} + {rows:,} x {len(theirs['scores'])}"
    print(
        f"| {size} | {other} | {theirs['wall']:.2f} | {theirs['cpu']:.2f} | {theirs['peak']:,.0f} "
        f"| {ours['wall']:.2f} | {ours['cpu']:.2f} | {ours['peak']:,.0f} "
        f"| {theirs['wall'] / ours['wall']:.0f} | {theirs['cpu'] / ours['cpu']:.0f} | {apart:.1e} |",
        flush=True,
    )


def main() -> None:
    """Compare at the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", type=int, nargs="*", default=[20_000])
    parser.add_argument("--scipy", type=int, nargs="*", default=[200_000])
    parser.add_argument("--way", nargs=2)
    asked = parser.parse_args()
    if asked.way:
        way, folder = asked.way[0], Path(asked.way[1])
        do = {"keepfit": keepfit, "evidently": evidently, "scipy": scipy}[way]
        do(folder / "small" / "reference.parquet", folder / "small" / "current.parquet")
        sides = folder / "reference.parquet", folder / "current.parquet"
        times = 3 if pq.read_metadata(sides[0]).num_rows <= 200_000 else 1
        found = sorted((do(*sides) for _ in range(times)), key=lambda each: float(each["wall"]))[times // 2]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**found, "peak": peak}))
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    titles = ("s", "CPU s", "peak MB", "keepfit s", "CPU s", "peak MB", "x s", "x CPU", "apart")
    print(f"| rows x columns | other | {' | '.join(titles)} |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for rows in asked.preset:
        compare(rows, 24, "evidently")
    for rows in asked.scipy:
        compare(rows, 10, "scipy")


if __name__ == "__main__":
    main()
