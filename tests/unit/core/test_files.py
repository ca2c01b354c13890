"""A file is replaced whole, or stays the old one."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from delivery.core import files
from delivery.core.errors import Failure


def kept(folder: Path) -> dict[str, str]:
    """Return every file below a folder, hidden ones too."""
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_interruption_leaves_the_old_file(error: type[BaseException], tmp_path: Path) -> None:
    files.write(tmp_path / "a.txt", "old")
    with pytest.raises(error):  # noqa: PT012, SIM117  what is interrupted is the block
        with files.replacing(tmp_path / "a.txt") as scratch:
            scratch.write_text("half")
            raise error
    assert kept(tmp_path) == {"a.txt": "old"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_the_old_folder(error: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    with pytest.raises(error):  # noqa: PT012, SIM117
        with files.replacing(tmp_path / "out") as scratch:
            scratch.mkdir()
            (scratch / "b.txt").write_text("half")
            raise error
    assert kept(tmp_path) == {"out/a.txt": "old"}


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with files.replacing(tmp_path / "out") as scratch:
            scratch.mkdir()
            (scratch / f"{name}.txt").write_text(name)
    assert kept(tmp_path) == {"out/b.txt": "b"}


def test_a_folder_whose_successor_was_never_written_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "out"):
        pass
    assert kept(tmp_path) == {"out/a.txt": "old"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_between_the_two_renames_restores_the_old_folder(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*paths: object) -> None:
        raise error

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(error), files.replacing(tmp_path / "out") as scratch:
        scratch.mkdir()
    assert kept(tmp_path) == {"out/a.txt": "old"}


def test_missing_parents_are_created(tmp_path: Path) -> None:
    files.write(tmp_path / "a" / "b" / "c.txt", b"new")
    assert kept(tmp_path) == {"a/b/c.txt": "new"}


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": np.float64(1 / 3), "a": (np.int64(2), np.bool_(True))})
    files.write_json(tmp_path / "b.json", {"a": [2, True], "b": 0.333333})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_exact_numbers_are_not_rounded(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"a": 1 / 3}, exact=True)
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1 / 3}


def test_nan_is_not_written(tmp_path: Path) -> None:
    files.write(tmp_path / "a.json", "{}\n")
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert kept(tmp_path) == {"a.json": "{}\n"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing; run `delivery gate` first"),
        ('{"a": ', r"is not JSON \(.*\); run `delivery gate` again"),
        ("", "is not JSON"),
    ],
)
def test_an_unreadable_file_is_named_with_its_verb(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Failure, match=rf"gate\.json {message}"):
        files.read_json(path, "gate")


def test_the_digest_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    def digest(**contents: str) -> str:
        for old in tmp_path.iterdir():
            old.unlink()
        for name, content in contents.items():
            (tmp_path / name).write_text(content)
        return files.digest(tmp_path)

    first = digest(a="1", b="2")
    assert digest(b="2", a="1") == first
    assert digest(a="2", b="1") != first
    assert digest(a="1", c="2") != first
    assert files.digest(tmp_path / "a") == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
