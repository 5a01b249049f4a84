"""What a proposed suite says of later weeks of the same data, and of faults put into them.

Run it as `python benchmarks/propose.py`. It takes the example's year: 13 weeks of reference, 39 later.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from keepfit.backends.propose import propose_suite
from keepfit.backends.validation import validate_rows
from keepfit.spec import load_project
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec

CHECKOUT = Path(__file__).parents[1]
START, WEEK = datetime(2013, 1, 1, 12, tzinfo=UTC), timedelta(days=7)
REFERENCE, WEEKS = 13, 52
BOUNDS = EngineSpec(memory_limit="512MB", threads=2)

Fault = Callable[[pd.DataFrame], pd.DataFrame]


def _nulls(column: str, share: float) -> Fault:
    return lambda rows: rows.assign(**{column: rows[column].where(_chosen(rows, 1 - share))})


def _set_to(column: str, value: object, share: float = 1.0) -> Fault:
    return lambda rows: rows.assign(**{column: rows[column].mask(_chosen(rows, share), value)})


def _chosen(rows: pd.DataFrame, share: float) -> pd.Series:
    return pd.Series((rows.reset_index().index * 7919 % 1000) < share * 1000, index=rows.index)


FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "flights": {
        "unit x1000 (distance)": lambda rows: rows.assign(distance=rows["distance"] * 1000),
        "minutes as seconds (arr_delay)": lambda rows: rows.assign(arr_delay=rows["arr_delay"] * 60),
        "null burst, 30 % of dest": _nulls("dest", 0.3),
        "null burst, 60 % of arr_delay": _nulls("arr_delay", 0.6),
        "stuck sensor (distance)": _set_to("distance", 733),
        "stuck at a legal category (origin)": _set_to("origin", "JFK"),
        "loaded twice": lambda rows: pd.concat([rows, rows]),
        "unseen category, 5 % of carrier": _set_to("carrier", "ZZ", 0.05),
        "numbers as texts (distance)": lambda rows: rows.assign(distance=rows["distance"].astype(str)),
        "column gone (tailnum)": lambda rows: rows.drop(columns="tailnum"),
        "sentinel -9999 in 2 % (dep_delay)": _set_to("dep_delay", -9999, 0.02),
    },
    "weather": {
        "unit x1000 (pressure)": lambda rows: rows.assign(pressure=rows["pressure"] * 1000),
        "Fahrenheit as Celsius (temp)": lambda rows: rows.assign(temp=(rows["temp"] - 32) * 5 / 9),
        "null burst, 30 % of temp": _nulls("temp", 0.3),
        "stuck sensor (temp)": _set_to("temp", 50.0),
        "stuck at a legal category (origin)": _set_to("origin", "JFK"),
        "loaded twice": lambda rows: pd.concat([rows, rows]),
        "unseen category, 5 % of origin": _set_to("origin", "ZZZ", 0.05),
        "numbers as texts (humid)": lambda rows: rows.assign(humid=rows["humid"].astype(str)),
        "sentinel -999 in 2 % (temp)": _set_to("temp", -999.0, 0.02),
    },
}


def study(dataset: DatasetSpec, source: Path, folder: Path) -> None:
    """Print how often a proposed suite is wrong, and which faults it finds."""
    frame = pd.concat(pd.read_parquet(file) for file in sorted((source / dataset.name).glob("*.parquet")))
    rows = frame[list(dataset.columns)]
    weeks = [_week(rows, dataset.source_time, number) for number in range(WEEKS)]
    reference = _kept(pd.concat(weeks[:REFERENCE]), folder / "reference.parquet")
    suite = propose_suite(reference, dataset, WEEK, bounds=BOUNDS, scratch=folder)
    later = weeks[REFERENCE:]
    usual = [_said(week, suite, folder) for week in later]
    alarms = sum(map(bool, usual))
    print(
        f"\n{dataset.name}: {suite.count('severity:')} expectations; "
        f"{alarms} of {len(later)} later weeks with a false failure, "
        f"{sum(map(len, usual)) / len(later):.2f} failures a week\n"
    )
    for each, count in pd.Series([line for week in usual for line in week]).value_counts().head(5).items():
        print(f"- in {count} weeks: {each}")
    print("\n| fault | weeks in which it is found |\n|---|---|")
    for name, fault in FAULTS[dataset.name].items():
        pairs = zip(later[::3], usual[::3], strict=True)
        found = [bool(set(_said(fault(week), suite, folder)) - set(before)) for week, before in pairs]
        print(f"| {name} | {sum(found)} of {len(found)} |", flush=True)


def _week(rows: pd.DataFrame, time: str, number: int) -> pd.DataFrame:
    start = START + number * WEEK
    return rows[(rows[time] >= start) & (rows[time] < start + WEEK)]


def _said(rows: pd.DataFrame, suite: str, folder: Path) -> list[str]:
    report = validate_rows(_kept(rows, folder / "week.parquet"), suite, bounds=BOUNDS, scratch=folder)
    return [f"{each.column or 'the table'}: {each.expectation}" for each in report.failures]


def _kept(rows: pd.DataFrame, file: Path) -> Path:
    rows.convert_dtypes(convert_string=False, convert_floating=False).to_parquet(file, index=False)
    return file


def main() -> None:
    """Study the example's two datasets."""
    sys.path.insert(0, str(CHECKOUT / "plugins"))
    from nyc_flights import write_source

    project = load_project(CHECKOUT)
    with TemporaryDirectory() as folder:
        write_source(Path(folder) / "source")
        for name in FAULTS:
            study(project.dataset(name), Path(folder) / "source", Path(folder))


if __name__ == "__main__":
    main()
