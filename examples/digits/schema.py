"""Define the data: the raw table, the request that the service takes, and what each column means."""

from datetime import datetime
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

Ink = Annotated[float, Meta(ge=0, le=16, description="0 is white", examples=[7.5])]


class Request(Struct, forbid_unknown_fields=True, kw_only=True):
    """One digit, scanned: `a1` is the upper left of 4 x 4 pixels, `d4` the lower right."""

    a1: Ink
    a2: Ink
    a3: Ink
    a4: Ink
    b1: Ink
    b2: Ink
    b3: Ink
    b4: Ink
    c1: Ink
    c2: Ink
    c3: Ink
    c4: Ink
    d1: Ink
    d2: Ink
    d3: Ink
    d4: Ink


PIXELS = Request.__struct_fields__


class Digit(Request, kw_only=True):
    """A row of the raw table: a scan and the digit that it shows."""

    number: Annotated[int, Meta(ge=0)]
    written: Annotated[datetime, Meta(tz=True)]
    digit: Annotated[int, Meta(ge=0, le=9)]


class Table(NamedTuple):
    """How a raw table is stored and read."""

    row: type[Struct]
    key: tuple[str, ...]  # no two rows share it
    periodic: bool  # one file per period, or one file for all
    day: tuple[str, ...] = ()  # the columns that say a row's day, by which a part can be read; none: only whole
    back: int | None = None  # so many days before its own an example looks at; None: all of them


TABLES = {"digits": Table(Digit, ("number",), periodic=True, day=("written",), back=0)}
KEY = ("number",)  # names an example in every table of predictions
LABEL = "label"  # the digit's place in CLASSES
CLASSES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
BLOCK = "day"  # digits of one day are by one hand: they are resampled together
TIME = "written"  # when a prediction is asked for; `prepare` looks back from it
PERIOD = "period"  # the month, as in the names of the files
SEGMENTS = ("ink",)  # no value of these may get clearly worse
CATEGORIES: tuple[str, ...] = ()  # features that are text
SEASONAL: tuple[str, ...] = ()
