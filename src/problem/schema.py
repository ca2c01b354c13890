"""Define the data: raw tables, the request that the service takes, and the role of each column.

Every row is a msgspec struct. The data check, the request validation and the OpenAPI page are
all derived from it, so that a range or a category is written only once.
"""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

Airport = Literal["EWR", "JFK", "LGA"]
# The lengths are needed because the $ of a pattern also matches before a line break at the end.
Carrier = Annotated[str, Meta(pattern="^[0-9A-Z]{2}$", max_length=2, description="IATA code of the airline")]
Destination = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="IATA code of the destination")]
Clock = Annotated[int, Meta(ge=0, le=2400, description="local time as hhmm")]
Hour = Annotated[datetime, Meta(tz=True, description="scheduled hour, UTC")]


class Flight(Struct, forbid_unknown_fields=True):
    """A flight as the source has it; delays are in minutes, clock times local."""

    year: Annotated[int, Meta(ge=2013, le=2100)]
    month: Annotated[int, Meta(ge=1, le=12)]
    day: Annotated[int, Meta(ge=1, le=31)]
    sched_dep_time: Clock
    sched_arr_time: Clock
    carrier: Carrier
    flight: Annotated[int, Meta(ge=1)]
    origin: Airport
    dest: Destination
    distance: Annotated[int, Meta(ge=1, le=6000, description="miles")]
    hour: Annotated[int, Meta(ge=0, le=24)]
    minute: Annotated[int, Meta(ge=0, le=59)]
    time_hour: Hour
    tailnum: str | None = None
    dep_time: Clock | None = None
    dep_delay: Annotated[float, Meta(ge=-120, le=3000)] | None = None
    arr_time: Clock | None = None
    arr_delay: Annotated[float, Meta(ge=-120, le=3000)] | None = None
    air_time: Annotated[float, Meta(ge=0, le=1000)] | None = None


class Weather(Struct, forbid_unknown_fields=True):
    """The weather at an airport in an hour: degrees Fahrenheit, miles per hour, inches, millibars, miles."""

    origin: Airport
    year: Annotated[int, Meta(ge=2013, le=2100)]
    month: Annotated[int, Meta(ge=1, le=12)]
    day: Annotated[int, Meta(ge=1, le=31)]
    hour: Annotated[int, Meta(ge=0, le=23)]
    time_hour: Hour
    temp: Annotated[float, Meta(ge=-40, le=130)] | None = None
    dewp: Annotated[float, Meta(ge=-60, le=100)] | None = None
    humid: Annotated[float, Meta(ge=0, le=100)] | None = None
    wind_dir: Annotated[float, Meta(ge=0, le=360)] | None = None
    # The source holds one gust of 1,048 mph; features.py treats it as missing.
    wind_speed: Annotated[float, Meta(ge=0, le=1100)] | None = None
    wind_gust: Annotated[float, Meta(ge=0, le=1300)] | None = None
    precip: Annotated[float, Meta(ge=0, le=20)] | None = None
    pressure: Annotated[float, Meta(ge=900, le=1100)] | None = None
    visib: Annotated[float, Meta(ge=0, le=20)] | None = None


class Plane(Struct, forbid_unknown_fields=True):
    """An aircraft, by the number on its tail."""

    tailnum: str
    type: str
    manufacturer: str
    model: str
    engines: Annotated[int, Meta(ge=1, le=8)]
    seats: Annotated[int, Meta(ge=1, le=900)]
    engine: str
    year: Annotated[float, Meta(ge=1900, le=2100)] | None = None
    speed: Annotated[float, Meta(ge=0, le=1000)] | None = None


class Table(NamedTuple):
    """A raw table: its rows, its key, and how it can be read in parts."""

    row: type[Struct]
    key: tuple[str, ...]  # columns that no two rows share
    periodic: bool  # whether there is one file per period, or a single file
    day: tuple[str, ...] = ()  # columns with a row's day, needed to read some days only; empty: read whole files
    back: int | None = None  # days before its own that the features of an example look at; None: all of them


DAY = ("year", "month", "day")

TABLES = {
    "flights": Table(Flight, ("time_hour", "carrier", "flight", "origin"), periodic=True, day=DAY, back=1),
    "weather": Table(Weather, ("origin", "time_hour"), periodic=True, day=DAY, back=1),
    "planes": Table(Plane, ("tailnum",), periodic=False),
}


class Request(Struct, forbid_unknown_fields=True):
    """One scheduled departure, as it is known an hour before it."""

    scheduled: Annotated[
        datetime,
        Meta(
            tz=False,
            description="scheduled departure, local",
            examples=["2013-06-14T17:05:00"],
            extra_json_schema={"format": "date-time-local"},
        ),
    ]
    carrier: Annotated[Carrier, Meta(examples=["UA"])]
    origin: Annotated[Airport, Meta(examples=["EWR"])]
    dest: Annotated[Destination, Meta(examples=["ORD"])]
    distance: Annotated[float, Meta(ge=1, le=6000, description="miles", examples=[719])]
    duration: Annotated[
        float,
        Meta(ge=0, lt=1440, description="scheduled local arrival less departure, minutes modulo a day", examples=[93]),
    ]
    departures: Annotated[
        float, Meta(ge=1, le=500, description="departures scheduled at the origin in that hour", examples=[24])
    ]
    seats: Annotated[float, Meta(ge=1, le=900, examples=[149])] | None = None
    built: Annotated[float, Meta(ge=1900, le=2100, description="year the plane was built", examples=[2004])] | None = (
        None
    )
    temp: Annotated[float, Meta(ge=-40, le=130, description="°F, an hour before", examples=[75.9])] | None = None
    dewp: Annotated[float, Meta(ge=-60, le=100, description="dew point, °F", examples=[60.1])] | None = None
    humid: Annotated[float, Meta(ge=0, le=100, description="relative humidity, %", examples=[58.0])] | None = None
    wind_dir: Annotated[float, Meta(ge=0, le=360, description="degrees", examples=[230.0])] | None = None
    wind_speed: Annotated[float, Meta(ge=0, le=200, description="mph", examples=[9.2])] | None = None
    precip: Annotated[float, Meta(ge=0, le=20, description="inches in the hour", examples=[0.0])] | None = None
    pressure: Annotated[float, Meta(ge=900, le=1100, description="millibar", examples=[1016.2])] | None = None
    visib: Annotated[float, Meta(ge=0, le=20, description="miles", examples=[10.0])] | None = None
    late_rate: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=1,
                description="share of late arrivals, the day before, same origin and carrier",
                examples=[0.2],
            ),
        ]
        | None
    ) = None


KEY = ("time_hour", "carrier", "flight", "origin")  # identifies an example in every table of predictions
LABEL = "late"  # 1.0 if the flight arrives 15 minutes late or more
CLASSES = ("on time", "late")  # two: predict the probability of the second; none: a number; more: one probability each
BLOCK = "day"  # resample whole days, not single flights, because delays cluster on bad days
TIME = "scheduled"  # the time of a prediction; `prepare` hides later data to check for leaks
PERIOD = "period"  # the month, as in the names of the files
SEGMENTS = ("origin", "carrier")  # columns for whose values no candidate may be clearly worse
CATEGORIES = ("carrier", "origin", "dest")  # a value that training never saw counts as missing
# Columns that change with the calendar: their drift is reported and never raises an alarm.
SEASONAL = (
    "month",  # not a feature, but a column of two tables
    "day_of_week",
    "hour",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
)
