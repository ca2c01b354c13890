"""Bounds of what a document may hold, checked where one is decoded; finite numbers are all that JSON has."""

from typing import Annotated

from msgspec import Meta

ROWS = 5000  # of a table
Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Number = Annotated[float, Meta(ge=-1e30, le=1e30)]
