"""data/ from the source, whole or not at all."""

from pathlib import Path

import pytest

from delivery.__main__ import main
from delivery.core import files, params
from delivery.core.errors import Failure
from delivery.data import fetch


def few(folder: Path, until: str, cache: Path) -> None:
    (folder / "planes.parquet").write_text(until)


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fetch, "fetch", few)
    return folder / "data"


def test_the_parameter_says_until_when(asked: Path, monkeypatch: pytest.MonkeyPatch, settings) -> None:
    monkeypatch.setattr(params, "load", lambda _: settings)
    assert main(["fetch"]) == 0
    assert (asked / "planes.parquet").read_text() == "2013-02"


def test_another_month_and_another_folder(asked: Path, capsys) -> None:
    assert main(["fetch", "--until", "2013-07", "--to", "elsewhere"]) == 0
    assert Path("elsewhere/planes.parquet").read_text() == "2013-07"
    assert "fetch: elsewhere holds periods up to 2013-07, 0.0 MB" in capsys.readouterr().out
    assert not asked.exists()


def test_months_that_are_no_longer_wanted_go(asked: Path) -> None:
    files.write(asked / "flights" / "2013-09.parquet", "old")
    fetch.into(asked, "2013-02")
    assert [path.name for path in asked.rglob("*")] == ["planes.parquet"]


def test_a_source_that_refuses_is_one_line_and_changes_nothing(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, until: str, cache: Path) -> None:
        (folder / "planes.parquet").write_text("half")
        raise ValueError("archive has sha256 0, expected 1; delete it and fetch again")

    fetch.into(asked, "2013-02")
    monkeypatch.setattr(fetch, "fetch", refuse)
    with pytest.raises(Failure, match="has sha256 0, expected 1"):
        fetch.into(asked, "2013-03")
    assert (asked / "planes.parquet").read_text() == "2013-02"
    assert [path.name for path in asked.parent.iterdir()] == ["data"]


def test_a_month_that_does_not_exist_asks_no_source(asked: Path) -> None:
    with pytest.raises(Failure, match="there is no period 2014-01"):
        fetch.into(asked, "2014-01")
    assert not asked.exists()
