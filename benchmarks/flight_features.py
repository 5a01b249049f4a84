"""A year of flights with all the features that the example's service gives, as known at each prediction."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pandas as pd

ROWS = """
    WITH flights AS (
        SELECT *, CAST(arr_delay > 15 AS INT) AS late FROM read_parquet('{folder}/flights/*.parquet')
    ),
    carriers AS (
        SELECT DISTINCT carrier, origin, departed_at AS known_at, count(*) OVER day AS departures_24h,
            sum(dep_delay) OVER day / count(*) OVER day AS departure_delay_24h,
            count(*) FILTER (dep_delay > 15) OVER day / count(*) OVER day AS late_share_24h,
            sum(dep_delay) OVER hours / count(*) OVER hours AS departure_delay_3h
        FROM flights WHERE departed_at IS NOT NULL
        WINDOW
            day AS (PARTITION BY carrier, origin ORDER BY departed_at
                    RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW),
            hours AS (PARTITION BY carrier, origin ORDER BY departed_at
                      RANGE BETWEEN INTERVAL 3 HOURS PRECEDING AND CURRENT ROW)
    ),
    planes AS (
        SELECT DISTINCT tailnum, arrived_at AS known_at, count(*) OVER week AS arrivals_7d,
            sum(arr_delay) OVER week / count(*) OVER week AS arrival_delay_7d,
            max(arr_delay) OVER moment AS last_arrival_delay
        FROM flights WHERE arrived_at IS NOT NULL AND tailnum IS NOT NULL
        WINDOW
            week AS (PARTITION BY tailnum ORDER BY arrived_at
                     RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW),
            moment AS (PARTITION BY tailnum, arrived_at)
    )
    SELECT
        flights.decision_time AS event_time, late,
        hour(timezone('America/New_York', scheduled_departure))
            + minute(timezone('America/New_York', scheduled_departure)) / 60 AS departure_hour,
        dayofweek(timezone('America/New_York', scheduled_departure)) AS weekday,
        dest AS destination, distance AS miles,
        COLUMNS('^(temp|humid|wind_dir|wind_gust|precip|pressure|visib)$'),
        CASE WHEN wind_speed <= 150 THEN wind_speed END AS wind_speed,
        departures_24h, departure_delay_24h, late_share_24h, departure_delay_3h,
        arrivals_7d, arrival_delay_7d, last_arrival_delay, built, seats
    FROM flights
    ASOF LEFT JOIN read_parquet('{folder}/weather/*.parquet') AS weather
        ON flights.origin = weather.origin AND flights.decision_time >= weather.available_at
    ASOF LEFT JOIN carriers ON flights.carrier = carriers.carrier AND flights.origin = carriers.origin
        AND flights.decision_time >= carriers.known_at
    ASOF LEFT JOIN planes ON flights.tailnum = planes.tailnum AND flights.decision_time >= planes.known_at
    LEFT JOIN read_parquet('{folder}/planes/*.parquet') AS register ON flights.tailnum = register.tailnum
    WHERE arr_delay IS NOT NULL
    ORDER BY flights.decision_time, flights.flight_id
"""
NOT_FEATURES = ("event_time", "late")


def features() -> pd.DataFrame:
    """Return `event_time`, `late` and the features of each flight of the year."""
    sys.path.append(str(Path(__file__).parents[1] / "plugins"))
    from nyc_flights import write_source

    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        write_source(Path(folder))
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(ROWS.format(folder=folder)).df()
