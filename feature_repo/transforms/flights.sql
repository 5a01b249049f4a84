-- A cancelled or diverted flight has no arrival delay, so it has no label either.
SELECT
    flight_id,
    decision_time,
    scheduled_departure,
    departed_at,
    arrived_at,
    carrier,
    tailnum,
    origin,
    dest,
    distance,
    dep_delay,
    arr_delay AS arrival_delay,
    CAST(arr_delay > 15 AS BIGINT) AS late
FROM source
