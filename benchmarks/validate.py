"""Hold rows of 20 columns against 31 expectations: keepfit, Great Expectations on pandas, one query by hand.

Run it as `python benchmarks/validate.py [ROWS ...]`. Each measurement is a process of its own.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from keepfit.backends.suite_file import parse_suite
from keepfit.backends.validation import validate_rows
from keepfit.spec.project import EngineSpec

MEMORY = "512MB"
GX_UP_TO = 3_000_000
REPEATS = 3
NUMBERS = [f"n{each}" for each in range(8)]
FRACTIONS = [f"f{each}" for each in range(6)]
TEXTS = [f"t{each}" for each in range(4)]
MAKE = f"""
COPY (SELECT i AS id, TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_seconds(i % 31536000) AS at,
  {", ".join(f"CASE WHEN hash(i, {k}) % 50 = 0 THEN NULL ELSE (hash(i, {k}) % 1000)::BIGINT END AS {n}" for k, n in enumerate(NUMBERS))},
  {", ".join(f"CASE WHEN hash(i, {k}) % 40 = 0 THEN NULL ELSE (hash(i, {k}) % 100000) / 100 END AS {n}" for k, n in enumerate(FRACTIONS, 20))},
  {", ".join(f"'c' || (hash(i, {k}) % 30) AS {n}" for k, n in enumerate(TEXTS, 40))}
  FROM range({{rows}}) r(i)) TO '{{file}}' (FORMAT parquet, COMPRESSION zstd)
"""  # noqa: E501 - one line for each kind of column
CODES = [f"c{each}" for each in range(30)]
LIMITS = {"min_value": 0, "max_value": 2000}


def suite() -> list[dict[str, Any]]:
    """Return 31 expectations; two of them are not met."""
    column = "expect_column_values_to"
    wanted = [(f"{column}_not_be_null", {"column": name, "mostly": 0.9}) for name in ("at", *NUMBERS[:5])]
    wanted += [(f"{column}_be_between", {"column": name, **LIMITS}) for name in NUMBERS]
    wanted += [(f"{column}_be_between", {"column": name, **LIMITS}) for name in FRACTIONS[:4]]
    wanted += [(f"{column}_be_between", {"column": name, "max_value": 999}) for name in FRACTIONS[4:]]
    wanted += [(f"{column}_be_in_set", {"column": name, "value_set": CODES}) for name in TEXTS[:3]]
    wanted += [(f"{column}_match_regex", {"column": "t3", "regex": "^c[0-9]+$"})]
    wanted += [(f"{column}_be_unique", {"column": "id"})]
    wanted += [("expect_column_mean_to_be_between", {"column": name, **LIMITS}) for name in FRACTIONS[:2]]
    wanted += [("expect_column_stdev_to_be_between", {"column": "f2", **LIMITS})]
    wanted += [("expect_column_max_to_be_between", {"column": "n0", **LIMITS})]
    wanted += [("expect_column_value_lengths_to_be_between", {"column": "t0", "max_value": 3})]
    wanted += [("expect_table_row_count_to_be_between", {"min_value": 1})]
    return [{"type": kind, "kwargs": kwargs} for kind, kwargs in wanted]


def by_hand(file: Path, scratch: Path) -> int:
    """Ask the same in one SELECT, written for these columns alone; return how many are not met."""
    present = [f'count("{name}") / count(*) >= 0.9' for name in ("at", *NUMBERS[:5])]
    inside = [f"count_if(NOT {name} BETWEEN 0 AND 2000) = 0" for name in (*NUMBERS, *FRACTIONS[:4])]
    inside += [f"count_if({name} > 999) = 0" for name in FRACTIONS[4:]]
    codes = ", ".join(f"'{code}'" for code in CODES)
    inside += [f"count_if({name} NOT IN ({codes})) = 0" for name in TEXTS[:3]]
    rest = [
        "count_if(NOT regexp_matches(t3, '^c[0-9]+$')) = 0",
        "count(DISTINCT id) = count(id)",
        *(f"avg({name}) BETWEEN 0 AND 2000" for name in FRACTIONS[:2]),
        "stddev_samp(f2) BETWEEN 0 AND 2000",
        "max(n0) BETWEEN 0 AND 2000",
        "count_if(length(t0) > 3) = 0",
        "count(*) >= 1",
    ]
    wanted = [*present, *inside, *rest]
    with duckdb.connect(
        config={"memory_limit": "4GB", "threads": 2, "temp_directory": str(scratch)}
    ) as engine:
        met = engine.execute(f"SELECT {', '.join(wanted)} FROM read_parquet('{file}')").fetchone() or ()
    return len(wanted) - sum(met)


def by_keepfit(file: Path, scratch: Path) -> int:
    """Hold the rows against the suite; return how many are not met."""
    bounds = EngineSpec(memory_limit=MEMORY, threads=2)
    text = json.dumps({"name": "s", "expectations": suite()})
    return len(validate_rows(file, text, bounds=bounds, scratch=scratch).failures)


def by_gx(file: Path, scratch: Path) -> int:  # noqa: ARG001 - the same shape for all
    """Run the whole suite in Great Expectations; return how many are not met."""
    from keepfit.backends.suites import look

    entries = parse_suite(json.dumps({"name": "s", "expectations": suite()}), "suite")[1]
    return sum(failure is not None for failure in look(file, entries))


WAYS: Mapping[str, Callable[[Path, Path], int]] = {"keepfit": by_keepfit, "hand": by_hand, "gx": by_gx}


def measure(way: str, file: Path, scratch: Path) -> tuple[float, float, int]:
    """Run one way in this process; return CPU seconds without the imports, peak megabytes, what is not met.

    CPU seconds of all threads, since other work on the machine does not count.
    """
    if way == "gx":
        import keepfit.backends.suites  # noqa: F401 - importing it takes seconds, and is no part of the work
    began = time.process_time()
    unmet = WAYS[way](file, scratch)
    taken = time.process_time() - began
    return taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, unmet


def compare(rows: int, folder: Path) -> None:
    """Print a line of the table."""
    file = folder / "rows.parquet"
    duckdb.execute(MAKE.format(rows=rows, file=file))
    found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in WAYS}
    for repeat in range(REPEATS):
        for way in ("keepfit", "hand", *(("gx",) if rows <= GX_UP_TO and repeat == 0 else ())):
            command = [sys.executable, __file__, "--measure", way, str(file), str(folder / "scratch")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    seconds = {way: statistics.median(each[0] for each in runs) for way, runs in found.items() if runs}
    peak = {way: max(each[1] for each in runs) for way, runs in found.items() if runs}
    unmet = {each[2] for runs in found.values() for each in runs}
    gx = f"{seconds['gx']:.1f} | {seconds['gx'] / seconds['keepfit']:.0f}" if "gx" in seconds else "- | -"
    memory = " / ".join(f"{peak[way]:.0f}" for way in peak)
    print(
        f"| {rows:,} | {seconds['keepfit']:.2f} | {seconds['hand']:.2f} | "
        f"{seconds['keepfit'] / seconds['hand']:.2f} | {gx} | {memory} | {sorted(unmet)} |",
        flush=True,
    )


def main(arguments: list[str]) -> None:
    """Compare at each number of rows."""
    if arguments[:1] == ["--measure"]:
        way, file, scratch = arguments[1:]
        print(json.dumps(measure(way, Path(file), Path(scratch))))
        return
    print("| rows | keepfit s | by hand s | keepfit / hand | GX s | GX / keepfit | peak MB | not met |")
    print("|---|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for rows in map(int, arguments or ("300000", "3000000", "10000000")):
            compare(rows, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
