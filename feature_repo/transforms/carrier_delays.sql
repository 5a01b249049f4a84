-- Sums of whole minutes, so that the same flights give the same bits whatever the window.
SELECT DISTINCT
    carrier,
    origin,
    departed_at AS known_at,
    count(*) OVER day AS departures_24h,
    sum(dep_delay) OVER day / count(*) OVER day AS departure_delay_24h,
    count(*) FILTER (dep_delay > 15) OVER day / count(*) OVER day AS late_share_24h,
    sum(dep_delay) OVER hours / count(*) OVER hours AS departure_delay_3h
FROM flights
WHERE departed_at IS NOT NULL
WINDOW
    day AS (
        PARTITION BY carrier, origin ORDER BY departed_at
        RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW
    ),
    hours AS (
        PARTITION BY carrier, origin ORDER BY departed_at
        RANGE BETWEEN INTERVAL 3 HOURS PRECEDING AND CURRENT ROW
    )
