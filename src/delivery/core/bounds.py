"""Bounds of the values in a document, checked when it is decoded. JSON itself has finite numbers only."""

from typing import Annotated

from msgspec import Meta

ROWS = 5000  # of a table
Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Number = Annotated[float, Meta(ge=-1e30, le=1e30)]
