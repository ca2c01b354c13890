"""Has git do in copies what was answered in its place, and compares: answers, and what both have made of the repositories."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulation import answers

ACTS = answers.working.FORMS.keys() | answers.transfer.FORMS.keys() | {"merge-tree"}
READS = {"status", "ls-files"}
SHORT = re.compile(r"\b[0-9a-f]{7,12}\.\.[0-9a-f]{7,12}\b")  # git lengthens these in a larger repository
CLEAN = ("GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL")


def compare(
    words: list[str], folder: Path, variables: Mapping[str, str], text: str, scratch: Path
) -> tuple[int, str] | None:
    """Answer; raise `AssertionError` if git gives another answer or leaves other repositories. `scratch` is emptied."""
    found = named(words)
    if found not in ACTS or found in READS:
        answer = answers.answer(words, folder, variables, text)
        if answer is not None:
            done = git(words, folder, variables, text)
            assert answer == done[:2], (words, folder, done, answer)
        return answer
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    moved = {folder: scratch / folder.name / "here"} | {
        other: scratch / f"other{n}" for n, other in enumerate(others(words, folder))
    }
    for source, copy in moved.items():
        shutil.copytree(source, copy, symlinks=True)
    answer = answers.answer(words, folder, variables, text)
    if answer is None:
        return None
    own = {name: value.replace(str(folder), str(moved[folder])) for name, value in variables.items()}
    instead = [f"url.{copy}.insteadOf={source}" for source, copy in moved.items() if source != folder]
    told = [word.replace(f"{folder}/", f"{moved[folder]}/") if word not in map(str, moved) else word for word in words]
    done = git([*(word for each in instead for word in ("-c", each)), *told], moved[folder], own, text)
    code, output = done[:2]
    for source, copy in moved.items():
        output = output.replace(str(copy), str(source))
    assert (answer[0], SHORT.sub("", answer[1])) == (code, SHORT.sub("", output)), (words, folder, done, answer)
    pairs = [
        (source, copy, variables.get("GIT_INDEX_FILE", ""), own.get("GIT_INDEX_FILE", ""))
        for source, copy in moved.items()
    ]
    if found in ("init", "clone"):
        made = [answers.libgit.below(at, said[-1]) for at, said in ((folder, words), (moved[folder], told))]
        pairs = [*pairs[1:], (made[0], made[1], "", "")]
    for source, copy, index, other in pairs:
        ours, theirs = state(source, index), state(copy, other)
        assert ours == theirs, (
            words,
            folder,
            {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]},
        )
    if re.fullmatch(r"[0-9a-f]{40}\0?\n?", output):  # an object that was made
        assert not git(["cat-file", "-e", output[:40]], folder, {}, "")[0], (words, folder)
    return answer


def named(words: list[str]) -> str:
    while words[0] == "-c":
        words = words[2:]
    return words[0]


def others(words: list[str], folder: Path) -> list[Path]:
    """The repositories that a command also reads or changes."""
    told = [Path(word) for word in words if word.startswith("/") and (Path(word) / "HEAD").is_file()]
    _, url, _ = git(["config", "--get", "remote.origin.url"], folder, {}, "")
    return [path for path in dict.fromkeys([*told, Path(url.strip())]) if path != folder and (path / "HEAD").is_file()]


def git(words: list[str], folder: Path, variables: Mapping[str, str], text: str) -> tuple[int, str, str]:
    own = {"LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "PATH": os.environ["PATH"]} | dict(
        variables
    )
    done = subprocess.run(["git", *words], cwd=folder, env=own, input=text.encode(), capture_output=True, check=False)
    return done.returncode, done.stdout.decode(errors="backslashreplace"), done.stderr.decode(errors="backslashreplace")


def state(folder: Path, index: str = "") -> dict[str, Any]:
    """What a repository is like; not its logs of refs, and not in which files its objects are."""
    inner = folder / ".git" if (folder / ".git").exists() else folder

    def asked(*words: str, **variables: str) -> tuple[int, str]:
        return git(list(words), folder, variables, "")[:2]

    if not (inner / "HEAD").exists():
        return {}
    found: dict[str, Any] = {
        "refs": asked("for-each-ref"),
        "head": (inner / "HEAD").read_text(),
        "settings": sorted(asked("config", "--local", "--list")[1].splitlines()),
        "shallow": sorted((inner / "shallow").read_text().split()) if (inner / "shallow").exists() else [],
        "fetched": (inner / "FETCH_HEAD").read_text()[:40] if (inner / "FETCH_HEAD").exists() else "",
    }
    if inner != folder:
        found["index"] = asked("ls-files", "--stage")
        found["status"] = asked("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--ignored")
        found["files"] = {
            path.relative_to(folder).as_posix(): (
                path.is_symlink(),
                path.stat(follow_symlinks=False).st_mode,
                content(path),
            )
            for path in folder.rglob("*")
            if not path.is_dir() and ".git" not in path.parts[len(folder.parts) :]
        }
    if index:
        found["own index"] = asked("ls-files", "--stage", GIT_INDEX_FILE=index)
    return found


def content(path: Path) -> bytes:
    if path.is_symlink():
        return os.readlink(path).encode()
    return path.read_bytes() if path.suffix != ".index" else b""
