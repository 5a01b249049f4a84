"""The features, in Feast's own words. Each view reads a dataset that keepfit publishes."""

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from keepfit.backends.feature_store import published

airport = Entity(name="airport", join_keys=["origin"], value_type=ValueType.STRING)
plane = Entity(name="plane", join_keys=["tailnum"], value_type=ValueType.STRING)
carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)

weather = FeatureView(
    name="weather",
    entities=[airport],
    ttl=timedelta(hours=6),
    schema=[
        Field(name="origin", dtype=String),
        Field(name="temp", dtype=Float64),
        Field(name="humid", dtype=Float64),
        Field(name="wind_dir", dtype=Float64),
        Field(name="wind_speed", dtype=Float64),
        Field(name="wind_gust", dtype=Float64),
        Field(name="precip", dtype=Float64),
        Field(name="pressure", dtype=Float64),
        Field(name="visib", dtype=Float64),
    ],
    source=published("weather"),
)

carrier_delays = FeatureView(
    name="carrier_delays",
    entities=[carrier, airport],
    ttl=timedelta(days=3),
    schema=[
        Field(name="carrier", dtype=String),
        Field(name="origin", dtype=String),
        Field(name="departures_24h", dtype=Int64),
        Field(name="departure_delay_24h", dtype=Float64),
        Field(name="late_share_24h", dtype=Float64),
        Field(name="departure_delay_3h", dtype=Float64),
    ],
    source=published("carrier_delays"),
)

plane_delays = FeatureView(
    name="plane_delays",
    entities=[plane],
    ttl=timedelta(days=14),
    schema=[
        Field(name="tailnum", dtype=String),
        Field(name="arrivals_7d", dtype=Int64),
        Field(name="arrival_delay_7d", dtype=Float64),
        Field(name="last_arrival_delay", dtype=Int64),
    ],
    source=published("plane_delays"),
)

planes = FeatureView(
    name="planes",
    entities=[plane],
    ttl=timedelta(0),  # a plane's facts do not age
    schema=[
        Field(name="tailnum", dtype=String),
        Field(name="built", dtype=Int64),
        Field(name="engines", dtype=Int64),
        Field(name="seats", dtype=Int64),
    ],
    source=published("planes"),
)

flight_plan = RequestSource(
    name="flight_plan",
    schema=[
        Field(name="scheduled_departure", dtype=UnixTimestamp),
        Field(name="dest", dtype=String),
        Field(name="distance", dtype=Int64),
    ],
)


@on_demand_feature_view(
    sources=[flight_plan],
    schema=[
        Field(name="departure_hour", dtype=Float64),
        Field(name="weekday", dtype=Int64),
        Field(name="month", dtype=Int64),
        Field(name="destination", dtype=String),
        Field(name="miles", dtype=Int64),
    ],
)
def schedule(plan: pd.DataFrame) -> pd.DataFrame:
    """What the flight plan says, by New York's clock."""
    local = pd.to_datetime(plan["scheduled_departure"], utc=True).dt.tz_convert("America/New_York")
    return pd.DataFrame(
        {
            "departure_hour": local.dt.hour + local.dt.minute / 60,
            "weekday": local.dt.weekday.astype("int64"),
            "month": local.dt.month.astype("int64"),
            "destination": plan["dest"],
            "miles": plan["distance"],
        }
    )


# The month is left out: in their first year the models would know a month only after it is over.
flight = FeatureService(
    name="flight",
    features=[
        schedule[["departure_hour", "weekday", "destination", "miles"]],
        weather,
        carrier_delays,
        plane_delays,
        planes[["built", "seats"]],
    ],
)
