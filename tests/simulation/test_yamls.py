"""What the simulation reads and writes as YAML is what the verbs read and write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.gitserver import git
from harness.hub import Hub

from delivery.core import params, workspace
from delivery.core.errors import Failure
from simulation import ROOT, agreement, clones, yamls

FILES = [ROOT / name for name in (workspace.PARAMS, workspace.DVC_YAML, workspace.DVC_LOCK, workspace.DATA_FILE)]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ODD = [
    "", "a", "a: 1\na: 2\n", "a: {b: 1, b: 2}", "a: &x [1, 2]\nb: *x\n", "a:\n\t- b\n", "a: b: c",
    "- 010\n- 0o10\n- 1e3\n- 1.\n- .5\n",
    "a: 2026-01-05\nb: 2026-01-05T08:00:00Z\n", "a: äöü\nb: '☃'\n", "a: yes\nb: No\nc: ~\nd: null\n", "--- 1\n--- 2\n", "a: 'x\n  y'\n",
    "a: |\n  x\n   y\n\nb: >-\n  x\n  y\n", "? [1, 2]\n: 3\n", "<<: {a: 1}\nb: 2\n", "a: !!python/object:os.system x\n", "a: *missing", "[1, 2",  # noqa: E501
    "a: '\x07'\n", "1: 2\n1.0: 3\n", "a: 1_000\nb: 0x1F\nc: 1:30\n", "# only a comment\n", "a: \"\\x41\\u00e4\"\n", "a: b\r\nc: d\r\n",
]  # fmt: skip
VALUES: list[Any] = [
    {}, [], None, "", "yes", "1e3", "1.0", " x ", "a: b", "ä", "☃", "x\ny\n", "x" * 200, "\ttab", "#", "2026-01-05",
    1e-5, 1e20, float("inf"),
    True, 0, {"b": 1, "a": [1, {"c": None}]}, {"a": {"b": []}, "d": [[1, 2], []]}, {1: "x", "1": "y"}, ["-", "?", "- a", "'", '"', "\\"],
]  # fmt: skip


def outcome(call: Callable[..., Any], *words: Any, **options: Any) -> Any:
    """What it returns, or the kind of error."""
    try:
        return repr(call(*words, **options))
    except (yaml.YAMLError, Failure, ValueError, TypeError) as error:
        return type(error).__mro__[-4:]


@pytest.mark.parametrize("text", [*(path.read_text() for path in [*FILES, *WORKFLOWS]), *ODD])
def test_texts_are_read_as_the_verbs_read_them(text: str) -> None:
    for _ in range(2):  # the second time from memory
        assert outcome(yamls.load, text) == outcome(yaml.safe_load, text)
        assert outcome(yamls.tree, text) == outcome(params.tree, text)
    assert outcome(lambda: _aliases(yamls.events(text))) == outcome(lambda: _aliases(yaml.parse(text)))


def _aliases(events: Any) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.mark.parametrize("options", [{}, {"sort_keys": False}, {"sort_keys": False, "allow_unicode": True}])
def test_values_are_written_as_the_verbs_write_them(options: dict[str, Any]) -> None:
    read = [yaml.safe_load(path.read_text()) for path in [*FILES, *WORKFLOWS]]
    for value in [*VALUES, *read]:
        for each in (value, [value], {"a": value}):
            assert outcome(yamls.dump, each, **options) == outcome(yaml.safe_dump, each, **options), each


def test_what_was_read_can_be_changed() -> None:
    """The next reader does not see it."""
    yamls.load("a: [1]")["a"].append(2)
    yamls.tree("a: [1]")["a"].append(2)
    assert yamls.load("a: [1]") == yamls.tree("a: [1]") == {"a": [1]}


def test_a_checkout_is_that_of_git(tmp_path: Path) -> None:
    """With files that can be run, links, ignored and odd names, and on a branch or at a commit."""
    repo, work = Hub(tmp_path / "hub").repository("acme/demo"), tmp_path / "work"
    git(tmp_path, "clone", "--quiet", repo.path, work)
    (work / "folder").mkdir()
    (work / "folder" / "run.sh").write_text("#!/bin/sh\n")
    (work / "folder" / "run.sh").chmod(0o755)
    (work / "link").symlink_to("folder")
    (work / ".gitignore").write_text("*.log\n")
    (work / "kept.log").write_bytes(bytes(range(256)))
    (work / ".gitattributes").write_text("*.txt text\n*.crlf eol=crlf\n")
    (work / "a.txt").write_text("a\n")
    (work / "b.crlf").write_text("a\nb\n")
    (work / "ä b").write_text("x\n")
    git(work, "add", "--force", "--all")
    git(work, "commit", "--quiet", "--message", "All")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    sha = repo.sha("main")
    for branch in ("", "main"):
        ours, theirs = tmp_path / f"ours{branch}", tmp_path / f"theirs{branch}"
        clones.checkout(repo, ours, sha, branch)
        git(tmp_path, "clone", "--quiet", "--no-checkout", repo.path, theirs)
        git(theirs, "checkout", "--quiet", *(["-B", "main"] if branch else ["--detach", sha]))
        for part in ("head", "index", "status", "files"):
            assert agreement.state(ours)[part] == agreement.state(theirs)[part]
