SELECT
    origin,
    available_at,
    temp,
    humid,
    wind_dir,
    -- The table holds one hour with a storm of 1,048 miles an hour.
    CASE WHEN wind_speed <= 150 THEN wind_speed END AS wind_speed,
    wind_gust,
    precip,
    pressure,
    visib
FROM source
