"""Where libgit2 answers about a repository that no simulation has, git answers the same; else it leaves the question to git."""

import functools
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation import agreement, answers

PEOPLE = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER")
          for what, text in (("NAME", "Ada"), ("EMAIL", "ada@example.org"), ("DATE", "2026-01-05T08:00:01+00:00"))}  # fmt: skip
VARIABLES = PEOPLE | {"TZ": "UTC", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}


def questions(name: str) -> list[list[str]]:
    """The words of each command, in which two characters stand for the end of a line."""
    lines = Path(__file__).with_name(name).read_text().splitlines()
    return [[word.replace("\\n", "\n") for word in shlex.split(line)] for line in lines]


def git(folder: Path, *words: str, **more: str) -> str:
    code, output, error = agreement.git([*words], folder, VARIABLES | more, "")
    assert not code, (words, error)
    return output.strip()


def commit(folder: Path, message: str, branch: str, start: str = "", **files: str) -> None:
    """A commit of these files on a branch; the last underscore of a name stands for its dot."""
    if branch != git(folder, "branch", "--show-current"):
        git(folder, "checkout", "--quiet", "-B", branch, *([start] if start else []))
    for name, text in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def describe(work: Path) -> None:
    """Branches with odd messages, and with changes to merge."""
    lines = (work / "lines.txt").read_text()
    commit(work, "One\n\nResults-Of: 0123", "trailer", "main", a_txt="d\n")
    commit(work, "One\n\nSee\nResults-Of: 0123\nResults-of: 4", "prose", "main", a_txt="d\n")
    commit(work, "A subject\nof two lines\n\nResults-Of: 1", "subject", "main", a_txt="d\n")
    commit(work, "Beside", "change/one", "first", lines_txt="x\n" + lines)
    commit(work, "Lines", "change/lines", "first", lines_txt=lines + "y\n")
    commit(work, "More", "change/more", "first", more_txt="more\n")
    commit(work, "Conflict", "change/conflict", "first", a_txt="c\n")
    git(work, "checkout", "--quiet", "-B", "renamed", "first")
    (work / "lines.txt").rename(work / "rows.txt")
    commit(work, "Renamed", "renamed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `work` and its remote `origin.git`."""
    folder = tmp_path_factory.mktemp("odd")
    origin, work = folder / "origin.git", folder / "work"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    (origin / "hooks").rename(origin / "no hooks")
    git(folder, "clone", "--quiet", str(origin), str(work))
    (work / "folder").mkdir()
    (work / "folder" / "b.txt").write_text("b\n")
    (work / "link").symlink_to("a.txt")
    (work / "binary").write_bytes(bytes(range(256)))
    lines = "".join(f"{number}\n" for number in range(60))
    commit(work, "First", "main", a_txt="a\n", lines_txt=lines, _gitignore="*.log\n", run_sh="#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    git(work, "branch", "first")
    commit(work, "Second", "main", a_txt="b\n")
    (work / "folder" / "b.txt").write_text("c\n")
    commit(work, "Third", "main")
    git(work, "tag", "--annotate", "annotated", "--message", "A tag\n\nof two paragraphs")
    git(work, "tag", "light")
    describe(work)
    (work / os.fsdecode(b"caf\xe9")).write_text("latin\n")
    (work / "with space").write_text("x\n")
    (work / "äö").write_text("x\n")
    commit(work, "Names", "names", "main")
    git(work, "checkout", "--quiet", "-B", "both", "main")
    git(work, "merge", "--quiet", "--no-ff", "--message", "Both", "change/one")
    git(work, "branch", "crossed/one", "change/one")
    git(work, "checkout", "--quiet", "-B", "crossed/other", "both")
    git(work, "checkout", "--quiet", "crossed/one")
    git(work, "merge", "--quiet", "--no-ff", "--message", "Other", "main")
    empty = git(work, "hash-object", "-w", "-t", "tree", "/dev/null")
    git(work, "branch", "empty", git(work, "commit-tree", empty, "-m", "Empty"))
    git(work, "branch", "orphan", git(work, "commit-tree", "main^{tree}", "-m", "Orphan"))
    git(work, "push", "--quiet", "origin", "main", "main:ahead", "orphan", "orphan:forced", "annotated")
    git(work, "checkout", "--quiet", "main")
    other = folder / "other"
    git(folder, "clone", "--quiet", str(origin), str(other))
    commit(other, "Ahead", "ahead", "main", a_txt="e\n")
    git(other, "push", "--quiet", "origin", "ahead")
    git(other, "tag", "--annotate", "later", "--message", "Later")
    git(other, "push", "--quiet", "origin", "later")
    (work / "ignored.log").write_text("x\n")
    (work / "untracked.txt").write_text("x\n")
    return folder


PLACES = ("clean", "changed", "shallow", "bare", "below", "detached", "unborn", "in a merge")


@pytest.fixture
def place(kind: str, made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy in which something is different."""
    agreement.shutil.copytree(made, tmp_path / "odd", symlinks=True)
    work, origin = tmp_path / "odd" / "work", tmp_path / "odd" / "origin.git"
    git(work, "remote", "set-url", "origin", str(origin))
    if kind == "changed":
        (work / "a.txt").write_text("changed\n")
        (work / "lines.txt").unlink()
        (work / "new.txt").write_text("new\n")
        git(work, "add", "new.txt")
        git(work, "rm", "--quiet", "--cached", "run.sh")
    elif kind == "detached":
        git(work, "checkout", "--quiet", "--detach", "first")
    elif kind == "shallow":
        agreement.shutil.rmtree(work)
        git(tmp_path / "odd", "clone", "--quiet", "--depth", "1", f"file://{origin}", "work")
        git(work, "remote", "set-url", "origin", str(origin))
    elif kind == "unborn":
        git(work, "checkout", "--quiet", "--orphan", "fresh")
    elif kind == "in a merge":
        agreement.git(["merge", "change/conflict"], work, VARIABLES, "")
    with answers.alone():
        yield work / "folder" if kind == "below" else origin if kind == "bare" else work


@pytest.mark.parametrize("kind", PLACES)
def test_questions_have_gits_answers_or_none(kind: str, place: Path, tmp_path: Path) -> None:
    found = [compared(words, place, tmp_path) for words in questions("reading.txt")]
    assert not [answer for answer in found if isinstance(answer, str)]
    assert sum(answer is not None for answer in found) > (20 if kind != "below" else -1)


@pytest.mark.parametrize("kind", PLACES[:4])
def test_acts_do_what_git_does_or_are_left_to_git(place: Path, tmp_path: Path) -> None:
    origin, kept, found = tmp_path / "odd" / "origin.git", tmp_path / "kept", []
    agreement.shutil.copytree(tmp_path / "odd", kept, symlinks=True)
    values = {"folder": str(place), "origin": str(origin)} | {
        name: git(origin, "rev-parse", name) for name in ("ahead", "main")
    }
    for line in questions("acting.txt"):
        words = [
            functools.reduce(lambda word, item: word.replace(f"{{{item[0]}}}", item[1]), values.items(), word)
            for word in line
        ]
        found.append(compared(words, place, tmp_path))
        if found[-1] is not None:
            agreement.shutil.rmtree(tmp_path / "odd")
            agreement.shutil.copytree(kept, tmp_path / "odd", symlinks=True)
    assert not [answer for answer in found if isinstance(answer, str)]
    assert sum(answer is not None for answer in found) > 5, place


def compared(words: list[str], folder: Path, tmp_path: Path) -> tuple[int, str] | str | None:
    """The answer, or what is wrong with it."""
    try:
        return agreement.compare(words, folder, VARIABLES, "", tmp_path / "copies")
    except AssertionError as error:
        return str(error)
