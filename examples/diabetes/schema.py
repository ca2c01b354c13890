"""Define the data: the raw table, the request that the service takes, and what each column means."""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

Sex = Literal["1", "2"]  # as the study codes it


class Request(Struct, forbid_unknown_fields=True):
    """One patient, measured at the first visit."""

    age: Annotated[float, Meta(ge=0, le=120, description="years", examples=[59])]
    sex: Annotated[Sex, Meta(examples=["2"])]
    bmi: Annotated[float, Meta(ge=10, le=80, description="kg/m²", examples=[32.1])]
    blood_pressure: Annotated[float, Meta(ge=30, le=250, description="mean, mmHg", examples=[101])]
    cholesterol: Annotated[float, Meta(ge=50, le=600, description="total, mg/dl", examples=[157])] | None = None
    ldl: Annotated[float, Meta(ge=10, le=500, description="mg/dl", examples=[93.2])] | None = None
    hdl: Annotated[float, Meta(ge=5, le=200, description="mg/dl", examples=[38])] | None = None
    cholesterol_to_hdl: Annotated[float, Meta(ge=1, le=20, examples=[4])] | None = None
    triglycerides: Annotated[float, Meta(ge=1, le=10, description="logarithm", examples=[4.8598])] | None = None
    glucose: Annotated[float, Meta(ge=30, le=400, description="mg/dl", examples=[87])] | None = None


class Patient(Struct, forbid_unknown_fields=True):
    """A row of the raw table: a patient and the progression a year later."""

    patient: Annotated[int, Meta(ge=0)]
    visited: Annotated[datetime, Meta(tz=True)]
    age: Annotated[float, Meta(ge=0, le=120)]
    sex: Sex
    bmi: Annotated[float, Meta(ge=10, le=80)]
    blood_pressure: Annotated[float, Meta(ge=30, le=250)]
    cholesterol: Annotated[float, Meta(ge=50, le=600)] | None
    ldl: Annotated[float, Meta(ge=10, le=500)] | None
    hdl: Annotated[float, Meta(ge=5, le=200)] | None
    cholesterol_to_hdl: Annotated[float, Meta(ge=1, le=20)] | None
    triglycerides: Annotated[float, Meta(ge=1, le=10)] | None
    glucose: Annotated[float, Meta(ge=30, le=400)] | None
    progression: Annotated[float, Meta(ge=0, le=1000)] | None


class Table(NamedTuple):
    """How a raw table is stored and read."""

    row: type[Struct]
    key: tuple[str, ...]  # no two rows share it
    periodic: bool  # one file per period, or one file for all
    day: tuple[str, ...] = ()  # the columns that say a row's day, by which a part can be read; none: only whole
    back: int | None = None  # so many days before its own an example looks at; None: all of them


TABLES = {"patients": Table(Patient, ("patient",), periodic=True, day=("visited",), back=0)}
KEY = ("patient",)  # names an example in every table of predictions
LABEL = "progression"  # of the disease within a year, a measure of its own from 25 to 346
CLASSES: tuple[str, ...] = ()  # a number is predicted
BLOCK = "day"  # patients of one day are resampled together
TIME = "visited"  # when a prediction is asked for; `prepare` looks back from it
PERIOD = "period"  # the week, as in the names of the files
SEGMENTS = ("sex",)  # no value of these may get clearly worse
CATEGORIES = ("sex",)
SEASONAL: tuple[str, ...] = ()
