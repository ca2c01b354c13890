"""Git's answers and acts, in this process, by libgit2: a process of git takes 4 ms, and a push starts six of them.

Only forms that the simulation asks often, only of repositories on this machine, and only what git does without an
objection: all else is git's own. `test_answers` has git do the same in copies, and compares answers and repositories.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from simulation import history, libgit, reading, transfer, working
from simulation.libgit import Asked

FORMS = reading.FORMS | history.FORMS | working.FORMS | transfer.FORMS
LEVELS = (ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM)
# With these git works elsewhere, or in another way.
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE")
OWN_INDEX = ("read-tree", "update-index", "write-tree", "hash-object", "commit-tree")
SETTINGS = {"core.quotePath": ("false",), "commit.gpgsign": ("false",), "user.name": (), "user.email": ()}


def answer(
    words: list[str], folder: Path, variables: Mapping[str, str] = os.environ, text: str = ""
) -> tuple[int, str] | None:
    """Return the exit code and the output of `git words` in this folder, or None if git itself has to be asked."""
    settings = {}
    while words[1:] and words[0] == "-c":
        name, _, value = words[1].partition("=")
        if name not in SETTINGS or value not in (SETTINGS[name] or (value,)):
            return None
        settings[name], words = value, words[2:]
    form = FORMS.get(words[0]) if words else None
    if form is None or any(name in variables for name in ELSEWHERE):
        return None
    if "GIT_INDEX_FILE" in variables and words[0] not in OWN_INDEX:
        return None
    try:
        found = form(Asked(words[1:], folder, settings, variables, text))
    except (libgit.Unknown, KeyError, ValueError, IndexError, OSError, AttributeError, pygit2.GitError):
        return None
    if isinstance(found, bool):
        return int(not found), ""
    return None if "\r" in found else (0, found)  # both readers of git's output translate line ends


@contextmanager
def alone() -> Iterator[None]:
    """Nobody's settings but those of a repository count."""
    before = [pygit2.settings.search_path[level] for level in LEVELS]
    try:
        for level in LEVELS:
            pygit2.settings.search_path[level] = "/nonexistent"
        yield
    finally:
        for level, path in zip(LEVELS, before, strict=True):
            pygit2.settings.search_path[level] = path
