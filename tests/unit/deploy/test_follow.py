"""The programs that read a prediction log where it is go on when the service deletes a file that they know of."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.deploy import follow, recent


class Gone:
    """A folder of logs that lists one file more than it has: retention was faster than whoever reads it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def glob(self, pattern: str) -> Iterator[Path]:
        yield self.folder / "predictions-0.jsonl"
        yield from self.folder.glob(pattern)


class Over(Exception):
    """The reader has ended."""


def turns(monkeypatch: pytest.MonkeyPatch, *steps: tuple[Callable[[], object], ...]) -> None:
    """Do a step after each turn of `follow`, and end it after the last."""
    left = iter(steps)

    def sleep(_: float) -> None:
        step = next(left, None)
        if step is None:
            raise Over
        for act in step:
            act()

    monkeypatch.setattr(follow.time, "sleep", sleep)


def append(path: Path, text: str) -> None:
    with path.open("a") as log:
        log.write(text)


def test_only_what_comes_is_printed_in_whole_lines(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = folder / "predictions-1.jsonl", folder / "predictions-2.jsonl"
    append(one, "before\n")
    turns(
        monkeypatch,
        (lambda: append(one, "a\nb"),),
        (lambda: append(one, "c\n"), lambda: append(two, "d\n")),
    )
    with pytest.raises(Over):
        follow.follow(folder)
    assert capsysbinary.readouterr().out.split(b"\n") == [b"", b"a", b"", b"bc", b"d", b"", b""]


@pytest.mark.parametrize("deleted", ["before it is opened", "between two turns"])
def test_a_deleted_file_ends_nothing(
    deleted: str, folder: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, kept = folder / "predictions-1.jsonl", folder / "predictions-2.jsonl"
    append(old, "old\n")
    append(kept, "before\n")
    turns(
        monkeypatch,
        (lambda: append(kept, "a\n"),),
        (old.unlink, lambda: append(kept, "b\n")),
        (lambda: append(kept, "c\n"),),
    )
    with pytest.raises(Over):
        follow.follow(Gone(folder) if deleted.startswith("before") else folder)  # type: ignore[arg-type]
    assert capsysbinary.readouterr().out.split() == [b"a", b"b", b"c"]


def test_the_newest_lines_are_read_without_a_deleted_file(folder: Path) -> None:
    append(folder / "predictions-1.jsonl", "a\n")
    assert recent.recent(Gone(folder)) == b"a\n"  # type: ignore[arg-type]


def test_a_file_that_is_deleted_after_the_list_was_made_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(folder / "predictions-1.jsonl", "a\n")
    gone = folder / "predictions-0.jsonl"
    monkeypatch.setattr(recent, "newest_first", lambda _: [gone, folder / "predictions-1.jsonl"])
    assert recent.recent(folder) == b"a\n"
