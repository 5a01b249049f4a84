SELECT DISTINCT
    tailnum,
    arrived_at AS known_at,
    count(*) OVER week AS arrivals_7d,
    sum(arrival_delay) OVER week / count(*) OVER week AS arrival_delay_7d,
    -- Where two rows of one plane share a moment, the larger delay, so that the answer is always the same.
    max(arrival_delay) OVER moment AS last_arrival_delay
FROM flights
WHERE arrived_at IS NOT NULL AND tailnum IS NOT NULL
WINDOW
    week AS (
        PARTITION BY tailnum ORDER BY arrived_at
        RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW
    ),
    moment AS (PARTITION BY tailnum, arrived_at)
