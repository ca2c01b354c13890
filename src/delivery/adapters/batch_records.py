"""What `batch` has scored: a folder for each period, version and state of the data, in reports/batch and in the store.

    batch/<period>/<version>/<inputs>/about.json, predictions.parquet

A record is never changed: corrected rows and other versions have their own. Records of earlier versions of this template are
in `batch/<period>/` itself; they are read like all others.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from delivery.core import workspace
from delivery.core.errors import Failure

ABOUT, PREDICTIONS = "about.json", "predictions.parquet"
LETTERS = 12  # of the digest in a folder's name


class Scored(Struct, frozen=True):
    """What a batch has scored, with what, as about.json holds it."""

    month: str
    """Period that was scored."""
    version: str
    model: str
    """Digest of the exported model."""
    commit: str
    data: str
    """Digest of the raw data."""
    rows: int
    mean: float
    """Mean prediction."""
    scored: str
    """When it was scored, in UTC."""
    by: str
    inputs: str = ""
    """Digest of the keys and features that were scored; empty in records of earlier versions of this template."""


class Record(NamedTuple):
    """A record and its folder."""

    folder: Path
    about: Scored


def place(about: Scored) -> Path:
    """Return the folder of a record, relative to that of all records."""
    return Path(about.month, about.version, about.inputs[:LETTERS])


def read(folder: Path = workspace.BATCH_KEPT) -> list[Record]:
    """Return the records below a folder, in the order in which they were scored. Raise `Failure` for a broken one."""
    records = []
    for path in folder.glob(f"**/{ABOUT}"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue  # left by a process that was killed
        try:
            records.append(Record(path.parent, msgspec.json.decode(path.read_bytes(), type=Scored)))
        except msgspec.DecodeError as error:
            raise Failure(
                f"{path} is no record of a batch ({error}); restore it from the history of its branch"
            ) from None
    return sorted(records, key=lambda record: (record.about.scored, str(record.folder)))


def of_version(records: Iterable[Record], version: str) -> dict[str, list[Scored]]:
    """Return the version's records by period, oldest first."""
    found: dict[str, list[Scored]] = {}
    for record in records:
        if record.about.version == version:
            found.setdefault(record.about.month, []).append(record.about)
    return found
